"""The `browser` target: the browser of any phone, without an installed app.

A local web server serves a page that runs the models with LiteRT.js. The page implements the
protocol of the benchmark program, so it is measured by the same session as other machines.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files as package_files
from time import monotonic
from typing import Any

from edgebert.errors import EdgebertError, ModelError, UsageError
from edgebert.models.gpu_support import gpu_support_of
from edgebert.profiling.browser.certificate import find_certificate
from edgebert.profiling.browser.device import browser_name, device_name, system_name
from edgebert.profiling.browser.device_run import BrowserJob, DeviceRun
from edgebert.profiling.browser.page_session import PageLostError, PageSession, PageSessions
from edgebert.profiling.browser.server import PageServer, Resource
from edgebert.profiling.cpu import CpuTarget
from edgebert.profiling.device_check import HostReference
from edgebert.profiling.plan import (
    Configuration,
    ModelFile,
    configurations,
    read_model_files,
)
from edgebert.profiling.session import refuse_bad_settings
from edgebert.profiling.target import Job, Outcome
from edgebert.settings import TargetSettings, broken_rules
from edgebert.system.litertjs import LiteRtJs, find_litertjs
from edgebert.system.progress import Progress, silent
from edgebert.system.web_files import LIBRARY, SITE, web_files

TARGET = "browser"
PATIENCE = 1.5
"""Time limit for all lengths of a file together, as a multiple of --max-seconds."""

Announce = Callable[[PageServer, TargetSettings], None]

HALF_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
BLACK_ON_WHITE, PLAIN = "\x1b[38;5;16;48;5;231m", "\x1b[0m"

LOOK_SECONDS = 0.2
FREE = -1


def open_target(address: str, settings: TargetSettings) -> BrowserTarget:
    """Opens the target of `--target browser`.

    Raises:
        UsageError: An address was given, or the settings are invalid.
    """
    problems = broken_rules(
        settings,
        [
            ("phones", settings.phones >= 1, "1 or more"),
            ("wait_seconds", settings.wait_seconds > 0, "more than 0"),
            ("port", 0 <= settings.port <= 65535, "0 to 65535"),
        ],
    )
    if address:
        problems.append(f"--target browser takes no address. Received: browser:{address}")
    if problems:
        raise UsageError("; ".join(problems) + ".")
    return BrowserTarget(settings)


class BrowserTarget:
    """Browsers that open the page of a local web server.

    Args:
        settings: Settings of the target.
        announce: Shows the address of the page to the user.
    """

    def __init__(self, settings: TargetSettings, announce: Announce | None = None) -> None:
        self._settings = settings
        self._announce = announce or announce_in_terminal

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        """Implements `Target.profile`. Waits for `phones` devices, or until `wait_seconds`."""
        refuse_bad_settings(job.settings, job.texts)
        files = read_model_files(job.models)
        signatures = _inspect(files)
        if self._settings.accelerator == "webgpu":
            _refuse_gpu_faults(files)
        plan = configurations(files, {f.name: signatures[f.sha256] for f in files}, job.settings)
        references = [] if job.check is None else [HostReference(f.path, job.check) for f in files]
        litertjs = find_litertjs(self._settings.litertjs)
        texts = sum(f.answers and job.settings.end_to_end for f in files)
        long_runs = len(files) if job.settings.sustained_seconds else 0
        browser_job = BrowserJob(
            job=_for_a_person(job, plan, files),
            settings=self._settings,
            files=files,
            signatures=signatures,
            references=tuple(references),
            version=litertjs.version,
            stages=(len(plan) + texts, long_runs + len(references) + len(files)),
        )
        return _Session(browser_job, litertjs, progress).run(self._announce)


class _Session:
    """Serves the page and collects the results of all devices."""

    def __init__(self, browser_job: BrowserJob, litertjs: LiteRtJs, progress: Progress) -> None:
        self._browser_job, self._litertjs = browser_job, litertjs
        self._settings, self._progress = browser_job.settings, progress
        self._changed = threading.Condition()
        self._names: dict[str, str] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._failures: list[Exception] = []
        self._left: list[str] = []
        self._sessions = PageSessions(self._settings.phones, self._begin)

    def run(self, announce: Announce) -> Outcome:
        """Serves the page until all results have arrived.

        Args:
            announce: Called when the page can be opened.

        Raises:
            ModelError: A browser's runtime rejects a file.
            EdgebertError: No device returned a result.
        """
        settings = self._settings
        server = PageServer(
            _resources(self._browser_job.files, self._litertjs),
            self._sessions,
            self._welcome,
            settings.lan,
            settings.port,
            find_certificate if settings.https else None,
        )
        try:
            with server:
                announce(server, settings)
                self._wait()
        finally:
            self._sessions.close()
        return self._outcome(server.url)

    def _welcome(self, page: PageSession) -> dict[str, Any]:
        """The response to a page that joins: the device's name and the models."""
        return {
            "device": self._names[page.facts.device],
            "accelerator": self._settings.accelerator,
            "models": [
                {
                    "name": file.name,
                    "sha256": file.sha256,
                    "size_bytes": file.size_bytes,
                    "answers": file.answers,
                }
                for file in self._browser_job.files
            ],
        }

    def _begin(self, page: PageSession) -> None:
        """Starts the run of a device that has joined, in its own thread."""
        with self._changed:
            name = device_name(page.facts)
            others = [n for device, n in self._names.items() if device != page.facts.device]
            count = sum(other == name or other.startswith(f"{name} (") for other in others)
            self._names.setdefault(page.facts.device, f"{name} ({count + 1})" if count else name)
            name = self._names[page.facts.device]
        _say(f"{name} joined: {browser_name(page.facts)} on {system_name(page.facts)}")
        target = TARGET if self._settings.phones == 1 else f"{TARGET}:{name}"
        device_run = DeviceRun(page, self._browser_job, name, target)
        threading.Thread(target=self._run, args=(page, device_run, name), daemon=True).start()

    def _run(self, page: PageSession, device_run: DeviceRun, name: str) -> None:
        try:
            outcome = device_run.run(self._report_progress)
        except PageLostError as lost:
            happened = f"{name} left before it was done: {lost}"
            with self._changed:
                self._left.append(happened)
                self._changed.notify_all()
            _say(f"{happened}. Open the address again to go on.")
        except Exception as error:  # raised by `run`, in the main thread
            with self._changed:
                self._failures.append(error)
                self._changed.notify_all()
            page.close(str(error))
        else:
            self._sessions.finish(page)
            with self._changed:
                self._outcomes[name] = outcome
                self._changed.notify_all()
            _say(f"{name} is done: {_medians(outcome)}")

    def _report_progress(self, stage: str, done: int, total: int, **facts: Any) -> None:
        """Reports the progress of one device; the devices' threads call it concurrently."""
        with self._changed:
            self._progress(stage, done, total, **facts)

    def _wait(self) -> None:
        """Waits until all devices are done, or until none was active for `wait_seconds`."""
        quiet_since, changes = monotonic(), 0
        with self._changed:
            while len(self._outcomes) + len(self._failures) < self._settings.phones:
                self._changed.wait(LOOK_SECONDS)
                now = len(self._names) + len(self._outcomes) + len(self._left)
                if self._sessions.busy() or now != changes:
                    quiet_since, changes = monotonic(), now
                if monotonic() - quiet_since > self._settings.wait_seconds:
                    return

    def _outcome(self, url: str) -> Outcome:
        if not self._outcomes:
            raise self._no_result_error(url)
        missing = self._settings.phones - len(self._outcomes)
        outcomes = [self._outcomes[n] for n in self._names.values() if n in self._outcomes]
        measurements = [m for outcome in outcomes for m in outcome.measurements]
        if missing:
            happened = "; ".join([*map(str, self._failures), *self._left]) or "no other joined"
            warning = (
                f"Only {len(self._outcomes)} of {self._settings.phones} devices returned results: "
                f"{happened}. Next: run it again with the other devices."
            )
            measurements = [replace(m, warnings=(*m.warnings, warning)) for m in measurements]
        checks = [check for outcome in outcomes for check in outcome.checks]
        return Outcome(tuple(measurements), tuple(checks))

    def _no_result_error(self, url: str) -> Exception:
        if len(self._failures) == 1:
            return self._failures[0]
        if self._failures:
            return EdgebertError(" ".join(map(str, self._failures)))
        happened = "; ".join(self._left) or "nobody opened the page"
        network = (
            "that the phone is in this machine's network, and that no firewall blocks the port"
            if self._settings.lan
            else "that the page is opened on this machine (with --lan, phones in the network can "
            "open it)"
        )
        return EdgebertError(
            f"No device returned a result in {self._settings.wait_seconds:g} s. Received: "
            f"{happened}. Next: check {network}; keep the page in front and the screen on until "
            f"it is done. The address was {url}"
        )


def _for_a_person(job: Job, plan: Sequence[Configuration], files: Sequence[ModelFile]) -> Job:
    """The job, with a shorter time limit for each configuration of files that have many."""
    counts = Counter(configuration.file.name for configuration in plan)
    for file in files:
        counts[file.name] += file.answers and job.settings.end_to_end
    seconds = job.settings.max_seconds * min(1.0, PATIENCE / max(counts.values()))
    return replace(job, settings=replace(job.settings, max_seconds=seconds))


def _inspect(files: Sequence[ModelFile]) -> dict[str, dict[str, Any]]:
    """The signatures of each file by its SHA-256, read with this machine's runtime.

    Raises:
        ModelError: Files are no complete `.tflite` files, or have dynamic lengths.
    """
    found, problems, free = {}, [], []
    for file in files:
        with CpuTarget().start_runner(file.name) as process:
            loaded = process.exchange("load", model=str(file.path))
        if "error" in loaded:
            problems.append(f"{file.path}: {loaded['error']}")
            continue
        found[file.sha256] = loaded["signatures"]
        shapes = [t["shape"] for s in loaded["signatures"].values() for t in s["inputs"]]
        if any(FREE in shape for shape in shapes):
            free.append(str(file.path))
    if problems:
        raise ModelError(
            f"Expected a complete .tflite file. Received: {'; '.join(problems)}. Next: the file is "
            "probably truncated, or made for a newer runtime; export it again."
        )
    if free:
        raise ModelError(
            "LiteRT.js, the browser's runtime, expects inputs of fixed lengths. Received: "
            f"{', '.join(free)}, with dynamic lengths. "
            "Next: edgebert export FOLDER -o model.tflite --lengths 16,32,64,128"
        )
    return found


def _refuse_gpu_faults(files: Sequence[ModelFile]) -> None:
    """Checks that LiteRT.js compiles the files for a GPU: it ends at some, without an error.

    Raises:
        ModelError: It does not, or gives wrong answers there.
    """
    found = [
        f"{file.name}: {fault} (export with {options})"
        for file in files
        for fault, options in gpu_support_of(file.path).faults.items()
    ]
    if found:
        raise ModelError(
            "--accelerator webgpu expects files that LiteRT.js runs on a GPU. Received: "
            f"{'; '.join(found)}. Next: export for a GPU (docs/on-device.md), or leave "
            "--accelerator out."
        )


def _resources(files: Sequence[ModelFile], litertjs: LiteRtJs) -> dict[str, Resource]:
    """All resources that the page may load, by path."""
    page = package_files("edgebert.profiling.browser") / "page"
    resources = {item.name: Resource(item.read_bytes()) for item in page.iterdir()}
    resources[""] = resources.pop("index.html")
    for folder in (LIBRARY, SITE):
        for item in web_files(folder):
            resources[f"edgebert/{folder}/{item.name}"] = Resource(item)
    for path, file in litertjs.files.items():
        resources[f"litertjs/{path}"] = Resource(file, lasting=True)
    for model in files:
        resources[f"models/{model.sha256}.tflite"] = Resource(model.path, lasting=True)
    return resources


def _qr_code(url: str) -> str:
    """The QR code in half blocks, two rows per line, always black on white."""
    import segno

    rows = list(segno.make(url, error="m").matrix_iter(border=2))
    if len(rows) % 2:
        rows.append(bytes(len(rows)))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join(
        BLACK_ON_WHITE
        + "".join(HALF_BLOCKS[bool(a), bool(b)] for a, b in zip(*pair, strict=True))
        + PLAIN
        for pair in pairs
    )


def _medians(outcome: Outcome) -> str:
    """One line with the medians of a device's first model."""
    return ", ".join(
        f"{m.length or 'text to answer'}{' tokens' if m.length else ''} {m.latency.p50_ms:.3g} ms"
        for m in outcome.measurements
        if m.name == outcome.measurements[0].name
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def announce_in_terminal(server: PageServer, settings: TargetSettings) -> None:
    """Prints the address on stderr, and a QR code if stderr is a terminal."""
    devices = "a browser" if settings.phones == 1 else f"{settings.phones} browsers"
    if sys.stderr.isatty():
        _say(_qr_code(server.url))
    _say(f"Open this address in {devices}: {server.url}")
    if settings.lan:
        _say(f"{server.address} is this machine's address in the network.")
        if not settings.https:
            _say(
                "Over plain http the page has a coarse clock and no threads. Use --https for a "
                "fine clock and threads."
            )
    else:
        _say("Only this machine can open it. With --lan, phones in the network can open it, too.")
    if server.certificate is not None:
        _say(
            "The browser will warn about the certificate, since edgebert signed it itself. "
            f"Its SHA-256 fingerprint is {server.certificate.fingerprint}"
        )
