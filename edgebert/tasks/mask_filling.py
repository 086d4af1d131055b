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


def fill_masks(text: str, masks: Sequence[Mapping[str, Any]]) -> str:
    """The text with the most probable tokens. A word piece is joined to the text before it."""
    for mask in reversed(masks):
        if mask["tokens"]:
            token, before = mask["tokens"][0]["token"], text[: mask["start"]]
            if token.startswith("##") and len(token) > 2:
                token, before = token[2:], before.rstrip()
            text = before + token + text[mask["end"] :]
    return text
