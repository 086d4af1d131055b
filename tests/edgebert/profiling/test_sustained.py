"""Sustained runs: points, the selected configuration, and the slowdown warning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebert.profiling.measurement import SustainedPoint
from edgebert.profiling.plan import Configuration, ModelFile
from edgebert.profiling.process import RunnerProcess
from edgebert.profiling.sustained import (
    STRETCHES,
    run_sustained,
    slowdown_warning,
    stretches,
    sustained_configurations,
)
from edgebert.tasks import task_named

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier


def curve(*p50_ms: float) -> list[SustainedPoint]:
    return [SustainedPoint(6.0 * (i + 1), 100, ms, 1.1 * ms) for i, ms in enumerate(p50_ms)]


def test_the_points_of_a_sustained_run(runner_process: RunnerProcess, tiny: TinyClassifier) -> None:
    runner_process.request("load", model=str(tiny.path))
    counts: list[int] = []
    points = run_sustained(
        runner_process, {"signature": "tokens_8"}, 0.2, lambda so_far: counts.append(len(so_far))
    )
    assert counts == list(range(1, len(points) + 1))
    assert 1 <= len(points) <= STRETCHES
    assert points[-1].seconds >= 0.2
    assert [p.seconds for p in points] == sorted(p.seconds for p in points)
    assert all(p.calls >= 1 and 0 < p.p50_ms <= p.p90_ms for p in points)


@pytest.mark.parametrize(
    ("seconds", "count"), [(1.0, 10), (300.0, 10), (600.0, 10), (1800.0, 30), (610.0, 11)]
)
def test_stretches_are_tenths_or_minutes(seconds: float, count: int) -> None:
    assert stretches(seconds) == count


def test_a_page_that_returns_each_call_has_points() -> None:
    class Page:
        def request(self, op: str, **fields: object) -> dict:
            return {"latencies_ms": [1.0, 2.0, 3.0], "wall_ms": 500.0, "cpu_ms": None}

    points = run_sustained(Page(), {}, 1.0, lambda so_far: None)
    assert points == (
        SustainedPoint(0.5, 3, 2.0, pytest.approx(2.8)),
        SustainedPoint(1.0, 3, 2.0, pytest.approx(2.8)),
    )


@pytest.mark.parametrize(
    "points",
    [
        curve(2.0),
        curve(2.0, 2.0, 2.0, 2.0, 2.0, 2.0),
        curve(2.0, 2.01, 2.03, 2.05, 2.06, 2.08),  # 4 %
        curve(2.0, 3.0, 1.9, 3.1, 2.0, 2.4),  # up and down all the time
        curve(2.6, 2.5, 2.2, 2.0, 2.0, 2.0),  # faster
    ],
)
def test_noise_is_no_slowdown(points: list[SustainedPoint]) -> None:
    assert slowdown_warning(points) is None


def test_the_slowdown_warning_has_the_temperature() -> None:
    points = curve(2.0, 2.0, 2.1, 2.3, 2.5, 2.5)
    warning = slowdown_warning(points)
    assert warning is not None
    assert "by 25% in 36 s" in warning and "unknown" in warning and "Next: " in warning
    hot = [
        replace(points[0], temperature_c=45.2, frequency_mhz=2400.0),
        *points[1:-1],
        replace(points[-1], temperature_c=81.0, frequency_mhz=1800.0),
    ]
    assert "(45 to 81 °C, 2400 to 1800 MHz)" in str(slowdown_warning(hot))


def file_of(name: str) -> ModelFile:
    task = task_named("classification")
    return ModelFile(Path(name), name, 1, 1, name, task, has_manifest=True, max_length=64)


def test_the_length_of_the_sustained_run() -> None:
    small, large = file_of("small"), file_of("large")
    plan = [Configuration(f, f"tokens_{n}", n) for n in (16, 32, 64) for f in (small, large)]

    def lengths(requested: tuple[int, ...], typical: dict[str, int]) -> dict[str, int | None]:
        return {c.file.name: c.length for c in sustained_configurations(plan, requested, typical)}

    assert lengths((64, 16), {}) == {"small": 64, "large": 64}
    assert lengths((), {"small": 17, "large": 32}) == {"small": 32, "large": 32}
    assert lengths((), {"small": 900}) == {"small": 64, "large": 16}
    assert lengths((), {}) == {"small": 16, "large": 16}


def test_a_file_without_lengths_keeps_its_configuration() -> None:
    plan = [Configuration(file_of("image"), None, None)]
    assert sustained_configurations(plan, (), {}) == plan
