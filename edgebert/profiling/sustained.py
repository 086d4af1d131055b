"""A run without a pause: what a device's heat makes of the latency."""

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
"""A short run has so many stretches; a long one has one a minute."""

SMALLEST_SLOWDOWN = 0.05
NOISE_FACTOR = 3.0
"""A slowdown counts when it is over so many times what one stretch differs from the next."""


def run_without_pause(
    process: Runner,
    call: Mapping[str, Any],
    seconds: float,
    tell: Callable[[Sequence[SustainedPoint]], None],
) -> tuple[SustainedPoint, ...]:
    """Calls a model again and again.

    Args:
        process: a runner that has the model loaded and made the first call.
        call: the runner's fields that name the call.
        seconds: how long at least.
        tell: is given the curve so far after each stretch.

    Raises:
        EdgebertError: the process failed.
    """
    stretch = seconds / stretches(seconds)
    limits = {"summary": True, "min_seconds": stretch, "max_seconds": stretch}
    points: list[SustainedPoint] = []
    elapsed = 0.0
    while elapsed < seconds:
        answer = process.request("run", **call, **limits)
        elapsed += answer["wall_ms"] / 1000
        points.append(_point(elapsed, answer))
        tell(points)
    return tuple(points)


def _point(seconds: float, answer: Mapping[str, Any]) -> SustainedPoint:
    """Of a runner's answer; a page in the runner's place gives each call and no sensors."""
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
    """Into how many stretches a run is cut."""
    return max(STRETCHES, math.ceil(seconds / LONGEST_STRETCH_SECONDS))


def slowdown_warning(points: Sequence[SustainedPoint]) -> str | None:
    """What to say where the last third of a run was clearly slower than its beginning."""
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
    told = ", ".join(changes) or "temperature and frequency unknown"
    return (
        f"It slowed down by {slowdown:.0%} in {last.seconds:.0f} s without a pause: p50 "
        f"{first.p50_ms:.3g} ms at first, {end:.3g} ms at the end ({told}). "
        "Next: expect the later figure in long use, or see what else was running."
    )


def chosen(
    plan: Sequence[Configuration], lengths: Sequence[int], typical: Mapping[str, int]
) -> list[Configuration]:
    """Which configuration of each file is run without a pause.

    Args:
        plan: all that are measured, in the order of their lengths.
        lengths: those asked for; the first one is taken.
        typical: without `lengths`, the usual length of a text by the file's name: the shortest
            configuration that it fits in is taken, the first one of files that are not in here.
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
