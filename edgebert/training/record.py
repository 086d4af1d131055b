"""What a training run leaves in the model's history, and how a finished run is known by it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.data.datasets import Dataset
from edgebert.models.task_model import SIDECAR, TaskModel, open_model
from edgebert.training.state import TrainingFolder, require_same_run

if TYPE_CHECKING:
    from edgebert.training.fitting import Outcome

_STARTED_FROM = ("task", "model", "train", "dev", "teacher")


@dataclass(frozen=True)
class TrainingResult:
    """What a stage that trains made.

    Attributes:
        model: with the weights of the best epoch.
        out: the folder that it was written to.
        metrics: of the best epoch on the dev rows: the task's, and loss where it trained.
        epochs: what each epoch gave: epoch, loss, dev_loss, and `dev_` with each of the metrics.
        best_epoch: its number from 1; 0 where nothing was trained.
        steps: that were taken in all.
        sentences_per_second: of training in steady state: no tracing, no scoring, no saving; 0
            where nothing was trained.
    """

    model: TaskModel
    out: Path
    metrics: dict[str, float]
    epochs: tuple[dict[str, Any], ...]
    best_epoch: int
    steps: int
    sentences_per_second: float


def result_fields(model: TaskModel, out: Path | str) -> dict[str, Any]:
    """The fields of a `TrainingResult`, out of the last entry of a model's history."""
    entry = model.history[-1]
    return {
        "model": model,
        "out": Path(out),
        "metrics": dict(entry["metrics"]),
        "epochs": tuple(entry["epochs"]),
        "best_epoch": entry["epoch"],
        "steps": entry["steps"],
        "sentences_per_second": entry["sentences_per_second"],
    }


def history_entry(
    identity: Mapping[str, Any],
    train: Dataset,
    dev: Dataset,
    metrics: Mapping[str, float],
    outcome: Outcome | None = None,
    replicas: int = 1,
) -> dict[str, Any]:
    """What a stage leaves in the model's history; without an outcome nothing was trained."""
    packages = ("keras", "keras-hub", "tensorflow")
    return {
        "stage": identity["stage"],
        "settings": identity["settings"],
        "data": {"train": _data_facts(train), "dev": _data_facts(dev)},
        **training_facts(metrics, outcome),
        "replicas": replicas,
        "started_from": {key: identity[key] for key in _STARTED_FROM if key in identity},
        "versions": {package: importlib.metadata.version(package) for package in packages},
    }


def training_facts(metrics: Mapping[str, float], outcome: Outcome | None = None) -> dict[str, Any]:
    """What `result_fields` reads of an entry."""
    return {
        "metrics": dict(metrics),
        "epoch": outcome.best.epoch if outcome else 0,
        "epochs": [score.to_dict() for score in outcome.epochs] if outcome else [],
        "steps": outcome.steps if outcome else 0,
        "sentences_per_second": round(outcome.sentences_per_second, 1) if outcome else 0.0,
    }


def _data_facts(dataset: Dataset) -> dict[str, Any]:
    return {"name": dataset.name, "rows": len(dataset), "sha256": dataset.sha256}


def finished_run(out: Path | str, folder: TrainingFolder) -> TaskModel | None:
    """The model in `out`, where its run is finished and no newer one is under way.

    Raises:
        UsageError: the model in the folder is of another run of this stage.
    """
    if folder.path.exists() or not (Path(out) / SIDECAR).is_file():
        return None
    model = open_model(out)
    entry = model.history[-1] if model.history else {}
    if entry.get("stage") != folder.identity["stage"] or "started_from" not in entry:
        return None
    saved = {"stage": entry["stage"], "settings": entry["settings"], **entry["started_from"]}
    require_same_run(saved, folder.identity, str(out))
    return model
