"""Labels that a file writes as numbers, such as GLUE, for a model whose labels have names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edgebert.data.datasets import Dataset
from edgebert.data.disk_rows import map_rows
from edgebert.data.tagging_schemes import OUTSIDE, as_iob2

_DIGITS = 9
_FIELDS = ("label", "labels", "tags")
"""Fields of examples that have one label, or a tuple of labels or tags."""


def are_label_numbers(dataset: Dataset, labels: Sequence[str]) -> bool:
    """Whether all labels of a data set are indices of the model's labels, and none is a name.

    Args:
        dataset: labelled data, with one label, several labels or tags in each example.
        labels: labels of the model, in the order of its outputs.
    """
    found: set[str] = set()
    known = set(labels)
    if not any(hasattr(dataset.examples[0], name) for name in _FIELDS):
        return False
    for example in dataset.examples:
        for name in _FIELDS:
            value = getattr(example, name, None)
            for label in value if isinstance(value, tuple) else (value,):
                if label is None or label in found:
                    continue
                if label in known or not _is_number(label) or int(label) >= len(labels):
                    return False
                found.add(label)
    return bool(found)


def _is_entity_tag(tag: str) -> bool:
    return tag == OUTSIDE or tag.startswith(("B-", "I-"))


def _is_number(label: Any) -> bool:
    return isinstance(label, str) and label.isascii() and label.isdigit() and len(label) <= _DIGITS


def with_label_names(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """The data set with the model's names instead of their indices; unchanged if it has names.

    Tags of entities become IOB2, as their reader gives them.

    Args:
        dataset: labelled data.
        labels: labels of the model, in the order of its outputs.
    """
    if not are_label_numbers(dataset, labels):
        return dataset
    in_iob2 = tuple(map(as_iob2, labels))
    if hasattr(dataset.examples[0], "tags") and all(map(_is_entity_tag, in_iob2)):
        labels = in_iob2
    names = {str(number): label for number, label in enumerate(labels)}

    def named(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(named, value))
        return None if value is None else names[str(int(value))]

    fields = [name for name in _FIELDS if hasattr(dataset.examples[0], name)]

    def with_names(example: Any) -> Any:
        own = [name for name in fields if hasattr(example, name)]
        return replace(example, **{name: named(getattr(example, name)) for name in own})

    return replace(dataset, examples=map_rows(dataset.examples, with_names))
