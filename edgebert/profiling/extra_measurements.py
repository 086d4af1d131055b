"""Optional measurements in addition to the latency: operation profiling, cold starts, long runs.

If a machine does not support one of them, the measurement gets a warning and keeps its latency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgebert.errors import EdgebertError
from edgebert.profiling.cold_start import measure_cold_starts
from edgebert.profiling.interleaving import BenchmarkCase
from edgebert.profiling.measurement import Measurement, OperationTime, SustainedPoint
from edgebert.profiling.operations import subgraphs_of, time_operations
from edgebert.profiling.sustained import run_sustained, slowdown_warning, stretches
from edgebert.settings import ProfileSettings
from edgebert.system.progress import Progress

TEXT_ROUNDS, TEXT_SECONDS = 15, 3.0
"""Rounds over all texts to measure the tokenizer's share, and their time limit."""


@dataclass
class ExtraMeasurements:
    """Adds the optional measurements that the settings request.

    Attributes:
        settings: Settings of the profile.
        progress: Receives the progress of each part.
        extension: Path of the runner's extension on the machine. Empty if it is not needed.
    """

    settings: ProfileSettings
    progress: Progress
    extension: str = ""

    def add_to_model(self, case: BenchmarkCase, measured: Measurement) -> Measurement:
        """Adds the operation profile and the cold starts to the measurement of a graph."""
        if self.settings.operations:
            measured = self._tried(
                "Times by operation are unknown", self._operations, case, measured
            )
        if self.settings.cold_start:
            measured = self._tried(
                "Cold starts with a weight cache were not timed", self._cold_start, case, measured
            )
        return measured

    def add_to_text(self, case: BenchmarkCase, measured: Measurement) -> Measurement:
        """Adds the tokenizer's share of the time from text to answer."""
        if not self.settings.operations:
            return measured
        return self._tried(
            "The tokenizer's share is unknown", self._tokenizer_share, case, measured
        )

    def add_sustained(self, case: BenchmarkCase, measured: Measurement) -> Measurement:
        """Adds a sustained run. It heats the machine, so it must be the last measurement."""
        return self._tried("The sustained run failed", self._sustained, case, measured)

    def _tried(
        self,
        failed: str,
        measure: Callable[[BenchmarkCase, Measurement], Measurement],
        case: BenchmarkCase,
        measured: Measurement,
    ) -> Measurement:
        try:
            return measure(case, measured)
        except EdgebertError as error:
            return _warned(measured, [f"{failed}. Received: {error}"])

    def _operations(self, case: BenchmarkCase, measured: Measurement) -> Measurement:
        label = f"{case.label}, operations"
        self.progress(label, 0, 1)
        subgraph = subgraphs_of(Path(measured.model))[measured.signature or ""]
        with case.start() as process:
            process.request("extend", program=self.extension)
            process.request("load", **case.load)
            times, doubts = time_operations(process, case.call, subgraph)
        self.progress(label, 1, 1)
        return _warned(replace(measured, operations=times), doubts)

    def _cold_start(self, case: BenchmarkCase, measured: Measurement) -> Measurement:
        label = f"{case.label}, starts"
        self.progress(label, 0, 1)
        request = {**case.load, **case.call}
        cold, arena_bytes = measure_cold_starts(case.start, request, self.extension)
        self.progress(label, 1, 1, load_ms=cold.load_ms, cached_load_ms=cold.cached_load_ms)
        return replace(
            measured, cold_start=cold, weights_bytes=cold.cache_bytes, arena_bytes=arena_bytes
        )

    def _tokenizer_share(self, case: BenchmarkCase, measured: Measurement) -> Measurement:
        with case.start() as process:
            process.request("load", **case.load)
            answer = process.request("operations", runs=TEXT_ROUNDS, max_seconds=TEXT_SECONDS)
        tokenizer_ms, whole_ms = answer["tokenizer_ms"], answer["whole_ms"]
        times = (
            OperationTime("tokenizer", "TOKENIZE", tokenizer_ms),
            OperationTime("model", "RUN", max(0.0, whole_ms - tokenizer_ms)),
        )
        return replace(measured, operations=times)

    def _sustained(self, case: BenchmarkCase, measured: Measurement) -> Measurement:
        label, seconds = f"{case.label}, sustained", self.settings.sustained_seconds

        def report(points: Sequence[SustainedPoint]) -> None:
            total = max(stretches(seconds), len(points))
            self.progress(label, len(points), total, p50_ms=points[-1].p50_ms)

        with case.start() as process:
            process.request("load", **case.load)
            process.request("first_call", **case.call)
            points = run_sustained(process, case.call, seconds, report)
        slowdown = slowdown_warning(points)
        return _warned(replace(measured, sustained=points), [slowdown] if slowdown else [])


def _warned(measured: Measurement, warnings: Sequence[str]) -> Measurement:
    return replace(measured, warnings=(*measured.warnings, *warnings))
