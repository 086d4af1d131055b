"""Decodes a masked language model: the tokens for each [MASK], and the filled text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.tasks.probabilities import log_softmax

MASK = "[MASK]"
"""The mask in input texts, for every vocabulary."""
KEPT_TOKENS = 10
"""Number of tokens in the answer for each [MASK]."""


def top_tokens(logits: np.ndarray, tokens: Sequence[str]) -> list[dict[str, Any]]:
    """The most probable tokens by logits `[vocab_size]`, the best first."""
    probabilities = np.exp(log_softmax(logits[None])[0])
    best = np.argsort(-probabilities, kind="stable")[:KEPT_TOKENS]
    return [{"token": tokens[i], "probability": float(probabilities[i])} for i in best]


def fill_masks(text: str, masks: Sequence[Mapping[str, Any]], space: str = "") -> str:
    """The text with the most probable tokens. A word piece is joined to the text before it.

    Args:
        text: the text with its masks.
        masks: `start`, `end` and `tokens` of each mask.
        space: the character for a space at the start of tokens (`SubwordVocabulary.space`). If it
            is empty, tokens that start with `##` are joined; else those that do not start with it.
    """
    for mask in reversed(masks):
        if mask["tokens"]:
            token, before = mask["tokens"][0]["token"], text[: mask["start"]]
            if token.startswith("##") and len(token) > 2 and not space:
                token, before = token[2:], before.rstrip()
            elif space and not token.startswith(space):
                before = before.rstrip()
            token = token.removeprefix(space)
            text = before + token + text[mask["end"] :]
    return text
