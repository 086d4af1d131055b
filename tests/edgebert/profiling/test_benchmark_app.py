"""The app: text to answer on the "phone", with a program that implements the app's contract."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebert.data.datasets import Dataset, Example
from edgebert.errors import EdgebertError, UsageError
from edgebert.exporting.artifact import export
from edgebert.models.task_model import TaskModel
from edgebert.profiling.adb import app as benchmark_app
from edgebert.profiling.adb import app_inputs
from edgebert.profiling.adb.app import EXTERNAL, PACKAGE
from edgebert.profiling.adb.app_results import checked_result, parse_result
from edgebert.profiling.cpu import with_package_path
from edgebert.profiling.target import Job, Outcome, open_target
from edgebert.settings import (
    TASKS,
    DataSettings,
    ExportSettings,
    ProfileSettings,
    TargetSettings,
)
from edgebert.tasks import task_named
from tests.edgebert.profiling.test_adb import adb_environment, assert_clean, make_phone
from tests.judges import phone_app
from tests.judges.adb_device_server import PhoneServer

__all__ = ["adb_environment"]

SETTINGS = ProfileSettings(min_runs=8, max_seconds=0.5, warmup_runs=1)
TEXTS = ("wind, rain!", "sunny wind", "rain rain sun.")
DATA = Dataset("weather", tuple(Example(t, "storm") for t in TEXTS), Path("w.tsv"), "0" * 64)

START = """
[ "$1" = force-stop ] && {{ kill "$(cat "$PHONE/app.pid")" 2>/dev/null; exit 0; }}
echo "$*" >> "$PHONE/am.log"
eval "request=\\${{$#}}"
key=$(basename "$request" .json)
mkdir -p "$PHONE{result}"
{python} {app} "$request" "$PHONE{result}/$key.json" >"$PHONE/app.log" 2>&1 </dev/null &
echo $! > "$PHONE/app.pid"
echo "Status: ok"
"""


def install_app(phone: PhoneServer, result: str = EXTERNAL) -> None:
    """Installs a program instead of the app, and Android's commands that start and end it."""
    path = with_package_path({})["PYTHONPATH"]
    python = f"PYTHONPATH='{path}' '{sys.executable}'"
    phone.add_command("pm", f'[ "$2" = {PACKAGE} ]')
    phone.add_command("am", START.format(result=result, python=python, app=phone_app.__file__))
    phone.add_command("pidof", 'kill -0 "$(cat "$PHONE/app.pid")" 2>/dev/null && echo 4242')
    phone.add_command("run-as", f'cd "$PHONE/data/data/{PACKAGE}" && shift && exec "$@"')
    phone.add_command("logcat", "echo F DEBUG: signal 11 SIGSEGV")


@pytest.fixture
def phone(
    adb_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PhoneServer]:
    monkeypatch.setattr(benchmark_app, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(benchmark_app, "STARTS", 2)
    with make_phone(tmp_path / "phone") as made:
        install_app(made)
        made.connect()
        yield made


def run(phone: PhoneServer, model: Path, check: Dataset | None = None, **values: Any) -> Outcome:
    settings = replace(SETTINGS, **values)
    target = open_target("adb", TargetSettings(app=True))
    outcome = target.profile(Job((model,), settings, TEXTS, check))
    assert_clean(phone)
    assert not list((phone.root / "sdcard").rglob("*.json"))
    return outcome


def test_text_to_label_is_timed_for_each_call(phone: PhoneServer, with_text: Path) -> None:
    (measured,) = run(phone, with_text, operations=True).measurements
    assert (measured.kind, measured.texts, measured.length) == ("end_to_end", 3, None)
    latency = measured.latency
    assert latency.runs == 2 * 4 * 3
    assert latency.p99_ms is not None
    assert len(latency.block_medians_ms) == 8
    assert measured.runtime == "LiteRT stand-in"
    assert measured.device.details["app_version"] == "0.1"
    assert any("does not measure --operations" in warning for warning in measured.warnings)
    starts = (phone.root / "am.log").read_text().splitlines()
    assert len(starts) == 1 + 2  # the answers to built-in texts are checked first
    assert f"-S -n {PACKAGE}/.BenchmarkActivity -a {PACKAGE}.action.BENCHMARK" in starts[0]


def test_the_phones_tokenizer_is_compared_with_ours(phone: PhoneServer, with_text: Path) -> None:
    (check,) = run(phone, with_text, DATA).checks
    assert check.token_ids_equal is True
    assert check.passed
    assert (check.rows, check.device, check.target) == (3, "Google Pixel 7", "adb")
    (phone.root / "app_mode").write_text("other-ids")
    (check,) = run(phone, with_text, DATA).checks
    assert check.token_ids_equal is False
    assert not check.passed


@pytest.fixture(scope="module")
def task_file(
    tiny_task_model: Callable[[str], TaskModel], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The tiny `.tflite` file of a task, by its name."""

    @functools.cache
    def exported(task: str) -> Path:
        path = tmp_path_factory.mktemp("tasks") / f"{task}.tflite"
        return export(tiny_task_model(task), path, ExportSettings(lengths="16,40")).path

    return exported


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_timed_and_checked(
    phone: PhoneServer,
    task_file: Callable[[str], Path],
    tiny_task_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    task: str,
) -> None:
    monkeypatch.setattr(app_inputs, "MASKED_INPUTS_OF_CHECK", 2)
    data = task_named(task).read(tiny_task_file(task), DataSettings(), "required")
    target = open_target("adb", TargetSettings(app=True))
    outcome = target.profile(Job((task_file(task),), SETTINGS, check=data))
    (measured,), (check,) = outcome.measurements, outcome.checks
    assert measured.latency.runs >= 8
    assert check.token_ids_equal is True
    assert check.max_score_error < 1e-5
    assert check.passed
    assert_clean(phone)


def test_results_in_the_apps_private_folder_are_read(phone: PhoneServer, with_text: Path) -> None:
    install_app(phone, result=f"/data/data/{PACKAGE}/files/benchmark")
    assert run(phone, with_text).measurements[0].latency.runs == 24
    assert not list((phone.root / "data" / "data").rglob("*.json"))


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("crash", r"ended without a result[\s\S]*SIGSEGV"),
        ("failed", "the app failed. Received: no OpenCL"),
        ("old", r"version 1.*Next: build the app of the same version"),
    ],
)
def test_a_failing_app_is_an_error(
    phone: PhoneServer, with_text: Path, mode: str, words: str
) -> None:
    (phone.root / "app_mode").write_text(mode)
    with pytest.raises(EdgebertError, match=words):
        run(phone, with_text)
    assert_clean(phone)


def test_an_app_with_contradicting_results_is_an_error(phone: PhoneServer, with_text: Path) -> None:
    (phone.root / "app_mode").write_text("other-answer")
    with pytest.raises(EdgebertError, match="contradicts the device's own outputs"):
        run(phone, with_text, DATA)


def test_an_app_with_wrong_outputs_is_not_timed(phone: PhoneServer, with_text: Path) -> None:
    (phone.root / "app_mode").write_text("constant-outputs")
    with pytest.raises(EdgebertError, match="with_text gives wrong answers on adb"):
        run(phone, with_text)
    assert len((phone.root / "am.log").read_text().splitlines()) == 1


def test_a_small_difference_of_the_apps_outputs_is_a_warning(
    phone: PhoneServer, with_text: Path
) -> None:
    (phone.root / "app_mode").write_text("rounded-outputs")
    (measured,) = run(phone, with_text).measurements
    assert any("differ from this machine's by" in warning for warning in measured.warnings)


def test_a_stalled_app_is_an_error(
    phone: PhoneServer, with_text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark_app, "STALLED_SECONDS", 1.0)
    (phone.root / "app_mode").write_text("stall")
    with pytest.raises(EdgebertError, match="reported nothing for 1 s"):
        run(phone, with_text)
    assert_clean(phone)


def test_a_phone_without_the_app_is_an_error_with_the_fix(
    phone: PhoneServer, with_text: Path
) -> None:
    phone.add_command("pm", "exit 1")
    with pytest.raises(UsageError, match=r"expects the demo app org.edgebert.demo.*install it"):
        run(phone, with_text)


def test_an_app_without_the_benchmark_screen_is_an_error(
    phone: PhoneServer, with_text: Path
) -> None:
    phone.add_command("am", "echo 'Error: Activity class {x} does not exist.'; exit 0")
    with pytest.raises(EdgebertError, match="benchmark screen can't be started"):
        run(phone, with_text)


CALL = {"token_ids": [1, 2], "segment_ids": [0, 0], "outputs": {"logits": "AACAPw=="}}
INPUT = {"texts": ["a"]}
REQUEST = {"time": {"inputs": [INPUT]}, "check": [INPUT], "sha256": "f" * 64}
RESULT = {
    "sha256": "f" * 64,
    "app_version": "1",
    "delegate": "cpu",
    "runtime": {"name": "LiteRT", "version": "2"},
    "load_ms": 3,
    "first_call_ms": 2.5,
    "peak_memory_bytes": None,
    "blocks_ms": [[1.0, 2.0]],
    "check": [{"calls": [CALL], "answer": {"label": "x"}}],
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sha256", "0" * 64),
        ("app_version", None),
        ("runtime", "LiteRT"),
        ("load_ms", "3"),
        ("first_call_ms", float("nan")),
        ("peak_memory_bytes", -1),
        ("blocks_ms", [[1.0], []]),
        ("blocks_ms", [[0]]),
        ("blocks_ms", 5),
        ("check", []),
        ("check", [{"calls": [], "answer": {}}]),
        ("check", [{"calls": [CALL], "answer": "x"}]),
        ("check", [{"calls": [{**CALL, "outputs": {}}], "answer": {}}]),
        ("check", [{"calls": [{**CALL, "outputs": {"logits": [0.1]}}], "answer": {}}]),
        ("check", [{"calls": [{**CALL, "token_ids": "1"}], "answer": {}}]),
    ],
)
def test_results_with_missing_parts_are_refused(key: str, value: Any) -> None:
    assert checked_result(RESULT, REQUEST, "m") == RESULT
    with pytest.raises(EdgebertError, match="the app's result must have"):
        checked_result({**RESULT, key: value}, REQUEST, "m")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*RESULT, "format", "version", "id", "state"]), JSON))
def test_any_result_is_accepted_or_refused(parts: dict[str, Any]) -> None:
    text = json.dumps({**RESULT, "format": "edgebert-app-result", "version": 2, "id": "k", **parts})
    try:
        result = parse_result(text, "k", "m")
        checked_result(result, REQUEST, "m")
    except EdgebertError:
        return
    assert result["blocks_ms"]
