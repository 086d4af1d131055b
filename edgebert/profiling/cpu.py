"""The `cpu` target: this machine's processor, through fresh Python processes.

Nothing is pinned and no priority is raised: the figures are those that a program here would get.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from edgebert.errors import ModelError, UsageError
from edgebert.profiling import runner
from edgebert.profiling.interleaving import Contender, measure_in_turn
from edgebert.profiling.measurement import Device, Kind, Measurement
from edgebert.profiling.plan import Configuration, ModelFile, configurations, read_model_files
from edgebert.profiling.process import RunnerProcess
from edgebert.progress import Progress, silent
from edgebert.settings import ProfileSettings

TARGET = "cpu"
DEFAULT_TEXTS = 64
HIGH_LOAD_PER_CORE = 0.5
BUSY_BEFORE = "The machine was busy before"
PACKAGE_ROOT = Path(__file__).resolve().parents[2]

RUNNER = (sys.executable, "-P", runner.__file__)
END_TO_END = (sys.executable, "-P", "-m", "edgebert.profiling.end_to_end")


def profile(
    models: Sequence[Path],
    settings: ProfileSettings,
    texts: Sequence[str] | None = None,
    progress: Progress = silent,
) -> tuple[Measurement, ...]:
    """Measures `.tflite` files side by side on this machine's processor.

    Args:
        models: the files; the first is what `ratios` compares the others with. Files that are not
            ours are taken too, for the model alone.
        settings: threads, lengths, calls and time for each model and configuration.
        texts: what is timed from text to label; sentences of the sample set when None.
        progress: told of every block of calls.

    Returns:
        For each thread count: each length with the models in turn, then end to end.

    Raises:
        UsageError: settings that make no sense, lengths that no file has.
        ModelError: a file is missing, cut short, or not a `.tflite`.
        EdgebertError: a benchmark process failed; with its last lines.
    """
    _refuse_bad_settings(settings, texts)
    files = read_model_files([Path(model) for model in models])
    facts, signatures = _inspect(files)
    plan = configurations(files, signatures, settings)
    with_text = [file for file in files if file.labels and settings.end_to_end]
    if with_text and texts is None:
        texts = _sample_texts()
    session = _Session(settings, facts, progress)
    measurements: list[Measurement] = []
    for threads in settings.threads:
        for _, group in groupby(plan, key=lambda configuration: configuration.length):
            measurements += session.model_only(list(group), threads)
        measurements += session.end_to_end(with_text, threads, texts or ())
    return tuple(measurements)


class _Session:
    """Measurements made one after the other on the machine as it was found.

    `facts` is the runner's `hello`, asked before any load of our own.
    """

    def __init__(
        self, settings: ProfileSettings, facts: dict[str, Any], progress: Progress
    ) -> None:
        self._settings, self._progress = settings, progress
        self._id = uuid.uuid4().hex[:12]
        self._device = make_device(facts)
        self._runtime = f"{facts['runtime']['name']} {facts['runtime']['version']}"

    def model_only(self, plan: Sequence[Configuration], threads: int) -> list[Measurement]:
        """Times configurations of one length in turn."""
        contenders = []
        for configuration in plan:
            file, signature = configuration.file, configuration.signature
            label = f"{file.name}, {signature or 'graph'}, {_counted(threads, 'thread')}"
            contenders.append(
                Contender(
                    label,
                    partial(RunnerProcess, RUNNER, label),
                    {"model": str(file.path), "threads": threads},
                    configuration.call,
                )
            )
        measure_in_turn(contenders, self._settings, self._progress)
        return [
            self._measurement(contender, c.file, threads, "model", c.signature, c.length)
            for contender, c in zip(contenders, plan, strict=True)
        ]

    def end_to_end(
        self, files: Sequence[ModelFile], threads: int, texts: Sequence[str]
    ) -> list[Measurement]:
        """Times text in, label out, of the files in turn."""
        environment = with_package_path(os.environ)
        contenders = []
        for file in files:
            label = f"{file.name}, end to end, {_counted(threads, 'thread')}"
            contenders.append(
                Contender(
                    label,
                    partial(RunnerProcess, END_TO_END, label, environment),
                    {"model": str(file.path), "threads": threads, "texts": list(texts)},
                    {},
                    round_calls=len(texts),
                )
            )
        measure_in_turn(contenders, self._settings, self._progress)
        return [
            self._measurement(contender, file, threads, "end_to_end", texts=len(texts))
            for contender, file in zip(contenders, files, strict=True)
        ]

    def _measurement(
        self,
        contender: Contender,
        file: ModelFile,
        threads: int,
        kind: Kind,
        signature: str | None = None,
        length: int | None = None,
        texts: int = 0,
    ) -> Measurement:
        warnings = [*self._machine_warnings(threads), *contender.warnings(self._settings, threads)]
        if kind == "model" and self._settings.end_to_end and not file.labels:
            warnings.append(
                "Text in, label out was not timed: the file holds no vocabulary and labels of "
                "edgebert. Next: export a classifier with `edgebert export`."
            )
        return Measurement(
            model=str(file.path),
            name=file.name,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            gzip_bytes=file.gzip_bytes,
            target=TARGET,
            device=self._device,
            runtime=self._runtime,
            session=self._id,
            threads=threads,
            signature=signature,
            length=length,
            kind=kind,
            texts=texts,
            load_ms=contender.load_ms,
            first_call_ms=contender.first_call_ms,
            latency=contender.latency,
            peak_memory_bytes=contender.peak_memory_bytes,
            model_memory_bytes=contender.model_memory_bytes,
            warnings=tuple(warnings),
        )

    def _machine_warnings(self, threads: int) -> list[str]:
        load, cores, found = self._device.load_average, self._device.cores, []
        if load is not None and load > HIGH_LOAD_PER_CORE * cores:
            found.append(
                f"{BUSY_BEFORE}: load average {load:.1f} on "
                f"{_counted(cores, 'core')}. Next: wait until it is quiet and measure again."
            )
        if threads > cores:
            found.append(
                f"{_counted(threads, 'thread')} share {_counted(cores, 'core')}. "
                f"Next: give --threads {cores} at most."
            )
        return found


def with_package_path(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables with which a fresh Python finds this very edgebert."""
    paths = [str(PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def make_device(facts: dict[str, Any]) -> Device:
    """The `Device` of a runner's `hello`."""
    device, environment = facts["device"], facts["environment"]
    return Device(
        name=device["name"],
        cpu=device["cpu"],
        cores=device["cores"],
        architecture=device["architecture"],
        os=device["os"],
        cpu_features=tuple(device["cpu_features"]),
        load_average=environment["load_average"],
        governor=environment["governor"],
        details={"python": device["python"]},
    )


def _inspect(files: Sequence[ModelFile]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The runner's `hello`, and each file's signatures by the file's name.

    Raises:
        ModelError: the runtime doesn't take some of the files; all at once.
    """
    facts: dict[str, Any] = {}
    signatures, problems = {}, []
    for file in files:
        with RunnerProcess(RUNNER, file.name) as process:
            facts = facts or process.ask("hello")
            loaded = process.exchange("load", model=str(file.path))
            if "error" in loaded:
                problems.append(f"{file.path}: {loaded['error']}")
            else:
                signatures[file.name] = loaded["signatures"]
    if problems:
        raise ModelError(
            f"The runtime ({facts['runtime']['name']} {facts['runtime']['version']}) expects a "
            f"whole .tflite. Received: {'; '.join(problems)}. "
            "Next: it is likely cut short, or made for a newer runtime; export it again."
        )
    return facts, signatures


def _refuse_bad_settings(settings: ProfileSettings, texts: Sequence[str] | None) -> None:
    rules = {
        "threads are 1 or more": bool(settings.threads) and min(settings.threads) >= 1,
        "threads are named once each": len(set(settings.threads)) == len(settings.threads),
        "lengths are 1 or more": min(settings.lengths, default=1) >= 1,
        "warmup_runs is 0 or more": settings.warmup_runs >= 0,
        "min_runs is 1 or more": settings.min_runs >= 1,
        "max_seconds is over 0": settings.max_seconds > 0,
        "there is at least one text": texts is None or len(texts) > 0,
    }
    broken = [rule for rule, kept in rules.items() if not kept]
    if broken:
        raise UsageError(f"profile expects that {'; '.join(broken)}. Received: {settings}.")


def _sample_texts() -> list[str]:
    """Sentences of the sample set's test split, the same ones every time."""
    from edgebert.datasets import read_dataset, sample_set, take

    return list(take(read_dataset(sample_set().test), DEFAULT_TEXTS, seed=0).texts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
