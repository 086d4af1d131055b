"""A job on one machine that runs the benchmark program: this one, or a board behind ssh.

Files take turns; each configuration is started afresh several times.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from statistics import median
from typing import Any, Protocol

import numpy as np

from edgebert.errors import ModelError, UsageError
from edgebert.profiling.device_check import DeviceCheck, HostReference
from edgebert.profiling.extra_measurements import ExtraMeasurements
from edgebert.profiling.interleaving import BenchmarkCase, measure_interleaved
from edgebert.profiling.machine_warnings import BUSY_BEFORE as BUSY_BEFORE
from edgebert.profiling.machine_warnings import counted, machine_warnings
from edgebert.profiling.measurement import Device, Kind, Measurement
from edgebert.profiling.operations import runner_extension
from edgebert.profiling.plan import (
    CLASSIFICATION,
    Configuration,
    ModelFile,
    configurations,
    read_model_files,
)
from edgebert.profiling.process import Runner
from edgebert.profiling.sustained import chosen
from edgebert.profiling.target import Job, Outcome, TextInput, as_text_input
from edgebert.settings import ProfileSettings
from edgebert.system.progress import Progress

DEFAULT_TEXTS = 64
CHECKED_AT_ONCE = 16


class RunnerMachine(Protocol):
    """Where the benchmark program can be started.

    Attributes:
        target: the measurements' and checks' `target`.
    """

    target: str

    def place(self, file: ModelFile) -> str:
        """The file's path there."""
        ...

    def start_runner(self, label: str) -> Runner:
        """A fresh benchmark program."""
        ...


class Machine(RunnerMachine, Protocol):
    """Where latency can be measured."""

    def runs_text(self, file: ModelFile) -> bool:
        """Whether text in, answer out can be timed there."""
        ...

    def start_end_to_end(self, label: str) -> Runner:
        """A fresh program that times text in, answer out, where that can be."""
        ...


def measure(machine: Machine, job: Job, progress: Progress) -> Outcome:
    """Does a job on a machine.

    Returns:
        For each thread count: each length with the models in turn, then end to end.

    Raises:
        UsageError: settings that make no sense, lengths that no file has.
        ModelError: a file is missing, cut short, or not a `.tflite`.
        EdgebertError: a benchmark process failed; with its last lines.
    """
    settings, texts = job.settings, job.texts
    refuse_bad_settings(settings, texts)
    files = read_model_files(job.models)
    references = _references(job, files)
    facts, signatures = _inspect(machine, files)
    plan = configurations(files, signatures, settings)
    with_text = [file for file in files if settings.end_to_end and file.answers]
    with_text = [file for file in with_text if machine.runs_text(file)]
    session = _Session(machine, settings, facts, progress)
    measurements: list[Measurement] = []
    for threads in settings.threads:
        for _, group in groupby(plan, key=lambda configuration: configuration.length):
            measurements += session.model_only(list(group), threads)
        for task in dict.fromkeys(file.task for file in with_text):
            alike = [file for file in with_text if file.task == task]
            measurements += session.end_to_end(alike, threads, texts or sample_texts(task))
    if settings.sustained_seconds:
        typical = {} if settings.lengths else _typical_lengths(files, texts)
        session.without_pause(measurements, chosen(plan, settings.lengths, typical))
    checks = [
        _check(machine, file, reference, facts, progress)
        for file, reference in zip(files, references, strict=False)
    ]
    return Outcome(tuple(measurements), tuple(checks))


def check(
    machine: RunnerMachine, job: Job, progress: Progress, at_once: int = CHECKED_AT_ONCE
) -> tuple[DeviceCheck, ...]:
    """Runs a job's labelled text on a machine, and times nothing.

    Args:
        machine: where it runs.
        job: without a `check` there is nothing to do.
        progress: told after every request.
        at_once: texts in one request.

    Raises:
        UsageError: a file answers nothing.
        ModelError: a file is missing, cut short, or not a `.tflite` of ours.
        DataError: the data has labels that a model does not know.
        EdgebertError: a benchmark process failed; with its last lines.
    """
    files = read_model_files(job.models)
    references = _references(job, files)
    facts, _ = _inspect(machine, files)
    pairs = zip(files, references, strict=False)
    return tuple(_check(machine, *pair, facts, progress, at_once) for pair in pairs)


def _references(job: Job, files: Sequence[ModelFile]) -> list[HostReference]:
    return [] if job.check is None else [HostReference(file.path, job.check) for file in files]


def _check(
    machine: RunnerMachine,
    file: ModelFile,
    reference: HostReference,
    facts: dict[str, Any],
    progress: Progress,
    at_once: int = CHECKED_AT_ONCE,
) -> DeviceCheck:
    """Runs labelled text on the machine and holds what comes back against this one's."""
    calls, stage = reference.calls(), f"check {file.name}"
    outputs: list[dict[str, Any]] = []
    with machine.start_runner(stage) as process:
        process.request("load", model=machine.place(file), threads=1)
        for key, group in groupby(calls, key=lambda call: call[0]):
            inputs = [values for _, values in group]
            for start in range(0, len(inputs), at_once):
                part = inputs[start : start + at_once]
                answer = process.request("predict", signature=key, inputs=part)["outputs"]
                outputs += [
                    {name: np.array(values, np.float32) for name, values in output.items()}
                    for output in answer
                ]
                progress(stage, len(outputs), len(calls))
    device = make_device(facts)
    return reference.compare(
        reference.outputs_of(outputs),
        {
            "model": str(file.path),
            "name": file.name,
            "sha256": file.sha256,
            "target": machine.target,
            "device": device.name or device.cpu,
            "runtime": _runtime(facts),
        },
    )


class _Session:
    """Measurements made one after the other on the machine as it was found.

    `facts` is the runner's `hello`, asked before any load of our own.
    """

    def __init__(
        self,
        machine: Machine,
        settings: ProfileSettings,
        facts: dict[str, Any],
        progress: Progress,
    ) -> None:
        self._machine, self._settings, self._progress = machine, settings, progress
        self._id = uuid.uuid4().hex[:12]
        self._device = make_device(facts)
        self._environment = facts["environment"]
        self._runtime = _runtime(facts)
        extended = settings.operations or settings.cold_start
        extension = machine.place(runner_extension()) if extended else ""
        self._look = ExtraMeasurements(settings, progress, extension)

    def model_only(self, plan: Sequence[Configuration], threads: int) -> list[Measurement]:
        """Times configurations of one length in turn."""
        cases = [self._case(configuration, threads) for configuration in plan]
        measure_interleaved(cases, self._settings, self._progress)
        measurements = []
        for case, c in zip(cases, plan, strict=True):
            own = self._measurement(case, c.file, threads, "model", c.signature, c.length)
            measurements.append(self._look.at_model(case, own))
        return measurements

    def without_pause(self, measurements: list[Measurement], plan: Sequence[Configuration]) -> None:
        """Runs configurations for long, each after the other, and adds to their measurements."""
        threads = self._settings.threads[0]
        for c in plan:
            keys = [(m.name, m.threads, m.signature, m.length, m.texts) for m in measurements]
            place = keys.index((c.file.name, threads, c.signature, c.length, 0))
            case = self._case(c, threads)
            measurements[place] = self._look.under_load(case, measurements[place])

    def _case(self, configuration: Configuration, threads: int) -> BenchmarkCase:
        file, signature = configuration.file, configuration.signature
        label = f"{file.name}, {signature or 'graph'}, {counted(threads, 'thread')}"
        return BenchmarkCase(
            label,
            partial(self._machine.start_runner, label),
            {"model": self._machine.place(file), "threads": threads},
            configuration.call,
        )

    def end_to_end(
        self, files: Sequence[ModelFile], threads: int, texts: Sequence[TextInput]
    ) -> list[Measurement]:
        """Times text in, answer out, of files of one task in turn."""
        cases = []
        for file in files:
            label = f"{file.name}, end to end, {counted(threads, 'thread')}"
            cases.append(
                BenchmarkCase(
                    label,
                    partial(self._machine.start_end_to_end, label),
                    {"model": self._machine.place(file), "threads": threads, "texts": list(texts)},
                    {},
                    round_calls=len(texts),
                )
            )
        measure_interleaved(cases, self._settings, self._progress)
        measurements = []
        for case, file in zip(cases, files, strict=True):
            own = self._measurement(case, file, threads, "end_to_end", texts=len(texts))
            measurements.append(self._look.at_text(case, own))
        return measurements

    def _measurement(
        self,
        case: BenchmarkCase,
        file: ModelFile,
        threads: int,
        kind: Kind,
        signature: str | None = None,
        length: int | None = None,
        texts: int = 0,
    ) -> Measurement:
        warnings = [
            *machine_warnings(self._device, self._environment, threads),
            *case.warnings(self._settings, threads),
        ]
        if kind == "model" and self._settings.end_to_end:
            warnings += _why_no_text(self._machine, file)
        return Measurement(
            **file.facts,
            target=self._machine.target,
            device=self._device,
            runtime=self._runtime,
            session=self._id,
            threads=threads,
            signature=signature,
            length=length,
            kind=kind,
            texts=texts,
            load_ms=case.load_ms,
            first_call_ms=case.first_call_ms,
            latency=case.latency,
            peak_memory_bytes=case.peak_memory_bytes,
            model_memory_bytes=case.model_memory_bytes,
            energy_mj=case.energy_mj,
            warnings=tuple(warnings),
        )


def _why_no_text(machine: Machine, file: ModelFile) -> list[str]:
    """Says why the model alone was timed; nothing where that isn't so."""
    if not file.answers:
        return [
            "Text in, answer out was not timed: the file holds no vocabulary and task of "
            "edgebert. Next: export a model with a task with `edgebert export`."
        ]
    if machine.runs_text(file):
        return []
    return [
        f"Text in, answer out is not timed on {machine.target} for the task {file.task}. "
        "Next: give --no-end-to-end to leave this line out."
    ]


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


def _runtime(facts: dict[str, Any]) -> str:
    return f"{facts['runtime']['name']} {facts['runtime']['version']}"


def _inspect(
    machine: RunnerMachine, files: Sequence[ModelFile]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The runner's `hello`, and each file's signatures by the file's name.

    Raises:
        ModelError: the runtime doesn't take some of the files; all at once.
    """
    facts: dict[str, Any] = {}
    signatures, problems = {}, []
    for file in files:
        with machine.start_runner(file.name) as process:
            facts = facts or process.request("hello")
            loaded = process.exchange("load", model=machine.place(file))
            if "error" in loaded:
                problems.append(f"{file.path}: {loaded['error']}")
            else:
                signatures[file.name] = loaded["signatures"]
    if problems:
        raise ModelError(
            f"The runtime ({_runtime(facts)}) expects a whole .tflite. "
            f"Received: {'; '.join(problems)}. "
            "Next: it is likely cut short, or made for a newer runtime; export it again."
        )
    return facts, signatures


def refuse_bad_settings(settings: ProfileSettings, texts: Sequence[TextInput] | None) -> None:
    """Raises where settings make no sense.

    Raises:
        UsageError: with all the rules that are broken.
    """
    rules = {
        "threads are 1 or more": bool(settings.threads) and min(settings.threads) >= 1,
        "threads are named once each": len(set(settings.threads)) == len(settings.threads),
        "lengths are 1 or more": min(settings.lengths, default=1) >= 1,
        "warmup_runs is 0 or more": settings.warmup_runs >= 0,
        "min_runs is 1 or more": settings.min_runs >= 1,
        "max_seconds is over 0": settings.max_seconds > 0,
        "sustained_seconds is 0 or more": settings.sustained_seconds >= 0,
        "there is at least one text": texts is None or len(texts) > 0,
    }
    broken = [rule for rule, kept in rules.items() if not kept]
    if broken:
        raise UsageError(f"profile expects that {'; '.join(broken)}. Received: {settings}.")


def _typical_lengths(
    files: Sequence[ModelFile], texts: Sequence[TextInput] | None
) -> dict[str, int]:
    """By the names of files that answer texts, the median length of what they read in tokens."""
    from edgebert.models.litert_model import LiteRtModel
    from edgebert.tasks.examples import encodings_of

    lengths = {}
    for file in files:
        if file.answers:
            model = LiteRtModel.open(file.path)
            encodings = encodings_of(model, texts or sample_texts(file.task), model.max_length)
            lengths[file.name] = round(median(map(len, encodings)))
    return lengths


def sample_texts(task: str = CLASSIFICATION) -> list[TextInput]:
    """What somebody would ask a task, out of the sample set's test split, the same every time."""
    from edgebert.data.datasets import read_dataset, sample_set, take
    from edgebert.tasks import task_named

    texts = list(take(read_dataset(sample_set().test), DEFAULT_TEXTS, seed=0).texts)
    kind = task_named(task)
    return [as_text_input(kind.typed(example)) for example in kind.check_examples(texts)]
