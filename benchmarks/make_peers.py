"""Makes the peers' files of a classifier, as a user of each peer would, with the peers' own tools.

It runs in an environment of its own (`make bench` makes it: torch, transformers, onnx,
onnxruntime, openvino, nncf, executorch) and imports nothing of edgebert.

    python make_peers.py FOLDER OUT TEXTS.txt        FOLDER is a Hugging Face classifier

A tool that is missing or fails leaves its file out and says so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LENGTH = 128
CALIBRATION_TEXTS = 100
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def torch_model(folder: Path) -> tuple[Any, tuple[Any, ...]]:
    """The classifier with plain attention, as logits of three inputs, and example inputs."""
    import torch
    import transformers

    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            return self.model(input_ids, attention_mask, token_type_ids).logits

    ids = torch.randint(1000, 2000, (1, LENGTH))
    return Logits(), (ids, torch.ones_like(ids), torch.zeros_like(ids))


def onnx_float(folder: Path, out: Path, _: list[str]) -> None:
    import torch

    model, example = torch_model(folder)
    axes = {name: {0: "batch", 1: "length"} for name in INPUTS}
    torch.onnx.export(
        model,
        example,
        str(out / "onnx_float.onnx"),
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )


def onnx_int8(_: Path, out: Path, __: list[str]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        out / "onnx_float.onnx",
        out / "onnx_int8.onnx",
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


def onnx_fused(folder: Path, out: Path, _: list[str]) -> None:
    """ONNX Runtime's transformer optimizer, then the same quantization."""
    import onnx
    import transformers
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer

    config = transformers.AutoConfig.from_pretrained(folder)
    fused = optimizer.optimize_model(
        str(out / "onnx_float.onnx"),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
    )
    fused.save_model_to_file(str(out / "fused_float.onnx"))
    quantize_dynamic(
        out / "fused_float.onnx",
        out / "onnx_fused_int8.onnx",
        weight_type=QuantType.QInt8,
        per_channel=True,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


def openvino_float(_: Path, out: Path, __: list[str]) -> None:
    import openvino as ov

    model = ov.convert_model(str(out / "onnx_float.onnx"))
    ov.save_model(model, str(out / "openvino_float.xml"), compress_to_fp16=False)


def openvino_int8(folder: Path, out: Path, texts: list[str]) -> None:
    """NNCF's post-training quantization with its transformer preset."""
    import nncf
    import openvino as ov
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def inputs(text: str) -> dict[str, Any]:
        encoded = tokenizer(text, truncation=True, max_length=LENGTH, return_tensors="np")
        return {name: encoded[name].astype("int64") for name in INPUTS}

    quantized = nncf.quantize(
        ov.Core().read_model(out / "openvino_float.xml"),
        nncf.Dataset(texts[:CALIBRATION_TEXTS], inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=CALIBRATION_TEXTS,
    )
    ov.save_model(quantized, str(out / "openvino_int8.xml"))


def executorch_int8(folder: Path, out: Path, _: list[str]) -> None:
    """int8 with dynamic activations by XNNPACK's quantizer, lowered to XNNPACK.

    Only linear layers are quantized. The mask comes in the form in which the layers add it: the
    quantizer makes floats of the indices with which transformers computes it.
    """
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from executorch.exir import to_edge_transform_and_lower
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    plain, example = torch_model(folder)

    class Added(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = plain

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            mask = (1.0 - attention_mask[:, None, None, :].float()) * -1e9
            return self.model(input_ids, mask, token_type_ids)

    model = Added().eval()
    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    quantizer = XNNPACKQuantizer().set_module_type(torch.nn.Linear, config)
    exported = torch.export.export(model, example, strict=True).module()
    prepared = prepare_pt2e(exported, quantizer)
    prepared(*example)
    converted = convert_pt2e(prepared)
    program = to_edge_transform_and_lower(
        torch.export.export(converted, example, strict=True),
        partitioner=[XnnpackPartitioner()],
    ).to_executorch()
    (out / "executorch_int8.pte").write_bytes(program.buffer)


STEPS: tuple[tuple[str, str, Callable[[Path, Path, list[str]], None]], ...] = (
    ("onnxruntime", "onnx_float.onnx", onnx_float),
    ("onnxruntime", "onnx_int8.onnx", onnx_int8),
    ("onnxruntime", "onnx_fused_int8.onnx", onnx_fused),
    ("openvino", "openvino_float.xml", openvino_float),
    ("openvino", "openvino_int8.xml", openvino_int8),
    ("executorch", "executorch_int8.pte", executorch_int8),
)
"""The package that a step needs, its file, and the step."""


def make(folder: Path, out: Path, texts: list[str]) -> Iterator[str]:
    """Makes the files that are missing; gives a line for each."""
    import importlib.util

    for package, name, step in STEPS:
        if (out / name).exists():
            yield f"there already  {name}"
        elif importlib.util.find_spec(package) is None:
            yield f"left out       {name}: this environment has no {package}"
        else:
            try:
                step(folder, out, texts)
            except Exception as error:  # a peer's failure must not end the others
                yield f"left out       {name}: {type(error).__name__}: {str(error)[:300]}"
            else:
                yield f"made           {name}"


def main() -> None:
    folder, out, texts = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    for line in make(folder, out, texts.read_text(encoding="utf-8").splitlines()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
