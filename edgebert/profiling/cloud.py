"""The `cloud` target: phones of Google's device clouds, through Google's LiteRT CLI (`litert`).

There are two clouds. The Developer Device Platform (device ids such as `caiman-35`) runs
`benchmark_model` and returns the phone's log, so its figures are those of the adb target. The AI
Edge Portal (models such as `pixel 7`) returns JSON. edgebert itself uploads nothing: the CLI does,
with the Google Cloud account of its user.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from converters.json_files import InvalidJsonError, parse_json
from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling.adb.output import (
    CallTimes,
    ToolReport,
    last_lines,
    parse_report,
)
from edgebert.profiling.adb.tool import (
    delegate_notes,
    delegation_text,
    describe_graphs,
    latency_notes,
    read_graphs,
    sum_up,
)
from edgebert.profiling.measurement import Device, Measurement
from edgebert.profiling.plan import Configuration, configurations, read_model_files
from edgebert.profiling.session import refuse_bad_settings
from edgebert.profiling.target import Job, Outcome
from edgebert.settings import ProfileSettings, TargetSettings
from edgebert.system.progress import Progress, silent

PROGRAM = "litert"
PROJECT = "LITERT_GCP_PROJECT"
PLATFORM, PORTAL = "ddp", "gcp"
LONGEST_SESSION_SECONDS = 3600.0
NOT_CHECKED = (
    "The answers on the phone were not checked: the clouds return no outputs. Next: check on a "
    "phone of yours with --target adb --app --check FILE."
)
SIGN_IN = "Next: gcloud auth login and gcloud auth application-default login."
LIST_DEVICES = "gcloud beta device-run devices list --project PROJECT"

_DEVICE_ID = re.compile(r"[a-z0-9_]+-[0-9]+")
_JOB = re.compile(r"^Job '([^']*)': (\w+)\s*$", re.MULTILINE)
_SAVED = re.compile(r"^Output files saved to: (.+)$", re.MULTILINE)
_CONSOLE = re.compile(r"https://console\.cloud\.google\.com/\S+")
_COMPLETED = "Benchmark operation completed successfully!"
_SIGNED_OUT = ("gcloud auth", "access token", "no active account", "active account selected")


def open_target(address: str, settings: TargetSettings) -> CloudTarget:
    """Opens the target of `--target cloud:DEVICE[,DEVICE...]`.

    Args:
        address: Device ids (`caiman-35`) or models (`pixel 7`). A prefix `ddp:` or `gcp:` selects
            the cloud; otherwise the form of the names does.
        settings: The delegate: cpu or gpu.

    Raises:
        UsageError: No device was given, or the clouds do not support the delegate.
    """
    kind, colon, rest = address.partition(":")
    named = kind if colon and kind in (PLATFORM, PORTAL) else ""
    devices = [part.strip() for part in (rest if named else address).split(",") if part.strip()]
    if not devices:
        raise UsageError(
            "--target cloud expects a device, such as cloud:caiman-35 (Developer Device Platform; "
            f'{LIST_DEVICES}) or cloud:"pixel 7" (AI Edge Portal). Received: none.'
        )
    if settings.delegate == "nnapi":
        raise UsageError("--target cloud has --delegate cpu and gpu. Received: nnapi.")
    all_ids = all(map(_DEVICE_ID.fullmatch, devices))
    return CloudTarget(named or (PLATFORM if all_ids else PORTAL), devices, settings)


class CloudTarget:
    """Devices of one cloud."""

    def __init__(self, cloud: str, devices: Sequence[str], settings: TargetSettings) -> None:
        self._cloud, self._devices = cloud, tuple(devices)
        self._delegate = settings.delegate

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        """Implements `Target.profile`. Every signature is a separate session, billed by Google."""
        plan = self._prepare(job)
        session, measurements = uuid.uuid4().hex[:12], []
        stage = f"{PROGRAM} benchmark --{self._cloud}"
        for place, configuration in enumerate(plan):
            progress(stage, place, len(plan))
            output = _run(self._command(configuration, job.settings), job.settings.max_seconds)
            reports = self._reports(output)
            measurements += [
                self._measurement(configuration, job.settings, device, reports[device], session)
                for device in self._devices
            ]
        progress(stage, len(plan), len(plan))
        return Outcome(tuple(measurements))

    def _prepare(self, job: Job) -> tuple[Configuration, ...]:
        """The measurement plan, after all checks that need no cloud."""
        settings = job.settings
        refuse_bad_settings(settings, job.texts)
        if job.check is not None:
            raise UsageError(
                "--check is not supported on a device cloud: its tools time generated ids and "
                "return no outputs. Next: leave --check out, or check on a phone (adb with --app)."
            )
        if settings.threads != (1,):
            raise UsageError(
                "--target cloud measures with one thread. Received: --threads "
                f"{','.join(map(str, settings.threads))}. Next: leave --threads out."
            )
        files = read_model_files(job.models)
        described = {f.name: describe_graphs(read_graphs(f.path)) for f in files}
        plan = configurations(files, described, settings)
        if self._cloud == PORTAL and any(len(own) > 1 for own in described.values()):
            raise UsageError(
                "The AI Edge Portal runs only the first signature of a file. Received: a file with "
                "several. Next: export one length (edgebert export --length 32), or give a device "
                f"of the Developer Device Platform ({LIST_DEVICES})."
            )
        if any(configuration.length is None for configuration in plan) or any(
            entry["dynamic"] for own in described.values() for entry in own.values()
        ):
            raise UsageError(
                "--target cloud runs files of fixed lengths: its tools take no shapes. "
                "Next: export with --lengths instead of --dynamic-length."
            )
        _refuse_missing_programs()
        return plan

    def _command(self, configuration: Configuration, settings: ProfileSettings) -> list[str]:
        command = [PROGRAM, "benchmark", str(configuration.file.path), f"--{self._cloud}"]
        command += [f"--{self._delegate}", "--devices", ", ".join(self._devices)]
        if self._cloud == PLATFORM:
            command += [
                f"--num-runs={settings.min_runs}",
                f"--warmup-runs={max(settings.warmup_runs, 1)}",
                f"--max-secs={settings.max_seconds:g}",
            ]
            if configuration.signature is not None:
                command.append(f"--signature-key={configuration.signature}")
        return command

    def _reports(self, output: str) -> dict[str, ToolReport]:
        """The reports by device.

        Raises:
            EdgebertError: A device has no result.
        """
        read = _portal_reports if self._cloud == PORTAL else self._platform_reports
        reports = read(output)
        missing = [device for device in self._devices if device not in reports]
        if missing:
            console = _CONSOLE.search(output)
            raise EdgebertError(
                f"Expected figures for {', '.join(missing)} from the LiteRT CLI. Received: none "
                f"in a known format.{last_lines(output)} Next: see "
                + (console[0] if console else "the Cloud Console")
                + f", and check whether the cloud has such a device ({LIST_DEVICES})."
            )
        return reports

    def _platform_reports(self, output: str) -> dict[str, ToolReport]:
        jobs = list(_JOB.finditer(output))
        reports = {}
        for job, after in zip(jobs, [*jobs[1:], None], strict=True):
            section = output[job.end() : after.start() if after else len(output)]
            device = job[1].removeprefix(f"{self._delegate}-")
            if job[2] == "PASSED":
                reports[device] = parse_report(_log_of(section))
        return reports

    def _measurement(
        self,
        configuration: Configuration,
        settings: ProfileSettings,
        device: str,
        report: ToolReport,
        session: str,
    ) -> Measurement:
        file = configuration.file
        warnings = [
            NOT_CHECKED,
            *delegate_notes(report, self._delegate),
            *latency_notes([report], settings, each_call="a phone of yours (adb with --app)"),
        ]
        requested = {
            "operations": settings.operations,
            "a sustained run": settings.sustained_seconds > 0,
            "cold starts": settings.cold_start,
            "text in, answer out": settings.end_to_end,
        }
        if left_out := [name for name, given in requested.items() if given]:
            warnings.append(
                f"The LiteRT CLI does not measure {', '.join(left_out)}. Next: measure on a phone "
                "(adb), or give --no-end-to-end to suppress this warning."
            )
        details = {"cloud": self._cloud, "delegate": self._delegate}
        if taken := delegation_text(report):
            details["delegated"] = taken
        return Measurement(
            **file.facts,
            target=f"cloud:{device}",
            device=_device(device, details),
            runtime="benchmark_model of LiteRT, run by Google's LiteRT CLI",
            session=session,
            threads=1,
            signature=configuration.signature,
            length=configuration.length,
            kind="model",
            texts=0,
            load_ms=report.init_ms,
            first_call_ms=report.first_call_ms,
            latency=sum_up([report]),
            peak_memory_bytes=report.peak_memory_bytes,
            model_memory_bytes=report.memory_bytes,
            warnings=tuple(warnings),
        )


def _device(name: str, details: Mapping[str, str]) -> Device:
    """The device of an id: `caiman-35` runs Android with API level 35."""
    level = name.rpartition("-")[2] if _DEVICE_ID.fullmatch(name) else ""
    return Device(
        name=name,
        cpu="",
        cores=0,
        architecture="arm64-v8a",
        os=f"Android API {level}" if level else "Android",
        details=details,
    )


def _refuse_missing_programs() -> None:
    if shutil.which(PROGRAM) is None:
        raise UsageError(
            "--target cloud runs Google's LiteRT CLI, the program litert. Received: none on "
            "PATH. Next: pip install litert-cli in a separate environment (it pins its runtime) "
            "and add its bin folder to PATH."
        )
    if shutil.which("gcloud") is None:
        raise UsageError(
            "The LiteRT CLI signs in and uploads through gcloud. Received: none on PATH. Next: "
            f"install Google's Cloud SDK. {SIGN_IN}"
        )
    if not os.environ.get(PROJECT):
        raise UsageError(
            "The LiteRT CLI expects a Google Cloud project for billing. Received: no variable "
            f"{PROJECT}. Next: export {PROJECT}=YOUR-PROJECT."
        )


def _run(command: Sequence[str], max_seconds: float) -> str:
    """The complete output of the CLI. Its exit code is 0 after some failures, so both are checked.

    Raises:
        EdgebertError: The CLI failed, or is not signed in. The message has its last lines.
    """
    limit = LONGEST_SESSION_SECONDS + 2 * max_seconds
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LITERT_VERBOSE": "1"},
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EdgebertError(
            f"The device cloud returned no result in {limit:g} s. Next: see the Cloud Console; the "
            "session may still be running."
        ) from error
    output = done.stdout.decode("utf-8", "replace")
    failed = done.returncode != 0 or re.search(r"^(Error|Failed)\b|^Benchmark failed", output, re.M)
    if failed and any(words in output.lower() for words in _SIGNED_OUT):
        raise EdgebertError(
            f"The LiteRT CLI is not signed in to Google Cloud.{last_lines(output)} {SIGN_IN}"
        )
    if failed:
        raise EdgebertError(
            f"'litert benchmark' failed with exit code {done.returncode}.{last_lines(output)} "
            f"Next: read its message; {LIST_DEVICES} lists the device ids."
        )
    return output


def _log_of(section: str) -> str:
    """The saved log of a job if there is one, otherwise the printed part of it."""
    saved = _SAVED.search(section)
    if saved:
        path = Path(saved[1].strip()) / "logcat.txt"
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")
    return section


def _portal_reports(output: str) -> dict[str, ToolReport]:
    """The reports in the JSON at the end of the Portal's output, in LiteRT's result fields."""
    _, completed, rest = output.partition(_COMPLETED)
    try:
        response = parse_json(rest) if completed else {}
    except InvalidJsonError:
        response = {}
    return dict(_portal_results(response, ""))


def _portal_results(part: Any, device: str) -> Iterator[tuple[str, ToolReport]]:
    """Finds LiteRT's `BenchmarkResult` objects in a JSON value, below the name of their device."""
    if isinstance(part, list):
        for each in part:
            yield from _portal_results(each, device)
    elif isinstance(part, dict):
        own = {_snake(key): value for key, value in part.items()}
        device = str(own.get("device_model") or device)
        report = _portal_report(own)
        if report is not None and device:
            yield device, report
        for each in part.values():
            yield from _portal_results(each, device)


def _portal_report(result: Mapping[str, Any]) -> ToolReport | None:
    metrics, other = (_figures(result.get(f"{kind}_metrics")) for kind in ("latency", "misc"))
    memory = _figures(result.get("memory_metrics"))
    mean_ms, runs = metrics.get("avg_ms"), other.get("num_runs")
    if not mean_ms or not runs or "init_ms" not in metrics:
        return None
    times = CallTimes(
        count=int(runs),
        mean_ms=mean_ms,
        min_ms=metrics.get("min_ms", mean_ms),
        max_ms=metrics.get("max_ms", mean_ms),
        std_ms=metrics.get("stddev_ms"),
        median_ms=metrics.get("median_ms"),
        p95_ms=metrics.get("p95_ms"),
    )
    peak, overall = memory.get("peak_mem_mb"), memory.get("overall_footprint_kb")
    return ToolReport(
        "litert",
        metrics["init_ms"],
        metrics.get("first_inference_ms", mean_ms),
        times,
        memory_bytes=None if overall is None else int(overall * 1024),
        peak_memory_bytes=None if peak is None else int(peak * 1024 * 1024),
    )


def _figures(table: Any) -> dict[str, float]:
    """The numbers of a table by their names in snake case. Integers may be strings."""
    found = {}
    for key, value in table.items() if isinstance(table, dict) else ():
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            continue
        if 0 <= number < 1e12:
            found[_snake(key)] = number
    return found


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), name)
