"""What commands have in common."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgebert.cli.options import say_what_was_opened
from edgebert.model import TaskModel, open_model
from tests.converters.test_huggingface import edit_config
from tests.golden.checkpoints import CHECKPOINTS


def test_a_head_that_is_left_out_is_said_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(CHECKPOINTS / "BertForSequenceClassification", tmp_path / "m"))
    edit_config(folder, architectures=["BertForMultipleChoice"])
    say_what_was_opened(open_model(folder, as_base=True))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "Opened a Hugging Face folder: encoder, 2 layers of 8.\n"
        f"{folder}: its head is left out: it is a BertForMultipleChoice, whose head is not read.\n"
    )


def test_a_model_of_our_own_is_nothing_to_speak_of(
    tiny_model: TaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    say_what_was_opened(tiny_model)
    assert capsys.readouterr().err == ""
