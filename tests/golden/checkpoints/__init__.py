"""Tiny checkpoints with the outputs of the libraries that wrote them: see make_checkpoints.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CHECKPOINTS = Path(__file__).parent


def checkpoint_inputs() -> dict[str, np.ndarray]:
    """What the outputs are for: int32 `[2, 12]` each."""
    names = ("token_ids", "padding_mask", "segment_ids")
    return {name: checkpoint_output(name).astype(np.int32) for name in names}


def checkpoint_output(name: str) -> np.ndarray:
    """The output of `transformers` for a checkpoint."""
    return _array("outputs.npz", name)


def tf1_output(name: str) -> np.ndarray:
    """The `hidden_states` or `logits` of google-research/bert for GoogleTF1."""
    return _array("tf1_outputs.npz", name)


def _array(file: str, name: str) -> np.ndarray:
    with np.load(CHECKPOINTS / file, allow_pickle=False) as arrays:
        return np.asarray(arrays[name])
