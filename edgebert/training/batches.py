"""Length-bucketed batches: rows of similar length share a batch, so there is little padding.

Every epoch shuffles the rows, sorts them by length inside windows of many batches, cuts the windows
into batches and shuffles the batches. The order depends only on the seed and the epoch, so an
interrupted run can continue with the next batch.

Example: lengths [5, 9, 4, 8], a batch size of 2 and one window of 4 rows. Whatever the shuffle, the
window sorts to the rows 2, 0, 3, 1 (lengths 4, 5, 8, 9), which gives the batches [2, 0] and [3, 1]
in random order. They pad 1 token each.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

WINDOW = 50
"""Batches per window. A larger window has less padding and less randomness."""


def count_batches(rows: int, batch_size: int) -> int:
    """The number of batches of an epoch."""
    return -(-rows // batch_size)


def epoch_batches(
    lengths: npt.NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[npt.NDArray[np.int64]]:
    """The batches of one epoch. Each row occurs once.

    Args:
        lengths: Tokens of each row, `[rows]`.
        batch_size: Rows per batch; one batch may have fewer.
        seed: Seed of the whole run.
        epoch: Number of the epoch, from 0.

    Returns:
        The row numbers of each batch.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    size = WINDOW * batch_size
    batches: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(order), size):
        window = order[start : start + size]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def sorted_batches(
    lengths: npt.NDArray[np.int64], batch_size: int
) -> Iterator[npt.NDArray[np.int64]]:
    """The batches of all rows, from the shortest to the longest, for inference."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
