"""One model in one process: `benchmarks.peers` asks it, one JSON line for each question.

It runs under the interpreter of its runtime and imports edgebert for edgebert's own files only.
Peers use the Rust tokenizer of their checkpoint and the settings that their documentation
recommends for the latency of single texts.

    python peer_worker.py KIND FILE TOKENIZER.json THREADS
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MAX_LENGTH = 128
Classify = Callable[[str], int]
"""Gives the number of the best label of a text."""


def memory_bytes(field: str) -> int:
    """`VmRSS` or `VmHWM`, its maximum since the process started."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise SystemExit(f"/proc/self/status has no {field}: this benchmark needs Linux")


def tokenizer(path: str, length: int | None = None) -> Callable[[str], Any]:
    """The Rust tokenizer of the checkpoint; `length` pads to a fixed length."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(path)
    made.enable_truncation(length or MAX_LENGTH)
    made.no_padding()
    if length:
        made.enable_padding(length=length)
    return lambda text: made.encode(text)


def arrays(encoded: Any, dtype: type) -> dict[str, np.ndarray]:
    """The three inputs `[1, length]` by the names of `transformers`."""
    return {
        "input_ids": np.array([encoded.ids], dtype),
        "attention_mask": np.array([encoded.attention_mask], dtype),
        "token_type_ids": np.array([encoded.type_ids], dtype),
    }


def edgebert(file: str, _: str, threads: int) -> Classify:
    """A file of edgebert, with the tokenizer inside it."""
    from edgebert.models.litert_model import LiteRtModel

    model = LiteRtModel.open(Path(file), threads)
    return lambda text: model.labels.index(model.classify(text)[0])


def litert(file: str, tokens: str, threads: int) -> Classify:
    """keras-hub's own export, at its fixed length."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=file, num_threads=threads)
    runner = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))
    shapes = {name: detail["shape"] for name, detail in runner.get_input_details().items()}
    encode = tokenizer(tokens, int(next(iter(shapes.values()))[1]))

    def classify(text: str) -> int:
        given = arrays(encode(text), np.int32)
        inputs = {
            name: given[
                "token_type_ids"
                if "segment" in name
                else "attention_mask"
                if "mask" in name
                else "input_ids"
            ]
            for name in shapes
        }
        return int(np.argmax(next(iter(runner(**inputs).values()))))

    return classify


def onnxruntime(file: str, tokens: str, threads: int) -> Classify:
    """All graph optimizations; the rest is the default."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = {item.name for item in session.get_inputs()}
    kind = np.int32 if "int32" in session.get_inputs()[0].type else np.int64
    encode = tokenizer(tokens)

    def classify(text: str) -> int:
        given = {k: v for k, v in arrays(encode(text), kind).items() if k in names}
        return int(np.argmax(session.run(None, given)[0]))

    return classify


def openvino(file: str, tokens: str, threads: int) -> Classify:
    """The latency hint, which OpenVINO recommends for single requests."""
    import openvino as ov

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    request = ov.Core().compile_model(file, "CPU", settings).create_infer_request()
    encode = tokenizer(tokens)
    return lambda text: int(np.argmax(request.infer(arrays(encode(text), np.int64))[0]))


def executorch(file: str, tokens: str, threads: int) -> Classify:
    """ExecuTorch with XNNPACK, at the fixed length of its export."""
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    if hasattr(portable_lib, "_unsafe_reset_threadpool"):
        portable_lib._unsafe_reset_threadpool(threads)
    method = Runtime.get().load_program(file).load_method("forward")
    encode = tokenizer(tokens, MAX_LENGTH)

    def classify(text: str) -> int:
        given = arrays(encode(text), np.int64)
        values = method.execute([torch.from_numpy(value) for value in given.values()])
        return int(values[0].argmax())

    return classify


KINDS: dict[str, Callable[[str, str, int], Classify]] = {
    made.__name__: made for made in (edgebert, litert, onnxruntime, openvino, executorch)
}


def main() -> None:
    kind, file, tokens, threads = sys.argv[1:]
    before = memory_bytes("VmRSS")
    start = time.perf_counter()
    classify = KINDS[kind](file, tokens, int(threads))
    loaded = time.perf_counter()
    classify("it is a good film")
    first = time.perf_counter()
    answer: dict[str, Any] = {"load_ms": 1e3 * (loaded - start), "first_ms": 1e3 * (first - loaded)}
    print(json.dumps(answer), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        times, labels = [], []
        for text in asked["texts"]:
            start = time.perf_counter()
            labels.append(classify(text))
            times.append(1e3 * (time.perf_counter() - start))
        grown = memory_bytes("VmHWM") - before
        print(json.dumps({"ms": times, "labels": labels, "peak_bytes": grown}), flush=True)


if __name__ == "__main__":
    main()
