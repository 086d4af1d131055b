"""Interleaves timed blocks, so that clock drift affects every configuration equally.

A benchmark case is one model in one configuration. Its calls are timed in short blocks, in the
order A B, B A, A B, ..., so that a drift of the clock frequency cancels out. Each case starts in
several fresh processes, since the memory layout of a process changes its speed. The last start
continues until the median is stable or the time limit is reached.
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
    """One model in one configuration: how to start and call it, and the results so far.

    Attributes:
        label: Name in messages and progress.
        start: Starts a fresh process.
        load: Fields of the runner's `load` request.
        call: Fields of the runner's `first_call` and `run` requests that select the call.
        round_calls: Timed calls that the runner makes for each of its `runs`.
        blocks: Latencies in ms, one list for each block.
        seconds: Time spent so far.
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
    _process: Runner | None = None

    @property
    def latency(self) -> Latency:
        """Statistics of all blocks so far."""
        return summarize(self.blocks)

    @property
    def load_ms(self) -> float:
        """Median load time of the starts."""
        return float(median(load["load_ms"] for load in self._loads))

    @property
    def first_call_ms(self) -> float:
        """Median time of the first call of the starts."""
        return float(median(call["first_call_ms"] for call in self._first_calls))

    @property
    def peak_memory_bytes(self) -> int | None:
        """Largest peak of the starts. None if the system does not report it."""
        peaks = [memory["peak_rss"] for memory in self._memories]
        return None if None in peaks else int(max(peaks))

    @property
    def model_memory_bytes(self) -> int | None:
        """Largest growth of resident memory from before the load to the peak."""
        peaks = [memory["peak_rss"] for memory in self._memories]
        before = [load["rss_before"] for load in self._loads]
        if None in (*peaks, *before):
            return None
        return max(int(peak - base) for peak, base in zip(peaks, before, strict=True))

    @property
    def energy_mj(self) -> float | None:
        """Energy of one call, of the whole processor. None if the runner cannot measure it."""
        if any(run.get("energy_mj") is None for run in self._runs):
            return None
        return sum(float(run["energy_mj"]) for run in self._runs) / sum(map(len, self.blocks))

    @property
    def cpu_share(self) -> float | None:
        """CPU time divided by wall time of the timed calls; about 1 for one undisturbed thread.

        None if the runner cannot measure it.
        """
        if any(run["cpu_ms"] is None for run in self._runs):
            return None
        cpu_ms = sum(float(run["cpu_ms"]) for run in self._runs)
        return cpu_ms / sum(float(run["wall_ms"]) for run in self._runs)

    def begin(self, process: Runner, settings: ProfileSettings) -> None:
        """Loads the model in a fresh process, makes the first call and the warm-up calls."""
        self._process, began = process, perf_counter()
        self._loads.append(process.request("load", **self.load))
        self._first_calls.append(process.request("first_call", **self.call))
        limits = {"warmup": settings.warmup_runs, "max_seconds": settings.max_seconds / MIN_BLOCKS}
        process.request("run", **self.call, **limits)
        self.seconds += perf_counter() - began

    def run_block(self, settings: ProfileSettings) -> None:
        """Times one block of calls in the process of the last `begin`."""
        assert self._process is not None, "run_block follows begin"
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
        """Reads the memory of the process, which may end afterwards."""
        assert self._process is not None, "end follows begin"
        self._memories.append(self._process.request("memory"))
        self._process = None

    def done(self, settings: ProfileSettings) -> bool:
        """Whether enough calls were timed and the median is stable."""
        runs = sum(map(len, self.blocks))
        enough = len(self.blocks) >= MIN_BLOCKS and runs >= settings.min_runs
        return enough and self.latency.stable

    def warnings(self, settings: ProfileSettings, threads: int) -> list[str]:
        """Reasons to doubt the figures, each with the next step."""
        latency, share, found = self.latency, self.cpu_share, []
        if threads == 1 and share is not None and share < BUSY_CPU_SHARE:
            found.append(
                f"The process had the processor for only {share:.0%} of the time: other programs "
                "were running. Next: close them and measure again."
            )
        if latency.runs < settings.min_runs:
            found.append(
                f"Only {latency.runs} of {settings.min_runs} calls fitted into "
                f"{settings.max_seconds:g} s. Next: raise --max-seconds."
            )
        if len(self.blocks) < FEWEST_BLOCKS:
            found.append(
                f"{settings.max_seconds:g} s were too short to estimate the uncertainty of the "
                "median. Next: raise --max-seconds."
            )
        elif not latency.stable:
            found.append(unstable_warning(latency, "close other programs, or raise --max-seconds"))
        return found


def unstable_warning(latency: Latency, next_step: str) -> str:
    """The warning for a median whose confidence interval is too wide."""
    return (
        f"The uncertainty of the median of {latency.runs} calls is {latency.uncertainty:.1%} "
        f"(stable: at most {STABLE_HALF_WIDTH:.0%}). Next: {next_step}."
    )


def measure_interleaved(
    cases: Sequence[BenchmarkCase], settings: ProfileSettings, progress: Progress = silent
) -> None:
    """Measures all cases and stores the results in them.

    A case takes part in every round until its time limit, so block i of every case comes from the
    same round. The rounds end when all medians are stable.

    Raises:
        EdgebertError: A process failed. All processes are ended, also after Ctrl-C.
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
    """Reports the number of blocks so far. The total is an estimate until the median is stable."""
    blocks = len(case.blocks)
    facts = {"p50_ms": case.latency.p50_ms} if blocks else {}
    progress(case.label, blocks, max(MIN_BLOCKS, blocks + 1), **facts)


def _order(cases: Sequence[BenchmarkCase], turn: int) -> list[BenchmarkCase]:
    """The given order on even turns, the reverse order on odd turns."""
    return list(cases) if turn % 2 == 0 else list(reversed(cases))
