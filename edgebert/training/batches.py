"""Length-bucketed batches: rows of similar length together, little padding, no fixed order.

Every epoch shuffles the rows, sorts them by length inside windows of many batches, cuts the windows
into batches and shuffles the batches. The order depends on the seed and the epoch's number alone,
so a training run that was interrupted goes on with the batch at which it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

WINDOW = 50
"""Batches that are sorted by length together: larger means less padding and less chance."""


def count_batches(rows: int, batch_size: int) -> int:
    """How many batches an epoch has."""
    return -(-rows // batch_size)


def epoch_batches(
    lengths: npt.NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[npt.NDArray[np.int64]]:
    """The batches of one epoch: every row once, in an order that the seed and the epoch fix.

    Args:
        lengths: tokens of each row, `[rows]`.
        batch_size: rows a batch; one batch may have fewer.
        seed: of the whole run.
        epoch: its number from 0.

    Returns:
        Row numbers, one array a batch.
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
    """The rows from the shortest to the longest, in batches: for scoring."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
