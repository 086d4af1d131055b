"""prune by structure and distill, as they are called on a terminal, on tiny models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgebert.models.task_model import TaskModel, open_model
from tests.edgebert.cli.test_training_commands import call
from tests.edgebert.separable import separable


@pytest.fixture(scope="module")
def folder(tiny_model: TaskModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier and labelled text."""
    folder = tmp_path_factory.mktemp("compression")
    tiny_model.save(folder / "tuned")
    for part, rows, seed in (("train", 32, 1), ("dev", 12, 2), ("test", 8, 3)):
        lines = [f"{e.text}\t{e.label}" for e in separable(rows, seed).examples]
        (folder / f"{part}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    texts = [example.text for example in separable(20, 4).examples]
    (folder / "corpus.txt").write_text("\n".join(texts) + "\n")
    return folder


def data(folder: Path) -> tuple[object, ...]:
    return ("--train", folder / "train.tsv", "--dev", folder / "dev.tsv")


def test_structure_goes_without_training(folder: Path) -> None:
    result = call(
        "prune", folder / "tuned", "-o", folder / "untrained", *data(folder), "--heads", 1,
        "--neurons", 8, "--epochs", 0, "--test", folder / "test.tsv",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "operations left in the encoder" in result.output
    assert "after: test (8 rows)" in result.output
    assert open_model(folder / "untrained").history[-1]["stage"] == "prune-structure"


def test_vocabulary_and_layers_go_and_a_teacher_recovers(folder: Path) -> None:
    result = call(
        "prune", folder / "tuned", "-o", folder / "small", *data(folder), "--layers", 1,
        "--vocabulary-from", folder / "corpus.txt", "--common-pieces", 0, "--epochs", 1,
        "--teacher", folder / "tuned", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["vocabulary"]["rows_after"] < said["vocabulary"]["rows_before"]
    assert len(said["structure"]["widths"]) == 1
    assert len(said["epochs"]) == 1
    opened = open_model(folder / "small")
    assert opened.tokenizer.vocabulary.size == said["vocabulary"]["rows_after"]


def test_the_vocabulary_is_trimmed_without_labelled_data(folder: Path) -> None:
    line = (
        "prune", folder / "tuned", "-o", folder / "trimmed", "--vocabulary-from",
        folder / "corpus.txt", "--common-pieces", 0,
    )  # fmt: skip
    result = call(*line)
    assert result.exit_code == 0, result.output
    trimmed = open_model(folder / "trimmed")
    assert f"{trimmed.tokenizer.vocabulary.size} of " in result.output
    assert "100.0% of the 20 texts have the same tokens" in result.output
    again = call(*line)
    assert again.exit_code == 2 and "add --overwrite" in again.output
    said = json.loads(call(*line, "--overwrite", "--json").stdout)
    assert said["rows_after"] == trimmed.tokenizer.vocabulary.size


@pytest.mark.parametrize("flags", [(), ("--heads", 1), ("--sparsity", 0.5)])
def test_other_pruning_needs_labelled_data(folder: Path, flags: tuple[object, ...]) -> None:
    result = call("prune", folder / "tuned", "-o", folder / "no", *flags)
    assert result.exit_code == 2, result.output
    assert "Missing option '--train'" in result.output


def test_a_speedup_that_nothing_reaches_exits_with_3(folder: Path) -> None:
    result = call(
        "prune", folder / "tuned", "-o", folder / "no", *data(folder), "--target-speedup", 1000,
        "--epochs", 0,
    )  # fmt: skip
    assert result.exit_code == 3, result.output
    assert "times faster" in result.output
    assert not (folder / "no").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--heads", 1, "--sparsity", 0.5), "run the command twice"),
        (("--teacher", "x"), "--teacher needs"),
        (("--heads", 9), "heads: expected from 1 to 2"),
        (("--target-speedup", 2, "--neurons", 3), "alone, without heads and neurons"),
    ],
)
def test_wrong_usage_exits_with_2(folder: Path, flags: tuple[object, ...], said: str) -> None:
    result = call("prune", folder / "tuned", "-o", folder / "no", *data(folder), *flags)
    assert result.exit_code == 2, result.output
    assert said in result.output


def test_distill_into_a_shape(folder: Path) -> None:
    result = call(
        "distill", folder / "tuned", "--student", "layers=1,hidden=8", "-o", folder / "student",
        "--unlabelled", folder / "corpus.txt", "--dev", folder / "dev.tsv", "--epochs", 1,
        "--test", folder / "test.tsv",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert ", teacher " in result.output
    assert open_model(folder / "student").checkpoint.config.hidden_size == 8


def test_a_student_needs_texts_and_a_dev_file(folder: Path) -> None:
    line = ("distill", folder / "tuned", "--student", "tiny", "-o", folder / "no")
    for more in ((), ("--unlabelled", folder / "corpus.txt")):
        result = call(*line, *more)
        assert result.exit_code == 2 and "Missing option '--train'" in result.output


def test_a_shape_that_is_none_exits_with_2(folder: Path) -> None:
    result = call(
        "distill", folder / "tuned", "--student", "layers=7", "-o", folder / "no", *data(folder)
    )
    assert result.exit_code == 2, result.output
    assert "from 1 to the teacher's 2" in result.output
