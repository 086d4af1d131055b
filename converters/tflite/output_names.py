"""The names of a graph's outputs. A program that only runs files needs no more of the graph."""

from __future__ import annotations

PROBABILITIES, LOGITS, HIDDEN_STATES = "probabilities", "logits", "hidden_states"
EMBEDDING = "embedding"
SCORE = "score"
SPAN_OUTPUTS = ("start_logits", "end_logits")
