"""The heads of a BERT, and the neutral arrays that each of them has.

| head | arrays | input | output for a text |
| --- | --- | --- | --- |
| `encoder` | none | every token | hidden states `[tokens, hidden_size]` |
| `classifier` | `pooler`, `classifier` | [CLS] | logits `[labels]` |
| `token-classifier` | `token_classifier` | every token | logits `[tokens, labels]` |
| `spans` | `spans` | every token | start and end logits `[tokens, 2]` |
| `sentence` | `sentence.dense.N` | the tokens, pooled | a vector `[size]` |
| `masked-lm` | `masked_lm`, `pooler`, `next_sentence` | [MASK] | logits `[masks, vocab_size]` |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ENCODER = "encoder"
CLASSIFIER = "classifier"
TOKEN_CLASSIFIER = "token-classifier"
SPANS = "spans"
SENTENCE = "sentence"
MASKED_LM = "masked-lm"

SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
PROBLEMS = (SINGLE_LABEL, MULTI_LABEL, REGRESSION)
"""The meaning of a classifier's logits: Hugging Face's `problem_type`."""

_MARKS = {
    "classifier.kernel": CLASSIFIER,
    "token_classifier.kernel": TOKEN_CLASSIFIER,
    "spans.kernel": SPANS,
    "masked_lm.dense.kernel": MASKED_LM,
}
PREFIXES: dict[str, tuple[str, ...]] = {
    ENCODER: (),
    CLASSIFIER: ("classifier.",),
    TOKEN_CLASSIFIER: ("token_classifier.",),
    SPANS: ("spans.",),
    SENTENCE: ("sentence.",),
    MASKED_LM: ("masked_lm.", "next_sentence."),
}
"""Prefixes of the array names of each head; the pooler belongs to the encoder."""
POOLER_READERS = (ENCODER, CLASSIFIER, MASKED_LM)
"""Heads that may have a pooler; for the others it is left out, since they do not read it."""

IDENTITY = "identity"
"""No activation, in a dense layer after the pooling."""
POOLINGS = ("mean", "cls", "max", "mean_sqrt_len", "weighted_mean", "last")
"""Poolings of token vectors to one vector: their mean, the vector of [CLS], the maximum per column,
the sum divided by the square root of the token count, a mean with weight i for token i (from 1),
and the vector of the last token."""


@dataclass(frozen=True)
class MaskedTokens:
    """The predictions of a masked language model's graph.

    Attributes:
        mask_id: token id of [MASK].
        count: maximum number of [MASK] tokens per text with predictions, counted from the start.
    """

    mask_id: int
    count: int = 8


@dataclass(frozen=True)
class SentenceHead:
    """How a sentence vector is computed from hidden states (Reimers and Gurevych 2019).

    Attributes:
        pooling: one or more of `POOLINGS`; their results are concatenated.
        activations: activation of each dense layer `sentence.dense.N` after the pooling: `tanh`,
            `relu`, `gelu` or `identity`.
        normalize: whether the vector is scaled to length 1, after it was cut.
        dimensions: number of first values that are kept (Matryoshka embeddings, Kusupati et al.
            2022); 0 for all.
        normalize_before_cut: whether the whole vector is scaled to length 1 before it is cut, as
            in sentence-transformers.
    """

    pooling: tuple[str, ...] = ("mean",)
    activations: tuple[str, ...] = ()
    normalize: bool = True
    dimensions: int = 0
    normalize_before_cut: bool = False


def head_of(names: Iterable[str], sentence: SentenceHead | None) -> str:
    """The head of a model with these array names."""
    if sentence is not None:
        return SENTENCE
    return next((head for mark, head in _MARKS.items() if mark in set(names)), ENCODER)


def is_head_weight(name: str) -> bool:
    """Whether an array belongs to a head."""
    return any(name.startswith(prefixes) for prefixes in PREFIXES.values() if prefixes)
