"""What a masked language model's logits say: tokens for each [MASK], and the text with them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.tasks.probabilities import log_softmax

MASK = "[MASK]"
"""What somebody types, whatever the vocabulary calls it."""
KEPT_TOKENS = 10
"""Tokens that an answer has for each [MASK]."""


def likeliest(logits: np.ndarray, tokens: Sequence[str]) -> list[dict[str, Any]]:
    """The likeliest tokens by logits `[vocab_size]`, the best first, with probabilities."""
    probabilities = np.exp(log_softmax(logits[None])[0])
    best = np.argsort(-probabilities, kind="stable")[:KEPT_TOKENS]
    return [{"token": tokens[i], "probability": float(probabilities[i])} for i in best]


def filled(text: str, masks: Sequence[Mapping[str, Any]]) -> str:
    """The text with the likeliest tokens in it; a piece of a word joins what stands before it."""
    for mask in reversed(masks):
        if mask["tokens"]:
            token, before = mask["tokens"][0]["token"], text[: mask["start"]]
            if token.startswith("##") and len(token) > 2:
                token, before = token[2:], before.rstrip()
            text = before + token + text[mask["end"] :]
    return text
