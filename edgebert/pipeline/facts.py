"""What the stages of a run share: facts about models and results, and how a stage runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgebert.models.task_model import TaskModel
from edgebert.pipeline.session import Session
from edgebert.reporting.units import metric_text, metric_words
from edgebert.training.stage_run import StageRun
from edgebert.training.state import describe_model


def stage_run(session: Session, folder: Path, resume: bool) -> StageRun:
    """A stage of this run; its record decided that the model in the folder is replaced."""
    return StageRun(folder, resume=resume, overwrite=True, progress=session.progress)


def dev_fact(session: Session, metrics: Mapping[str, float]) -> dict[str, str]:
    """The metric of the task on the dev split."""
    name = session.task.metric
    return {f"dev {metric_words(name)}": metric_text(name, metrics[name])}


def fingerprint(model: TaskModel) -> dict[str, Any]:
    """The facts about a model that later stages depend on."""
    return {
        **describe_model(model),
        "tokenizer": model.tokenizer.vocabulary.to_settings(),
        "config": dict(vars(model.checkpoint.config)),
    }
