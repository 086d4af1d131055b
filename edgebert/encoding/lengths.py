"""Token lengths of a file's signatures: given by the user, or chosen from the lengths of texts.

Each text is padded to the next length, which costs time. Each further length costs about 45 kB in
the file and, in a runtime that does not share packed weights, a further copy of them in memory. So
a file should have few, well chosen lengths.
"""

from __future__ import annotations

import numpy as np

from edgebert.errors import UsageError

DEFAULT_LENGTHS = (16, 32, 64, 128)
STEP = 8
"""Chosen lengths are multiples of this. Matrix kernels work on blocks of rows, so the runtime would
pad shorter steps anyway."""


def parse_lengths(
    text: str, limit: int, default: tuple[int, ...] = DEFAULT_LENGTHS
) -> tuple[int, ...]:
    """Parses lengths such as `16,32,64`; an empty text gives `default`, cut at `limit`.

    Args:
        text: whole numbers separated by commas.
        limit: maximum token length of the model.
        default: the lengths for an empty text.

    Raises:
        UsageError: The text has no whole numbers, duplicates, or lengths over `limit`.
    """
    if not text.strip():
        return tuple(sorted({min(n, limit) for n in default}))
    try:
        lengths = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--lengths: expected whole numbers separated by commas, such as 16,32,64, or 'auto'. "
            f"Received: {text!r}."
        ) from None
    wrong = [n for n in lengths if not 2 <= n <= limit]
    if wrong:
        raise UsageError(
            f"Lengths must be from 2 to {limit} tokens, the size of the model's position table. "
            f"Received: {', '.join(map(str, wrong))}. Next: change --lengths."
        )
    if len(set(lengths)) != len(lengths):
        raise UsageError(f"--lengths: expected different lengths. Received: {text!r}.")
    return tuple(sorted(lengths))


def pick_lengths(token_counts: np.ndarray, limit: int, most: int) -> tuple[int, ...]:
    """Chooses the lengths with the least padding for texts of the given token counts.

    Dynamic programming over the multiples of `STEP` finds the optimum: of all sets of at most
    `most` lengths that hold the longest text, the set with the smallest sum of padded lengths.

    Args:
        token_counts: tokens of each text with [CLS] and [SEP], int `[texts]`; counts above `limit`
            are cut to it.
        limit: maximum length.
        most: maximum number of lengths.

    Raises:
        UsageError: There are no texts, or `most` is less than 1.
    """
    if len(token_counts) == 0 or most < 1:
        raise UsageError(
            f"'--lengths auto': expected at least one text and --max-signatures of at least 1. "
            f"Received: {len(token_counts)} texts, {most} signatures."
        )
    counts = np.minimum(np.maximum(token_counts, 2), limit)
    candidates = np.minimum(np.arange(STEP, counts.max() + STEP, STEP), limit)
    candidates = np.unique(np.maximum(candidates, 2))
    texts = np.array([np.sum(counts <= length) for length in candidates])
    size = len(candidates)
    # best[end]: least sum of padded lengths for the texts up to candidate `end`, which is chosen.
    best = (candidates * texts).astype(np.float64)
    came_from = [np.full(size, -1)]
    for _ in range(1, min(most, size)):
        options = np.full((size, size), np.inf)
        for end in range(1, size):
            added = candidates[end] * (texts[end] - texts[:end])
            options[end, :end] = best[:end] + added
        previous = options.argmin(axis=1)
        improved = options[np.arange(size), previous]
        came_from.append(np.where(improved < best, previous, -1))
        best = np.minimum(best, improved)
    return _walk_back(candidates, came_from)


def _walk_back(candidates: np.ndarray, came_from: list[np.ndarray]) -> tuple[int, ...]:
    chosen, end = [], len(candidates) - 1
    for step in reversed(came_from):
        previous = int(step[end])
        if previous >= 0 or step is came_from[0]:
            chosen.append(int(candidates[end]))
            end = previous
        if end < 0:
            break
    return tuple(sorted(chosen))
