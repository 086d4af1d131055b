"""A job on one phone with `benchmark_model`: several starts of each file, interleaved."""

from __future__ import annotations

import re
import shlex
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from statistics import median
from time import monotonic

from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling.adb.binary import fetch_tool, refuse_other_abi, sha256_of
from edgebert.profiling.adb.client import Adb, PhoneFolder
from edgebert.profiling.adb.device import PhoneState, Thermal, heat_notes, read_thermal
from edgebert.profiling.adb.output import (
    ToolReport,
    last_lines,
    parse_report,
    unconsumed_flags,
)
from edgebert.profiling.adb.tool import (
    NO_FLAGS,
    OPERATIONS,
    PEAK_MEMORY,
    ROUNDS,
    WEIGHT_CACHE,
    GraphInput,
    Limits,
    ToolRun,
    delegate_notes,
    delegation_text,
    latency_notes,
    sum_up,
)
from edgebert.profiling.measurement import ColdStart, Measurement, SustainedPoint
from edgebert.profiling.plan import Configuration
from edgebert.settings import ProfileSettings, TargetSettings
from edgebert.system.progress import Progress

PHONE_TOOL = "/data/local/tmp/benchmark_model"
START_SECONDS = 120.0
LONGEST_STRETCH_SECONDS, STRETCHES = 60.0, 10
CANNOT_RUN = (126, 127)
KILLED = 137


@dataclass(frozen=True)
class Phone:
    """A phone that runs a job.

    Attributes:
        target: The `target` of the measurements.
        adb: The adb client of the phone.
        folder: The job's folder on the phone.
        state: Facts and warnings about the phone.
    """

    target: str
    adb: Adb
    folder: PhoneFolder
    state: PhoneState


@dataclass(frozen=True)
class Tool:
    """The tool: its path on the phone and the SHA-256 of the file."""

    path: str
    sha256: str


def place_tool(phone: Phone, settings: TargetSettings) -> Tool:
    """Finds the tool on the phone, or copies it there.

    Raises:
        UsageError: The tool is missing, or made for another processor.
        EdgebertError: The tool cannot be downloaded or copied.
    """
    given, adb = settings.benchmark_binary, phone.adb
    if given and not given.startswith("/data"):
        local = Path(given)
        refuse_other_abi(local, phone.state.abi)
    elif settings.fetch_benchmark_binary and not given:
        local = fetch_tool(phone.state.abi)
    else:
        path = given or PHONE_TOOL
        code, output = adb.shell(f"test -x {shlex.quote(path)} && sha256sum {shlex.quote(path)}")
        if code:
            raise UsageError(
                f"{phone.target}: benchmark_model was expected at {path} on the phone, as an "
                "executable file. Next: give --benchmark-binary PATH of a local file, or "
                "--fetch-benchmark-binary to download LiteRT's."
            )
        return Tool(path, output.split()[0])
    sha256 = sha256_of(local)
    return Tool(phone.folder.place(local, sha256, mode="755"), sha256)


class ToolSession:
    """Measurements on one phone.

    Args:
        phone: The phone.
        tool: The tool on the phone.
        settings: How latency is measured.
        target_settings: Delegate and core mask.
        inputs: Inputs of the graphs, by file name and signature.
        progress: Receives the progress after every start.
    """

    def __init__(
        self,
        phone: Phone,
        tool: Tool,
        settings: ProfileSettings,
        target_settings: TargetSettings,
        inputs: Mapping[str, Mapping[str, tuple[GraphInput, ...]]],
        progress: Progress,
    ) -> None:
        self._phone, self._tool, self._settings = phone, tool, settings
        self._delegate, self._mask = target_settings.delegate, target_settings.cpu_mask
        self._inputs, self._progress = inputs, progress
        self._id = uuid.uuid4().hex[:12]

    def measure(self, plan: Sequence[Configuration]) -> list[Measurement]:
        """Measures the files interleaved, for each thread count and length.

        Raises:
            EdgebertError: The tool failed, or the phone is gone.
        """
        measurements: list[Measurement] = []
        for threads in self._settings.threads:
            for _, group in groupby(plan, key=lambda configuration: configuration.length):
                measurements += self._interleaved(list(group), threads)
        return measurements

    def _interleaved(self, plan: Sequence[Configuration], threads: int) -> list[Measurement]:
        runs = [self._run_of(configuration, threads) for configuration in plan]
        labels = [f"{self._phone.target}: {c.label(threads)}" for c in plan]
        reports: list[list[ToolReport]] = [[] for _ in plan]
        heat = [read_thermal(self._phone.adb)]
        limits = Limits.of_round(self._settings)
        for turn in range(ROUNDS):
            order = range(len(plan)) if turn % 2 == 0 else reversed(range(len(plan)))
            for place in order:
                reports[place].append(self._start(runs[place], limits))
                p50_ms = sum_up(reports[place]).p50_ms
                self._progress(labels[place], turn + 1, ROUNDS, p50_ms=p50_ms)
            heat.append(read_thermal(self._phone.adb))
        return [
            self._measurement(c, run, own, heat)
            for c, run, own in zip(plan, runs, reports, strict=True)
        ]

    def _run_of(self, configuration: Configuration, threads: int) -> ToolRun:
        file, key = configuration.file, configuration.signature
        graphs = self._inputs[file.name]
        return ToolRun(
            graph=self._phone.folder.place(file.path, file.sha256),
            signature=key,
            first=key is None or key == next(iter(graphs)),
            inputs=graphs[key or ""],
            length=configuration.length,
            threads=threads,
            delegate=self._delegate,
        )

    def _start(
        self, run: ToolRun, limits: Limits, further: Mapping[str, str] = NO_FLAGS
    ) -> ToolReport:
        """Starts the tool once and returns its report."""
        command = [self._tool.path, *run.flags(limits, further)]
        if self._mask:
            command = ["taskset", self._mask.lower().removeprefix("0x"), *command]
        adb = self._phone.adb
        code, output = adb.shell(shlex.join(command), START_SECONDS + 3 * limits.seconds)
        run.refuse_unconsumed(unconsumed_flags(output))
        if code:
            raise EdgebertError(self._failed(run, code, output))
        return parse_report(output)

    def _failed(self, run: ToolRun, code: int, output: str) -> str:
        what = f"{self._phone.target}: benchmark_model with {run.graph.rpartition('/')[2]}"
        abi = self._phone.state.abi
        if code in CANNOT_RUN:
            return (
                f"{what} can't be run: it is probably made for another processor than {abi}."
                f"{last_lines(output)} Next: give --benchmark-binary PATH of one for {abi}, or "
                "--fetch-benchmark-binary."
            )
        if code == KILLED:
            return (
                f"{what} was killed by the phone, most likely because of low memory."
                f"{last_lines(output)} Next: close apps, or measure a smaller file."
            )
        return (
            f"{what} failed with exit code {code}.{last_lines(output)} Next: read its message; an "
            "unknown operation needs a newer tool (--fetch-benchmark-binary)."
        )

    def _measurement(
        self,
        configuration: Configuration,
        run: ToolRun,
        reports: Sequence[ToolReport],
        heat: Sequence[Thermal],
    ) -> Measurement:
        settings, phone, file = self._settings, self._phone, configuration.file
        further = PEAK_MEMORY | (OPERATIONS if settings.operations else {})
        detailed = self._start(run, Limits.of_round(settings), further)
        latency = sum_up(reports)
        warnings = [
            NOT_CHECKED,
            *phone.state.warnings,
            *heat_notes(heat, latency.block_medians_ms),
            *delegate_notes(reports[-1], self._delegate),
            *latency_notes(reports, settings),
        ]
        cold_start = None
        if settings.cold_start:
            cold_start, missing = self._cold_start(run, reports)
            warnings += missing
        if settings.operations and not detailed.operations:
            warnings.append(
                "This benchmark_model prints no times of operations. Next: use a tool that was "
                "built with profiling (--fetch-benchmark-binary)."
            )
        if settings.end_to_end:
            warnings.append(
                f"Text in, answer out is not timed on {phone.target} by benchmark_model. "
                "Next: give --app, or --no-end-to-end to suppress this warning."
            )
        memory = [r.memory_bytes for r in reports if r.memory_bytes is not None]
        details = {
            "thermal_before": str(heat[0]),
            "thermal_after": str(heat[-1]),
            "benchmark_model_sha256": self._tool.sha256,
            "delegate": self._delegate,
            "delegated": delegation_text(reports[-1]),
        }
        device = phone.state.device
        known = {name: value for name, value in details.items() if value}
        return Measurement(
            **file.facts,
            target=phone.target,
            device=replace(device, details={**device.details, **known}),
            runtime=f"benchmark_model of {_MAKERS[reports[-1].tool]} {self._tool.sha256[:8]}",
            session=self._id,
            threads=run.threads,
            signature=configuration.signature,
            length=configuration.length,
            kind="model",
            texts=0,
            load_ms=median(report.init_ms for report in reports),
            first_call_ms=median(report.first_call_ms for report in reports),
            latency=latency,
            peak_memory_bytes=detailed.peak_memory_bytes,
            model_memory_bytes=max(memory, default=None),
            warnings=tuple(warnings),
            operations=detailed.operations if settings.operations else (),
            sustained=self._sustained(run, configuration),
            cold_start=cold_start,
        )

    def _sustained(self, run: ToolRun, configuration: Configuration) -> tuple[SustainedPoint, ...]:
        """Successive stretches, each one start of the tool, with the phone's temperature after."""
        seconds = self._settings.sustained_seconds
        if seconds <= 0:
            return ()
        stretch = min(LONGEST_STRETCH_SECONDS, seconds / STRETCHES)
        label = f"{self._phone.target}: {configuration.label(run.threads)}, sustained"
        points: list[SustainedPoint] = []
        began = monotonic()
        while (elapsed := monotonic() - began) < seconds:
            calls = self._start(run, Limits.of_stretch(min(stretch, seconds - elapsed))).steady
            heat = read_thermal(self._phone.adb)
            points.append(
                SustainedPoint(
                    seconds=monotonic() - began,
                    calls=calls.count,
                    p50_ms=calls.mean_ms if calls.median_ms is None else calls.median_ms,
                    p90_ms=None,
                    temperature_c=heat.temperature_c,
                    frequency_mhz=heat.frequency_mhz,
                    thermal_state=heat.state,
                )
            )
            total = max(STRETCHES, len(points))
            self._progress(label, len(points), total, p50_ms=points[-1].p50_ms)
        return tuple(points)

    def _cold_start(
        self, run: ToolRun, reports: Sequence[ToolReport]
    ) -> tuple[ColdStart | None, list[str]]:
        """Starts with XNNPACK's weight cache on disk, compared with the measured starts."""
        cache = f"{self._phone.folder.path}/weights-{uuid.uuid4().hex[:8]}"
        first = self._start(run, Limits.of_start(), {WEIGHT_CACHE: cache})
        quoted = shlex.quote(cache)
        _, size = self._phone.adb.shell(f"test -s {quoted} && wc -c < {quoted}")
        if WEIGHT_CACHE in first.unconsumed or not re.fullmatch(r"\s*\d+\s*", size):
            return None, [
                "This benchmark_model writes no weight cache, so starts with a cache are not "
                "timed. Next: use a newer tool (--fetch-benchmark-binary), or leave --cold-start "
                "out."
            ]
        cached = [self._start(run, Limits.of_start(), {WEIGHT_CACHE: cache}) for _ in range(3)]
        self._phone.adb.shell(f"rm -f {quoted}")
        cold = ColdStart(
            load_ms=median(report.init_ms for report in reports),
            first_call_ms=median(report.first_call_ms for report in reports),
            cached_load_ms=median(report.init_ms for report in cached),
            cached_first_call_ms=median(report.first_call_ms for report in cached),
            cache_bytes=int(size),
        )
        return cold, []


NOT_CHECKED = (
    "The answers on the phone were not checked: benchmark_model returns no outputs. Next: give "
    "--app and --check FILE, which compare them with this machine's."
)
_MAKERS = {"tensorflow": "TensorFlow", "litert": "LiteRT"}
