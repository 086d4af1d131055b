"""Reads the head of a Hugging Face folder: its arrays, labels and problem type.

config.json and the weights must agree. If they do not, the encoder can still serve as a base for
fine-tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from converters import heads
from converters.bert_config import BertConfig
from converters.errors import HeadError
from converters.formats.huggingface_table import MOBILEBERT, POOLER_SWITCH, PRETRAINING, Family
from converters.formats.weight_names import HEADS, MASKED_LM_EXTRA, POOLER, Row, rows
from converters.json_files import short_repr

Arrays = Mapping[str, np.ndarray]
"""Arrays by Hugging Face's names without the prefix of the family."""


@dataclass(frozen=True)
class FoundHead:
    """The head of a folder.

    Attributes:
        name: the head, one of `converters.heads`.
        weights: arrays of the head by neutral name.
        labels: labels of a classifier in the order of its outputs.
        problem: meaning of a classifier's logits, one of `converters.heads.PROBLEMS`.
    """

    name: str = heads.ENCODER
    weights: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    labels: tuple[str, ...] = ()
    problem: str = heads.SINGLE_LABEL


def encoder_rows(family: Family, config: BertConfig) -> Iterator[Row]:
    """The rows of the family's encoder; that of BERT and MobileBERT includes the pooler."""
    for row in rows(config, heads.ENCODER):
        if family.encoder_has_pooler or row not in POOLER:
            yield row


def head_rows(family: Family, head: str) -> tuple[Row, ...]:
    """The rows of the family's head; it includes the pooler if the encoder does not."""
    pooler = POOLER if not family.encoder_has_pooler and head == heads.CLASSIFIER else ()
    of_head = HEADS.get(head, ())
    if family is not MOBILEBERT:
        of_head = tuple(row for row in of_head if row != MASKED_LM_EXTRA)
    return (*pooler, *of_head)


def name_of(row: Row, family: Family) -> str:
    """The array name without the family's prefix; empty if the family has no such array."""
    return str(getattr(row, family.column))


def read_head(raw: Mapping[str, Any], arrays: Arrays, family: Family) -> FoundHead:
    """Reads the head that config.json names.

    Args:
        raw: content of config.json. If it names no class, the arrays determine the head.
        arrays: arrays of the weights file.
        family: family of the model.

    Raises:
        HeadError: The class is not supported, arrays are missing, or config.json and the arrays
            contradict each other.
    """
    classes = raw.get("architectures") or ()
    unread = [name for name in classes if name not in family.classes]
    if unread:
        raise HeadError(f"it is a {unread[0]}, whose head is not supported.")
    named = next((name for name in classes if name in family.classes), "")
    if not named and family is MOBILEBERT and raw.get(POOLER_SWITCH) is False:
        raise HeadError(
            "a MobileBERT without a pooler has the same arrays for labels of texts and of tokens: "
            "expected its class in config.json. Received: none. Next: add "
            '"architectures": ["MobileBertForSequenceClassification"], or what it is.'
        )
    head = family.classes[named] if named else _head_in(arrays, family)
    weights = _arrays_of(head, arrays, family)
    first = HEADS[head][0] if head in HEADS else None
    if first is not None and first.neutral not in weights:
        raise HeadError(
            f"config.json names {named}, but the weights have no '{name_of(first, family)}'. Next: "
            "save the fine-tuned model again with its head."
        )
    found = FoundHead(head, weights)
    return _READERS[head](found, raw, arrays, family) if head in _READERS else found


def _arrays_of(head: str, arrays: Arrays, family: Family) -> dict[str, np.ndarray]:
    names = {row.neutral: name_of(row, family) for row in head_rows(family, head)}
    return {neutral: arrays[name] for neutral, name in names.items() if name in arrays}


def _head_in(arrays: Arrays, family: Family) -> str:
    """The head whose arrays are there. A token classifier has no pooler, a text classifier has."""
    for head, its_rows in HEADS.items():
        if name_of(its_rows[0], family) in arrays and (
            head != heads.CLASSIFIER or name_of(POOLER[0], family) in arrays
        ):
            return head
    return heads.ENCODER


def _classifier(
    found: FoundHead, raw: Mapping[str, Any], arrays: Arrays, family: Family
) -> FoundHead:
    count = len(found.weights["classifier.kernel"])
    problem = raw.get("problem_type") or (heads.REGRESSION if count == 1 else heads.SINGLE_LABEL)
    fits = {
        heads.SINGLE_LABEL: count > 1,
        heads.MULTI_LABEL: count > 0,
        heads.REGRESSION: count == 1,
    }
    if not fits.get(str(problem), False):
        raise HeadError(
            f"expected a problem_type of {', '.join(heads.PROBLEMS)}, with one output for a "
            "regression and at least two for a single label. Received: problem_type "
            f"{problem!r} and {count} outputs."
        )
    labels = () if problem == heads.REGRESSION else _labels(raw, count)
    return FoundHead(found.name, found.weights, labels, problem)


def _token_classifier(
    found: FoundHead, raw: Mapping[str, Any], arrays: Arrays, family: Family
) -> FoundHead:
    labels = _labels(raw, len(found.weights["token_classifier.kernel"]))
    return FoundHead(found.name, found.weights, labels)


def _labels(raw: Mapping[str, Any], count: int) -> tuple[str, ...]:
    names = raw.get("id2label") or {str(i): f"LABEL_{i}" for i in range(count)}
    if not isinstance(names, dict) or set(names) != {str(i) for i in range(count)}:
        raise HeadError(
            f"config.json: id2label must name the outputs 0 to {count - 1}. Received: "
            f"{short_repr(names)}."
        )
    labels = tuple(str(names[str(i)]) for i in range(count))
    if len(set(labels)) != count:
        raise HeadError(
            f"config.json: expected {count} different labels in id2label. Received: "
            f"{len(set(labels))} different ones."
        )
    return labels


def _spans(found: FoundHead, raw: Mapping[str, Any], arrays: Arrays, family: Family) -> FoundHead:
    count = len(found.weights["spans.kernel"])
    if count != 2:
        raise HeadError(
            "expected a question answering head with two outputs, start and end. Received: "
            f"{count} in '{name_of(HEADS[heads.SPANS][0], family)}'."
        )
    return found


def _masked_lm(
    found: FoundHead, raw: Mapping[str, Any], arrays: Arrays, family: Family
) -> FoundHead:
    """Reads a masked LM whose output kernel is the embedding table (Press and Wolf 2017)."""
    weights = dict(found.weights)
    bias = arrays.get(f"{family.decoder}.bias")
    if bias is not None and not np.array_equal(weights.setdefault("masked_lm.bias", bias), bias):
        raise HeadError(
            f"expected '{family.decoder}.bias' and 'cls.predictions.bias' to be equal. Received: "
            "different arrays."
        )
    table = arrays.get(EMBEDDING_TABLE)
    decoder = arrays.get(f"{family.decoder}.weight", None if _is_untied(raw) else table)
    if decoder is None or table is None or not np.array_equal(decoder, table):
        raise HeadError(
            f"expected a masked LM whose '{family.decoder}.weight' is its embedding table. "
            "Received: a separate (untied) decoder. Next: use it as a base for fine-tuning."
        )
    is_pretraining = f"{family.stem}{PRETRAINING}" in (raw.get("architectures") or ())
    own = [name for name in weights if name.startswith("next_sentence.")]
    if is_pretraining and not own:
        raise HeadError(
            f"config.json names {family.stem}{PRETRAINING}, but the weights have no "
            "'cls.seq_relationship.weight'. Next: save the model again with both heads."
        )
    if not is_pretraining and name_of(POOLER[0], family) not in arrays:
        weights = {name: array for name, array in weights.items() if name not in own}
    return FoundHead(found.name, weights)


def _is_untied(raw: Mapping[str, Any]) -> bool:
    return raw.get("tie_word_embeddings", True) is False


EMBEDDING_TABLE = "embeddings.word_embeddings.weight"
_READERS: dict[str, Callable[[FoundHead, Mapping[str, Any], Arrays, Family], FoundHead]] = {
    heads.CLASSIFIER: _classifier,
    heads.TOKEN_CLASSIFIER: _token_classifier,
    heads.SPANS: _spans,
    heads.MASKED_LM: _masked_lm,
}
