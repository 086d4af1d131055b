"""Texts as a task's examples, and examples as a model's encodings.

Stages that measure on text (lengths, calibration, the certificate, latency) take a file of the
task's own format or plain texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from edgebert.data.datasets import Dataset, joined
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import UsageError
from edgebert.settings import DataSettings
from edgebert.tasks.task import Decoding, Features, Task


class HasTask(Protocol):
    """A model, a predictor or a file, with the task that reads and encodes its examples."""

    @property
    def task(self) -> Task[Any]: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def decoding(self) -> Decoding: ...


def task_with_answers(model: HasTask) -> Task[Any]:
    """The task of a model.

    Raises:
        UsageError: The model is a bare encoder.
    """
    if not model.task.has_answers:
        raise UsageError(
            f"Expected a model with a task. Received: {model.task.model_title()}, which has "
            "nothing to predict. Next: fine-tune it with `edgebert finetune`."
        )
    return model.task


def all_input_texts(model: HasTask, data: Dataset) -> list[str]:
    """Every text of a data set: both texts of a pair, a question and its context."""
    return [text for example in data.examples for text in model.task.input_texts(example)]


def with_unlabelled(
    task: Task[Any], train: Dataset | None, path: Path | str, columns: DataSettings
) -> Dataset:
    """Training data for a student, followed by the examples of a file without their labels.

    Args:
        task: The task of teacher and student.
        train: The training data; None for the examples of the file alone.
        path: A file in the task's format; its labels are not read.
        columns: Names of the columns.
    """
    read = task.read(path, columns, "none")
    bare = replace(read, examples=tuple(task.without_labels(read.examples)))
    return bare if train is None else joined(train, bare)


def as_examples(task: Task[Any], given: Sequence[Any]) -> list[Any]:
    """Converts texts and tuples of texts to examples of a task; examples stay as they are.

    Raises:
        UsageError: An item has another number of texts than the task reads.
    """
    made = []
    for item in given:
        if isinstance(item, str):
            made.append(task.example(item))
        else:
            made.append(task.example(*item) if isinstance(item, tuple) else item)
    return made


def features_of(model: HasTask, given: Sequence[Any], max_length: int) -> Features:
    """The features of texts or examples for a model.

    Args:
        model: The model, whose task and tokenizer are used.
        given: Texts, tuples of texts, or examples of the task's reader.
        max_length: The longest encoding, in tokens.

    Raises:
        UsageError: An item has another number of texts than the task reads.
    """
    task = model.task
    features: Features = task.features(
        model.tokenizer, as_examples(task, given), max_length, model.decoding
    )
    return features


def encodings_of(model: HasTask, given: Sequence[Any], max_length: int) -> Sequence[Encoding]:
    """The encodings of texts or examples for a model: see `features_of`."""
    return features_of(model, given, max_length).encodings
