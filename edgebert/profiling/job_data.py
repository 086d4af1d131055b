"""Texts and labelled data of a profiling job, read in the format of the models' task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebert.data.datasets import Dataset, take
from edgebert.profiling.plan import task_of_files
from edgebert.profiling.target import TextInput, as_text_input
from edgebert.settings import DataSettings


def read_texts(
    models: Sequence[Path], path: Path, columns: DataSettings, max_texts: int
) -> tuple[TextInput, ...]:
    """A random selection of a file's texts, as inputs of the models' task.

    Args:
        models: The `.tflite` files.
        path: The data file.
        columns: Names of its columns.
        max_texts: Maximum number of texts.

    Raises:
        UsageError: The models have several tasks.
        DataError: The file is missing or invalid.
    """
    task = task_of_files(models)
    chosen = take(task.read(path, columns, "none"), max_texts, seed=0)
    return tuple(as_text_input(task.input_texts(example)) for example in chosen.examples)


def read_check(models: Sequence[Path], path: Path, columns: DataSettings, max_rows: int) -> Dataset:
    """A random selection of the rows of a labelled file, for the models' task.

    Arguments and errors as in `read_texts`.
    """
    return take(task_of_files(models).read(path, columns, "required"), max_rows, seed=0)
