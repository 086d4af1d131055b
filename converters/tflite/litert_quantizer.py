"""Static quantization of a float `.tflite` of ours, by ai-edge-quantizer.

What Google's quantizer knows is which operators take integers and how scales of neighbours hang
together. This room brings it our files: signatures share their constants and their tensor names,
which it refuses, so names are made unique for it and put back afterwards, and scales that several
signatures have in common are written once.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters import heads
from converters.errors import ConversionError
from converters.tflite.graph_builder import FILE_IDENTIFIER, AlignedBuffer

WEIGHT_BITS = 8
_SEPARATOR = "|"
_NOT_IN_INTEGERS = {8: (), 16: ("SQUARED_DIFFERENCE",)}
"""Operators without a kernel for activations of so many bits; they stay in float."""


_FC = ("FULLY_CONNECTED",)
_NORM = ("MEAN", "SQUARED_DIFFERENCE", "RSQRT", "ADD", "SUB", "MUL")
_LAYER_GROUPS = (
    ("attention.query_key_value", _FC, "attention/(?:query|key_value|query_key_value)"),
    ("attention.output", _FC, "attention/output"),
    ("feed_forward.inner", _FC, "feed_forward/inner"),
    ("feed_forward.output", _FC, "feed_forward/output"),
    ("residuals", ("ADD",), "(?:attention|feed_forward)/residual"),
    ("norms", _NORM, "(?:attention|feed_forward)/norm(?:/.*)?"),
)
_HEAD_GROUPS: dict[str, tuple[tuple[str, str], ...]] = {
    heads.CLASSIFIER: (("pooler", "pooler/dense"), ("classifier", "logits")),
    heads.TOKEN_CLASSIFIER: (("token_classifier", "token_classifier/logits"),),
    heads.SPANS: (("spans", "spans/logits"),),
    heads.SENTENCE: tuple((f"sentence.dense.{i}", f"sentence/dense_{i}") for i in range(4)),
    heads.MASKED_LM: (("masked_lm.dense", "masked_lm/dense"),),
}


@dataclass(frozen=True)
class OperatorGroup:
    """Operators that are made static together.

    Attributes:
        name: for people.
        operators: names of the format's operators.
        outputs: a regular expression that the whole name of an output tensor matches.
    """

    name: str
    operators: tuple[str, ...]
    outputs: str

    def takes(self, operator: str, output: str) -> bool:
        """Whether an operator of that name and output belongs to the group."""
        return operator in self.operators and re.fullmatch(self.outputs, output) is not None


def quantize_statically(
    body: bytes,
    ranges: Mapping[str, tuple[float, float]],
    groups: Sequence[OperatorGroup],
    activation_bits: int,
) -> bytes:
    """Computes the groups in integers, and every other FULLY_CONNECTED in dynamic int8.

    Args:
        body: a float graph; its embedding table may be quantized already.
        ranges: least and largest value of every activation, by tensor name.
        groups: what is made static.
        activation_bits: 8 (asymmetric) or 16 (symmetric).

    Returns:
        The `.tflite`, its inputs and outputs as they were.

    Raises:
        ConversionError: ai-edge-quantizer is not installed, or refuses the graph.
    """
    try:
        from ai_edge_quantizer import qtyping, quantizer
    except ImportError as error:
        raise ConversionError(
            "static quantization needs ai-edge-quantizer. Next: pip install ai-edge-quantizer"
        ) from error
    operation = qtyping.TFLOperationName
    named = _with_unique_names(body)
    with _quiet():
        judge = quantizer.Quantizer(named)
        judge.add_dynamic_config(".*", operation.FULLY_CONNECTED, WEIGHT_BITS)
        for group in groups:
            for name in (n for n in group.operators if n not in _NOT_IN_INTEGERS[activation_bits]):
                judge.add_static_config(
                    _scope(group), operation(name), activation_bits, WEIGHT_BITS
                )
        try:
            result = judge.quantize(
                _statistics(named, ranges) if groups else None,
                enable_progress_bar=False,
                enable_progress_report=False,
            )
        except (ValueError, RuntimeError, KeyError) as error:
            raise ConversionError(f"ai-edge-quantizer refuses the graph: {error}") from error
    return _with_shared_scales(bytes(result.quantized_model))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps off the terminal: that the table is quantized already, that signatures share biases,
    and a bar that can't be turned off.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _scope(group: OperatorGroup) -> str:
    """Matches the quantizer's scope of an operator: its output names, each with a ';'."""
    return f"{re.escape(_SEPARATOR)}(?:{group.outputs});"


def _model(body: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(body, 0))


def _bytes(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _with_unique_names(body: bytes) -> bytes:
    """Every tensor's name begins with its subgraph's number."""
    model = _model(body)
    for number, subgraph in enumerate(model.subgraphs):
        for tensor in subgraph.tensors:
            tensor.name = f"{number}{_SEPARATOR}".encode() + tensor.name
    return _bytes(model)


def _statistics(
    body: bytes, ranges: Mapping[str, tuple[float, float]]
) -> dict[str, dict[str, np.ndarray]]:
    """What the quantizer's own calibration would return, from ranges by the plain name."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for subgraph in _model(body).subgraphs:
        for tensor in subgraph.tensors:
            name = tensor.name.decode()
            plain = name.split(_SEPARATOR, 1)[1]
            if plain in ranges:
                shape = [1] * len(tensor.shape)
                low, high = ranges[plain]
                found[name] = {
                    "min": np.full(shape, low, np.float32),
                    "max": np.full(shape, high, np.float32),
                }
    return found


class _WrittenOnce(schema.QuantizationParametersT):
    """Scales that several tensors point at, in one table of the file."""

    def __init__(self, parameters: Any) -> None:
        self.__dict__.update(vars(parameters))
        self._offset: int | None = None

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the schema's own name)
        if self._offset is None:
            self._offset = super().Pack(builder)
        return self._offset


def _with_shared_scales(body: bytes) -> bytes:
    """The plain names again, one table for the scales of a buffer that signatures share, and the
    buffers' bytes in their own tables: the quantizer puts them behind the flatbuffer, where older
    readers and the associated files of the metadata do not expect them.
    """
    model = _model(body)
    for number, buffer in enumerate(model.buffers):
        data = buffer.data
        if buffer.offset > 1:
            data = np.frombuffer(body, np.uint8, int(buffer.size), int(buffer.offset))
        if data is not None and len(data):
            model.buffers[number] = AlignedBuffer(np.asarray(data, np.uint8))
    known: dict[tuple[int, bytes], _WrittenOnce] = {}
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            tensor.name = tensor.name.split(_SEPARATOR.encode(), 1)[-1]
            scale = getattr(tensor.quantization, "scale", None)
            if scale is not None and tensor.buffer:
                key = (tensor.buffer, np.asarray(scale, np.float32).tobytes())
                tensor.quantization = known.setdefault(key, _WrittenOnce(tensor.quantization))
    return _bytes(model)


def bert_groups(num_layers: int, head: str) -> tuple[OperatorGroup, ...]:
    """The groups of a graph that `build_inference_graph` made, in the order of the model.

    Embeddings and the mask are left out: what they read are token ids.

    Args:
        num_layers: of the encoder.
        head: of `converters.heads`.
    """
    groups = [
        OperatorGroup(f"layers.{i}.{name}", operators, f"layer_{i}/{outputs}")
        for i in range(num_layers)
        for name, operators, outputs in _LAYER_GROUPS
    ]
    groups += [OperatorGroup(name, _FC, outputs) for name, outputs in _HEAD_GROUPS.get(head, ())]
    return (
        *groups,
        OperatorGroup(
            "attention matmuls",
            ("BATCH_MATMUL", "RESHAPE", "TRANSPOSE", "SPLIT", "SLICE"),
            r"layer_\d+/.*",
        ),
        OperatorGroup(
            "softmax",
            ("ADD", "SOFTMAX"),
            r"layer_\d+/attention/(?:masked_scores|probabilities)",
        ),
        OperatorGroup("activations", ("GELU", "RELU", "TANH"), ".*"),
    )
