"""Sensitivity analysis: the parts of a model that a precision is chosen for, and their errors.

The sensitivity of a part is the error of the float model's outputs when this part alone is stored
or computed with lower precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from converters import heads
from converters.checkpoint import Checkpoint
from converters.expected_shapes import feed_forwards

SENSITIVITY_TEXTS = 64
"""Texts that each part's sensitivity is measured on; the final choice is measured on all texts."""

_LAYER_PARTS: dict[str, tuple[str, ...]] = {
    "attention.query_key_value": ("attention.query", "attention.key", "attention.value"),
    "attention.output": ("attention.output",),
    "feed_forward.inner": ("feed_forward.inner",),
    "feed_forward.output": ("feed_forward.output",),
}
_BOTTLENECKS = ("bottleneck.input", "bottleneck.attention", "bottleneck.output")
_ATTENTION = ("attention.query", "attention.key", "attention.value", "attention.output")
_HEAD_PARTS: dict[str, tuple[str, ...]] = {
    heads.CLASSIFIER: ("pooler", "classifier"),
    heads.TOKEN_CLASSIFIER: ("token_classifier",),
    heads.SPANS: ("spans",),
    heads.SENTENCE: ("sentence.dense.",),
    heads.MASKED_LM: ("masked_lm.dense",),
}
"""By head: prefixes of the names of its dense layers."""


@dataclass(frozen=True)
class Part:
    """Kernels that share a precision: their neutral names without `.kernel`."""

    name: str
    kernels: tuple[str, ...]

    def weights(self, checkpoint: Checkpoint) -> int:
        """The number of elements of its kernels."""
        return sum(checkpoint.weights[f"{name}.kernel"].size for name in self.kernels)


@dataclass(frozen=True)
class PartSensitivity:
    """The sensitivity of one part, and how the part is stored.

    Attributes:
        name: of the part.
        error: of the outputs, with this part alone at lower precision; None if that is impossible.
        weights: number of elements of its kernels.
        stored_as: the chosen precision.
    """

    name: str
    error: float | None
    weights: int
    stored_as: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def parts_of(checkpoint: Checkpoint) -> tuple[Part, ...]:
    """The parts that pruning has left weights in, in the order of the model."""
    named = [
        part for i in range(checkpoint.config.num_layers) for part in _parts_of_layer(checkpoint, i)
    ]
    if checkpoint.config.embedding_size:
        named.insert(0, Part("embeddings.projection", ("embeddings.projection",)))
    kernels = [
        name.removesuffix(".kernel") for name in checkpoint.weights if name.endswith(".kernel")
    ]
    for prefix in _HEAD_PARTS.get(checkpoint.head, ()):
        named += [Part(name, (name,)) for name in kernels if name.startswith(prefix)]
    return tuple(part for part in named if part.weights(checkpoint))


def _parts_of_layer(checkpoint: Checkpoint, i: int) -> list[Part]:
    """A BERT's layer has four parts. The many small kernels of a MobileBERT's are three."""
    layer, config = f"layers.{i}", checkpoint.config
    parts = _LAYER_PARTS
    if config.is_mobile:
        kernels = [
            f"{name.removeprefix(f'{layer}.')}.{part}"
            for name in feed_forwards(config, layer)
            for part in ("inner", "output")
        ]
        parts = {"bottleneck": _BOTTLENECKS, "attention": _ATTENTION, "feed_forwards": (*kernels,)}
    return [
        Part(f"{layer}.{name}", tuple(f"{layer}.{kernel}" for kernel in kernels))
        for name, kernels in parts.items()
    ]


def largest_count_within(
    error_of: Callable[[int], float], count: int, max_error: float
) -> tuple[int, float]:
    """The largest number of parts whose joint error is at most `max_error`, by bisection.

    Args:
        error_of: joint error of the first n parts, assumed to grow with n.
        count: number of parts.
        max_error: the limit; 0 for no limit.

    Returns:
        The number of parts, 0 if one is too many already, and their joint error.
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
