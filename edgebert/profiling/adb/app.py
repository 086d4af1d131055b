"""The demo app's benchmark screen, seen from here: text in, answer out, on the phone itself.

The contract with the app. The app's package is `org.edgebert.demo`; its exported activity
`.BenchmarkActivity` asks for the permission `android.permission.DUMP`, which adb's shell has and
other apps have not. It is started afresh for every request:

    am start -W -S -n org.edgebert.demo/.BenchmarkActivity
        -a org.edgebert.demo.action.BENCHMARK --es request /data/local/tmp/edgebert-.../request.json

The request is JSON, and so is the result. The app reads the request and the model at the paths
given; it looks at the model's SHA-256 before it runs it. It writes its result to
`getExternalFilesDir(null)/benchmark/ID.json`, or where it has no such folder to
`getFilesDir()/benchmark/ID.json`, always whole: under another name first, then renamed. It writes
one at once, then about every second while it works, with "state": "running", and a last one.

    request {"format": "edgebert-app-request", "version": 1, "id",
             "model", "sha256", "threads", "delegate": "cpu" | "gpu" | "nnapi",
             "time": null or {"texts": [...], "warmup_calls", "blocks", "block_calls", "seconds"},
             "check": null or [text, ...]}
    result  {"format": "edgebert-app-result", "version": 1, "id",
             "state": "running" | "done" | "failed", "done", "total", "error": "" or words}
    and where the state is "done"
            {"app_version", "runtime": {"name", "version"}, "delegate", "sha256",
             "load_ms", "first_call_ms", "peak_memory_bytes": bytes or null,
             "blocks_ms": [[ms of a call, ...], ...],
             "check": null or [{"token_ids": [...], "outputs": [...], "label"}, ...]}

"time": after `warmup_calls`, so many blocks of `block_calls` calls, each call one text from text to
label, the texts one after the other and again from the first; no block begins after `seconds`.
"check": each text as often as it comes, in order; `token_ids` without padding, `outputs` as the
file's output tensor holds them. `delegate` in the result is what ran the graph.
"""

from __future__ import annotations

import json
import math
import secrets
import shlex
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from converters.json_files import JsonFormat
from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling.adb.device import Thermal, heat_notes, read_thermal
from edgebert.profiling.adb.output import last_lines
from edgebert.profiling.adb.session import Phone
from edgebert.profiling.device_check import DeviceCheck, HostReference
from edgebert.profiling.measurement import Measurement, summarize
from edgebert.profiling.plan import ModelFile
from edgebert.settings import ProfileSettings
from edgebert.system.progress import Progress

PACKAGE = "org.edgebert.demo"
COMPONENT = f"{PACKAGE}/.BenchmarkActivity"
ACTION = f"{PACKAGE}.action.BENCHMARK"
EXTERNAL = f"/sdcard/Android/data/{PACKAGE}/files/benchmark"
INTERNAL = "files/benchmark"
REQUEST, RESULT, VERSION = "edgebert-app-request", "edgebert-app-result", 1
_RESULT_FORMAT = JsonFormat(
    "a result of the app",
    "build the app of the same version as edgebert",
    EdgebertError,
    RESULT,
    versions=(VERSION,),
)
STARTS, BLOCKS = 3, 4
"""Starts of the app for each file, and blocks of calls in each."""

LARGEST = 1e12
"""Of a time in ms or an output: beyond, it is no figure."""

POLL_SECONDS, STALLED_SECONDS = 0.5, 90.0


class AppSession:
    """Requests to the app on one phone.

    Args:
        phone: where; its folder must be readable for apps.
        settings: how much.
        delegate: cpu, gpu or nnapi.
        progress: told as the app tells.

    Raises:
        UsageError: the app isn't installed.
    """

    def __init__(
        self, phone: Phone, settings: ProfileSettings, delegate: str, progress: Progress
    ) -> None:
        self._phone, self._settings, self._delegate = phone, settings, delegate
        self._progress, self._id = progress, uuid.uuid4().hex[:12]
        code, _ = phone.adb.shell(f"pm path {PACKAGE}")
        if code:
            raise UsageError(
                f"{phone.target}: --app expects the demo app {PACKAGE} on the phone. Received: "
                "none. Next: install it from android_demo/ (./gradlew installRelease), or leave "
                "--app out and measure with benchmark_model."
            )

    def measure(self, files: Sequence[ModelFile], texts: Sequence[str]) -> list[Measurement]:
        """Times text in, answer out: for each thread count, the files in turn.

        Raises:
            EdgebertError: the app failed, or the phone is gone.
        """
        measurements: list[Measurement] = []
        for threads in self._settings.threads:
            results: list[list[dict[str, Any]]] = [[] for _ in files]
            heat = [read_thermal(self._phone.adb)]
            for turn in range(STARTS):
                order = range(len(files)) if turn % 2 == 0 else reversed(range(len(files)))
                for place in order:
                    results[place].append(self._timed(files[place], threads, texts, turn))
                heat.append(read_thermal(self._phone.adb))
            measurements += [
                self._measurement(file, threads, len(texts), own, heat)
                for file, own in zip(files, results, strict=True)
            ]
        return measurements

    def check(self, file: ModelFile, reference: HostReference) -> DeviceCheck:
        """Has the phone's own tokenizer and runtime take labelled text, and compares with here.

        Raises:
            EdgebertError: the app failed, or contradicts itself.
        """
        texts, stage = list(reference.data.texts), f"{self._phone.target}: check {file.name}"
        result = self._ask(file, 1, stage, check=texts)
        rows = result["check"]
        labels = reference.model.labels
        for text, row in zip(texts, rows, strict=True):
            best = labels[max(range(len(labels)), key=row["outputs"].__getitem__)]
            if row["label"] != best:
                raise EdgebertError(
                    f"{stage}: the app's label {row['label']!r} contradicts its own outputs "
                    f"{row['outputs']}, which say {best!r}, for {text!r}. Next: build the app of "
                    "the same version as edgebert."
                )
        facts = {
            "model": str(file.path),
            "name": file.name,
            "sha256": file.sha256,
            "target": self._phone.target,
            "device": self._phone.state.device.name,
            "runtime": _runtime(result),
        }
        return reference.compare(
            [row["outputs"] for row in rows], facts, [row["token_ids"] for row in rows]
        )

    def _timed(
        self, file: ModelFile, threads: int, texts: Sequence[str], turn: int
    ) -> dict[str, Any]:
        settings = self._settings
        counted = f"{threads} thread" if threads == 1 else f"{threads} threads"
        label = f"{self._phone.target}: {file.name}, end to end, {counted}"
        request = {
            "texts": list(texts),
            "warmup_calls": settings.warmup_runs,
            "blocks": BLOCKS,
            "block_calls": max(math.ceil(settings.min_runs / (STARTS * BLOCKS)), len(texts)),
            "seconds": settings.max_seconds / STARTS,
        }
        result = self._ask(file, threads, label, time=request)
        p50_ms = summarize(result["blocks_ms"]).p50_ms
        self._progress(f"{label}, start {turn + 1}", 1, 1, p50_ms=p50_ms)
        return result

    def _measurement(
        self,
        file: ModelFile,
        threads: int,
        texts: int,
        results: Sequence[dict[str, Any]],
        heat: Sequence[Thermal],
    ) -> Measurement:
        blocks = [block for result in results for block in result["blocks_ms"]]
        latency, phone = summarize(blocks), self._phone
        peaks = [result["peak_memory_bytes"] for result in results]
        ran_on = results[-1]["delegate"]
        warnings = [*phone.state.warnings, *heat_notes(heat, latency.block_medians_ms)]
        if ran_on != self._delegate:
            warnings.append(
                f"The app ran the graph on {ran_on}, not on {self._delegate}. Next: give "
                f"--delegate {ran_on}."
            )
        if latency.runs < self._settings.min_runs or not latency.stable:
            warnings.append(
                f"The median of {latency.runs} calls is known to within {latency.uncertainty:.1%} "
                "only. Next: let the phone cool, close its apps, or raise --max-seconds."
            )
        asked = {
            "--operations": self._settings.operations,
            "--sustained-seconds": self._settings.sustained_seconds > 0,
            "--cold-start": self._settings.cold_start,
        }
        if left_out := [flag for flag, given in asked.items() if given]:
            warnings.append(
                f"The app does not measure {', '.join(left_out)}. Next: leave --app out for those."
            )
        device = phone.state.device
        details = {
            "thermal_before": str(heat[0]),
            "thermal_after": str(heat[-1]),
            "app_version": str(results[-1]["app_version"]),
            "delegate": str(ran_on),
        }
        return Measurement(
            **file.facts,
            target=phone.target,
            device=replace(device, details={**device.details, **details}),
            runtime=_runtime(results[-1]),
            session=self._id,
            threads=threads,
            signature=None,
            length=None,
            kind="end_to_end",
            texts=texts,
            load_ms=median(result["load_ms"] for result in results),
            first_call_ms=median(result["first_call_ms"] for result in results),
            latency=latency,
            peak_memory_bytes=None if None in peaks else max(peaks),
            model_memory_bytes=None,
            warnings=tuple(warnings),
        )

    def _ask(
        self,
        file: ModelFile,
        threads: int,
        label: str,
        time: dict[str, Any] | None = None,
        check: list[str] | None = None,
    ) -> dict[str, Any]:
        """One request, from start to its result; what it left on the phone is removed."""
        adb, folder, key = self._phone.adb, self._phone.folder, secrets.token_hex(8)
        request = {
            "format": REQUEST,
            "version": VERSION,
            "id": key,
            "model": folder.place(file.path, file.sha256),
            "sha256": file.sha256,
            "threads": threads,
            "delegate": self._delegate,
            "time": time,
            "check": check,
        }
        remote = f"{folder.path}/{key}.json"
        external, internal = f"{EXTERNAL}/{key}.json", f"{INTERNAL}/{key}.json"
        try:
            with tempfile.TemporaryDirectory() as here:
                local = Path(here) / "request.json"
                local.write_text(json.dumps(request, ensure_ascii=False), encoding="utf-8")
                adb.push(local, remote)
            start = ["am", "start", "-W", "-S", "-n", COMPONENT, "-a", ACTION]
            _, output = adb.shell(f"{shlex.join([*start, '--es', 'request', remote])}")
            if "Error" in output or "Exception" in output:
                raise EdgebertError(
                    f"{label}: the app's benchmark screen can't be started.{last_lines(output)} "
                    "Next: install the app of this version of edgebert from android_demo/."
                )
            found = f"cat {external} || run-as {PACKAGE} cat {internal}"
            return _checked(self._wait(key, found, label), request, label)
        finally:
            adb.resume()
            adb.shell(
                f"am force-stop {PACKAGE}; rm -f {remote} {external}; "
                f"run-as {PACKAGE} rm -f {internal}"
            )

    def _wait(self, key: str, command: str, label: str) -> dict[str, Any]:
        """The last result of a request, once there is one."""
        adb, last, since = self._phone.adb, "", time.monotonic()
        while True:
            # The process first: a result that is read after its end is the last one.
            answers = adb.query({"process": f"pidof {PACKAGE}", "result": command})
            text = answers["result"]
            if text != last:
                last, since = text, time.monotonic()
            result = _parsed(text, key, label) if text.strip() else {"state": "running"}
            if result["state"] == "done":
                return result
            if result["state"] == "failed":
                raise EdgebertError(f"{label}: the app failed. Received: {result.get('error')}")
            done, total = result.get("done"), result.get("total")
            if isinstance(done, int) and isinstance(total, int):
                self._progress(label, done, total)
            waited = time.monotonic() - since
            if not answers["process"].strip() and waited > 2 * POLL_SECONDS:
                _, crash = adb.shell("logcat -b crash -d -t 20")
                raise EdgebertError(f"{label}: the app ended with no result.{last_lines(crash)}")
            if waited > STALLED_SECONDS:
                raise EdgebertError(
                    f"{label}: the app said nothing for {STALLED_SECONDS:g} s. Next: unlock the "
                    "phone, keep its screen on, and measure again."
                )
            time.sleep(POLL_SECONDS)


def _runtime(result: dict[str, Any]) -> str:
    return f"{result['runtime']['name']} {result['runtime']['version']}"


def _parsed(text: str, key: str, label: str) -> dict[str, Any]:
    result = _RESULT_FORMAT.parse(text, label)
    own, state = result.get("id"), result.get("state")
    if own != key or state not in ("running", "done", "failed"):
        raise EdgebertError(
            f"{label}: expected a result for {key}. Received: one for {own!r}, in state {state!r}. "
            "Next: build the app of the same version as edgebert."
        )
    return result


def _checked(result: dict[str, Any], request: dict[str, Any], label: str) -> dict[str, Any]:
    """The result, once all that it must hold is there and of the right kind."""
    texts, rows = request["check"] or [], result.get("check") or []
    runtime, peak = result.get("runtime"), result.get("peak_memory_bytes", "none")
    rules = {
        "sha256 of the model that was sent": result.get("sha256") == request["sha256"],
        "app_version and delegate": bool(result.get("app_version") and result.get("delegate")),
        "runtime with name and version": isinstance(runtime, dict)
        and {"name", "version"} <= {*runtime},
        "load_ms and first_call_ms": all(
            _is_time(result.get(f"{n}_ms")) for n in ("load", "first_call")
        ),
        "peak_memory_bytes": peak is None or (isinstance(peak, int) and peak > 0),
        "blocks_ms of calls": request["time"] is None or _is_blocks(result.get("blocks_ms")),
        f"check of {len(texts)} texts": isinstance(rows, list)
        and len(rows) == len(texts)
        and all(map(_is_row, rows)),
    }
    if missing := [rule for rule, kept in rules.items() if not kept]:
        raise EdgebertError(
            f"{label}: the app's result must have {'; '.join(missing)}. Received: "
            f"{str(result)[:300]}. Next: build the app of the same version as edgebert."
        )
    return result


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LARGEST


def _is_blocks(blocks: Any) -> bool:
    return (
        isinstance(blocks, list)
        and bool(blocks)
        and all(isinstance(block, list) and block and all(map(_is_time, block)) for block in blocks)
    )


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("label"), str):
        return False
    ids, outputs = row.get("token_ids"), row.get("outputs")
    return (
        isinstance(ids, list)
        and all(isinstance(number, int) for number in ids)
        and isinstance(outputs, list)
        and bool(outputs)
        and all(isinstance(number, int | float) and abs(number) < LARGEST for number in outputs)
    )
