"""The tasks: data, head, loss, metrics and answers of each in a file of its own."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.checkpoint import Checkpoint
from edgebert.errors import ModelError
from edgebert.settings import DataSettings

if TYPE_CHECKING:
    from edgebert.tasks.task import Task

# By the name in a model's folder, a file's manifest and `--task`: the module and the class.
_HOMES = {
    "encoder": ("encoder", "Encoder"),
    "classification": ("classification", "Classification"),
    "pairs": ("pairs", "Pairs"),
    "multi-label": ("multi_label", "MultiLabel"),
    "regression": ("regression", "Regression"),
    "qa": ("qa", "QuestionAnswering"),
    "ner": ("ner", "NamedEntities"),
    "pos": ("pos", "PartsOfSpeech"),
    "embeddings": ("embeddings", "Embeddings"),
    "masked-lm": ("masked_lm", "MaskedLM"),
}


@functools.cache
def task_named(name: str) -> Task[Any]:
    """The task of a name: the same object every time.

    Raises:
        ModelError: No task has this name.
    """
    if name not in _HOMES:
        raise ModelError(
            f"Expected a known task: {', '.join(_HOMES)}. Received: {name!r}. "
            "Next: use the version of edgebert that wrote the model."
        )
    module, class_name = _HOMES[name]
    task: Task[Any] = getattr(importlib.import_module(f"edgebert.tasks.{module}"), class_name)()
    return task


def task_modules() -> tuple[str, ...]:
    """The modules of all tasks, which `task_named` loads when they are first used."""
    return tuple(f"edgebert.tasks.{module}" for module, _ in _HOMES.values())


def bare_encoder() -> Task[Any]:
    """The task of a model without a head."""
    return task_named("encoder")


def task_of_checkpoint(checkpoint: Checkpoint) -> Task[Any]:
    """The task of a checkpoint, by its head and its labels."""
    from edgebert.tasks.recognition import task_of_head

    return task_named(task_of_head(checkpoint))


def task_of_file(
    path: Path | str, base: Task[Any], columns: DataSettings = DataSettings()
) -> Task[Any]:
    """The most likely task of a training file.

    Args:
        path: The file.
        base: The task of the model to train; it is taken wherever the file fits it.
        columns: The columns that the user names.
    """
    from edgebert.tasks.recognition import tasks_of_file

    fitting = tasks_of_file(path, columns)
    return base if base.name in fitting else task_named(fitting[0])
