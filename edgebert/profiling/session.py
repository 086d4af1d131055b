"""A profiling job on one machine that runs the benchmark program: this machine, or a board (ssh).

The timed blocks of the files are interleaved. Each configuration starts in several fresh processes.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from statistics import median
from typing import Any

import numpy as np

from edgebert.errors import UsageError
from edgebert.profiling.answer_check import check_answers
from edgebert.profiling.device_check import DeviceCheck, HostReference
from edgebert.profiling.extra_measurements import ExtraMeasurements
from edgebert.profiling.interleaving import BenchmarkCase, measure_interleaved
from edgebert.profiling.machine import (
    Machine,
    RunnerMachine,
    inspect_files,
    make_device,
    runtime_name,
)
from edgebert.profiling.machine_warnings import BUSY_BEFORE as BUSY_BEFORE
from edgebert.profiling.machine_warnings import machine_warnings
from edgebert.profiling.measurement import Kind, Measurement
from edgebert.profiling.operations import runner_extension
from edgebert.profiling.plan import (
    Configuration,
    ModelFile,
    configurations,
    read_model_files,
)
from edgebert.profiling.sustained import sustained_configurations
from edgebert.profiling.target import Job, Outcome, TextInput, as_text_input
from edgebert.settings import ProfileSettings
from edgebert.system.plurals import counted
from edgebert.system.progress import Progress
from edgebert.tasks.task import Task

DEFAULT_TEXTS = 64
CHECK_BATCH_SIZE = 16


def measure(machine: Machine, job: Job, progress: Progress) -> Outcome:
    """Runs a job on a machine.

    Returns:
        For each thread count: the models at each length, then end to end.

    Raises:
        UsageError: The settings are invalid, or no file has a requested length.
        ModelError: A file is missing, truncated, or not a `.tflite` file.
        EdgebertError: A benchmark process failed, with the last lines of its stderr, or a file
            gives wrong answers on the machine: see `check_answers`.
    """
    settings, texts = job.settings, job.texts
    refuse_bad_settings(settings, texts)
    files = read_model_files(job.models)
    references = references_of(job, files)
    facts, signatures = inspect_files(machine, files)
    plan = configurations(files, signatures, settings)
    with_text = [file for file in files if settings.end_to_end and file.answers]
    built_in = {file.name: sample_texts(file.task) for file in files if file.answers}
    doubts = check_answers(machine, plan, built_in, settings.threads[0], progress)
    with_text = [file for file in with_text if not machine.text_support(file).obstacle]
    session = _MeasurementSession(machine, settings, facts, progress)
    measurements: list[Measurement] = []
    for threads in settings.threads:
        for _, group in groupby(plan, key=lambda configuration: configuration.length):
            measurements += session.model_only(list(group), threads)
        for task in dict.fromkeys(file.task for file in with_text):
            alike = [file for file in with_text if file.task == task]
            measurements += session.end_to_end(alike, threads, texts or sample_texts(task))
    if settings.sustained_seconds:
        typical = {} if settings.lengths else _typical_lengths(files, texts)
        session.add_sustained(
            measurements, sustained_configurations(plan, settings.lengths, typical)
        )
    checks = [
        check_outputs(machine, file, reference, facts, progress)
        for file, reference in zip(files, references, strict=False)
    ]
    warned = tuple(
        replace(m, warnings=(*m.warnings, *doubts.get(m.name, ()))) for m in measurements
    )
    return Outcome(warned, tuple(checks))


def check(
    machine: RunnerMachine, job: Job, progress: Progress, batch_size: int = CHECK_BATCH_SIZE
) -> tuple[DeviceCheck, ...]:
    """Runs a job's labelled texts on a machine, without timing.

    Args:
        machine: The machine that runs the models.
        job: The job. Without a `check` nothing runs.
        progress: Receives the progress after every request.
        batch_size: Number of texts in one request.

    Raises:
        UsageError: A file has no task.
        ModelError: A file is missing, truncated, or not exported by edgebert.
        DataError: The data has labels that a model does not know.
        EdgebertError: A benchmark process failed. The message has the last lines of its stderr.
    """
    files = read_model_files(job.models)
    references = references_of(job, files)
    facts, _ = inspect_files(machine, files)
    pairs = zip(files, references, strict=False)
    return tuple(check_outputs(machine, *pair, facts, progress, batch_size) for pair in pairs)


def references_of(job: Job, files: Sequence[ModelFile]) -> list[HostReference]:
    """The reference of each file for the labelled texts of a job; none if it has no check."""
    return [] if job.check is None else [HostReference(file.path, job.check) for file in files]


def check_outputs(
    machine: RunnerMachine,
    file: ModelFile,
    reference: HostReference,
    facts: dict[str, Any],
    progress: Progress,
    batch_size: int = CHECK_BATCH_SIZE,
) -> DeviceCheck:
    """Runs the token ids of labelled texts on a machine and compares the outputs with this one's.

    Arguments and errors as in `check`; `facts` is the runner's `hello`.
    """
    calls, stage = reference.calls(), f"check {file.name}"
    outputs: list[dict[str, Any]] = []
    with machine.start_runner(stage) as process:
        process.request("load", model=machine.place(file), threads=1)
        for key, group in groupby(calls, key=lambda call: call[0]):
            inputs = [values for _, values in group]
            for start in range(0, len(inputs), batch_size):
                part = inputs[start : start + batch_size]
                answer = process.request("predict", signature=key, inputs=part)["outputs"]
                outputs += [
                    {name: np.array(values, np.float32) for name, values in output.items()}
                    for output in answer
                ]
                progress(stage, len(outputs), len(calls))
    named = facts_of_check(machine, file, facts)
    return reference.compare(reference.outputs_of(outputs), named)


def facts_of_check(
    machine: RunnerMachine, file: ModelFile, facts: Mapping[str, Any]
) -> dict[str, str]:
    """The fields of a `DeviceCheck` that describe the file and the machine."""
    device = make_device(facts)
    return {
        "model": str(file.path),
        "name": file.name,
        "sha256": file.sha256,
        "target": machine.target,
        "device": device.name or device.cpu,
        "runtime": runtime_name(facts),
    }


@dataclass(frozen=True)
class _Subject:
    """What a benchmark case measures: fields of the resulting `Measurement`."""

    file: ModelFile
    threads: int
    kind: Kind
    signature: str | None = None
    length: int | None = None
    texts: int = 0


class _MeasurementSession:
    """All measurements of a job on one machine.

    Args:
        machine: The machine that is measured.
        settings: How latency is measured.
        facts: The runner's `hello`, read before the measurement loads the machine.
        progress: Receives the progress.
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
        self._runtime = runtime_name(facts)
        extended = settings.operations or settings.cold_start
        extension = machine.place(runner_extension()) if extended else ""
        self._extra = ExtraMeasurements(settings, progress, extension)

    def model_only(self, plan: Sequence[Configuration], threads: int) -> list[Measurement]:
        """Times configurations of one length, interleaved."""
        cases = [self._case(configuration, threads) for configuration in plan]
        measure_interleaved(cases, self._settings, self._progress)
        measurements = []
        for case, c in zip(cases, plan, strict=True):
            subject = _Subject(c.file, threads, "model", c.signature, c.length)
            own = self._measurement(case, subject)
            measurements.append(self._extra.add_to_model(case, own))
        return measurements

    def add_sustained(self, measurements: list[Measurement], plan: Sequence[Configuration]) -> None:
        """Adds a sustained run of each configuration to its measurement."""
        threads = self._settings.threads[0]
        for c in plan:
            keys = [(m.name, m.threads, m.signature, m.length, m.texts) for m in measurements]
            place = keys.index((c.file.name, threads, c.signature, c.length, 0))
            case = self._case(c, threads)
            measurements[place] = self._extra.add_sustained(case, measurements[place])

    def _case(self, configuration: Configuration, threads: int) -> BenchmarkCase:
        label = configuration.label(threads)
        return BenchmarkCase(
            label,
            partial(self._machine.start_runner, label),
            {"model": self._machine.place(configuration.file), "threads": threads},
            configuration.call,
        )

    def end_to_end(
        self, files: Sequence[ModelFile], threads: int, texts: Sequence[TextInput]
    ) -> list[Measurement]:
        """Times text in, answer out with files of one task, interleaved."""
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
            own = self._measurement(case, _Subject(file, threads, "end_to_end", texts=len(texts)))
            measurements.append(self._extra.add_to_text(case, own))
        return measurements

    def _measurement(self, case: BenchmarkCase, subject: _Subject) -> Measurement:
        warnings = [
            *machine_warnings(self._device, self._environment, subject.threads),
            *case.warnings(self._settings, subject.threads),
        ]
        if subject.kind == "model" and self._settings.end_to_end:
            warnings += _no_end_to_end_warning(self._machine, subject.file)
        if subject.kind == "end_to_end":
            warnings += filter(None, [self._machine.text_support(subject.file).warning])
        return Measurement(
            **subject.file.facts,
            target=self._machine.target,
            device=self._device,
            runtime=self._runtime,
            session=self._id,
            threads=subject.threads,
            signature=subject.signature,
            length=subject.length,
            kind=subject.kind,
            texts=subject.texts,
            load_ms=case.load_ms,
            first_call_ms=case.first_call_ms,
            latency=case.latency,
            peak_memory_bytes=case.peak_memory_bytes,
            model_memory_bytes=case.model_memory_bytes,
            energy_mj=case.energy_mj,
            warnings=tuple(warnings),
        )


def _no_end_to_end_warning(machine: Machine, file: ModelFile) -> list[str]:
    """The warning that only the graph was timed; empty if end to end was timed too."""
    if not file.answers:
        return [
            "Text in, answer out was not timed: the file contains no vocabulary and task of "
            "edgebert. Next: export a model with a task with `edgebert export`."
        ]
    obstacle = machine.text_support(file).obstacle
    return [f"Text in, answer out was not timed: {obstacle}"] if obstacle else []


def refuse_bad_settings(settings: ProfileSettings, texts: Sequence[TextInput] | None) -> None:
    """Checks the settings.

    Raises:
        UsageError: Rules are broken. The message lists all of them.
    """
    rules = {
        "threads are 1 or more": bool(settings.threads) and min(settings.threads) >= 1,
        "each thread count is given once": len(set(settings.threads)) == len(settings.threads),
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
    """Median length in tokens of the texts, by the name of each file that answers texts."""
    from edgebert.models.litert_model import LiteRtModel
    from edgebert.tasks.examples import encodings_of

    lengths = {}
    for file in files:
        if file.answers:
            model = LiteRtModel.open(file.path)
            encodings = encodings_of(model, texts or sample_texts(file.task), model.max_length)
            lengths[file.name] = round(median(map(len, encodings)))
    return lengths


def sample_texts(task: Task[Any]) -> list[TextInput]:
    """Typical inputs of a task from the sample set's test split, the same ones on every call."""
    from edgebert.data.datasets import read_dataset, sample_set, take

    texts = list(take(read_dataset(sample_set().test), DEFAULT_TEXTS, seed=0).texts)
    return [as_text_input(task.input_texts(example)) for example in task.check_examples(texts)]
