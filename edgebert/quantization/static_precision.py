"""Which operators compute in integers: decided by what each group costs the outputs.

`static-int8` and `static-int16x8` quantize activations with ranges that were measured once, for
accelerators that compute in integers only. In 8 bits, residuals and LayerNorms cost a BERT most of
its accuracy; which groups of operators do is measured on calibration text, one by one, and as many
as keep the error that is allowed are made static together. Kernels that are not stay in dynamic
int8: their size is the same.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converters.tflite.inference_graph import Precision, build_inference_graph
from converters.tflite.litert_quantizer import OperatorGroup, bert_groups, quantize_statically
from converters.tflite.tflite_file import read_model
from edgebert.errors import MissingExtraError
from edgebert.quantization.calibration import (
    FLOAT,
    Calibration,
    activation_ranges,
    outputs,
    outputs_of,
)
from edgebert.quantization.sensitivity import PRICE_TEXTS, PartPrice, most_within, parts_of
from edgebert.system.progress import Progress, silent

MASKED_SCORE = 40.0
"""Taken off the scores of padding: exp(-40) is nothing, and leaves integers their resolution."""


@dataclass(frozen=True)
class StaticChoice:
    """Groups that are made static, and why these.

    Attributes:
        groups: what is computed in integers.
        ranges: of every activation, by tensor name.
        activation_bits: 8 or 16.
        parts: every group with its price, in the order of the model.
        error: of the outputs as the file will give them.
        texts: how many texts it was measured on.
    """

    groups: tuple[OperatorGroup, ...]
    ranges: Mapping[str, tuple[float, float]]
    activation_bits: int
    parts: tuple[PartPrice, ...]
    error: float
    texts: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "texts": self.texts,
            "error": self.error,
            "parts": [part.to_dict() for part in self.parts],
        }

    def graph(
        self, calibration: Calibration, lengths: Sequence[int], output: str, precision: Precision
    ) -> bytes:
        """The `.tflite` of the chosen groups, with the signatures and the output asked for."""
        body = _float_graph(calibration, lengths, output, precision)
        return quantize_statically(body, self.ranges, self.groups, self.activation_bits)


def choose_static(
    calibration: Calibration,
    activation_bits: int,
    max_error: float,
    precision: Precision,
    progress: Progress = silent,
) -> StaticChoice:
    """Prices the groups of operators and chooses.

    Args:
        calibration: the model and the texts.
        activation_bits: 8 or 16.
        max_error: largest error of the outputs; 0 makes everything static.
        precision: what the embeddings are stored as.

    Raises:
        MissingExtraError: ai-edge-quantizer is not installed.
        ConversionError: ai-edge-quantizer refuses the graph.
    """
    _require_quantizer()
    checkpoint = calibration.checkpoint
    few = calibration.first(PRICE_TEXTS)
    ranges = _with_the_masks(activation_ranges(calibration))
    body = _float_graph(calibration, calibration.lengths, calibration.output, precision)
    groups = _groups_in(body, calibration)
    reference = outputs_of(calibration, FLOAT)

    def error_of(chosen: Sequence[OperatorGroup], texts: Calibration) -> float:
        made = quantize_statically(body, ranges, chosen, activation_bits)
        received = outputs(texts, made, calibration.lengths)
        return calibration.error(reference[: len(received)], received)

    prices: dict[str, float] = {}
    for done, group in enumerate(groups):
        progress("static", done, len(groups), part=group.name)
        prices[group.name] = error_of([group], few)
    progress("static", len(groups), len(groups))
    cheapest = sorted(groups, key=lambda group: prices[group.name])
    count, error = most_within(
        lambda count: error_of(cheapest[:count], calibration), len(groups), max_error
    )
    weights = {part.name: part.weights(checkpoint) for part in parts_of(checkpoint)}
    chosen = {group.name for group in cheapest[:count]}
    return StaticChoice(
        groups=tuple(group for group in groups if group.name in chosen),
        ranges=ranges,
        activation_bits=activation_bits,
        parts=tuple(
            PartPrice(
                group.name,
                prices[group.name],
                weights.get(group.name, 0),
                _stored_as(group, group.name in chosen, activation_bits),
            )
            for group in groups
        ),
        error=error,
        texts=len(calibration.encodings),
    )


def _require_quantizer() -> None:
    if importlib.util.find_spec("ai_edge_quantizer") is None:
        raise MissingExtraError(
            "The recipes static-int8 and static-int16x8 are made by ai-edge-quantizer, which is "
            "not installed. Next: pip install 'edgebert[static]'"
        )


def _float_graph(
    calibration: Calibration, lengths: Sequence[int], output: str, precision: Precision
) -> bytes:
    in_float = Precision("float32", precision.embeddings)
    return build_inference_graph(
        calibration.checkpoint,
        lengths,
        in_float,
        output,
        description="edgebert",
        masked_score=MASKED_SCORE,
    ).finish()


def _with_the_masks(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Texts without padding show no masked score: their range is known all the same."""
    found = dict(ranges)
    for name, (low, high) in ranges.items():
        if name.endswith("/masked_scores"):
            found[name] = low - MASKED_SCORE, high
    return found | {"mask/bias": (-MASKED_SCORE, 0.0)}


def _groups_in(body: bytes, calibration: Calibration) -> tuple[OperatorGroup, ...]:
    """The groups that a graph has operators of: a layer may have lost its heads or its neurons."""
    config = calibration.checkpoint.config
    subgraph = read_model(body).subgraphs[0]
    made = [
        (operator.name, subgraph.tensors[operator.outputs[0]].name)
        for operator in subgraph.operators
    ]
    groups = bert_groups(config.num_layers, calibration.checkpoint.head)
    return tuple(group for group in groups if any(group.takes(*operator) for operator in made))


def _stored_as(group: OperatorGroup, static: bool, activation_bits: int) -> str:
    if static:
        return f"static-int{activation_bits}"
    return "dynamic-int8" if group.operators == ("FULLY_CONNECTED",) else "float32"
