"""Optional measurements on the cpu target, from settings to results."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebert.errors import UsageError
from edgebert.profiling import cold_start, cpu, litert_requests, operations, runner
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.target import Job, profile
from edgebert.settings import ProfileSettings, TargetSettings

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier
    from tests.edgebert.profiling.loopback_board import LoopbackBoard

TEXTS = ["wind", "rain. sunny rain", "sun . sun . sun . sun . sun . sun . sun . sun"]


@pytest.fixture
def closer(quick: ProfileSettings, monkeypatch: pytest.MonkeyPatch) -> ProfileSettings:
    """All optional measurements, with short times."""
    monkeypatch.setattr(cold_start, "STARTS", 1)
    monkeypatch.setattr(operations, "SECONDS", 0.05)
    return replace(
        quick,
        max_seconds=0.1,
        end_to_end=True,
        operations=True,
        cold_start=True,
        sustained_seconds=0.1,
    )


def test_all_optional_measurements_in_one_job(closer: ProfileSettings, with_text: Path) -> None:
    stages: list[str] = []
    measured = profile(
        [with_text], closer, TEXTS, lambda stage, done, total, **facts: stages.append(stage)
    )
    short, long, text = measured
    for m in (short, long):
        assert {time.layer for time in m.operations} > {"rows", "mean", "logits"}
        assert m.cold_start is not None and m.weights_bytes == m.cold_start.cache_bytes > 0
        assert Measurement.from_dict(m.to_dict()) == m
    assert [(time.layer, time.calls) for time in text.operations] == [
        ("tokenizer", 1),
        ("model", 1),
    ]
    assert text.operations[0].latency_ms > 0
    assert (text.cold_start, text.sustained) == (None, ())
    # the texts have 3, 6 and 16 tokens: their median fits into 8
    assert (short.length, bool(short.sustained), bool(long.sustained)) == (8, True, False)
    label = "with_text, tokens_8, 1 thread"
    parts = ("", ", operations", ", starts", ", sustained")
    assert {label + part for part in parts} <= set(stages)
    assert stages.index(label + ", sustained") > stages.index("with_text, end to end, 1 thread")


def test_nothing_is_measured_without_a_request(
    quick: ProfileSettings, tiny: TinyClassifier
) -> None:
    (measured,) = profile([tiny.path], replace(quick, lengths=(8,)))
    assert (measured.operations, measured.sustained, measured.cold_start) == ((), (), None)
    assert (measured.weights_bytes, measured.arena_bytes) == (None, None)


def test_the_sustained_run_uses_the_first_length_and_thread_count(
    closer: ProfileSettings, tiny: TinyClassifier, other: TinyClassifier
) -> None:
    settings = replace(
        closer,
        operations=False,
        cold_start=False,
        lengths=(16, 8),
        threads=(2, 1),
        end_to_end=False,
    )
    measured = profile([tiny.path, other.path], settings)
    assert [(m.name, m.length, m.threads) for m in measured if m.sustained] == [
        ("tiny", 16, 2),
        ("other", 16, 2),
    ]


def test_an_unsupported_measurement_is_a_warning_and_keeps_the_latency(
    closer: ProfileSettings,
    tiny: TinyClassifier,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    source = Path(litert_requests.__file__).read_text(encoding="utf-8")
    program = tmp_path / "litert_requests.py"
    program.write_text(source.replace("OLDEST = (2, 2)", "OLDEST = (99, 0)"), encoding="utf-8")
    monkeypatch.setattr(litert_requests, "__file__", str(program))
    settings = replace(closer, lengths=(8,), end_to_end=False, sustained_seconds=0.0)
    (measured,) = profile([tiny.path], settings)
    assert measured.latency.runs > 0
    assert (measured.operations, measured.cold_start) == ((), None)
    warnings = " ".join(measured.warnings)
    assert "Times by operation are unknown. Received: " in warnings
    assert "Cold starts with a weight cache were not timed. Received: " in warnings
    assert warnings.count("pip install --upgrade ai-edge-litert") == 2


def test_a_crash_of_the_profiler_keeps_the_latency(
    closer: ProfileSettings,
    tiny: TinyClassifier,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    program = tmp_path / "litert_requests.py"
    program.write_text(
        "import os\ndef requests(runner):\n    return {'operations': lambda *_: os.abort()}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(litert_requests, "__file__", str(program))
    settings = replace(
        closer, lengths=(8,), end_to_end=False, cold_start=False, sustained_seconds=0.0
    )
    (measured,) = profile([tiny.path], settings)
    assert measured.operations == () and measured.latency.runs > 0
    assert any("unknown" in w and "SIGABRT" in w for w in measured.warnings)


def test_optional_measurements_on_a_board(
    closer: ProfileSettings, board: LoopbackBoard, tiny: TinyClassifier
) -> None:
    settings = replace(closer, lengths=(8,), end_to_end=False)
    (measured,) = board.profile(Job((tiny.path,), settings)).measurements
    assert [time.layer for time in measured.operations][-2:] == ["mean", "logits"]
    assert measured.cold_start is not None
    assert measured.weights_bytes == measured.cold_start.cache_bytes > 0
    assert measured.sustained[-1].seconds >= settings.sustained_seconds


def test_a_negative_duration_is_refused(closer: ProfileSettings, tiny: TinyClassifier) -> None:
    with pytest.raises(UsageError, match="sustained_seconds is 0 or more"):
        profile([tiny.path], replace(closer, sustained_seconds=-1.0))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores can't be chosen here")
def test_the_cores_of_the_mask_are_used(closer: ProfileSettings, with_text: Path) -> None:
    mask = f"{1 << runner.allowed_cores()[0]:x}"
    settings = replace(
        closer, lengths=(8,), operations=False, cold_start=False, sustained_seconds=0.0
    )
    measured = profile([with_text], settings, TEXTS, target_settings=TargetSettings(cpu_mask=mask))
    assert [m.kind for m in measured] == ["model", "end_to_end"]
    for m in measured:
        assert (m.device.cores, m.device.details["cpu_mask"]) == (1, mask)


@pytest.mark.parametrize("mask", ["g0", "f 0", "-1", "0", "0x", f"{1 << 4000:x}"])
def test_invalid_masks_are_refused(mask: str) -> None:
    with pytest.raises(UsageError, match="--cpu-mask expects"):
        cpu.open_target("", TargetSettings(cpu_mask=mask))
