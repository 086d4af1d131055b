"""`edgebert doctor`: what it finds on this machine, and on machines that lack something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from edgebert.cli import cli
from edgebert.errors import EdgebertError
from edgebert.models import runtime_check
from edgebert.profiling import doctor
from edgebert.profiling.doctor import FAILED, MISSING, OK, WARNING, Finding, Program


def test_this_machine_can_export_and_predict() -> None:
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    found = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert result.exit_code == 0, result.output
    needed = {"Python", "edgebert", "ai-edge-litert", "keras", "keras-hub", "tensorflow"}
    assert needed | {"runtime", "XNNPACK"} <= found.keys()
    assert {found[name]["status"] for name in needed} == {OK}
    assert found["runtime"]["status"] == found["XNNPACK"]["status"] == OK
    for finding in found.values():
        assert bool(finding["fix"]) == (finding["status"] != OK), finding


def test_the_terminal_shows_each_gap_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "platform", "linux")
    result = CliRunner().invoke(cli, ["doctor"])
    lines = result.stdout.splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith("missing  adb"))
    assert "profile --target adb" in lines[at]
    assert lines[at + 1].split("Next:")[1].strip() == "sudo apt-get install adb"
    assert result.exit_code == 0, "adb is not needed by export and predict"


def test_tensorflow_is_not_imported() -> None:
    code = (
        "import sys; from edgebert.profiling.doctor import diagnose; diagnose();"
        "sys.exit(bool({'tensorflow', 'keras', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0


def test_the_tiny_file_uses_the_versions_of_an_int8_export() -> None:
    from ai_edge_litert import schema_py_generated as schema

    body, _ = runtime_check.tiny_file()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(body, 0))
    names = schema.BuiltinOperator
    assert {(code.builtinCode, code.version) for code in model.operatorCodes} == {
        (names.EMBEDDING_LOOKUP, 4),
        (names.FULLY_CONNECTED, 12),
    }


def test_a_wrong_answer_of_the_runtime_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime_check.check_runtime().error <= runtime_check.LARGEST_ERROR
    body, expected = runtime_check.tiny_file()
    swapped = expected[::-1]  # as from a runtime that reads rows in another order
    monkeypatch.setattr(runtime_check, "tiny_file", lambda: (body, np.asarray(swapped)))
    assert runtime_check.check_runtime().error > 10 * runtime_check.LARGEST_ERROR


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "signal 6"),
        ("raise RuntimeError('version 12 unknown')", "version 12 unknown"),
        ('print(\'{"error": 0.5, "largest_error": 0.03, "partitions": 1}\')', "error 0.500"),
        ('print(\'{"error": null, "largest_error": 0.03, "partitions": 1}\')', "error NaN"),
        ("import time; time.sleep(60)", "no answer"),
    ],
)
def test_a_bad_runtime_fails(code: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "RUNTIME_SECONDS", 0.5 if "sleep" in code else 30.0)
    (finding,) = doctor.runtime_finding(python(code))
    assert finding.status == FAILED
    assert words in finding.found
    assert finding.fix.startswith("pip install")


def test_a_runtime_without_xnnpack_is_a_warning() -> None:
    answer = '{"error": 0.01, "largest_error": 0.03, "partitions": 0}'
    runtime, xnnpack = doctor.runtime_finding(python(f"print('{answer}')"))
    assert (runtime.status, xnnpack.status) == (OK, WARNING)


@pytest.mark.parametrize(
    ("requirement", "use", "status", "fix"),
    [
        ("numpy>=1", "", OK, ""),
        ("numpy>=1000,<1001", "", FAILED, "pip install 'numpy<1001,>=1000'"),
        ("numpy>=1000", "plots", WARNING, "pip install 'numpy>=1000'"),
        ("edgebert-no-such-package>=2", "", FAILED, "pip install 'edgebert-no-such-package>=2'"),
        ("edgebert-no-such-package", "plots", MISSING, "pip install 'edgebert-no-such-package'"),
    ],
)
def test_packages(requirement: str, use: str, status: str, fix: str) -> None:
    finding = doctor.package_finding(Requirement(requirement), use)
    assert (finding.status, finding.fix) == (status, fix)


@pytest.mark.parametrize(
    ("script", "status", "found"),
    [("echo v20.1.2", OK, "20.1.2"), ("exit 3", WARNING, "exit code 3")],
)
def test_programs(
    script: str, status: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sample"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    finding = doctor.program_finding(
        Program("sample", ("other", "sample"), "tests", "sample", "", ("--version",))
    )
    assert finding.status == status
    assert found in finding.found


@pytest.mark.parametrize(
    ("name", "free_bytes", "status"),
    [
        ("current folder", 5_000_000_000, OK),
        ("current folder", 1_000_000_000, WARNING),
        ("current folder", 1_000_000, FAILED),
        ("cache", 1_000_000, WARNING),
    ],
)
def test_disk_space(name: str, free_bytes: int, status: str, tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    finding = doctor.space_finding(name, folder, "cd /path", lambda path: free_bytes)
    assert finding.status == status


def test_a_path_below_a_file_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = doctor.space_finding("current folder", tmp_path / "file" / "x", "cd", lambda path: 0)
    assert finding.status == FAILED
    assert "can't be written" in finding.found


def test_memory_with_the_limit_of_a_container(tmp_path: Path) -> None:
    assert doctor.available_memory_bytes(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   8000000 kB\n")
    assert doctor.available_memory_bytes(tmp_path) == 8_192_000_000
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("3000000000\n")
    (group / "memory.current").write_text("2900000000\n")
    (group / "memory.stat").write_text("anon 1\ninactive_file 400000000\n")
    assert doctor.available_memory_bytes(tmp_path) == 500_000_000
    assert doctor.memory_finding(500_000_000).status == FAILED
    assert doctor.memory_finding(2_000_000_000).status == WARNING


def test_only_failures_end_with_an_error() -> None:
    gap = Finding("adb", MISSING, "not on PATH", "apt-get install adb")
    doctor.require_main_job([gap])
    broken = Finding("keras", FAILED, "not installed", "pip install keras")
    with pytest.raises(EdgebertError, match=r"keras: not installed.*Next: pip install keras"):
        doctor.require_main_job([gap, broken])
