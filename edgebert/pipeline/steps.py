"""The work of the stages of `[[stages]]`, and the inputs that their results depend on.

Each stage changes the model of the stage before it. Nothing but settings, data and models goes into
a result, so the same file on the same machine gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgebert.models.task_model import TaskModel
from edgebert.pipeline.config import StepPlan, StepSettings
from edgebert.pipeline.facts import dev_fact, fingerprint, stage_run
from edgebert.pipeline.session import Session
from edgebert.reporting.units import metric_text, share_text
from edgebert.settings import (
    DistillSettings,
    PruneSettings,
    StructureSettings,
    VocabularySettings,
)
from edgebert.training.state import describe_data


def step_inputs(session: Session, step: StepPlan) -> dict[str, Any]:
    """Settings, the models before the stage, and the train and dev splits."""
    settings: StepSettings = step.settings
    if isinstance(settings, StructureSettings) and settings.latency_table:
        table = Path(settings.latency_table).read_bytes()
        settings = replace(settings, latency_table=hashlib.sha256(table).hexdigest())
    teacher = isinstance(settings, DistillSettings)
    return {
        "settings": {"student": step.student, **asdict(settings)},
        "model": fingerprint(session.model(session.config.before(step))),
        "teacher": fingerprint(session.model(session.config.unpruned)) if teacher else None,
        "train": describe_data(session.taught if teacher else session.train),
        "dev": describe_data(session.dev),
    }


def run_step(session: Session, step: StepPlan, folder: Path, resume: bool) -> dict[str, Any]:
    """Changes the model of the stage before, and writes the result into `folder`."""
    work = _WORK[step.kind]
    facts = work(session, step, folder, resume)
    session.forget(step.name)
    return facts


def _remove_structure(
    session: Session, step: StepPlan, folder: Path, resume: bool
) -> dict[str, Any]:
    """Removes layers, heads and neurons. Nothing is trained."""
    from edgebert.pruning.latency_table import read_latency_table
    from edgebert.pruning.structured import prune_structure

    settings = step.settings
    assert isinstance(settings, StructureSettings)
    # The history of the model has the table itself, so that the path of its file is no part of it.
    table = read_latency_table(settings.latency_table) if settings.latency_table else None
    result = prune_structure(
        _before(session, step),
        session.train,
        replace(settings, latency_table=""),
        session.progress,
        table,
    )
    result.model.save(folder)
    return {
        "operations left": share_text(result.operations_left),
        **_scored(session, result.model),
    }


def _trim(session: Session, step: StepPlan, folder: Path, resume: bool) -> dict[str, Any]:
    """Trims the vocabulary to the training text."""
    from edgebert.pruning.vocabulary import trim_vocabulary
    from edgebert.tasks.examples import all_input_texts

    assert isinstance(step.settings, VocabularySettings)
    model = _before(session, step)
    result = trim_vocabulary(model, all_input_texts(model, session.train), step.settings)
    result.model.save(folder)
    tokens = f"{result.rows_before} to {result.rows_after}"
    return {"tokens": tokens, **_scored(session, result.model)}


def _prune_weights(session: Session, step: StepPlan, folder: Path, resume: bool) -> dict[str, Any]:
    """Magnitude pruning: sets single weights to zero."""
    from edgebert.pruning import prune

    assert isinstance(step.settings, PruneSettings)
    result = prune(
        _before(session, step),
        session.train,
        session.dev,
        step.settings,
        stage_run(session, folder, resume),
    )
    return {"zeros": share_text(result.sparsity), **dev_fact(session, result.metrics)}


def _distill(session: Session, step: StepPlan, folder: Path, resume: bool) -> dict[str, Any]:
    """Distills the unpruned model into that of the stage before, or into a smaller shape."""
    from edgebert.distillation import distill
    from edgebert.models.students import make_student

    assert isinstance(step.settings, DistillSettings)
    teacher = session.model(session.config.unpruned)
    student = make_student(teacher, step.student) if step.student else _before(session, step)
    result = distill(
        teacher,
        student,
        session.taught,
        session.dev,
        step.settings,
        stage_run(session, folder, resume),
    )
    return {
        "best epoch": f"{result.best_epoch} of {len(result.epochs)}",
        **dev_fact(session, result.metrics),
        "teacher": metric_text(session.task.metric, result.teacher_metrics[session.task.metric]),
    }


_WORK: Mapping[str, Callable[[Session, StepPlan, Path, bool], dict[str, Any]]] = {
    "structure": _remove_structure,
    "vocabulary": _trim,
    "prune": _prune_weights,
    "distill": _distill,
}


def _before(session: Session, step: StepPlan) -> TaskModel:
    return session.model(session.config.before(step))


def _scored(session: Session, model: TaskModel) -> dict[str, str]:
    """The metric of the task on the dev split, which is no part of the model."""
    from edgebert.evaluation.predictors import KerasPredictor, evaluate

    return dev_fact(session, evaluate(KerasPredictor(model), session.dev).metrics)
