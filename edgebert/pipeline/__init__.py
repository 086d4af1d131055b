"""Runs all stages in order: fine-tune, prune, distill, export, evaluate, profile, report.

Each stage writes into its own folder, with a record of everything that its result depends on. A
second run keeps each stage whose record is still valid and repeats the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from edgebert import __version__
from edgebert.pipeline import stages
from edgebert.pipeline.config import PRUNED, PipelineConfig, StepPlan
from edgebert.pipeline.config_file import read_config
from edgebert.pipeline.records import (
    RECORD,
    STARTED,
    Record,
    begin,
    files_in,
    hash_outputs,
    inputs_hash,
    json_types,
    read_record,
    why_not_done,
    write_record,
)
from edgebert.pipeline.results import make_report
from edgebert.pipeline.session import (
    DISTILLED_FOLDER,
    EVALUATED_FOLDER,
    EXPORTED_FOLDER,
    FINETUNED_FOLDER,
    PROFILED_FOLDER,
    PRUNED_FOLDER,
    Session,
    folder_of,
)
from edgebert.pipeline.steps import run_step, step_inputs
from edgebert.reporting.report import Report, StageFact
from edgebert.reporting.units import moment_text, seconds_text
from edgebert.reporting.writing import write_report
from edgebert.system.progress import Progress, silent
from edgebert.system.storage import atomic_folder, finish_interrupted

Notice = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: Name in messages.
        folder: Folder of its results, inside the folder of the run.
        wanted: Whether a config includes this stage.
        inputs: Everything that the result depends on, except the stages before it.
        work: Runs the stage. Takes the session, the folder and whether to resume; writes into the
            folder; returns facts for the report.
        trains: Whether the folder is that of a model, which holds the state of the training, so
            that the stage resumes. Other stages write a new folder, which replaces the old one.
    """

    name: str
    folder: str
    wanted: Callable[[PipelineConfig], bool]
    inputs: Callable[[Session], Mapping[str, Any]]
    work: Callable[[Session, Path, bool], Mapping[str, Any]]
    trains: bool = False


STAGES = (
    Stage(
        "finetune",
        FINETUNED_FOLDER,
        lambda c: c.finetune is not None,
        stages.finetune_inputs,
        stages.finetune_base,
        trains=True,
    ),
    Stage(
        "prune",
        PRUNED_FOLDER,
        lambda c: PRUNED in c.models,
        stages.prune_inputs,
        stages.prune_latest,
        trains=True,
    ),
    Stage(
        "distill",
        DISTILLED_FOLDER,
        lambda c: c.distill is not None,
        stages.distill_inputs,
        stages.distill_student,
        trains=True,
    ),
    Stage(
        "export",
        EXPORTED_FOLDER,
        lambda c: True,
        stages.export_inputs,
        stages.export_files,
    ),
    Stage(
        "evaluate",
        EVALUATED_FOLDER,
        lambda c: True,
        stages.evaluate_inputs,
        stages.evaluate_all,
    ),
    Stage(
        "profile",
        PROFILED_FOLDER,
        lambda c: c.profile is not None,
        stages.profile_inputs,
        stages.profile_files,
    ),
)


def stages_of(config: PipelineConfig) -> list[Stage]:
    """The stages of a run in their order."""
    fixed = [stage for stage in STAGES if stage.wanted(config)]
    place = 0 if config.finetune is None else 1
    listed = [
        Stage(
            step.name,
            folder_of(step.name),
            lambda c: True,
            partial(step_inputs, step=step),
            partial(_run_step, step),
            trains=True,
        )
        for step in config.steps
    ]
    return [*fixed[:place], *listed, *fixed[place:]]


def _run_step(step: StepPlan, session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    return run_step(session, step, folder, resume)


def run(
    config: PipelineConfig | Path | str,
    force: bool = False,
    progress: Progress = silent,
    notice: Notice = lambda text: None,
) -> Report:
    """Runs the stages that are not done yet, then writes the report.

    Args:
        config: The config of the run, or the path of its TOML file.
        force: Repeat every stage.
        progress: Receives the progress of the running stage.
        notice: Called with one line of text when a stage starts and when it ends.

    Raises:
        UsageError: The config is invalid, or does not fit the data or the model. Raised before any
            work starts.
        EdgebertError: A stage failed. The results of earlier stages are kept.
    """
    if not isinstance(config, PipelineConfig):
        config = read_config(config)
    session = Session(config, progress)
    session.check()
    for note in session.notes:
        notice(note)
    wanted = stages_of(config)
    for folder in dict.fromkeys((".", *(stage.folder for stage in (*STAGES, *wanted)))):
        finish_interrupted(config.out / folder)
    facts, after = [], ""
    for stage in wanted:
        inputs = json_types({"edgebert": __version__, "after": after, **stage.inputs(session)})
        record, kept = _ensure_done(stage, session, inputs, force, notice)
        facts.append(StageFact(stage.name, record.seconds, record.finished, kept, record.facts))
        after = inputs_hash(inputs)
    report = make_report(session, facts)
    for path in write_report(report, config.out):
        notice(f"wrote {path}")
    return report


def _ensure_done(
    stage: Stage, session: Session, inputs: dict[str, Any], force: bool, notice: Notice
) -> tuple[Record, bool]:
    """Runs a stage unless it is done. Returns its record, and whether an old result was kept."""
    folder = session.config.out / stage.folder
    record = read_record(folder)
    reason = "forced" if force else why_not_done(record, inputs, folder)
    if record is not None and not reason:
        done, took = moment_text(record.finished), seconds_text(record.seconds)
        notice(f"{stage.name}: kept (done {done} in {took})")
        return record, True
    resume = begin(folder, inputs, force) if stage.trains else False
    notice(f"{stage.name}: {'resumes' if resume else reason}")
    if stage.trains:
        record = _work(stage, session, inputs, folder, resume)
    else:
        old = {RECORD, STARTED, *(record.outputs if record else ())}
        with atomic_folder(folder, is_kept=lambda file: file.as_posix() not in old) as made:
            record = _work(stage, session, inputs, made, resume)
    session.has_worked = True
    summary = ", ".join(f"{name} {value}" for name, value in record.facts.items())
    notice(f"{stage.name}: done in {seconds_text(record.seconds)} ({summary})")
    return record, False


def _work(
    stage: Stage, session: Session, inputs: dict[str, Any], folder: Path, resume: bool
) -> Record:
    """Runs a stage in a folder, and writes its record there last."""
    before, began = files_in(folder), time.monotonic()
    facts = stage.work(session, folder, resume)
    record = Record(
        stage=stage.name,
        inputs=inputs,
        outputs=hash_outputs(folder, before),
        facts=json_types(facts),
        seconds=time.monotonic() - began,
        finished=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    write_record(folder, record)
    return record
