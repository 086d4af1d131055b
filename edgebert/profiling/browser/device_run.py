"""The run of one device, from joining to its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgebert.errors import EdgebertError, ModelError
from edgebert.profiling.browser.answers import Facts
from edgebert.profiling.browser.device import browser_name, make_device
from edgebert.profiling.browser.page_session import LAST_REQUEST, PageSession
from edgebert.profiling.browser.runner import RUNTIME, CallKey, PageMachine
from edgebert.profiling.device_check import DeviceCheck, HostReference
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.plan import ModelFile
from edgebert.profiling.session import measure
from edgebert.profiling.target import Job, Outcome
from edgebert.profiling.text_rows import check_inputs, read_rows, refuse_contradictions
from edgebert.settings import TargetSettings
from edgebert.system.progress import Progress

CHECK_BATCH_SIZE = 16
MASKED_CHECK_BATCH_SIZE = 2
"""Each mask of a text comes with a number for every token of the vocabulary."""
LOW_BATTERY = 0.2
NO_THREADS_ON_GPU = "WebGPU does not use threads of the CPU. Next: give --threads 1."


@dataclass(frozen=True)
class BrowserJob:
    """The job that every device of a session runs.

    Attributes:
        job: The job, with time limits for an interactive run.
        settings: Settings of the target.
        files: Models of the job.
        signatures: Signatures by the SHA-256 of the file, read with this machine's runtime.
        references: One reference for each file if the job has a check.
        version: Version of LiteRT.js.
        stages: Number of stages for each thread count, and number of stages that run once.
    """

    job: Job
    settings: TargetSettings
    files: tuple[ModelFile, ...]
    signatures: Mapping[str, Mapping[str, Any]]
    references: tuple[HostReference, ...]
    version: str
    stages: tuple[int, int]


class DeviceRun:
    """The run of one device.

    Args:
        page: The page on the device.
        browser_job: The job of the session.
        name: Name of the device, unique in the session.
        target: The `target` of its measurements.
    """

    def __init__(self, page: PageSession, browser_job: BrowserJob, name: str, target: str) -> None:
        self._page, self._browser_job, self._name = page, browser_job, name
        settings, version = browser_job.settings, browser_job.version
        on_gpu = settings.accelerator == "webgpu"
        version = f"{version}, WebGPU" if on_gpu else version
        self._machine = PageMachine(page, name, target, version, browser_job.signatures)
        self._runtime = f"{RUNTIME} {version}"
        requested, possible = browser_job.job.settings.threads, page.facts.threads
        self._threads = requested if possible and not on_gpu else (1,)
        self._stages: set[str] = set()

    def run(self, progress: Progress) -> Outcome:
        """Measures the models, and runs the check if the job has one.

        Raises:
            PageLostError: The page is gone.
            ModelError: The page's runtime rejects a file.
            EdgebertError: The page failed. The message has its own error.
        """
        facts, job = self._page.facts, self._browser_job.job
        if self._browser_job.settings.accelerator == "webgpu" and not facts.webgpu:
            raise EdgebertError(_no_webgpu(facts))

        def report(stage: str, done: int, total: int, **details: Any) -> None:
            self._show(stage, done, total)
            progress(f"{self._name}: {stage}", done, total, **details)

        self._load_all()
        settings = replace(job.settings, threads=self._threads, operations=False, cold_start=False)
        outcome = measure(self._machine, replace(job, settings=settings, check=None), report)
        measurements = tuple(self._with_device_facts(m) for m in outcome.measurements)
        checks = tuple(
            self._check(file, reference, report)
            for file, reference in zip(
                self._browser_job.files, self._browser_job.references, strict=False
            )
        )
        self._page.request(LAST_REQUEST, **_summary(measurements, checks))
        return Outcome(measurements, checks)

    def _load_all(self) -> None:
        """Loads every file once, so that one error reports all files that the page rejects."""
        problems = []
        for file in self._browser_job.files:
            runner = self._machine.start_runner(file.name)
            loaded = runner.exchange("load", model=file.sha256, threads=self._threads[0])
            if "error" in loaded:
                problems.append(f"{file.name}: {loaded['error'].rstrip('.')}")
        if problems:
            raise ModelError(
                f"{self._runtime} in {browser_name(self._page.facts)} rejects files that this "
                f"machine's runtime accepts. Received: {'; '.join(problems)}. Next: export the "
                "model with another --recipe, or measure in another browser."
            )

    def _show(self, stage: str, done: int, total: int) -> None:
        """Sends the overall progress to the page."""
        if done == total:
            self._stages.add(stage)
        repeated, once = self._browser_job.stages
        current = done / total if stage not in self._stages else 0.0
        share = (len(self._stages) + current) / (repeated * len(self._threads) + once)
        doing = stage if stage.startswith("check ") else f"measure {stage}"
        self._page.set_progress(stage=doing.capitalize(), share=min(1.0, share))

    def _check(self, file: ModelFile, reference: HostReference, progress: Progress) -> DeviceCheck:
        """Labelled data through the page's own tokenizer, the model and the page's decoding."""
        runner, stage = self._machine.start_end_to_end(file.name), f"check {file.name}"
        asked = check_inputs(reference)
        runner.request("load", model=file.sha256, threads=self._threads[0], texts=[])
        rows: list[dict[str, Any]] = []
        has_token_ids = reference.task.evaluates_token_ids
        size = MASKED_CHECK_BATCH_SIZE if has_token_ids else CHECK_BATCH_SIZE
        for start in range(0, len(asked), size):
            inputs = [each for each, _ in asked[start : start + size]]
            answered = runner.request("answer", inputs=inputs)["rows"]
            if len(answered) != len(inputs):
                raise EdgebertError(
                    f"The page is expected to answer {len(inputs)} inputs. Received: answers to "
                    f"{len(answered)}. Next: load the page again."
                )
            rows += answered
            progress(stage, len(rows), len(asked))
        run = read_rows(rows, [count for _, count in asked], reference, stage)
        if not has_token_ids:
            refuse_contradictions(rows, run, reference, stage)
        facts = {
            "model": str(file.path),
            "name": file.name,
            "sha256": file.sha256,
            "target": self._machine.target,
            "device": f"{self._name}, {browser_name(self._page.facts)}",
            "runtime": self._runtime,
        }
        return reference.compare(run.outputs, facts, run.token_ids)

    def _with_device_facts(self, m: Measurement) -> Measurement:
        """Adds the facts of the device and the warnings to a measurement."""
        key: CallKey = (m.sha256, m.threads, m.kind, m.signature)
        grouped = self._machine.calls_per_sample.get(key, 1)
        latency = m.latency
        if grouped > 1:  # only the mean of a group of calls is known
            latency = replace(latency, p90_ms=None, p99_ms=None, spread=None)
        build, place = self._machine.loaded[m.sha256, m.threads]
        device = make_device(self._page.facts, self._name, build)
        warnings = (*m.warnings, *self._warnings(grouped, place))
        return replace(m, latency=latency, device=device, warnings=warnings)

    def _warnings(self, grouped: int, place: str) -> list[str]:
        facts, requested, found = self._page.facts, self._browser_job.job.settings, []
        webgpu = self._browser_job.settings.accelerator == "webgpu"
        if self._threads != requested.threads:
            found.append(NO_THREADS_ON_GPU if webgpu else _no_threads(facts))
        if webgpu and place != "webgpu":
            found.append(
                f"WebGPU does not support all operations of the file: it ran in {place}. "
                "Next: see docs/on-device.md for what a GPU takes."
            )
        if requested.operations or requested.cold_start:
            found.append(
                "A browser supports neither operation profiling nor cold starts in fresh "
                "processes. Next: measure those with --target cpu or ssh."
            )
        if grouped > 1:
            finer = "" if facts.isolated else " Next: --https makes the clock finer."
            found.append(
                f"The browser's clock has steps of {facts.clock_ms:g} ms, so up to {grouped} calls "
                f"were timed together: the median is known, p90 and p99 are not.{finer}"
            )
        if not facts.relaxed_simd and not webgpu:
            found.append(
                "This browser's WebAssembly has no relaxed SIMD, so LiteRT.js used its slower "
                "build. Next: update the browser, or measure in another one, too."
            )
        if self._page.was_hidden:
            found.append(
                "The page was in the background during the run, where browsers slow it down. "
                "Next: keep it in front, with the screen on, and measure again."
            )
        if facts.battery is not None and facts.battery <= LOW_BATTERY and not facts.charging:
            found.append(
                f"The battery was at {facts.battery:.0%}, a level at which phones save power. "
                "Next: charge it and measure again."
            )
        return found


def _no_threads(facts: Facts) -> str:
    if not facts.secure:
        return (
            "Browsers give no threads to a page that was loaded over plain http from the network: "
            "one thread was measured. Next: give --https."
        )
    if not facts.relaxed_simd:
        return (
            "LiteRT.js needs relaxed SIMD in WebAssembly for threads: one thread was measured. "
            "Next: update the browser."
        )
    return (
        "The page is not cross-origin isolated, so there are no threads: one was measured. "
        "Next: open it directly, not through a proxy or inside another app."
    )


def _no_webgpu(facts: Facts) -> str:
    hint = "use another browser" if facts.secure else "give --https, which WebGPU requires"
    return (
        f"--accelerator webgpu expects a browser with WebGPU. Received: {browser_name(facts)}, "
        f"without WebGPU. Next: {hint}, or leave --accelerator out."
    )


def _summary(measurements: Sequence[Measurement], checks: Sequence[DeviceCheck]) -> dict[str, Any]:
    """The figures that the page shows; they are equal to those of the table."""
    rows = [
        {
            "name": m.name,
            "model": m.sha256,
            "kind": m.kind,
            "signature": m.signature or "",
            "length": m.length,
            "threads": m.threads,
            **{f: getattr(m.latency, f) for f in ("runs", "p50_ms", "p90_ms", "max_ms", "stable")},
            "load_ms": m.load_ms,
            "first_call_ms": m.first_call_ms,
        }
        for m in measurements
    ]
    fields = (
        *("name", "rows", "label_agreement", "max_score_error"),
        *("token_ids_equal", "passed"),
    )
    return {
        "rows": rows,
        "checks": [{field: getattr(check, field) for field in fields} for check in checks],
        "warnings": list(dict.fromkeys(w for m in measurements for w in m.warnings)),
    }
