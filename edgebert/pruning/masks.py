"""Masks of kernels: True keeps a weight. Kernels are neutral, `[outputs, inputs]`; NumPy only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from edgebert.errors import UsageError

Kernel = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
MakeMask = Callable[[Kernel, float], Mask]
"""Computes a mask from a kernel and the current sparsity."""

LARGEST_GROUP = 32
_PATTERN = re.compile(r"(\d+):(\d+)")
_EMBEDDINGS = ("embeddings.token", "embeddings.position", "embeddings.segment")
_HEAD = ("pooler.kernel", "classifier.kernel")


def magnitude_mask(kernel: Kernel, sparsity: float) -> Mask:
    """Keeps the weights with the largest magnitudes (Han et al. 2015), of equal ones the first.

    Args:
        kernel: Array of any shape.
        sparsity: Share of zeros: `round(sparsity * kernel.size)` weights are pruned.
    """
    zeros = round(sparsity * kernel.size)
    if not zeros:
        return np.ones(kernel.shape, np.bool_)
    # The bit patterns of positive floats sort like the floats, and integers sort faster. Weights
    # that are zero already are pruned first and left out of the search: many equal numbers make the
    # partition slow.
    magnitudes = np.abs(kernel).ravel().view(np.int32)
    alive = magnitudes[magnitudes > 0]
    more = zeros - (kernel.size - alive.size)
    threshold = np.partition(alive, more - 1)[more - 1] if more > 0 else 0
    kept = magnitudes > threshold
    surplus = kernel.size - zeros - int(np.count_nonzero(kept))
    if surplus:
        kept[np.flatnonzero(magnitudes == threshold)[:surplus]] = True
    return kept.reshape(kernel.shape)


def pattern_mask(kernel: Kernel, kept: int, group: int) -> Mask:
    """Keeps the `kept` largest of every `group` consecutive inputs of each output (N:M sparsity).

    NVIDIA's 2:4 is one such pattern (Mishra et al. 2021). Of equal magnitudes the first stays. An
    incomplete last group also keeps `kept` weights.

    Example for 2:4: the inputs [0.1, -0.9, 0.4, 0.2] have 3, 0, 1 and 2 larger ones in their group,
    so the mask is [False, True, True, False].

    Args:
        kernel: `[outputs, inputs]`.
        kept: N, the weights to keep in each group.
        group: M, the size of a group.
    """
    outputs, inputs = kernel.shape
    missing = -inputs % group
    magnitudes = np.pad(np.abs(kernel), ((0, 0), (0, missing)), constant_values=-1)
    lanes = np.ascontiguousarray(magnitudes.reshape(-1, group).T)
    larger = np.zeros(lanes.shape, np.int8)
    for i in range(group):
        for j in range(group):
            if i != j:
                larger[i] += lanes[j] >= lanes[i] if j < i else lanes[j] > lanes[i]
    return (larger < kept).T.reshape(outputs, -1)[:, :inputs]


def parse_pattern(pattern: str) -> tuple[int, int]:
    """Parses an N:M pattern: `2:4` gives 2 and 4.

    Raises:
        UsageError: The text is not an N:M pattern.
    """
    found = _PATTERN.fullmatch(pattern)
    if found is not None:
        kept, group = int(found[1]), int(found[2])
        if 1 <= kept < group <= LARGEST_GROUP:
            return kept, group
    raise UsageError(
        f"pattern: expected N:M, with N from 1 to M - 1 and M at most {LARGEST_GROUP}, such as "
        f"2:4. Received: {pattern}."
    )


def prunable_names(
    names: Iterable[str], include_embeddings: bool, include_head: bool
) -> tuple[str, ...]:
    """The neutral names of the arrays to prune: the kernels of the encoder's layers.

    Args:
        names: Names of all arrays of a checkpoint.
        include_embeddings: Whether the embedding tables are pruned too.
        include_head: Whether the kernels of the pooler and the classifier are pruned too.
    """
    extra = (_EMBEDDINGS if include_embeddings else ()) + (_HEAD if include_head else ())
    return tuple(
        name
        for name in names
        if (name.startswith("layers.") and name.endswith(".kernel")) or name in extra
    )


def sparsity_of(arrays: Iterable[np.ndarray]) -> float:
    """The share of exact zeros over all elements of some arrays."""
    zeros, size = 0, 0
    for array in arrays:
        zeros += array.size - int(np.count_nonzero(array))
        size += array.size
    return zeros / size if size else 0.0
