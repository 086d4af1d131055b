"""`edgebert web`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgebert.cli import cli
from edgebert.exporting.artifact import export
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings


@pytest.fixture(scope="module")
def model(
    tiny_task_model: Callable[[str], TaskModel], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("web") / "my model.tflite"
    export(tiny_task_model("ner"), path, ExportSettings(recipe="float32", lengths="16"))
    return path


def test_the_folder_and_its_sizes(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    arguments = ["web", str(model), "-o", str(folder), "--name", "Rooms & halls"]
    told = CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout
    assert told.startswith(f"{folder}: Rooms & halls\n  models/my-model-")
    assert "python -m http.server" in told
    assert "<title>Rooms &amp; halls</title>" in (folder / "index.html").read_text()
    told = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False).stdout
    found = json.loads(told)
    assert (folder / found["models"][0]).read_bytes() == model.read_bytes()
    assert 0 < found["page_gzip_bytes"] < 60_000


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "notes.tflite"
    path.write_text("notes")
    result = CliRunner().invoke(cli, ["web", str(path), "-o", str(tmp_path / "site")])
    assert result.exit_code == 1 and "notes.tflite" in result.output
    assert not (tmp_path / "site").exists()
