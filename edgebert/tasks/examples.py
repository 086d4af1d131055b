"""What somebody hands in, as a task's examples, and examples as what a model reads.

Stages that measure on text (lengths, calibration, the certificate, latency) take a file of the
task's own format or plain texts; a bare encoder has no task and takes plain texts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from edgebert.data.datasets import Dataset, read_dataset
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import UsageError
from edgebert.settings import DataSettings
from edgebert.tasks import ENCODER, task_named
from edgebert.tasks.task import Decoding, Features, Task


class HasTask(Protocol):
    """A model, a predictor or a file: what says how examples are read and encoded."""

    @property
    def task(self) -> str: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def decoding(self) -> Decoding: ...


def task_of(model: HasTask) -> Task[Any]:
    """What a model does.

    Raises:
        UsageError: it is a bare encoder.
    """
    if model.task == ENCODER:
        raise UsageError(
            "Expected a model with a task. Received: a bare encoder, which has nothing to predict. "
            "Next: fine-tune it with `edgebert finetune`."
        )
    return task_named(model.task)


def read_examples(task: str, path: Path | str, columns: DataSettings = DataSettings()) -> Dataset:
    """Reads a file of the task's own format; what is to be predicted is not looked at.

    Args:
        task: the name of a task, or of a bare encoder, which reads texts.
        path: the file, or `-`.
        columns: which columns have what, where the format has any.

    Raises:
        DataError: it can't be read as that.
    """
    if task == ENCODER:
        return read_dataset(path, columns.text_column, columns.label_column, "none")
    return task_named(task).read(path, columns, "none")


def typed_of(task: str, example: Any) -> tuple[str, ...]:
    """An example as somebody would type it; of a bare encoder its text."""
    return (example.text,) if task == ENCODER else task_named(task).typed(example)


def typed_texts(model: HasTask, data: Dataset) -> list[str]:
    """Every text that a model reads of data: of a pair both, of a question its context too."""
    return [text for example in data.examples for text in typed_of(model.task, example)]


def as_examples(task: Task[Any], given: Sequence[Any]) -> list[Any]:
    """Examples of a task: texts, tuples of texts and examples may stand side by side.

    Raises:
        UsageError: texts are not as many as the task wants.
    """
    made = []
    for item in given:
        if isinstance(item, str):
            made.append(task.example(item))
        else:
            made.append(task.example(*item) if isinstance(item, tuple) else item)
    return made


def features_of(model: HasTask, given: Sequence[Any], max_length: int) -> Features:
    """What a model with a task reads of examples or texts.

    Raises:
        UsageError: it is a bare encoder.
    """
    task = task_of(model)
    features: Features = task.features(
        model.tokenizer, as_examples(task, given), max_length, model.decoding
    )
    return features


def encodings_of(model: HasTask, given: Sequence[Any], max_length: int) -> Sequence[Encoding]:
    """What a model, or a bare encoder, reads of examples or texts: one encoding each, or several.

    Args:
        model: whose task and tokenizer it is.
        given: texts, or examples of the task's reader.
        max_length: the longest encoding, in tokens.
    """
    if model.task != ENCODER:
        return features_of(model, given, max_length).encodings
    texts = [item if isinstance(item, str) else item.text for item in given]
    return model.tokenizer.encode_batch(texts, max_length)
