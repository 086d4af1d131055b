"""The selection of a Python on a board, and the creation of a virtual environment."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib.metadata import version
from typing import Any

import pytest

from edgebert.errors import EdgebertError
from edgebert.profiling.ssh import board_python
from edgebert.profiling.ssh import connection as ssh_connection
from edgebert.profiling.ssh.board_python import BoardPython, find_python
from edgebert.system.progress import silent
from tests.edgebert.profiling.loopback_board import LoopbackBoard, tool_here


def found(board: LoopbackBoard, given: str = "", bootstrap: bool = False) -> BoardPython:
    with board.connect() as connection:
        return find_python(connection, given, bootstrap, silent)


def test_a_board_without_python(board: LoopbackBoard) -> None:
    (board.programs / "python3").unlink()
    missing = r"python3: not there; ~/\.cache/edgebert/venv/bin/python: not there.*--bootstrap"
    with pytest.raises(EdgebertError, match=missing):
        found(board)
    with pytest.raises(EdgebertError, match=r"--bootstrap expects Python 3\.8.*python3-venv"):
        found(board, bootstrap=True)


def test_a_python_without_packages(board: LoopbackBoard) -> None:
    board.program("bare python", f'exec "{sys.executable}" -S "$@"')
    lacking = r"bare python 3\..*No module named 'numpy'; .*ai_edge_litert'.* / .*tflite_runtime'"
    with pytest.raises(EdgebertError, match=lacking):
        found(board, "bare python")


OLD = '{"version": "3.7.9", "path": "/usr/bin/python3", "missing": []}'


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (f"echo '{OLD}'", r"3\.7\.9: too old"),
        ("kill -4 $$", "ended by signal 4"),
        ("echo 'Python was not found' >&2; exit 9", "not a Python.*: Python was not found"),
    ],
)
def test_an_unusable_python(board: LoopbackBoard, script: str, problem: str) -> None:
    board.program("python3", script)
    with pytest.raises(EdgebertError, match=problem):
        found(board)


def test_python_is_found_where_bootstrap_puts_it(board: LoopbackBoard) -> None:
    venv = board.home / ".cache" / "edgebert" / "venv" / "bin"
    venv.mkdir(parents=True)
    shutil.move(board.python(), venv / "python")
    runtime = f"ai-edge-litert {version('ai-edge-litert')}"
    expected = BoardPython(sys.executable, runtime, sys.version_info[:2])
    assert found(board) == expected
    assert found(board, "~/.cache/edgebert/venv/bin/python") == expected


# A virtual environment of ours on the board.


def fake_python(board: LoopbackBoard, ensurepip: str = "exit 0", made: str = "exit 1") -> None:
    """A Python without packages, whose virtual environments contain a given program as Python."""
    facts = f'{{"version": "3.11.2", "path": "{board.programs}/python3", "missing": ["numpy"]}}'
    program, chmod = shlex.quote(f"#!/bin/sh\n{made}\n"), tool_here("chmod")
    make = f'mkdir -p "$3/bin"; echo {program} >"$3/bin/python"; {chmod} +x "$3/bin/python"'
    board.program(
        "python3",
        f"case $* in *ensurepip*) {ensurepip} ;; '-m venv '*) {make} ;; *) echo '{facts}' ;; esac",
    )


def test_a_python_without_venv(board: LoopbackBoard) -> None:
    fake_python(board, ensurepip="exit 1")
    with pytest.raises(EdgebertError, match=r"venv and ensurepip .*sudo apt install python3-venv"):
        found(board, bootstrap=True)


def test_a_failed_bootstrap_leaves_no_files(board: LoopbackBoard) -> None:
    fake_python(board, made="echo 'ERROR: no matching wheel' >&2; exit 1")
    with pytest.raises(EdgebertError) as caught:
        found(board, bootstrap=True)
    message = str(caught.value)
    for line in board_python.REQUIREMENTS:
        package = line[0].format(here=version("ai-edge-litert"))
        assert f"{package}: ERROR: no matching wheel" in message
    assert list((board.home / ".cache" / "edgebert").iterdir()) == []


def test_an_interrupted_bootstrap_leaves_no_files(board: LoopbackBoard) -> None:
    fake_python(board)
    unfinished = board.home / ".cache" / "edgebert" / "venv" / ssh_connection.UNFINISHED

    def interrupt(stage: str, done: int, total: int, **facts: Any) -> None:
        if done == 1:
            assert unfinished.exists()
            raise KeyboardInterrupt

    with board.connect() as connection, pytest.raises(KeyboardInterrupt):
        find_python(connection, "", True, interrupt)
    assert list((board.home / ".cache" / "edgebert").iterdir()) == []


def test_bootstrap_tries_the_second_requirement(
    board: LoopbackBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downloads two packages from a package index."""
    known = board_python.REQUIREMENTS[0]
    monkeypatch.setattr(board_python, "REQUIREMENTS", (("edgebert-no-such-thing==0",), known))
    board.program("python3", f'exec "{sys.executable}" -S "$@"')
    stages: list[tuple] = []
    try:
        with board.connect() as connection:
            made = find_python(connection, "", True, lambda *stage, **f: stages.append((*stage, f)))
    except EdgebertError as error:
        if "reaches a package index" in str(error) and not os.environ.get("CI"):
            pytest.skip(f"no package index: {error}")
        raise
    venv, runtime = board.home / ".cache" / "edgebert" / "venv", made.runtime
    assert made == BoardPython(str(venv / "bin" / "python"), runtime, sys.version_info[:2])
    assert runtime == f"ai-edge-litert {version('ai-edge-litert')}"
    assert stages[-1] == ("make ~/.cache/edgebert/venv", 3, 3, {"runtime": runtime})
    assert not (venv / ssh_connection.UNFINISHED).exists()
    assert list(venv.glob("lib/python3*/site-packages/tokenizers"))
    assert found(board) == made
