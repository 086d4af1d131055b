"""Benchmark programs that end, hang or return invalid data."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgebert.errors import EdgebertError
from edgebert.profiling import process
from edgebert.profiling.process import RunnerProcess

Program = Callable[[str], RunnerProcess]


def test_a_program_that_cannot_start() -> None:
    with pytest.raises(EdgebertError, match=r"mine: .*cannot be started.*/no/such/program"):
        RunnerProcess(["/no/such/program"], "mine")


def test_the_error_of_a_dead_program_has_its_last_lines(program: Program) -> None:
    dying = program("import sys; input(); print('out of stars', file=sys.stderr); sys.exit(3)")
    with pytest.raises(EdgebertError, match=r"(?s)stand-in: .*'load'.*exit code 3.*out of stars"):
        dying.request("load")


def test_a_program_that_ended_before(program: Program) -> None:
    dead = program("raise SystemExit('nothing here')")
    dead._process.wait()
    with pytest.raises(EdgebertError, match=r"(?s)exit code 1.*nothing here"):
        dead.request("hello")


def test_the_error_of_a_crash_names_the_signal(program: Program) -> None:
    crashing = program("import os, signal; input(); os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(EdgebertError, match="signal SIGSEGV"):
        crashing.request("run")


def test_only_the_last_lines_are_shown(program: Program) -> None:
    dying = program("import sys; input(); [print('line', i, file=sys.stderr) for i in range(99)]")
    with pytest.raises(EdgebertError) as caught:
        dying.request("run")
    assert "line 98" in str(caught.value)
    assert "line 80" not in str(caught.value)


def test_a_response_without_json(program: Program) -> None:
    with pytest.raises(EdgebertError, match=r"line of JSON.*hello there"):
        program("input(); print('hello there')").request("hello")


def test_a_hanging_program_is_killed(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ANSWER_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(EdgebertError, match=r"no answer for 0.2 s"):
        program("import time; input(); time.sleep(60)").request("run")


def test_an_error_response_raises(program: Program) -> None:
    failing = program("""input(); print('{"error": "too wet", "kind": "ValueError"}')""")
    with pytest.raises(EdgebertError, match=r"'run' failed.*too wet"):
        failing.request("run")


def test_leaving_the_block_ends_the_program(program: Program) -> None:
    with program("import time; time.sleep(60)") as sleeping:
        assert sleeping._process.poll() is None
    assert sleeping._process.poll() is not None
