"""What the README shows works: commands, flags, files and Python."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from edgebert.cli import cli
from edgebert.models.task_model import TaskModel

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND_LINES = re.findall(r"^\$ (edgebert .+)$", README, re.MULTILINE)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_commands_and_flags_exist(line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = cli.get_command(cli.make_context("edgebert", [], resilient_parsing=True), name)
    assert command is not None, name
    known = {flag for parameter in command.params for flag in parameter.opts}
    assert {a for a in arguments if a.startswith("-") and len(a) > 1} <= known


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("https://"):
            assert (ROOT / target).exists(), target


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)`?", README):
        assert f"\n{target}:" in makefile, target


def test_python_runs(
    tiny_model: TaskModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    tiny_model.save(tmp_path / "my-bert")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert capsys.readouterr().out.count("\n") == 3
