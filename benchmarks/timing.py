"""Times several calls in turn, so that a machine that slows down slows all sides."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Median latency of one side and its median ratio to the first side, pass by pass."""

    name: str
    median_ms: float
    ratio_of_ours: float


def in_turn(
    sides: dict[str, Callable[[int], object]], items: int, passes: int, warmup: int = 1
) -> list[Timing]:
    """Each pass runs every side over all items; the order of the sides turns from pass to pass.

    Returns:
        per side the median over passes of the mean milliseconds an item, and the median over
        passes of (first side / this side), both from the same pass.
    """
    names = list(sides)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.disable()
    try:
        for number in range(-warmup, passes):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                call = sides[name]
                start = time.perf_counter()
                for item in range(items):
                    call(item)
                elapsed = time.perf_counter() - start
                if number >= 0:
                    seconds[name].append(elapsed / items)
    finally:
        gc.enable()
    ours = seconds[names[0]]
    return [
        Timing(
            name,
            1e3 * statistics.median(seconds[name]),
            statistics.median(a / b for a, b in zip(ours, seconds[name], strict=True)),
        )
        for name in names
    ]


def print_timings(title: str, timings: Sequence[Timing]) -> None:
    """A table on stdout: milliseconds, and our time as a share of each side's."""
    print(f"\n{title}")
    for timing in timings:
        share = "" if timing is timings[0] else f"   ours takes {timing.ratio_of_ours:.2f} of it"
        print(f"  {timing.name:34s} {timing.median_ms:8.3f} ms{share}")
