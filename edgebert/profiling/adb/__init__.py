"""The `adb` target: one Android phone, or all attached phones in parallel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling.adb.app import AppSession
from edgebert.profiling.adb.client import Adb, Attached, PhoneFolder, attached_devices
from edgebert.profiling.adb.device import read_phone
from edgebert.profiling.adb.session import Phone, ToolSession, place_tool
from edgebert.profiling.adb.tool import GraphInput, describe_graphs, read_graphs
from edgebert.profiling.device_check import HostOutputs, HostReference
from edgebert.profiling.plan import (
    Configuration,
    ModelFile,
    configurations,
    read_model_files,
)
from edgebert.profiling.session import refuse_bad_settings, sample_texts
from edgebert.profiling.target import Job, Outcome, TextInput, parse_cpu_mask
from edgebert.settings import TargetSettings
from edgebert.system.progress import Progress, silent

READY = "device"
CHECKED_TEXTS = 8
"""Built-in texts that the app answers before it is timed."""
FIXES = {
    "unauthorized": "unlock the phone and allow USB debugging for this computer",
    "authorizing": "unlock the phone and allow USB debugging for this computer",
    "offline": "plug the phone in again, or adb reconnect offline",
    "connecting": "wait a moment and try again",
    "no": "give this user access to the phone (Linux: add it to the group plugdev, udev rules)",
}
ENABLE = (
    "plug a phone in with USB debugging on (Settings > About phone: tap Build number seven times; "
    "then Developer options > USB debugging), or adb connect HOST:PORT"
)


def open_target(address: str, settings: TargetSettings) -> AdbTarget:
    """Opens the target of `--target adb` (all phones) or `--target adb:SERIAL`, without adb calls.

    Raises:
        UsageError: The settings contradict each other, or the core mask is no hex number.
    """
    mask = settings.cpu_mask
    if mask:
        parse_cpu_mask(mask)
    if settings.benchmark_binary and settings.fetch_benchmark_binary:
        raise UsageError(
            "--benchmark-binary and --fetch-benchmark-binary exclude each other. Next: give one."
        )
    if settings.app and (settings.benchmark_binary or settings.fetch_benchmark_binary or mask):
        raise UsageError(
            "--app measures in the demo app, which takes no benchmark binary and no --cpu-mask. "
            "Next: leave out either those or --app."
        )
    return AdbTarget(address, settings)


@dataclass(frozen=True)
class _PreparedJob:
    """The job of every phone, with all inputs that need no phone."""

    job: Job
    files: tuple[ModelFile, ...]
    plan: tuple[Configuration, ...]
    inputs: dict[str, dict[str, tuple[GraphInput, ...]]]
    texts: Mapping[str, tuple[TextInput, ...]]
    built_in: tuple[HostOutputs, ...]
    references: tuple[HostReference, ...]


class AdbTarget:
    """A phone by its serial, or all phones."""

    def __init__(self, serial: str, settings: TargetSettings) -> None:
        self._serial, self._settings = serial, settings

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        """Implements `Target.profile`.

        If one of several phones fails, the measurements of the others get a warning.
        """
        prepared = self._prepare(job)
        phones = self._phones()
        outcomes: list[Outcome] = []
        failures: list[str] = []
        with ThreadPoolExecutor(len(phones)) as pool:
            pending = [
                pool.submit(self._on_phone, adb, name, prepared, progress) for adb, name in phones
            ]
            try:
                for future, (_, name) in zip(pending, phones, strict=True):
                    try:
                        outcomes.append(future.result())
                    except EdgebertError as error:
                        if len(phones) == 1 or isinstance(error, UsageError):
                            raise
                        failures.append(f"{name} gave no result: {error}")
            except BaseException:
                for adb, _ in phones:
                    adb.interrupt()
                raise
        if not outcomes:
            raise EdgebertError("\n".join(failures))
        return Outcome(
            tuple(
                replace(m, warnings=(*m.warnings, *failures))
                for outcome in outcomes
                for m in outcome.measurements
            ),
            tuple(check for outcome in outcomes for check in outcome.checks),
        )

    def _prepare(self, job: Job) -> _PreparedJob:
        """Reads and checks everything that needs no phone."""
        refuse_bad_settings(job.settings, job.texts)
        if job.check is not None and not self._settings.app:
            raise UsageError(
                "--check on adb runs the task in the demo app: benchmark_model returns no "
                "outputs. Next: give --app, too, or leave --check out."
            )
        files = read_model_files(job.models)
        if self._settings.app:
            others = [file.described for file in files if not file.answers]
            if others:
                raise UsageError(
                    "--app expects models of edgebert with a task, which the demo app answers "
                    f"with. Received: {', '.join(others)}. Next: leave --app out for them: "
                    "benchmark_model times the model alone."
                )
            checked = [] if job.check is None else [HostReference(f.path, job.check) for f in files]
            texts = {
                file.name: tuple(sample_texts(file.task) if job.texts is None else job.texts)
                for file in files
            }
            built_in = tuple(
                HostOutputs(file.path, sample_texts(file.task)[:CHECKED_TEXTS]) for file in files
            )
            return _PreparedJob(job, files, (), {}, texts, built_in, tuple(checked))
        graphs = {file.name: read_graphs(file.path) for file in files}
        described: dict[str, Any] = {name: describe_graphs(own) for name, own in graphs.items()}
        plan = configurations(files, described, job.settings)
        inputs = {
            name: {key: graph.inputs for key, graph in own.items()} for name, own in graphs.items()
        }
        return _PreparedJob(job, files, plan, inputs, {}, (), ())

    def _phones(self) -> list[tuple[Adb, str]]:
        """The phones to measure, each with the name of its target."""
        found = attached_devices()
        wanted = [d for d in found if d.serial == self._serial] if self._serial else found
        if not found:
            raise EdgebertError(f"adb expects an attached phone. Received: none. Next: {ENABLE}.")
        if not wanted:
            raise UsageError(
                f"--target adb:{self._serial} expects one of the attached phones: "
                f"{', '.join(d.serial for d in found)}. Next: give one of them, or adb for all."
            )
        not_ready = [d for d in wanted if d.state != READY]
        if not_ready:
            raise EdgebertError(
                f"adb expects phones that are ready. Received: {'; '.join(map(_state, not_ready))}."
                + ("" if len(wanted) == len(not_ready) else " Next: or name one with adb:SERIAL.")
            )
        if self._serial or len(wanted) == 1:
            name = f"adb:{self._serial}" if self._serial else "adb"
            return [(Adb(wanted[0].serial), name)]
        return [
            (Adb(d.serial), f"adb:{name}") for d, name in zip(wanted, _names(wanted), strict=True)
        ]

    def _on_phone(
        self, adb: Adb, target: str, prepared: _PreparedJob, progress: Progress
    ) -> Outcome:
        settings, job = self._settings, prepared.job
        state = read_phone(adb, settings.cpu_mask)
        with PhoneFolder(adb, readable=settings.app) as folder:
            phone = Phone(target, adb, folder, state)
            if settings.app:
                app = AppSession(phone, job.settings, settings.delegate, progress)
                pairs = zip(prepared.files, prepared.built_in, strict=True)
                doubts = {file.name: app.check_answers(file, texts) for file, texts in pairs}
                measured = tuple(
                    replace(m, warnings=(*m.warnings, *doubts[m.name]))
                    for m in app.measure(prepared.files, prepared.texts)
                )
                checks = zip(prepared.files, prepared.references, strict=False)
                return Outcome(measured, tuple(app.check(*pair) for pair in checks))
            tool = place_tool(phone, settings)
            session = ToolSession(phone, tool, job.settings, settings, prepared.inputs, progress)
            return Outcome(tuple(session.measure(prepared.plan)))


def _state(device: Attached) -> str:
    fix = FIXES.get(device.state, "see adb devices")
    return f"{device.serial} is {device.state} ({fix})"


def _names(devices: Sequence[Attached]) -> list[str]:
    """The models of the phones; with the serial if a model is unknown or not unique."""
    alike = Counter(device.model for device in devices)
    return [
        device.model
        if device.model and alike[device.model] == 1
        else f"{device.model} {device.serial}".strip()
        for device in devices
    ]
