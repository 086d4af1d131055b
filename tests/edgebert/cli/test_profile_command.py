"""`edgebert profile` with all that is measured beside the latency."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgebert.cli import cli
from edgebert.errors import DataError
from edgebert.profiling import cold_start, operations, target
from edgebert.profiling.target import Job, Outcome
from edgebert.system.progress import Progress
from tests.edgebert.profiling.conftest import build


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["profile", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cold_start, "STARTS", 1)
    monkeypatch.setattr(operations, "SECONDS", 0.05)
    monkeypatch.setenv("COLUMNS", "160")
    return build(tmp_path / "tiny.tflite").path


def test_optional_measurements_are_tables_and_json(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    asked = ("--operations", "--cold-start", "--sustained", "0.2s", "--no-end-to-end")
    code, shown, _ = invoke(model, "--max-seconds", 0.2, *asked, "-o", out)
    assert code == 0, shown
    for part in (
        "Layers of tiny, 16 tokens",
        "EMBEDDING_LOOKUP",
        "load, cached",
        "arenas",
        "first p50",
    ):
        assert part in shown
    short, long = json.loads(out.read_text(encoding="utf-8"))
    for measured in (short, long):
        assert len(measured["operations"]) == 7
        assert measured["cold_start"]["cache_bytes"] > 0
    assert (bool(short["sustained"]), bool(long["sustained"])) == (True, False)


def test_no_optional_tables_without_a_request(model: Path) -> None:
    code, shown, _ = invoke(model, "--max-seconds", 0.1, "--no-end-to-end", "--lengths", 8)
    assert code == 0
    assert "Layers of" not in shown and "cached" not in shown and "first p50" not in shown


@pytest.mark.parametrize("flag", ["--sustained", "--sustained-seconds"])
@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("5m", 300), ("1h", 3600)]
)
def test_durations_have_units(flag: str, text: str, seconds: float) -> None:
    context = cli.make_context("edgebert", ["profile"], resilient_parsing=True)
    command = cli.get_command(context, "profile")
    assert command is not None
    parsed = command.make_context("profile", ["model.tflite", flag, text])
    assert parsed.params["sustained_seconds"] == seconds


@pytest.mark.parametrize("text", ["", "5 m", "m", "-1", "5x", "1e3", "nan"])
def test_invalid_durations_are_refused(text: str) -> None:
    code, _, error = invoke("model.tflite", f"--sustained={text}")
    assert code == 2
    assert "a duration such as 90s or 5m" in error


class OneThatFails:
    def profile(self, job: Job, progress: Progress) -> Outcome:
        raise DataError("the phone was unplugged")


def test_a_failing_target_does_not_affect_the_others(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, out = target.open_target, tmp_path / "m.json"
    monkeypatch.setattr(
        target, "open_target", lambda name, s: OneThatFails() if name == "adb" else real(name, s)
    )
    asked = ("--lengths", "8", "--max-seconds", "0.2", "--no-end-to-end", "-o", out)
    code, shown, said = invoke(model, "--target", "cpu", "--target", "adb", *asked)
    assert code == 1
    assert "8 tokens" in shown and "the phone was unplugged" in said
    assert len(json.loads(out.read_text())) == 1
    code, shown, said = invoke(model, "--target", "adb", "--target", "adb", *asked)
    assert (code, shown, said.count("unplugged")) == (1, "", 2)
