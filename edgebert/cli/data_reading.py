"""Reads the data files of commands, and prints on stderr what was left out or assumed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.cli.shown_output import echo

if TYPE_CHECKING:
    from edgebert.data.datasets import Dataset
    from edgebert.data.labels import LabelUse
    from edgebert.settings import DataSettings
    from edgebert.tasks.task import Task


def read_data(task: Task[Any], path: Path, columns: DataSettings, labels: LabelUse) -> Dataset:
    """Reads a file in the format of a task; rows that are left out are listed on stderr."""
    from edgebert.data.left_out import left_out_text

    data = task.read(path, columns, labels)
    if data.left_out:
        echo(left_out_text(data), err=True)
    return data


def read_splits(
    task: Task[Any], paths: Sequence[Path | None], columns: DataSettings
) -> list[Dataset | None]:
    """Reads labelled files, such as the train, dev and test splits; None for a missing path."""
    return [None if path is None else read_data(task, path, columns, "required") for path in paths]


def print_label_numbers(datasets: Sequence[Dataset | None], labels: Sequence[str]) -> None:
    """Says on stderr that numbers in the data are taken as numbers of the model's labels."""
    from edgebert.data.label_numbers import are_label_numbers

    if any(data is not None and are_label_numbers(data, labels) for data in datasets):
        echo(
            f"Labels of the data are taken as numbers of the model's labels: 0 is {labels[0]}. "
            "--label-map names them otherwise.",
            err=True,
        )
