"""Errors of commands: one message, and the exit code of its kind."""

from __future__ import annotations

import errno

import click
import pytest
from click.testing import CliRunner, Result

from converters.errors import ConversionError
from edgebert.cli import COMMANDS, LazyGroup, cli
from edgebert.errors import EdgebertError, QualityGateError, UsageError


class ResourceExhaustedError(Exception):
    """Has the name of TensorFlow's error."""


def ended_with(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, standalone: bool = True
) -> Result:
    """How `edgebert doctor` ends if it raises an error."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: click.command("doctor")(fail))
    return CliRunner().invoke(cli, ["doctor"], standalone_mode=standalone)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (EdgebertError("no model"), 1, "no model"),
        (ConversionError("no config"), 1, "no config"),
        (UsageError("two outputs"), 2, "two outputs"),
        (QualityGateError("1.2 points lost"), 3, "1.2 points lost"),
        (EdgebertError("a\x1b[31m"), 1, r"a\x1b[31m"),
        (OSError(errno.ENOSPC, "No space left", "m.tflite"), 1, "No space left (m.tflite). No inc"),
        (MemoryError(), 1, "Expected more memory"),
        (ResourceExhaustedError("OOM"), 1, "Expected more memory"),
        (ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib"), 1, "pip install"),
    ],
)
def test_an_error_is_a_message_with_an_exit_code(
    error: Exception, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = ended_with(error, monkeypatch)
    assert result.exit_code == code
    assert words in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'mine'", name="mine"),
        RuntimeError("a fault of ours"),
    ],
)
def test_other_errors_are_not_hidden(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    result = ended_with(error, monkeypatch, standalone=False)  # as the command's `main` does
    assert result.exit_code == 1
    assert result.exception is error


def test_a_closed_pipe_ends_without_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    result = ended_with(BrokenPipeError(errno.EPIPE, "Broken pipe"), monkeypatch)
    assert (result.exit_code, result.output) == (1, "")


def test_the_help_lists_every_command_and_an_unknown_one_is_wrong_usage() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    assert all(name in shown for name in COMMANDS)
    wrong = CliRunner().invoke(cli, ["exprot"])
    assert wrong.exit_code == 2 and "No such command 'exprot'" in wrong.output
