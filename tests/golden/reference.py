"""Reads the stored outputs of the original library; make_reference_outputs.py made them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from converters.checkpoint import BertConfig
from converters.formats.weight_names import rows

HERE = Path(__file__).parent
TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "a gorgeous, witty, seductive movie",
    "Wake me up at half past six tomorrow morning, please!",
)


REFERENCE_CONFIG = BertConfig(
    vocab_size=50,
    hidden_size=24,
    num_layers=3,
    num_heads=4,
    intermediate_size=40,
    max_positions=32,
    layer_norm_epsilon=1e-6,
)
"""The shape of the reference classifiers, in make_reference_outputs.py too."""


def reference(name: str) -> np.ndarray:
    """A stored array."""
    with np.load(HERE / "reference_outputs.npz", allow_pickle=False) as arrays:
        return np.asarray(arrays[name])


def reference_shapes() -> dict[str, list[int]]:
    """Names and shapes of the state dict of transformers' classifier."""
    shapes: dict[str, list[int]] = json.loads((HERE / "reference_names.json").read_text())
    return shapes


def random_weights(config: BertConfig, seed: int = 7) -> dict[str, np.ndarray]:
    """The random weights of the reference classifiers, by neutral name."""
    names = reference_shapes()
    rng = np.random.default_rng(seed)
    made = {name: rng.normal(0, 0.3, names[name]).astype(np.float32) for name in sorted(names)}
    table = {row.huggingface: row.neutral for row in rows(config, "classifier")}
    return {
        table[name.removeprefix("bert.")]: array
        for name, array in made.items()
        if name.removeprefix("bert.") in table
    }
