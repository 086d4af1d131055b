"""Sustained runs: calls without a pause, to measure how heat changes the latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from edgebert.profiling.measurement import SustainedPoint, summarize
from edgebert.profiling.plan import Configuration
from edgebert.profiling.process import Runner

LONGEST_STRETCH_SECONDS = 60.0
STRETCHES = 10
"""Number of stretches of a short run. A long run has one stretch per minute."""

SMALLEST_SLOWDOWN = 0.05
NOISE_FACTOR = 3.0
"""A slowdown counts if it exceeds this multiple of the difference between successive stretches."""


def run_sustained(
    process: Runner,
    call: Mapping[str, Any],
    seconds: float,
    report: Callable[[Sequence[SustainedPoint]], None],
) -> tuple[SustainedPoint, ...]:
    """Calls a model without a pause.

    Args:
        process: A runner that has loaded the model and made the first call.
        call: The runner's fields that select the call.
        seconds: Minimum duration.
        report: Receives the points so far after each stretch.

    Raises:
        EdgebertError: The process failed.
    """
    stretch = seconds / stretches(seconds)
    limits = {"summary": True, "min_seconds": stretch, "max_seconds": stretch}
    points: list[SustainedPoint] = []
    elapsed = 0.0
    while elapsed < seconds:
        answer = process.request("run", **call, **limits)
        elapsed += answer["wall_ms"] / 1000
        points.append(_point(elapsed, answer))
        report(points)
    return tuple(points)


def _point(seconds: float, answer: Mapping[str, Any]) -> SustainedPoint:
    """The point of a runner's answer. A browser page returns single calls and no sensor values."""
    if "latencies_ms" in answer:
        latency = summarize([answer["latencies_ms"]])
        return SustainedPoint(seconds, latency.runs, latency.p50_ms, latency.p90_ms)
    return SustainedPoint(
        seconds=seconds,
        calls=answer["calls"],
        p50_ms=answer["p50_ms"],
        p90_ms=answer["p90_ms"],
        temperature_c=answer["temperature_c"],
        frequency_mhz=answer["frequency_mhz"],
    )


def stretches(seconds: float) -> int:
    """Number of stretches of a run with the given duration."""
    return max(STRETCHES, math.ceil(seconds / LONGEST_STRETCH_SECONDS))


def slowdown_warning(points: Sequence[SustainedPoint]) -> str | None:
    """The warning for a run whose last third was clearly slower than its beginning."""
    first, last = points[0], points[-1]
    end = median(point.p50_ms for point in points[-max(1, len(points) // 3) :])
    noise = median([abs(b.p50_ms / a.p50_ms - 1) for a, b in pairwise(points)] or [0.0])
    slowdown = end / first.p50_ms - 1
    if slowdown <= max(SMALLEST_SLOWDOWN, NOISE_FACTOR * noise):
        return None
    changes = [
        f"{before:.0f} to {after:.0f} {unit}"
        for before, after, unit in (
            (first.temperature_c, last.temperature_c, "°C"),
            (first.frequency_mhz, last.frequency_mhz, "MHz"),
        )
        if before is not None and after is not None
    ]
    sensors = ", ".join(changes) or "temperature and frequency unknown"
    return (
        f"The model slowed down by {slowdown:.0%} in {last.seconds:.0f} s without a pause: p50 "
        f"{first.p50_ms:.3g} ms at first, {end:.3g} ms at the end ({sensors}). "
        "Next: expect the later figure in long use, or check which other programs were running."
    )


def sustained_configurations(
    plan: Sequence[Configuration], lengths: Sequence[int], typical: Mapping[str, int]
) -> list[Configuration]:
    """Selects the configuration of each file for the sustained run.

    Args:
        plan: All measured configurations, in the order of their lengths.
        lengths: The requested lengths. The first one is selected.
        typical: Typical length of a text in tokens, by the file's name; used without `lengths`.
            The shortest configuration that fits it is selected. A file without an entry gets its
            first configuration.
    """
    by_file: dict[str, list[Configuration]] = {}
    for configuration in plan:
        by_file.setdefault(configuration.file.name, []).append(configuration)
    found = []
    for name, own in by_file.items():
        wanted = lengths[0] if lengths else typical.get(name, 0)
        fitting = (c for c in own if c.length is None or c.length >= wanted)
        found.append(next(fitting, own[-1]))
    return found
