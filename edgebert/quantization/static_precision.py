"""The static recipes: choose the operators that compute in integers by their sensitivity.

`static-int8` and `static-int16x8` quantize activations with ranges that are measured once, for
accelerators that compute in integers only. In 8 bits, residuals and LayerNorms cost most of a
BERT's accuracy. The sensitivity of each group of operators is measured on calibration texts. As
many groups as the largest error allows are quantized statically, the least sensitive first. All
other kernels use dynamic int8, which has the same size.
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
from edgebert.quantization.sensitivity import (
    SENSITIVITY_TEXTS,
    PartSensitivity,
    largest_count_within,
    parts_of,
)
from edgebert.system.progress import Progress, silent

MASKED_SCORE = 40.0
"""Subtracted from the attention scores of padding. exp(-40) is negligible, and the range of integer
scores stays small."""


@dataclass(frozen=True)
class StaticChoice:
    """The groups that are quantized statically, and the measurements behind the choice.

    Attributes:
        groups: the operators that compute in integers.
        ranges: smallest and largest value of every activation, by tensor name.
        activation_bits: 8 or 16.
        parts: all groups with their sensitivities, in the order of the model.
        error: of the outputs of the final file.
        texts: number of texts of the measurement.
    """

    groups: tuple[OperatorGroup, ...]
    ranges: Mapping[str, tuple[float, float]]
    activation_bits: int
    parts: tuple[PartSensitivity, ...]
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
        """The `.tflite` with the chosen groups in integers.

        Args:
            calibration: the model and the texts.
            lengths: token lengths of the signatures.
            output: name of the graph's output.
            precision: of the embeddings.
        """
        body = _float_graph(calibration, lengths, output, precision)
        return quantize_statically(body, self.ranges, self.groups, self.activation_bits)


def choose_static(
    calibration: Calibration,
    activation_bits: int,
    max_error: float,
    precision: Precision,
    progress: Progress = silent,
) -> StaticChoice:
    """Measures the sensitivities of the groups, and chooses.

    Args:
        calibration: the model and the texts.
        activation_bits: 8 or 16.
        max_error: largest error of the outputs; 0 for no limit: all groups are static.
        precision: of the embeddings.
        progress: callback for progress.

    Raises:
        MissingExtraError: ai-edge-quantizer is not installed.
        ConversionError: ai-edge-quantizer refuses the graph.
    """
    _require_quantizer()
    checkpoint = calibration.checkpoint
    few = calibration.first(SENSITIVITY_TEXTS)
    ranges = _with_mask_ranges(activation_ranges(calibration))
    body = _float_graph(calibration, calibration.lengths, calibration.output, precision)
    groups = _groups_in(body, calibration)
    reference = outputs_of(calibration, FLOAT)

    def error_of(chosen: Sequence[OperatorGroup], texts: Calibration) -> float:
        quantized = quantize_statically(body, ranges, chosen, activation_bits)
        received = outputs(texts, quantized, calibration.lengths)
        return calibration.error(reference[: len(received)], received)

    errors: dict[str, float] = {}
    for done, group in enumerate(groups):
        progress("static", done, len(groups), part=group.name)
        errors[group.name] = error_of([group], few)
    progress("static", len(groups), len(groups))
    least_sensitive = sorted(groups, key=lambda group: errors[group.name])
    count, error = largest_count_within(
        lambda count: error_of(least_sensitive[:count], calibration), len(groups), max_error
    )
    weights = {part.name: part.weights(checkpoint) for part in parts_of(checkpoint)}
    chosen = {group.name for group in least_sensitive[:count]}
    return StaticChoice(
        groups=tuple(group for group in groups if group.name in chosen),
        ranges=ranges,
        activation_bits=activation_bits,
        parts=tuple(
            PartSensitivity(
                group.name,
                errors[group.name],
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
            "The recipes static-int8 and static-int16x8 need ai-edge-quantizer, which is not "
            "installed. Next: pip install 'edgebert[static]'"
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


def _with_mask_ranges(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Adds the ranges of masked scores: calibration texts run without padding and have none."""
    found = dict(ranges)
    for name, (low, high) in ranges.items():
        if name.endswith("/masked_scores"):
            found[name] = low - MASKED_SCORE, high
    return found | {"mask/bias": (-MASKED_SCORE, 0.0)}


def _groups_in(body: bytes, calibration: Calibration) -> tuple[OperatorGroup, ...]:
    """The groups that occur in a graph; a pruned layer may have no heads or no neurons."""
    config = calibration.checkpoint.config
    subgraph = read_model(body).subgraphs[0]
    operators = [
        (operator.name, subgraph.tensors[operator.outputs[0]].name)
        for operator in subgraph.operators
    ]
    groups = bert_groups(config, calibration.checkpoint.head)
    return tuple(group for group in groups if any(group.takes(*operator) for operator in operators))


def _stored_as(group: OperatorGroup, static: bool, activation_bits: int) -> str:
    if static:
        return f"static-int{activation_bits}"
    return "dynamic-int8" if group.operators == ("FULLY_CONNECTED",) else "float32"
