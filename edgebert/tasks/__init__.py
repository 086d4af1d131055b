"""What differs from task to task: data, head, loss, metrics and answers, one file a task."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.errors import ModelError
from edgebert.settings import DataSettings

if TYPE_CHECKING:
    from edgebert.tasks.task import Task

ENCODER = "encoder"

# The name that a model's folder, a file's manifest and `--task` have for it: module and class.
_HOMES = {
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


def task_named(name: str) -> Task[Any]:
    """The task of a name.

    Raises:
        ModelError: there is none.
    """
    if name not in _HOMES:
        raise ModelError(
            f"Expected a task that we know: {', '.join(_HOMES)}. Received: {name!r}. Next: the "
            "model is of another version of edgebert, or it is a bare encoder: fine-tune it first."
        )
    module, kind = _HOMES[name]
    task: Task[Any] = getattr(importlib.import_module(f"edgebert.tasks.{module}"), kind)()
    return task


def task_of_file(path: Path | str, base: str, columns: DataSettings = DataSettings()) -> str:
    """The name of the task that a training file is for, as far as it can be seen.

    Args:
        path: the file.
        base: the task of the model that is to be trained.
        columns: those that the user names.
    """
    from edgebert.tasks.recognition import tasks_of_file

    fitting = tasks_of_file(path, columns)
    return base if base in fitting else fitting[0]
