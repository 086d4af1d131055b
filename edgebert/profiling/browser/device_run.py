"""One device's run, from its joining to its results."""

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
from edgebert.settings import TargetSettings
from edgebert.system.progress import Progress

CHECKED_AT_ONCE = 16
LOW_BATTERY = 0.2
NO_THREADS_ON_GPU = (
    "Threads are the processor's, and WebGPU has none of them. Next: give --threads 1."
)


@dataclass(frozen=True)
class BrowserJob:
    """What every device of a session is asked for.

    Attributes:
        job: with the settings that suit a person who waits.
        settings: of the target.
        files: the job's models.
        signatures: by file hash, as this machine's runtime sees them.
        references: one a file where the job has a check.
        version: of LiteRT.js.
        stages: how many there are for each thread count, and once.
    """

    job: Job
    settings: TargetSettings
    files: tuple[ModelFile, ...]
    signatures: Mapping[str, Mapping[str, Any]]
    references: tuple[HostReference, ...]
    version: str
    stages: tuple[int, int]


class DeviceRun:
    """A device's run.

    Args:
        page: its page.
        browser_job: The job of the session.
        name: of the device, unlike all others of the session.
        target: the measurements' `target`.
    """

    def __init__(self, page: PageSession, browser_job: BrowserJob, name: str, target: str) -> None:
        self._page, self._browser_job, self._name = page, browser_job, name
        settings, version = browser_job.settings, browser_job.version
        version = f"{version}, WebGPU" if settings.webgpu else version
        self._machine = PageMachine(page, name, target, version, browser_job.signatures)
        self._runtime = f"{RUNTIME} {version}"
        requested, possible = browser_job.job.settings.threads, page.facts.threads
        self._threads = requested if possible and not settings.webgpu else (1,)
        self._stages: set[str] = set()

    def run(self, progress: Progress) -> Outcome:
        """Measures, and checks where the job says so.

        Raises:
            PageLostError: the page is gone.
            ModelError: its runtime doesn't take a file.
            EdgebertError: the page failed; with its own words.
        """
        facts, job = self._page.facts, self._browser_job.job
        if self._browser_job.settings.webgpu and not facts.webgpu:
            raise EdgebertError(_no_webgpu(facts))

        def told(stage: str, done: int, total: int, **details: Any) -> None:
            self._show(stage, done, total)
            progress(f"{self._name}: {stage}", done, total, **details)

        self._load_all()
        settings = replace(job.settings, threads=self._threads, operations=False, cold_start=False)
        outcome = measure(self._machine, replace(job, settings=settings, check=None), told)
        measurements = tuple(self._finished(m) for m in outcome.measurements)
        checks = tuple(
            self._check(file, reference, told)
            for file, reference in zip(
                self._browser_job.files, self._browser_job.references, strict=False
            )
        )
        self._page.request(LAST_REQUEST, **_summary(measurements, checks))
        return Outcome(measurements, checks)

    def _load_all(self) -> None:
        """Loads every file once, so that what the page's runtime does not take is said at once."""
        problems = []
        for file in self._browser_job.files:
            runner = self._machine.start_runner(file.name)
            loaded = runner.exchange("load", model=file.sha256, threads=self._threads[0])
            if "error" in loaded:
                problems.append(f"{file.name}: {loaded['error'].rstrip('.')}")
        if problems:
            raise ModelError(
                f"{self._runtime} in {browser_name(self._page.facts)} does not take what this "
                f"machine's runtime takes. Received: {'; '.join(problems)}. Next: export the model "
                "by edgebert export with another --recipe, or measure in another browser."
            )

    def _show(self, stage: str, done: int, total: int) -> None:
        """Tells the page how far it is, of everything."""
        if done == total:
            self._stages.add(stage)
        repeated, once = self._browser_job.stages
        current = done / total if stage not in self._stages else 0.0
        share = (len(self._stages) + current) / (repeated * len(self._threads) + once)
        doing = stage if stage.startswith("check ") else f"measure {stage}"
        self._page.tell(stage=doing.capitalize(), share=min(1.0, share))

    def _check(self, file: ModelFile, reference: HostReference, progress: Progress) -> DeviceCheck:
        """Labelled text through the page's own tokenizer and the model."""
        runner, stage = self._machine.start_end_to_end(file.name), f"check {file.name}"
        texts = list(reference.data.texts)
        runner.request("load", model=file.sha256, threads=self._threads[0], texts=texts[:1])
        outputs: list[list[float]] = []
        token_ids: list[list[int]] = []
        for start in range(0, len(texts), CHECKED_AT_ONCE):
            part = texts[start : start + CHECKED_AT_ONCE]
            answer = runner.request("classify", texts=part)
            outputs += answer["outputs"]
            token_ids += answer["token_ids"]
            progress(stage, len(outputs), len(texts))
        _refuse_other_shape(outputs, token_ids, reference)
        facts = {
            "model": str(file.path),
            "name": file.name,
            "sha256": file.sha256,
            "target": self._machine.target,
            "device": f"{self._name}, {browser_name(self._page.facts)}",
            "runtime": self._runtime,
        }
        return reference.compare(outputs, facts, token_ids)

    def _finished(self, m: Measurement) -> Measurement:
        """With all that is known of the device, and what makes the figures doubtful."""
        key: CallKey = (m.sha256, m.threads, m.kind, m.signature)
        grouped = self._machine.calls_per_sample.get(key, 1)
        latency = m.latency
        if grouped > 1:  # of calls that were timed together only the mean is known
            latency = replace(latency, p90_ms=None, p99_ms=None, spread=None)
        build, place = self._machine.loaded[m.sha256, m.threads]
        device = make_device(self._page.facts, self._name, build)
        warnings = (*m.warnings, *self._warnings(grouped, place))
        return replace(m, latency=latency, device=device, warnings=warnings)

    def _warnings(self, grouped: int, place: str) -> list[str]:
        facts, asked, found = self._page.facts, self._browser_job.job.settings, []
        webgpu = self._browser_job.settings.webgpu
        if self._threads != asked.threads:
            found.append(NO_THREADS_ON_GPU if webgpu else _no_threads(facts))
        if webgpu and place != "webgpu":
            found.append(
                f"WebGPU does not take all operations of the file: it ran in {place}. "
                "Next: export it with --recipe float16 or float32 for the graphics processor."
            )
        if asked.operations or asked.cold_start:
            found.append(
                "A browser tells neither times by operation nor of starts in fresh processes. "
                "Next: measure those by --target cpu or ssh."
            )
        if grouped > 1:
            finer = "" if facts.isolated else " Next: --https makes the clock finer."
            found.append(
                f"The browser's clock has steps of {facts.clock_ms:g} ms, so up to {grouped} calls "
                f"were timed together: their median is known, p90 and p99 are not.{finer}"
            )
        if not facts.relaxed_simd and not webgpu:
            found.append(
                "This browser's WebAssembly has no relaxed SIMD, so LiteRT.js ran its slower "
                "build. Next: update the browser, or measure in another one too."
            )
        if self._page.was_hidden:
            found.append(
                "The page was in the background during the run, where browsers slow it down. "
                "Next: keep it in front, with the screen on, and measure again."
            )
        if facts.battery is not None and facts.battery <= LOW_BATTERY and not facts.charging:
            found.append(
                f"The battery was at {facts.battery:.0%}, where phones save power. "
                "Next: charge it and measure again."
            )
        return found


def _refuse_other_shape(
    outputs: Sequence[Sequence[float]], ids: Sequence[object], reference: HostReference
) -> None:
    labels = len(reference.model.labels)
    if len(ids) != len(reference.data) or any(len(row) != labels for row in outputs):
        raise EdgebertError(
            f"The page is expected to give {labels} scores and the token ids of each of "
            f"{len(reference.data)} texts. Received: {len(outputs)} rows of scores and "
            f"{len(ids)} of ids. Next: load the page again."
        )


def _no_threads(facts: Facts) -> str:
    if not facts.secure:
        return (
            "Browsers give no threads to a page that came over plain http through the network: "
            "one thread was measured. Next: --https."
        )
    if not facts.relaxed_simd:
        return (
            "LiteRT.js has threads only where WebAssembly has relaxed SIMD: one thread was "
            "measured. Next: update the browser."
        )
    return (
        "The page is not cross-origin isolated, so there are no threads: one was measured. "
        "Next: open it directly, not through a proxy or inside another app."
    )


def _no_webgpu(facts: Facts) -> str:
    hint = "another browser" if facts.secure else "--https, which browsers want for it"
    return (
        f"--webgpu expects a browser with WebGPU. Received: {browser_name(facts)}, without. "
        f"Next: {hint}; or leave --webgpu out."
    )


def _summary(measurements: Sequence[Measurement], checks: Sequence[DeviceCheck]) -> dict[str, Any]:
    """What the page draws: the very figures that the table has."""
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
