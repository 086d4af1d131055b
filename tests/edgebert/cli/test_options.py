"""What commands have in common."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgebert.cli.options import print_origin, print_replaced_head
from edgebert.models.task_model import TaskModel, open_model
from edgebert.tasks import task_named
from tests.converters.formats.test_huggingface import edit_config
from tests.golden.checkpoints import CHECKPOINTS


def test_a_head_that_is_left_out_is_said_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(CHECKPOINTS / "BertForSequenceClassification", tmp_path / "m"))
    edit_config(folder, architectures=["BertForMultipleChoice"])
    print_origin(open_model(folder, as_base=True))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "Opened a Hugging Face folder: encoder, 2 layers of 8.\n"
        f"{folder}: the head is left out: it is a BertForMultipleChoice, whose head is not "
        "supported.\n"
    )


def test_a_head_that_gives_way_to_another_is_said_on_stderr(
    tiny_model: TaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    base = open_model(CHECKPOINTS / "BertForTokenClassification", as_base=True)
    print_replaced_head(base, task_named("qa"))
    expected = (
        "The base has a head for part-of-speech tagging: it is replaced by a new one for qa.\n"
    )
    assert capsys.readouterr().err == expected
    print_replaced_head(base, task_named("ner"))
    print_replaced_head(tiny_model, task_named("classification"))
    assert capsys.readouterr().err == ""


def test_a_model_of_our_own_is_nothing_to_speak_of(
    tiny_model: TaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    print_origin(tiny_model)
    assert capsys.readouterr().err == ""
