"""Terminals that are not UTF-8: tables fall back to ASCII, and JSON stays JSON."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert.exporting.artifact import export
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings
from edgebert.system.terminal_encoding import escape_what_the_terminal_lacks


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_characters_that_an_encoding_lacks_are_escaped(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    escape_what_the_terminal_lacks()
    text = json.dumps({"text": "é ☃ 😀"}, ensure_ascii=False)
    stream.write(f"{text}\n≥ 3\n")
    stream.flush()
    first, second = stream.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]
    assert json.loads(first) == {"text": "é ☃ 😀"}
    assert second == ("≥ 3" if encoding == "utf-8" else ">= 3")


@pytest.mark.parametrize("locale", ["C", "cp1252"])
def test_inspect_on_a_terminal_that_is_not_utf_8(
    tiny_task_model: Callable[[str], TaskModel], tmp_path: Path, locale: str
) -> None:
    settings = ExportSettings(length=16, recipe="float32")
    file = export(tiny_task_model("classification"), tmp_path / "Größe.tflite", settings).path
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    if locale != "C":
        environment["PYTHONIOENCODING"] = locale
    done = subprocess.run(
        [sys.executable, "-m", "edgebert", "inspect", str(file)],
        env=environment,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout.decode("ascii" if locale == "C" else locale)
