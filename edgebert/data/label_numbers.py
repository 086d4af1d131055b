"""Labels that a file writes as numbers, such as GLUE, for a model whose labels have names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgebert.data.datasets import Dataset


def are_label_numbers(dataset: Dataset, labels: Sequence[str]) -> bool:
    """Whether all labels of a data set are indices of the model's labels, and none is a name.

    Args:
        dataset: labelled data.
        labels: labels of the model, in the order of its outputs.
    """
    found = {label for label in dataset.labels if label is not None}
    return (
        bool(found)
        and not found & set(labels)
        and all(label.isascii() and label.isdigit() for label in found)
        and all(len(label) < 10 and int(label) < len(labels) for label in found)
    )


def with_label_names(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """The data set with the model's names instead of their indices; unchanged if it has names."""
    if not are_label_numbers(dataset, labels):
        return dataset
    examples = tuple(
        example if example.label is None else replace(example, label=labels[int(example.label)])
        for example in dataset.examples
    )
    return replace(dataset, examples=examples)
