"""The int4 recipe: chooses the kernels that are stored in 4 bits by their sensitivity.

A layer has four parts; each dense layer of the head is one part. Parts are sorted by their
sensitivity in int4 per weight. The parts with the largest values stay in int8, such that the
requested share of int4 weights and the largest error are kept. The error of all chosen parts
together is measured, not estimated from the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters.checkpoint import Checkpoint
from converters.tflite.error_feedback import quantize_int4_with_feedback
from converters.tflite.inference_graph import Precision
from converters.tflite.quantized_matrix import QuantizedMatrix
from edgebert.quantization.calibration import FLOAT, Calibration, kernel_moments, outputs_of
from edgebert.quantization.sensitivity import (
    SENSITIVITY_TEXTS,
    Part,
    PartSensitivity,
    largest_count_within,
    parts_of,
)
from edgebert.system.progress import Progress, silent


@dataclass(frozen=True)
class Int4Choice:
    """The kernels in int4, and the measurements behind the choice.

    Attributes:
        by_kernel: the kernels in int4, by neutral name without `.kernel`.
        parts: all parts with their sensitivities, in the order of the model.
        error: of the outputs, with all kernels as they are stored.
        share: share of the kernels' weights that are in 4 bits.
        texts: number of texts of the measurement.
    """

    by_kernel: dict[str, QuantizedMatrix]
    parts: tuple[PartSensitivity, ...]
    error: float
    share: float
    texts: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "texts": self.texts,
            "int4_share": self.share,
            "error": self.error,
            "parts": [part.to_dict() for part in self.parts],
        }


def choose_int4(
    calibration: Calibration,
    share: float,
    block: int,
    max_error: float,
    precision: Precision,
    progress: Progress = silent,
) -> Int4Choice:
    """Rounds every kernel to int4 by GPTQ, measures the sensitivities, and chooses.

    Args:
        calibration: the model and the texts.
        share: largest share of the kernels' weights in 4 bits.
        block: inputs that share a scale, for kernels whose inputs it divides; 0 for one scale per
            output.
        max_error: largest error of the outputs; 0 for no limit.
        precision: of everything else.
        progress: callback for progress.
    """
    checkpoint = calibration.checkpoint
    parts = [part for part in parts_of(checkpoint) if _can_be_int4(checkpoint, part)]
    moments = kernel_moments(calibration)
    few = calibration.first(SENSITIVITY_TEXTS)
    reference = outputs_of(calibration, FLOAT)
    rounded: dict[str, QuantizedMatrix] = {}
    errors: dict[str, float] = {}
    for done, part in enumerate(parts):
        progress("int4", done, len(parts), part=part.name)
        own = {name: _rounded(checkpoint, name, moments[name], block) for name in part.kernels}
        rounded |= own
        alone = outputs_of(few, replace(FLOAT, by_kernel=own))
        errors[part.name] = calibration.error(reference[: len(alone)], alone)
    progress("int4", len(parts), len(parts))
    total = sum(part.weights(checkpoint) for part in parts_of(checkpoint))
    least_sensitive = sorted(parts, key=lambda part: errors[part.name] / part.weights(checkpoint))
    chosen = _within_share(checkpoint, least_sensitive, share * total)

    def joint_error(count: int) -> float:
        kernels = {name: rounded[name] for part in chosen[:count] for name in part.kernels}
        stored = replace(precision, by_kernel=kernels)
        return calibration.error(reference, outputs_of(calibration, stored))

    count, error = largest_count_within(joint_error, len(chosen), max_error)
    kept = chosen[:count]
    return Int4Choice(
        by_kernel={name: rounded[name] for part in kept for name in part.kernels},
        parts=_sensitivities(checkpoint, errors, {part.name for part in kept}),
        error=error,
        share=sum(part.weights(checkpoint) for part in kept) / total,
        texts=len(calibration.encodings),
    )


def _within_share(checkpoint: Checkpoint, parts: Sequence[Part], weights: float) -> list[Part]:
    """Parts with at most this many weights in total.

    A part that does not fit any more is skipped; later parts may be smaller.
    """
    taken, chosen = 0, []
    for part in parts:
        size = part.weights(checkpoint)
        if taken + size <= weights:
            chosen.append(part)
            taken += size
    return chosen


def _can_be_int4(checkpoint: Checkpoint, part: Part) -> bool:
    """Whether the rows of all kernels start at whole bytes, as the runtime requires."""
    return all(checkpoint.weights[f"{name}.kernel"].shape[1] % 2 == 0 for name in part.kernels)


def _rounded(checkpoint: Checkpoint, name: str, moments: np.ndarray, block: int) -> QuantizedMatrix:
    kernel = checkpoint.weights[f"{name}.kernel"]
    fits = block and kernel.shape[1] % block == 0
    return quantize_int4_with_feedback(kernel, moments, block if fits else 0)


def _sensitivities(
    checkpoint: Checkpoint, errors: dict[str, float], in_int4: set[str]
) -> tuple[PartSensitivity, ...]:
    return tuple(
        PartSensitivity(
            part.name,
            errors.get(part.name),
            part.weights(checkpoint),
            "int4" if part.name in in_int4 else "dynamic-int8",
        )
        for part in parts_of(checkpoint)
    )
