"""The contract for real: edgebert, the adb client and server, and the app's own BenchmarkRunner.

Behind the server that stands for a phone the Kotlin runner is started for each request, on LiteRT
of this machine.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgebert.cli import cli
from edgebert.errors import EdgebertError
from edgebert.exporting.artifact import export
from edgebert.models.task_model import TaskModel
from edgebert.profiling.adb import app as benchmark_app
from edgebert.profiling.adb import app_inputs
from edgebert.profiling.adb.app import EXTERNAL, PACKAGE
from edgebert.profiling.target import Job, open_target
from edgebert.settings import (
    TASKS,
    DataSettings,
    ExportSettings,
    ProfileSettings,
    TargetSettings,
)
from edgebert.tasks import task_named
from tests.android.conftest import ANDROID, _missing
from tests.edgebert.profiling.test_adb import adb_environment, assert_clean, make_phone
from tests.judges.adb_device_server import PhoneServer

__all__ = ["adb_environment"]

SETTINGS = ProfileSettings(min_runs=4, max_seconds=0.5, warmup_runs=1)
START = """
[ "$1" = force-stop ] && {{ kill "$(cat "$PHONE/app.pid")" 2>/dev/null; exit 0; }}
eval "request=\\${{$#}}"
mkdir -p "$PHONE{results}"
EDGEBERT_LITERT_LIBRARY='{library}' {variables} java -XX:TieredStopAtLevel=1 -cp '{class_path}' \\
    org.edgebert.demo.DesktopBenchmarkKt "$request" "$PHONE{results}" "$PHONE" \\
    >"$PHONE/app.log" 2>&1 </dev/null &
echo $! > "$PHONE/app.pid"
echo "Status: ok"
"""


@pytest.fixture(scope="session")
def app_class_path(desktop_class_path: str) -> str:
    """The app's classes, without Android's: the runner needs none."""
    target = ANDROID / "app" / "target"
    json_jars = sorted((target / "json").glob("json-*.jar"))
    if not json_jars or not (target / "test-classes" / "org").is_dir():
        _missing("the app module is not built: make android")
    parts = [target / "test-classes", target / "classes", json_jars[0]]
    return os.pathsep.join([*map(str, parts), desktop_class_path])


@pytest.fixture
def start_app(
    adb_environment: None,
    app_class_path: str,
    litert_library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str], PhoneServer]]:
    """Gives a phone with the app; what it is given are variables of the app's process."""
    monkeypatch.setattr(benchmark_app, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(benchmark_app, "STARTS", 1)
    with make_phone(tmp_path / "phone") as made:

        def start(variables: str = "") -> PhoneServer:
            script = START.format(
                results=EXTERNAL,
                library=litert_library,
                class_path=app_class_path,
                variables=variables,
            )
            made.add_command("pm", f'[ "$2" = {PACKAGE} ]')
            made.add_command("am", script)
            made.add_command("pidof", 'kill -0 "$(cat "$PHONE/app.pid")" 2>/dev/null && echo 42')
            made.add_command("run-as", "exit 1")
            made.add_command("logcat", 'cat "$PHONE/app.log"')
            made.connect()
            return made

        yield start


@pytest.fixture(scope="module")
def task_file(
    tiny_task_model: Callable[[str], TaskModel], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Gives the tiny `.tflite` of a task, by its name."""

    @functools.cache
    def exported(task: str) -> Path:
        path = tmp_path_factory.mktemp("tasks") / f"{task}.tflite"
        return export(tiny_task_model(task), path, ExportSettings(lengths="16,40")).path

    return exported


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_timed_and_checked(
    start_app: Callable[[str], PhoneServer],
    task_file: Callable[[str], Path],
    tiny_task_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    task: str,
) -> None:
    monkeypatch.setattr(app_inputs, "MASKED_INPUTS_OF_CHECK", 4)
    phone = start_app("")
    data = task_named(task).read(tiny_task_file(task), DataSettings(), "required")
    target = open_target("adb", TargetSettings(app=True))
    outcome = target.profile(Job((task_file(task),), SETTINGS, check=data))
    (measured,), (check,) = outcome.measurements, outcome.checks
    assert measured.latency.runs >= 4
    assert measured.peak_memory_bytes is not None
    assert measured.runtime == "LiteRT desktop"
    assert check.token_ids_equal is True
    assert check.max_score_error < 1e-5
    assert check.passed
    assert_clean(phone)
    assert not list((phone.root / "sdcard").rglob("*.json"))


def test_the_command_line_gives_a_report_with_the_check(
    start_app: Callable[[str], PhoneServer],
    task_file: Callable[[str], Path],
    tiny_task_file: Callable[..., Path],
) -> None:
    start_app("")
    command = ["profile", str(task_file("ner")), "--target", "adb", "--app", "--min-runs", "4"]
    command += ["--max-seconds", "0.5", "--check", str(tiny_task_file("ner"))]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert re.search(r"adb .*Pixel 7 .*ner .*6 rows .*same .*100.0% .*pass", done.output), (
        done.output
    )


def test_an_app_that_refuses_says_why(
    start_app: Callable[[str], PhoneServer], task_file: Callable[[str], Path]
) -> None:
    start_app("EDGEBERT_PHONE_REFUSAL='The screen is off.'")
    target = open_target("adb", TargetSettings(app=True))
    with pytest.raises(EdgebertError, match=r"the app failed. Received: The screen is off."):
        target.profile(Job((task_file("ner"),), replace(SETTINGS, min_runs=1)))
