"""Which kernels go to 4 bits: decided by what each costs the outputs when it alone is rounded.

Every layer has four parts that a precision is chosen for, and each dense layer of the head is one.
A part's price is the error of the float model's outputs on calibration text with that part in int4;
parts that cost most for the bytes they save stay in int8, until the share or the error that was
asked for is kept. What is chosen together is measured together.
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
from edgebert.quantization.sensitivity import PRICE_TEXTS, Part, PartPrice, most_within, parts_of
from edgebert.system.progress import Progress, silent


@dataclass(frozen=True)
class Int4Choice:
    """Kernels in int4, ready to be laid out, and why these.

    Attributes:
        by_kernel: the kernels in int4, by neutral name without `.kernel`.
        parts: every part with its price, in the order of the model.
        error: of all kernels as they will be stored, together.
        share: of the kernels' weights in 4 bits.
        texts: how many texts it was measured on.
    """

    by_kernel: dict[str, QuantizedMatrix]
    parts: tuple[PartPrice, ...]
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
    """Rounds every kernel to int4 with feedback, prices the parts, and chooses.

    Args:
        calibration: the model and the texts.
        share: of the kernels' weights that go to 4 bits, at most.
        block: inputs that share a scale where it divides them; 0 for one scale an output.
        max_error: largest error of the outputs; 0 is no limit.
        precision: what everything else is stored as.
    """
    checkpoint = calibration.checkpoint
    parts = [part for part in parts_of(checkpoint) if _can_be_int4(checkpoint, part)]
    moments = kernel_moments(calibration)
    few = calibration.first(PRICE_TEXTS)
    reference = outputs_of(calibration, FLOAT)
    rounded: dict[str, QuantizedMatrix] = {}
    prices: dict[str, float] = {}
    for done, part in enumerate(parts):
        progress("int4", done, len(parts), part=part.name)
        own = {name: _rounded(checkpoint, name, moments[name], block) for name in part.kernels}
        rounded |= own
        alone = outputs_of(few, replace(FLOAT, by_kernel=own))
        prices[part.name] = calibration.error(reference[: len(alone)], alone)
    progress("int4", len(parts), len(parts))
    total = sum(part.weights(checkpoint) for part in parts_of(checkpoint))
    cheapest = sorted(parts, key=lambda part: prices[part.name] / part.weights(checkpoint))
    chosen = _within_share(checkpoint, cheapest, share * total)

    def joint(count: int) -> float:
        kernels = {name: rounded[name] for part in chosen[:count] for name in part.kernels}
        stored = replace(precision, by_kernel=kernels)
        return calibration.error(reference, outputs_of(calibration, stored))

    count, error = most_within(joint, len(chosen), max_error)
    kept = chosen[:count]
    return Int4Choice(
        by_kernel={name: rounded[name] for part in kept for name in part.kernels},
        parts=_priced(checkpoint, prices, {part.name for part in kept}),
        error=error,
        share=sum(part.weights(checkpoint) for part in kept) / total,
        texts=len(calibration.encodings),
    )


def _within_share(checkpoint: Checkpoint, parts: Sequence[Part], weights: float) -> list[Part]:
    """The first parts whose weights are at most so many; smaller ones may fill what is left."""
    taken, chosen = 0, []
    for part in parts:
        size = part.weights(checkpoint)
        if taken + size <= weights:
            chosen.append(part)
            taken += size
    return chosen


def _can_be_int4(checkpoint: Checkpoint, part: Part) -> bool:
    """The runtime reads rows that start at a whole byte."""
    return all(checkpoint.weights[f"{name}.kernel"].shape[1] % 2 == 0 for name in part.kernels)


def _rounded(checkpoint: Checkpoint, name: str, moments: np.ndarray, block: int) -> QuantizedMatrix:
    kernel = checkpoint.weights[f"{name}.kernel"]
    fits = block and kernel.shape[1] % block == 0
    return quantize_int4_with_feedback(kernel, moments, block if fits else 0)


def _priced(
    checkpoint: Checkpoint, prices: dict[str, float], in_int4: set[str]
) -> tuple[PartPrice, ...]:
    return tuple(
        PartPrice(
            part.name,
            prices.get(part.name),
            part.weights(checkpoint),
            "int4" if part.name in in_int4 else "dynamic-int8",
        )
        for part in parts_of(checkpoint)
    )
