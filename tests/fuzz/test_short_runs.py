"""A few inputs of every format. `make fuzz` reads 100,000 of each."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from tests.fuzz.all_targets import TARGETS
from tests.fuzz.running import Outcome, fuzz, read_inputs
from tests.fuzz.targets import Target, make_input

IN_PROCESS = tuple(name for name in TARGETS if not TARGETS[name].is_slow)


@pytest.fixture(autouse=True)
def targets_are_undone() -> Iterator[None]:
    """Ends the replacements that targets start, so that they don't reach the tests after this."""
    yield
    mock.patch.stopall()


@pytest.mark.parametrize("name", IN_PROCESS)
def test_damaged_files_are_read_or_an_error_of_ours(name: str) -> None:
    target = TARGETS[name]
    outcome = read_inputs(target, 1, range(target.short))
    assert not outcome.findings, outcome.findings[0].detail


def test_an_input_depends_on_its_seed_and_number_only(tmp_path: Path) -> None:
    cases = TARGETS["json"].cases(tmp_path)
    made = [make_input(cases, "json", 3, number) for number in range(20)]
    random.random()
    assert made == [make_input(cases, "json", 3, number) for number in range(20)]
    assert len({data for _, data in made}) > 10


@pytest.mark.parametrize(
    ("fall", "kind"),
    [("raise KeyError('x')", "KeyError at"), ("os.kill(os.getpid(), 11)", "SIGSEGV")],
)
def test_falls_are_found(tmp_path: Path, fall: str, kind: str) -> None:
    """The child is replaced after each fall, and all inputs are read."""
    code = (
        "import os, sys; from tests.fuzz import all_targets, running, targets\n"
        f"def read(data):\n    {fall}\n"
        "case = targets.Case('c', [b'x'], lambda source, seeds: b'x', read)\n"
        "target = targets.Target('falls', lambda folder: [case])\n"
        "first, stop, seed, shared, results = sys.argv[-5:]\n"
        "paths = running.Path(shared), running.Path(results)\n"
        "running.run_child(target, int(first), int(stop), int(seed), paths)\n"
    )
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "$FALLS" "$@"\n')
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FALLS", code)
        patch.setattr(sys, "executable", str(program))
        outcome: Outcome = fuzz(Target("falls", lambda folder: []), 2, 0, tmp_path / "out")
    assert outcome.inputs == 2
    (found,) = outcome.findings
    assert found.kind.startswith(kind) and (tmp_path / "out" / "falls.json").is_file()


def test_a_format_that_is_not_there_is_named() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--format", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Expected config-json" in done.stderr
