"""Which token lengths a file gets: as they were asked for, or picked from a histogram of real text.

A fixed length pays for its padding; a further length costs some 45 kB in the file and, in a runtime
that does not share packed weights, another packed copy in memory. So few, at the right places.
"""

from __future__ import annotations

import numpy as np

from edgebert.errors import UsageError

DEFAULT_LENGTHS = (16, 32, 64, 128)
STEP = 8
"""Lengths are picked at multiples of this: matmul kernels work on blocks of rows, so a finer step
would be padded inside the runtime all the same."""


def parse_lengths(
    text: str, limit: int, default: tuple[int, ...] = DEFAULT_LENGTHS
) -> tuple[int, ...]:
    """Reads `16,32,64`; an empty text gives the default, up to `limit`.

    Raises:
        UsageError: no whole numbers, none, doubled ones, or a length over `limit`.
    """
    if not text.strip():
        return tuple(sorted({min(n, limit) for n in default}))
    try:
        lengths = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--lengths takes whole numbers with commas, such as 16,32,64, or 'auto'. "
            f"Received: {text!r}."
        ) from None
    wrong = [n for n in lengths if not 2 <= n <= limit]
    if wrong:
        raise UsageError(
            f"Lengths must be from 2 to {limit} tokens, the size of the model's position table. "
            f"Received: {', '.join(map(str, wrong))}. Next: give --lengths within it."
        )
    if len(set(lengths)) != len(lengths):
        raise UsageError(f"--lengths has a length twice. Received: {text!r}.")
    return tuple(sorted(lengths))


def pick_lengths(token_counts: np.ndarray, limit: int, most: int) -> tuple[int, ...]:
    """Picks the lengths with the least padding for texts of these sizes.

    Exact, by dynamic programming over the multiples of `STEP`: among all sets of at most `most`
    lengths that hold the longest text, the one with the smallest sum of padded lengths.

    Args:
        token_counts: int `[texts]`, [CLS] and [SEP] included; longer ones count as `limit`.
        limit: longest length allowed.
        most: how many lengths at most.

    Raises:
        UsageError: no texts, or `most` under 1.
    """
    if len(token_counts) == 0 or most < 1:
        raise UsageError(
            f"'--lengths auto' needs texts to look at and --max-signatures of 1 or more. "
            f"Received: {len(token_counts)} texts, {most} signatures."
        )
    counts = np.minimum(np.maximum(token_counts, 2), limit)
    candidates = np.minimum(np.arange(STEP, counts.max() + STEP, STEP), limit)
    candidates = np.unique(np.maximum(candidates, 2))
    texts = np.array([np.sum(counts <= length) for length in candidates])
    size = len(candidates)
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
