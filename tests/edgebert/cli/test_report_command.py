"""`edgebert report` and `edgebert profile --compare`, as a team's CI calls them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgebert.cli import cli
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.target import Job, Outcome
from edgebert.system.progress import Progress, silent
from tests.edgebert.profiling.conftest import build
from tests.edgebert.profiling.test_comparison import timed
from tests.edgebert.reporting.examples import PHONE, check, measured, scored_row


def call(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli, [str(a) for a in arguments])


def write(path: Path, measurements: Sequence[Measurement]) -> Path:
    path.write_text(json.dumps([m.to_dict() for m in measurements]))
    return path


def test_report_merges_and_writes_three_files(tmp_path: Path) -> None:
    laptop = write(tmp_path / "laptop.json", [measured("int8", 2.0), measured("int8", 4.0, 32)])
    phone = tmp_path / "phone.json"
    there = measured("int8", 6.0, target="adb:x", device=PHONE)
    phone.write_text(json.dumps([there.to_dict(), check("int8").to_dict()]))
    scores = tmp_path / "scores.json"
    score = scored_row("int8", 0.91).scores[0]
    evaluation = {"model": "int8.tflite", "sha256": there.sha256, "truncated_rows": 0}
    scores.write_text(json.dumps([evaluation | vars(score)]))
    result = call("report", laptop, phone, scores, laptop, "-o", tmp_path / "out", "--title", "T")
    assert result.exit_code == 0, result.output
    for text in ("91.0%", "Google Pixel 7 (adb)", "3.00x", "pass"):
        assert text in result.stdout
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["name"] == "T"
    (row,) = content["rows"]
    assert len(row["measurements"]) == 3 and len(content["checks"]) == 1
    assert content["provenance"]["This report"]["command"].startswith(f"edgebert report {laptop}")
    assert (tmp_path / "out" / "report.md").read_text().startswith("# T\n")
    assert "<title>T</title>" in (tmp_path / "out" / "report.html").read_text()
    assert str(tmp_path / "out" / "report.html") in result.stderr


def test_report_reads_its_own_json(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", [measured("int8", 2.0)])
    assert call("report", first, "-o", tmp_path / "out").exit_code == 0
    result = call("report", tmp_path / "out", first, "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["rows"][0]["measurements"]) == 1


def test_one_error_lists_all_bad_files(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("[]")
    result = call("report", bad, tmp_path / "missing.json", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "bad.json: an empty list" in result.stderr and "missing.json: No such" in result.stderr
    assert not (tmp_path / "out").exists()


def test_report_lists_skipped_files(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [measured("int8", 2.0)])
    (tmp_path / "package.json").write_text("{}")
    result = call("report", tmp_path)
    assert result.exit_code == 0
    assert "skipped" in result.stderr and "package.json" in result.stderr


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the target give what is set, one answer a measurement."""

    def put(*answers: Sequence[Measurement]) -> None:
        left = list(answers)

        class Bench:
            def profile(self, job: Job, progress: Progress = silent) -> Outcome:
                return Outcome(tuple(left.pop(0)))

        monkeypatch.setattr("edgebert.profiling.target.open_target", lambda *given: Bench())

    return put


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old.json", [timed("a", 1.0), timed("a", 2.0, 32)])


def test_a_slower_model_fails_the_gate(
    old: Path, bench: Callable[..., None], tmp_path: Path
) -> None:
    slow = [timed("a", 1.5), timed("a", 2.0, 32)]
    bench(slow, slow[:1])
    out = tmp_path / "new.json"
    result = call("profile", "a.tflite", "--compare", old, "--fail-above", "10%", "-o", out)
    assert result.exit_code == 3, result.output
    assert "TOO SLOW" in result.stdout and "within noise" in result.stdout
    assert "a 16 tokens 1.00 to 1.50 ms, 1.50x" in result.stderr
    assert len(json.loads(out.read_text())) == 3, "what was measured is kept, also the second time"


def test_one_slow_measurement_passes_the_gate(old: Path, bench: Callable[..., None]) -> None:
    fast = [timed("a", 1.0), timed("a", 2.0, 32)]
    bench([timed("a", 1.5), fast[1]], fast[:1])
    result = call("profile", "a.tflite", "--compare", old, "--fail-above", "0.1")
    assert result.exit_code == 0, result.output
    assert "not in the second, so not a failure" in result.stderr


def test_noise_is_reported_and_passes(old: Path, bench: Callable[..., None]) -> None:
    bench([timed("a", 1.3, noise=0.6), timed("a", 2.0, 64)])
    result = call("profile", "a.tflite", "--compare", old, "--fail-above", "10%")
    assert result.exit_code == 0, result.output
    assert "within noise, so not a failure: a 16 tokens" in result.stderr
    assert "Not in old.json, so not compared: a 64 tokens" in result.stderr
    assert "In old.json, but not measured now: a 32 tokens" in result.stderr


def test_an_inconclusive_gate_does_not_pass(old: Path, bench: Callable[..., None]) -> None:
    elsewhere = [timed("a", 9.0, device=PHONE)]
    bench(elsewhere)
    result = call("profile", "a.tflite", "--compare", old, "--fail-above", "10%")
    assert result.exit_code == 2, result.output
    assert "another machine" in result.stderr and "cpu is Tensor G2" in result.stderr
    bench(elsewhere)
    result = call("profile", "a.tflite", "--compare", old)
    assert result.exit_code == 0 and "other machine" in result.stdout


def test_the_comparison_is_in_the_json(old: Path, bench: Callable[..., None]) -> None:
    bench([timed("a", 1.0)])
    result = call("profile", "a.tflite", "--compare", old, "--json")
    *_, comparison = json.loads(result.stdout)
    assert comparison["format"] == "edgebert-comparison"
    assert comparison["changes"][0]["verdict"] == "within noise"


@pytest.mark.parametrize("share", ["10", "-5%", "fast", "1.5"])
def test_a_share_is_ten_percent_or_a_tenth(share: str, old: Path) -> None:
    result = call("profile", "a.tflite", "--compare", old, f"--fail-above={share}")
    assert result.exit_code == 2 and "10% or 0.1" in result.stderr


def test_the_baseline_is_read_before_the_measurement(tmp_path: Path) -> None:
    for arguments, told in (
        (["--fail-above", "10%"], "--fail-above expects --compare FILE"),
        (["--compare", tmp_path / "missing.json"], "No such file"),
        (["--compare", write(tmp_path / "empty.json", [])], "an empty list"),
    ):
        result = call("profile", tmp_path / "no.tflite", *arguments)
        assert result.exit_code in (1, 2) and told in result.stderr
    checks = tmp_path / "checks.json"
    checks.write_text(json.dumps([check("a").to_dict()]))
    result = call("profile", tmp_path / "no.tflite", "--compare", checks)
    assert result.exit_code == 1 and "Received: 1 device check" in result.stderr


def test_a_real_profile_is_compared_with_itself(tmp_path: Path) -> None:
    model = build(tmp_path / "tiny.tflite").path
    quick = ("--lengths", "8", "--max-seconds", "0.5", "--no-end-to-end")
    assert call("profile", model, *quick, "-o", tmp_path / "old.json").exit_code == 0
    result = call("profile", model, *quick, "--compare", tmp_path / "old.json")
    assert result.exit_code == 0, result.output
    assert "Compared with old.json" in result.stdout and "8 tokens" in result.stdout


def test_a_comparison_names_the_model(old: Path, bench: Callable[..., None]) -> None:
    bench([replace(timed("b", 1.0), sha256="other")])
    result = call("profile", "b.tflite", "--compare", old)
    assert "b (was a)" in result.stdout
