"""Gives every case its turns, so that a machine's moods fall on all of them alike.

A case is one model in one configuration. Its calls are timed in short blocks: A B, B A, A B...
so that a drift of the clock speed favours nobody. Each case is started afresh several times,
since where memory lands makes one process faster than the next; the last start goes on until the
median is known well enough or the time is up.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from edgebert.profiling.measurement import (
    FEWEST_BLOCKS,
    STABLE_HALF_WIDTH,
    Latency,
    summarize,
)
from edgebert.profiling.process import Runner
from edgebert.settings import ProfileSettings
from edgebert.system.progress import Progress, silent

STARTS = 3
MIN_BLOCKS = 12
BLOCK_SECONDS = 0.1
BLOCK_WARMUP = 2
BUSY_CPU_SHARE = 0.9


@dataclass
class BenchmarkCase:
    """One model in one configuration: how to start it, what to call, and what came of it.

    Attributes:
        label: for messages and progress.
        start: starts a fresh process.
        load: fields of the runner's `load`.
        call: fields of the runner's `first_call` and `run` that name the call.
        round_calls: timed calls that the runner makes for each of its `runs`.
        blocks: latencies in ms, block by block.
        seconds: time spent so far.
    """

    label: str
    start: Callable[[], Runner]
    load: dict[str, Any]
    call: dict[str, Any]
    round_calls: int = 1
    blocks: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0
    _loads: list[dict[str, Any]] = field(default_factory=list)
    _first_calls: list[dict[str, Any]] = field(default_factory=list)
    _runs: list[dict[str, Any]] = field(default_factory=list)
    _memories: list[dict[str, Any]] = field(default_factory=list)

    @property
    def latency(self) -> Latency:
        """All blocks so far, summed up."""
        return summarize(self.blocks)

    @property
    def load_ms(self) -> float:
        """Median of the starts."""
        return float(median(load["load_ms"] for load in self._loads))

    @property
    def first_call_ms(self) -> float:
        """Median of the starts."""
        return float(median(call["first_call_ms"] for call in self._first_calls))

    @property
    def peak_memory_bytes(self) -> int | None:
        """Largest of the starts; None where the system doesn't tell."""
        peaks = [memory["peak_rss"] for memory in self._memories]
        return None if None in peaks else int(max(peaks))

    @property
    def model_memory_bytes(self) -> int | None:
        """The largest growth from before the model was loaded to the peak."""
        peaks = [memory["peak_rss"] for memory in self._memories]
        before = [load["rss_before"] for load in self._loads]
        if None in (*peaks, *before):
            return None
        return max(int(peak - base) for peak, base in zip(peaks, before, strict=True))

    @property
    def energy_mj(self) -> float | None:
        """Energy of one call, of the whole processor; None where the runner can't tell."""
        if any(run.get("energy_mj") is None for run in self._runs):
            return None
        return sum(float(run["energy_mj"]) for run in self._runs) / sum(map(len, self.blocks))

    @property
    def cpu_share(self) -> float | None:
        """CPU time over wall time while calls were timed; one thread alone has about 1.

        None where the runner can't tell.
        """
        if any(run["cpu_ms"] is None for run in self._runs):
            return None
        cpu_ms = sum(float(run["cpu_ms"]) for run in self._runs)
        return cpu_ms / sum(float(run["wall_ms"]) for run in self._runs)

    def begin(self, process: Runner, settings: ProfileSettings) -> None:
        """Loads the model in a fresh process, makes the first call, and warms up."""
        self._process, began = process, perf_counter()
        self._loads.append(process.request("load", **self.load))
        self._first_calls.append(process.request("first_call", **self.call))
        limits = {"warmup": settings.warmup_runs, "max_seconds": settings.max_seconds / MIN_BLOCKS}
        process.request("run", **self.call, **limits)
        self.seconds += perf_counter() - began

    def run_block(self, settings: ProfileSettings) -> None:
        """Times one block of calls."""
        began = perf_counter()
        share = settings.max_seconds / MIN_BLOCKS
        response = self._process.request(
            "run",
            **self.call,
            warmup=BLOCK_WARMUP,
            runs=math.ceil(settings.min_runs / MIN_BLOCKS / self.round_calls),
            min_seconds=min(BLOCK_SECONDS, share),
            max_seconds=share,
        )
        self.blocks.append(response.pop("latencies_ms"))
        self._runs.append(response)
        self.seconds += perf_counter() - began

    def end(self) -> None:
        """Asks for the memory; the process may go."""
        self._memories.append(self._process.request("memory"))

    def done(self, settings: ProfileSettings) -> bool:
        """Whether the median is known well enough."""
        runs = sum(map(len, self.blocks))
        enough = len(self.blocks) >= MIN_BLOCKS and runs >= settings.min_runs
        return enough and self.latency.stable

    def warnings(self, settings: ProfileSettings, threads: int) -> list[str]:
        """What makes its figures doubtful, each with what to do."""
        latency, share, found = self.latency, self.cpu_share, []
        if threads == 1 and share is not None and share < BUSY_CPU_SHARE:
            found.append(
                f"It had the processor for only {share:.0%} of the time: other programs "
                "were running. Next: close them and measure again."
            )
        if latency.runs < settings.min_runs:
            found.append(
                f"Only {latency.runs} of {settings.min_runs} calls fitted into "
                f"{settings.max_seconds:g} s. Next: raise --max-seconds."
            )
        if len(self.blocks) < FEWEST_BLOCKS:
            found.append(
                f"{settings.max_seconds:g} s were too short to tell how sure the median is. "
                "Next: raise --max-seconds."
            )
        elif not latency.stable:
            found.append(
                f"The median of {latency.runs} calls is known to within "
                f"{latency.uncertainty:.1%} only ({STABLE_HALF_WIDTH:.0%} is stable). "
                "Next: close other programs, or raise --max-seconds."
            )
        return found


def measure_interleaved(
    cases: Sequence[BenchmarkCase], settings: ProfileSettings, progress: Progress = silent
) -> None:
    """Fills every case's figures.

    Contenders take part in every round until their time is up, so block i of each was made in the
    same round. Rounds end when all medians are known well enough.

    Raises:
        EdgebertError: a process failed. All processes are ended, also on Ctrl-C.
    """
    turn = 0
    for start in range(STARTS):
        running = [c for c in cases if c.seconds < settings.max_seconds]
        with ExitStack() as stack:
            for case in _order(running, start):
                _tell(progress, case)
                case.begin(stack.enter_context(case.start()), settings)
            planned = range(math.ceil(MIN_BLOCKS / STARTS))
            for block in planned if start < STARTS - 1 else itertools.count():
                able = [c for c in running if c.seconds < settings.max_seconds or not c.blocks]
                if not able or (block not in planned and all(c.done(settings) for c in able)):
                    break
                for case in _order(able, turn):
                    case.run_block(settings)
                    _tell(progress, case)
                turn += 1
            for case in running:
                case.end()
    for case in cases:
        blocks = len(case.blocks)
        progress(case.label, blocks, blocks, p50_ms=case.latency.p50_ms)


def _tell(progress: Progress, case: BenchmarkCase) -> None:
    """Blocks made so far; how many it takes is not known before the median is."""
    blocks = len(case.blocks)
    facts = {"p50_ms": case.latency.p50_ms} if blocks else {}
    progress(case.label, blocks, max(MIN_BLOCKS, blocks + 1), **facts)


def _order(cases: Sequence[BenchmarkCase], turn: int) -> list[BenchmarkCase]:
    """The given order on even turns, the reverse on odd ones."""
    return list(cases) if turn % 2 == 0 else list(reversed(cases))
