"""Labels as numbers: taken as indices only where nothing else is possible."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgebert.cli import cli
from edgebert.data.datasets import Dataset, Example
from edgebert.data.label_numbers import with_label_names
from edgebert.evaluation.predictors import evaluate
from edgebert.models.task_model import TaskModel
from edgebert.settings import DataSettings

NAMES = ("negative", "neutral", "positive")


def labels_after(given: list[str], names: tuple[str, ...]) -> tuple[str | None, ...]:
    examples = tuple(Example("text", label) for label in given)
    return with_label_names(Dataset("d", examples, Path("d.tsv"), ""), names).labels


@pytest.mark.parametrize(
    ("given", "names", "expected"),
    [
        (["0", "2", "1"], NAMES, ("negative", "positive", "neutral")),
        (["0", "3"], NAMES, ("0", "3")),
        (["0", "-1"], NAMES, ("0", "-1")),
        (["0", "negative"], NAMES, ("0", "negative")),
        (["0", "1"], ("1", "0"), ("0", "1")),
        (["²", "1"], NAMES, ("²", "1")),
    ],
)
def test_numbers_are_indices_where_all_are_in_range_and_none_is_a_name(
    given: list[str], names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert labels_after(given, names) == expected


def test_evaluate_takes_numbers_and_says_so(tiny_folder: Path, tmp_path: Path) -> None:
    results = []
    for name, labels in (("names", NAMES), ("numbers", ("0", "1", "2"))):
        path = tmp_path / f"{name}.tsv"
        rows = [f"the movie is good\t{labels[0]}", f"play\t{labels[2]}", f"stop\t{labels[1]}"]
        path.write_text("\n".join(["text\tlabel", *rows]) + "\n")
        arguments = ["evaluate", str(tiny_folder), "--data", str(path)]
        results.append(CliRunner().invoke(cli, arguments))
        assert results[-1].exit_code == 0, results[-1].output
    said = "Labels of the data are taken as numbers of the model's labels"
    assert said not in results[0].output
    assert said in results[1].output


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        (
            "ner",
            [
                {"tokens": ["play", "music", "friday"], "tags": ["O", "B-THING", "B-DAY"]},
                {"tokens": ["stop", "the", "alarm"], "tags": ["O", "B-THING", "I-THING"]},
            ],
        ),
        (
            "multi-label",
            [{"text": "play", "labels": ["music", "timer"]}, {"text": "a", "labels": []}],
        ),
    ],
)
def test_tags_and_lists_of_labels_as_numbers_give_the_same_metrics(
    tiny_task_model: Callable[[str], TaskModel],
    tmp_path: Path,
    task: str,
    rows: list[dict[str, list[str]]],
) -> None:
    model = tiny_task_model(task)
    key = "tags" if task == "ner" else "labels"
    numbers = [{**row, key: [model.labels.index(name) for name in row[key]]} for row in rows]
    found = []
    for name, content in (("names", rows), ("numbers", numbers)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, content)))
        data = model.task.read(path, DataSettings(), "required")
        found.append(evaluate(model, data).metrics)
    assert found[0] == found[1]
