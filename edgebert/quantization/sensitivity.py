"""The parts of a model that a precision is chosen for, their prices, and how many fit a bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from converters import heads
from converters.checkpoint import Checkpoint

PRICE_TEXTS = 64
"""A part's price is measured on so many of the texts; what is chosen together, on all of them."""

_LAYER_PARTS: dict[str, tuple[str, ...]] = {
    "attention.query_key_value": ("attention.query", "attention.key", "attention.value"),
    "attention.output": ("attention.output",),
    "feed_forward.inner": ("feed_forward.inner",),
    "feed_forward.output": ("feed_forward.output",),
}
_HEAD_PARTS: dict[str, tuple[str, ...]] = {
    heads.CLASSIFIER: ("pooler", "classifier"),
    heads.TOKEN_CLASSIFIER: ("token_classifier",),
    heads.SPANS: ("spans",),
    heads.SENTENCE: ("sentence.dense.",),
    heads.MASKED_LM: ("masked_lm.dense",),
}
"""Dense layers of the head that a file computes, by the beginnings of their names."""


@dataclass(frozen=True)
class Part:
    """Kernels that share a precision."""

    name: str
    kernels: tuple[str, ...]

    def weights(self, checkpoint: Checkpoint) -> int:
        """Numbers in its kernels."""
        return sum(checkpoint.weights[f"{name}.kernel"].size for name in self.kernels)


@dataclass(frozen=True)
class PartPrice:
    """What it costs to store or compute a part of the model less exactly.

    Attributes:
        error: of the outputs, with this part alone less exact; None where that can't be.
        weights: numbers in its kernels.
        stored_as: what was chosen.
    """

    name: str
    error: float | None
    weights: int
    stored_as: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def parts_of(checkpoint: Checkpoint) -> tuple[Part, ...]:
    """The parts that have weights left, in the order of the model."""
    named = [
        Part(f"layers.{i}.{name}", tuple(f"layers.{i}.{kernel}" for kernel in kernels))
        for i in range(checkpoint.config.num_layers)
        for name, kernels in _LAYER_PARTS.items()
    ]
    kernels = [
        name.removesuffix(".kernel") for name in checkpoint.weights if name.endswith(".kernel")
    ]
    for begins in _HEAD_PARTS.get(checkpoint.head, ()):
        named += [Part(name, (name,)) for name in kernels if name.startswith(begins)]
    return tuple(part for part in named if part.weights(checkpoint))


def most_within(
    error_of: Callable[[int], float], count: int, max_error: float
) -> tuple[int, float]:
    """The most of `count` things, cheapest first, whose joint error is at most `max_error`.

    By bisection: more things are taken to cost more. No bound where `max_error` is 0, and none of
    them where even one is too many.

    Returns:
        How many, and their joint error.
    """
    error = error_of(count)
    if not max_error or error <= max_error:
        return count, error
    fits, too_many = 0, count
    fitting_error = None
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        error = error_of(middle)
        if error <= max_error:
            fits, fitting_error = middle, error
        else:
            too_many = middle
    return fits, error_of(0) if fitting_error is None else fitting_error
