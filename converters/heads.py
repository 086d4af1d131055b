"""What may stand behind a BERT's encoder: the heads, by the neutral arrays that they consist of.

| head | arrays | reads | gives for a text |
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
"""What a classifier's logits are: Hugging Face's `problem_type`."""

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
"""What the arrays of a head begin with; BERT's pooler counts as the encoder's."""
POOLER_READERS = (ENCODER, CLASSIFIER, MASKED_LM)
"""Heads that may have a pooler; the others don't read it, and it is left out."""

IDENTITY = "identity"
"""No activation, of a dense layer behind the pooling."""
POOLINGS = ("mean", "cls", "max", "mean_sqrt_len", "weighted_mean", "last")
"""What is made of a text's tokens: their mean, [CLS], the largest number of each column, their sum
over the square root of their count, a mean in which token i counts i times, the last one."""


@dataclass(frozen=True)
class MaskedTokens:
    """What a masked language model's graph is asked for.

    Attributes:
        mask_id: of [MASK] in the vocabulary.
        count: how many of a text's [MASK] tokens get an answer, the first ones.
    """

    mask_id: int
    count: int = 8


@dataclass(frozen=True)
class SentenceHead:
    """How one vector is made of a text's hidden states (Reimers and Gurevych 2019).

    Attributes:
        pooling: one or more of `POOLINGS`; the results stand side by side.
        activations: of the dense layers behind the pooling, `sentence.dense.0` and so on, each
            `tanh`, `relu`, `gelu` or `identity`.
        normalize: whether the vector gets length 1.
    """

    pooling: tuple[str, ...] = ("mean",)
    activations: tuple[str, ...] = ()
    normalize: bool = True


def head_of(names: Iterable[str], sentence: SentenceHead | None) -> str:
    """The head that a model with these arrays has."""
    if sentence is not None:
        return SENTENCE
    return next((head for mark, head in _MARKS.items() if mark in set(names)), ENCODER)


def is_head_weight(name: str) -> bool:
    """Whether an array belongs to a head, whichever."""
    return any(name.startswith(prefixes) for prefixes in PREFIXES.values() if prefixes)
