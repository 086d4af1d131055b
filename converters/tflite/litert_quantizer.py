"""Static quantization of an exported float `.tflite` by ai-edge-quantizer.

The library knows which operators take integers and which neighbours need equal scales. It refuses
tensor names that several signatures share, so this module makes names unique before, restores them
afterwards, and writes scales that several signatures share once.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from converters import heads
from converters.bert_config import BertConfig
from converters.errors import ConversionError
from converters.tflite.model_tables import AlignedBuffer, SharedQuantization
from converters.tflite.tflite_file import model_bytes, model_object

WEIGHT_BITS = 8
_SEPARATOR = "|"
_NOT_IN_INTEGERS = {8: (), 16: ("SQUARED_DIFFERENCE",)}
"""By activation bits: operators that the runtime has no integer kernel for; they stay in float."""

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
_MOBILEBERT_GROUPS = (
    ("bottleneck", _FC, "bottleneck/(?:input|attention|output)"),
    ("attention", _FC, "attention/(?:query|key|query_key|value|output)"),
    ("feed_forwards", _FC, r"feed_forwards?/(?:\d+/)?(?:inner|output)"),
    ("residuals", ("ADD",), ".*/residual"),
    ("norms", ("ADD", "MUL"), ".*/norm(?:/scaled)?"),
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
    """Operators that are quantized statically together.

    Attributes:
        name: for reports.
        operators: names of the format's operators.
        outputs: a regular expression that matches the whole name of an output tensor.
    """

    name: str
    operators: tuple[str, ...]
    outputs: str

    def takes(self, operator: str, output: str) -> bool:
        """Whether an operator with this name and this output tensor belongs to the group."""
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
        ranges: smallest and largest value of every activation, by tensor name.
        groups: the operators that are quantized statically.
        activation_bits: 8 (asymmetric) or 16 (symmetric).

    Returns:
        The `.tflite` with the same inputs and outputs.

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
        google = quantizer.Quantizer(named)
        google.add_dynamic_config(".*", operation.FULLY_CONNECTED, WEIGHT_BITS)
        for group in groups:
            for name in (n for n in group.operators if n not in _NOT_IN_INTEGERS[activation_bits]):
                google.add_static_config(
                    _scope(group), operation(name), activation_bits, WEIGHT_BITS
                )
        try:
            result = google.quantize(
                _statistics(named, ranges) if groups else None,
                enable_progress_bar=False,
                enable_progress_report=False,
            )
        except (ValueError, RuntimeError, KeyError) as error:
            raise ConversionError(f"ai-edge-quantizer refuses the graph: {error}") from error
    return _with_shared_scales(bytes(result.quantized_model))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses the library's warnings (the table is quantized already, signatures share biases)
    and a progress bar that has no switch.
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


def _with_unique_names(body: bytes) -> bytes:
    """Adds the number of its subgraph to the front of every tensor's name."""
    model = model_object(body)
    for number, subgraph in enumerate(model.subgraphs):
        for tensor in subgraph.tensors:
            tensor.name = f"{number}{_SEPARATOR}".encode() + tensor.name
    return model_bytes(model)


def _statistics(
    body: bytes, ranges: Mapping[str, tuple[float, float]]
) -> dict[str, dict[str, np.ndarray]]:
    """Ranges in the format of the library's own calibration."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for subgraph in model_object(body).subgraphs:
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


def _with_shared_scales(body: bytes) -> bytes:
    """Restores tensor names, writes shared scales once, and moves buffers into the flatbuffer.

    The library puts the bytes of buffers behind the flatbuffer. Older readers do not find them
    there, and the associated files of the metadata need that place.
    """
    model = model_object(body)
    for number, buffer in enumerate(model.buffers):
        data = buffer.data
        if buffer.offset > 1:
            data = np.frombuffer(body, np.uint8, int(buffer.size), int(buffer.offset))
        if data is not None and len(data):
            model.buffers[number] = AlignedBuffer(np.asarray(data, np.uint8))
    known: dict[tuple[int, bytes], SharedQuantization] = {}
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            tensor.name = tensor.name.split(_SEPARATOR.encode(), 1)[-1]
            scale = getattr(tensor.quantization, "scale", None)
            if scale is not None and tensor.buffer:
                key = (tensor.buffer, np.asarray(scale, np.float32).tobytes())
                tensor.quantization = known.setdefault(key, SharedQuantization(tensor.quantization))
    return model_bytes(model)


def bert_groups(config: BertConfig, head: str) -> tuple[OperatorGroup, ...]:
    """The groups of a graph of `build_inference_graph`, in the order of the model.

    The sum of the embeddings and the mask are in no group: they read token ids.

    Args:
        config: of the encoder.
        head: of `converters.heads`.
    """
    groups = [OperatorGroup("embeddings.projection", _FC, "embeddings/projection")]
    groups += [
        OperatorGroup(f"layers.{i}.{name}", operators, f"layer_{i}/{outputs}")
        for i in range(config.num_layers)
        for name, operators, outputs in (_MOBILEBERT_GROUPS if config.is_mobile else _LAYER_GROUPS)
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
