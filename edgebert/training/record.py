"""What a training run leaves in the model's history, and how a finished run is known by it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.datasets import Dataset
from edgebert.model import SIDECAR, TaskModel, open_model
from edgebert.training.state import TrainingFolder, require_same_run

if TYPE_CHECKING:
    from edgebert.training.fitting import Outcome

_STARTED_FROM = ("model", "train", "dev")


def history_entry(
    identity: Mapping[str, Any],
    train: Dataset,
    dev: Dataset,
    metrics: Mapping[str, float],
    outcome: Outcome | None = None,
) -> dict[str, Any]:
    """What a stage leaves in the model's history; without an outcome nothing was trained."""
    packages = ("keras", "keras-hub", "tensorflow")
    return {
        "stage": identity["stage"],
        "settings": identity["settings"],
        "data": {"train": _data_facts(train), "dev": _data_facts(dev)},
        "metrics": dict(metrics),
        "epoch": outcome.best.epoch if outcome else 0,
        "epochs": [asdict(score) for score in outcome.epochs] if outcome else [],
        "steps": outcome.steps if outcome else 0,
        "sentences_per_second": round(outcome.sentences_per_second, 1) if outcome else 0.0,
        "started_from": {key: identity[key] for key in _STARTED_FROM},
        "versions": {package: importlib.metadata.version(package) for package in packages},
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
