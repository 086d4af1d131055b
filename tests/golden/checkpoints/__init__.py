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
    """The output of `transformers` for a checkpoint: what its head gives, padded `[2, ...]`."""
    return _array("outputs.npz", name)


def next_sentence_output(name: str) -> np.ndarray:
    """The logits of `transformers` for whether the second text follows the first, `[2, 2]`."""
    return _array("outputs.npz", f"{name}.next_sentence")


def tf1_output(name: str) -> np.ndarray:
    """An output of google-research/bert, for the inputs of all.

    Args:
        name: `hidden_states` or `logits` of GoogleTF1, `spans` of GoogleTF1Squad (start and end
            logits side by side), or `masked_lm` (of every token) or `next_sentence` of
            GoogleTF1Pretraining: log probabilities.
    """
    return _array("tf1_outputs.npz", name)


def _array(file: str, name: str) -> np.ndarray:
    with np.load(CHECKPOINTS / file, allow_pickle=False) as arrays:
        return np.asarray(arrays[name])
