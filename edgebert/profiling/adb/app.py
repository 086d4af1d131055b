"""Client of the demo app's benchmark screen: text in, answer out, on the phone itself.

The contract with the app. The app's package is `org.edgebert.demo`. Its exported activity
`.BenchmarkActivity` requires the permission `android.permission.DUMP`, which adb's shell has and
other apps do not have. It is started again for every request:

    am start -W -S -n org.edgebert.demo/.BenchmarkActivity
        -a org.edgebert.demo.action.BENCHMARK --es request /data/local/tmp/edgebert-.../request.json

The request and the result are JSON. The app reads the request and the model at the given paths, and
checks the model's SHA-256 before it runs the model. It writes its result to
`getExternalFilesDir(null)/benchmark/ID.json`, or, if there is no such folder, to
`getFilesDir()/benchmark/ID.json`. It writes under a temporary name and then renames the file. It
writes a first result at once, then about one per second with "state": "running", and a last one.

    request {"format": "edgebert-app-request", "version": 2, "id",
             "model", "sha256", "threads", "delegate": "cpu" | "gpu" | "nnapi",
             "time": null or {"inputs": [...], "warmup_calls", "blocks", "block_calls", "seconds"},
             "check": null or [input, ...]}
    input   {"texts": [text, ...]}, as many as the model reads: for qa a question and its context
            or {"words": [word, ...]}, already split, for a model that tags words
            or {"token_ids": [[id, ...]], "segment_ids": [[0 or 1, ...]]}, with special tokens
            and without padding: passed to the runtime directly
    result  {"format": "edgebert-app-result", "version": 2, "id",
             "state": "running" | "done" | "failed", "done", "total", "error": "" or a message}
    and if the state is "done"
            {"app_version", "runtime": {"name", "version"}, "delegate", "sha256",
             "load_ms", "first_call_ms", "peak_memory_bytes": bytes or null,
             "thermal_status": [before, after], names of Android's states or null,
             "blocks_ms": [[ms of a call, ...], ...],
             "check": null or [{"calls": [...], "answer"}, ...]}
    call    {"token_ids": [...], "segment_ids": [...], "outputs": {name: base64 of float32}}
    answer  {"label", "probability"} of classification and pairs, {"labels": [...]} of multi-label,
            {"score"} of regression, {"entities": [{"text", "type"}, ...]} of ner, {"tags": [...]}
            of pos, {"text"} of qa ("" for no answer), {"cosine"} of two texts of embeddings,
            {"filled"} of masked-lm; null of token ids, {} of another number of texts of embeddings

"time": `warmup_calls` calls, then `blocks` blocks of `block_calls` calls. Each call processes one
input from text to answer. The inputs are used in order, again and again. No block begins after
`seconds`.
"check": each input of the list, in order, repeated ones too. Its calls of the runtime are in the
order in which the task reads an example: windows of a long text, both texts of a pair of
embeddings. `token_ids` are without padding. `outputs` are those of the signature: flat, row by row,
little-endian; for a masked LM at least the rows of the masks in the text. `delegate` in the result
is the one that ran the graph.
"""

from __future__ import annotations

import json
import math
import secrets
import shlex
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling.adb.app_inputs import chunk_size, timed_inputs
from edgebert.profiling.adb.app_results import VERSION, checked_result, parse_result
from edgebert.profiling.adb.device import Thermal, heat_notes, read_thermal
from edgebert.profiling.adb.output import last_lines
from edgebert.profiling.adb.session import Phone
from edgebert.profiling.answer_check import compare_texts
from edgebert.profiling.device_check import DeviceCheck, HostOutputs, HostReference
from edgebert.profiling.interleaving import unstable_warning
from edgebert.profiling.measurement import Measurement, summarize
from edgebert.profiling.plan import ModelFile
from edgebert.profiling.target import TextInput
from edgebert.profiling.text_rows import (
    CheckInput,
    TextRun,
    check_inputs,
    read_rows,
    refuse_contradictions,
)
from edgebert.settings import ProfileSettings
from edgebert.system.plurals import counted
from edgebert.system.progress import Progress

PACKAGE = "org.edgebert.demo"
COMPONENT = f"{PACKAGE}/.BenchmarkActivity"
ACTION = f"{PACKAGE}.action.BENCHMARK"
EXTERNAL = f"/sdcard/Android/data/{PACKAGE}/files/benchmark"
INTERNAL = "files/benchmark"
REQUEST = "edgebert-app-request"
STARTS, BLOCKS = 3, 4
"""Starts of the app for each file, and blocks of calls in each."""

POLL_SECONDS, STALLED_SECONDS = 0.5, 90.0


class AppSession:
    """Requests to the app on one phone.

    Args:
        phone: The phone. Apps must be able to read its folder.
        settings: How latency is measured.
        delegate: cpu, gpu or nnapi.
        progress: Receives the progress of the app.

    Raises:
        UsageError: The app is not installed.
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
                "none. Next: make a project with `edgebert app`, build and install it "
                "(docs/android.md), or leave --app out and measure with benchmark_model."
            )

    def measure(
        self, files: Sequence[ModelFile], texts: Mapping[str, Sequence[TextInput]]
    ) -> list[Measurement]:
        """Times text in, answer out with the files interleaved, for each thread count.

        Args:
            files: The models.
            texts: The inputs of each file, by the file's name.

        Raises:
            EdgebertError: The app failed, or the phone is gone.
        """
        measurements: list[Measurement] = []
        for threads in self._settings.threads:
            results: list[list[dict[str, Any]]] = [[] for _ in files]
            heat = [read_thermal(self._phone.adb)]
            for turn in range(STARTS):
                order = range(len(files)) if turn % 2 == 0 else reversed(range(len(files)))
                for place in order:
                    file = files[place]
                    own = texts[file.name]
                    results[place].append(self._timed(file, threads, own, turn))
                heat.append(read_thermal(self._phone.adb))
            measurements += [
                self._measurement(file, threads, len(texts[file.name]), own, heat)
                for file, own in zip(files, results, strict=True)
            ]
        return measurements

    def check_answers(self, file: ModelFile, built_in: HostOutputs) -> list[str]:
        """Runs built-in texts on the phone before anything is timed: see `compare_texts`.

        Raises:
            EdgebertError: The app failed, or its outputs differ by more than rounding.
        """
        stage = f"{self._phone.target}: check answers of {file.name}"
        run, _ = self._run(file, built_in, stage)
        return compare_texts(self._phone.target, file.name, built_in, run.outputs)

    def check(self, file: ModelFile, reference: HostReference) -> DeviceCheck:
        """Runs labelled data on the phone, from text to answer, and compares with this machine.

        Raises:
            EdgebertError: The app failed, or its answers contradict its outputs.
        """
        run, runtime = self._run(file, reference, f"{self._phone.target}: check {file.name}")
        facts = {
            "model": str(file.path),
            "name": file.name,
            "sha256": file.sha256,
            "target": self._phone.target,
            "device": self._phone.state.device.name,
            "runtime": runtime,
        }
        return reference.compare(run.outputs, facts, run.token_ids)

    def _run(self, file: ModelFile, reference: HostOutputs, stage: str) -> tuple[TextRun, str]:
        """The outputs on the phone for the examples of a reference, and its runtime."""
        inputs_and_counts = check_inputs(reference)
        size = chunk_size(reference.task)
        rows: list[dict[str, Any]] = []
        for start in range(0, len(inputs_and_counts), size):
            inputs = [each for each, _ in inputs_and_counts[start : start + size]]
            result = self._request(file, 1, stage, check=inputs)
            rows += result["check"]
        run = read_rows(rows, [count for _, count in inputs_and_counts], reference, stage)
        if not reference.task.evaluates_token_ids:
            refuse_contradictions(rows, run, reference, stage)
        return run, _runtime(result)

    def _timed(
        self, file: ModelFile, threads: int, texts: Sequence[TextInput], turn: int
    ) -> dict[str, Any]:
        settings = self._settings
        label = f"{self._phone.target}: {file.name}, end to end, {counted(threads, 'thread')}"
        request = {
            "inputs": timed_inputs(texts),
            "warmup_calls": settings.warmup_runs,
            "blocks": BLOCKS,
            "block_calls": max(math.ceil(settings.min_runs / (STARTS * BLOCKS)), len(texts)),
            "seconds": settings.max_seconds / STARTS,
        }
        result = self._request(file, threads, label, time=request)
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
            step = "let the phone cool, close its apps, or raise --max-seconds"
            warnings.append(unstable_warning(latency, step))
        requested = {
            "--operations": self._settings.operations,
            "--sustained-seconds": self._settings.sustained_seconds > 0,
            "--cold-start": self._settings.cold_start,
        }
        if left_out := [flag for flag, given in requested.items() if given]:
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

    def _request(
        self,
        file: ModelFile,
        threads: int,
        label: str,
        time: dict[str, Any] | None = None,
        check: list[CheckInput] | None = None,
    ) -> dict[str, Any]:
        """Sends one request, returns its result, and removes its files from the phone."""
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
                    "Next: install the app that `edgebert app` of this version makes."
                )
            found = f"cat {external} || run-as {PACKAGE} cat {internal}"
            return checked_result(self._wait(key, found, label), request, label)
        finally:
            adb.resume()
            adb.shell(
                f"am force-stop {PACKAGE}; rm -f {remote} {external}; "
                f"run-as {PACKAGE} rm -f {internal}"
            )

    def _wait(self, key: str, command: str, label: str) -> dict[str, Any]:
        """Waits for the last result of a request."""
        adb, last, since = self._phone.adb, "", time.monotonic()
        while True:
            # The process is checked first: a result that is read after its end is the last one.
            answers = adb.query({"process": f"pidof {PACKAGE}", "result": command})
            text = answers["result"]
            if text != last:
                last, since = text, time.monotonic()
            result = parse_result(text, key, label) if text.strip() else {"state": "running"}
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
                raise EdgebertError(f"{label}: the app ended without a result.{last_lines(crash)}")
            if waited > STALLED_SECONDS:
                raise EdgebertError(
                    f"{label}: the app reported nothing for {STALLED_SECONDS:g} s. Next: unlock "
                    "the phone, keep its screen on, and measure again."
                )
            time.sleep(POLL_SECONDS)


def _runtime(result: dict[str, Any]) -> str:
    return f"{result['runtime']['name']} {result['runtime']['version']}"
