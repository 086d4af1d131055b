"""Made-up texts whose label is one word's: any classifier that trains at all learns them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgebert.data.datasets import Dataset, Example

WORDS_OF = {
    "negative": ("awful", "bad", "boring", "sad"),
    "positive": ("good", "great", "happy", "nice"),
}
FILLING = ("a", "the", "is", "it", "on", "off", "in", "to", "of", "and", "very", "movie", "film")


def separable(rows: int, seed: int, share: float = 0.5, name: str = "made-up") -> Dataset:
    """Rows of 3 to 9 words; a `share` of them is positive."""
    rng = np.random.default_rng(seed)
    examples = []
    for row in range(rows):
        label = "positive" if row < share * rows else "negative"
        words = [*rng.choice(FILLING, rng.integers(2, 9)), rng.choice(WORDS_OF[label])]
        rng.shuffle(words)
        examples.append(Example(" ".join(words), label))
    order = rng.permutation(rows)
    return Dataset(name, tuple(examples[i] for i in order), Path(f"{name}.tsv"), f"{seed:064d}")
