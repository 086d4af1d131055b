"""The result of a training stage, its entry in the model's history, and finding a finished run."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.json_fields import Fields
from converters.json_files import JsonFormat, json_value
from edgebert.data.datasets import Dataset
from edgebert.errors import DataError, UsageError
from edgebert.models.task_model import SIDECAR, TaskModel, open_model, read_sidecar
from edgebert.system.json_text import json_text
from edgebert.system.storage import atomic_write, finish_interrupted
from edgebert.training.stage_run import StageRun
from edgebert.training.state import FOLDER, TrainingFolder, differences_of, require_same_run

if TYPE_CHECKING:
    from edgebert.training.devices import Devices
    from edgebert.training.fitting import Outcome

_SPEED = "sentences_per_second"
_TIMINGS = JsonFormat("the timings of a training run", "train again", DataError)
_MODEL_FILES = ("config.json", "model.safetensors", "modules.json", "bert_config.json")
UNTRAINED = ".untrained"
"""Folder inside the output folder with the pruned model before its recovery. A resumed run
continues from the same weights."""
_STARTED_FROM = ("task", "model", "train", "dev", "teacher")


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training stage; `FinetuneResult`, `PruneResult` and others extend it.

    Attributes:
        model: The model with the weights of the best epoch.
        out: The folder it was written to.
        metrics: The task's metrics of the best epoch on the dev rows. After training, `loss` is
            included.
        epochs: One entry per epoch: epoch, loss, dev_loss, and each metric with the prefix `dev_`.
        best_epoch: The number of the best epoch, from 1; 0 if nothing was trained.
        steps: Number of steps taken.
        sentences_per_second: Training speed in steady state, without tracing, evaluation and
            saving; 0 if nothing was trained, or if the file beside the folder is gone.
    """

    model: TaskModel
    out: Path
    metrics: dict[str, float]
    epochs: tuple[dict[str, Any], ...]
    best_epoch: int
    steps: int
    sentences_per_second: float


def result_fields(model: TaskModel, out: Path | str) -> dict[str, Any]:
    """The fields of a `TrainingResult`, read from the last entry of the model's history."""
    entry = model.history[-1]
    return {
        "model": model,
        "out": Path(out),
        "metrics": dict(entry["metrics"]),
        "epochs": tuple(entry["epochs"]),
        "best_epoch": entry["epoch"],
        "steps": entry["steps"],
        "sentences_per_second": _read_speed(Path(out)) if entry["steps"] else 0.0,
    }


def timings_path(out: Path | str) -> Path:
    """The file beside a model's folder with the timings of its training.

    The folder itself has none: two runs with the same seed write the same bytes.
    """
    out = Path(out)
    return out.with_name(out.name + ".timings.json")


def write_timings(out: Path | str, outcome: Outcome) -> None:
    """Writes the training speed beside the folder of a model."""
    content = {_SPEED: round(outcome.sentences_per_second, 1)}
    atomic_write(timings_path(out), json_text(content, indent=2) + "\n")


def _read_speed(out: Path) -> float:
    """The training speed in sentences a second; 0 if it is not known any more."""
    try:
        return Fields(_TIMINGS.read(timings_path(out))).number(_SPEED, 0.0)
    except DataError:
        return 0.0


def save_result(
    model: TaskModel,
    out: Path | str,
    folder: TrainingFolder,
    devices: Devices,
    outcome: Outcome,
) -> None:
    """Writes the model and its timings and removes the training state, all as the coordinator.

    The other processes wait until the files are there.
    """
    if devices.is_coordinator:
        write_timings(out, outcome)
        model.save(out)
        folder.remove()
    devices.exchange("done")


def history_entry(
    identity: Mapping[str, Any],
    train: Dataset,
    dev: Dataset,
    metrics: Mapping[str, float],
    outcome: Outcome | None = None,
    replicas: int = 1,
) -> dict[str, Any]:
    """The entry that a stage appends to the model's history.

    Args:
        identity: Stage, settings, data and model of the run.
        train: Training rows.
        dev: Dev rows.
        metrics: Metrics of the finished model on the dev rows.
        outcome: The training run; None if nothing was trained.
        replicas: Number of copies of the model that trained together.
    """
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
    """The part of an entry that `result_fields` reads."""
    return {
        "metrics": dict(metrics),
        "epoch": outcome.best.epoch if outcome else 0,
        "epochs": [score.to_dict() for score in outcome.epochs] if outcome else [],
        "steps": outcome.steps if outcome else 0,
    }


def _data_facts(dataset: Dataset) -> dict[str, Any]:
    return {"name": dataset.name, "rows": len(dataset), "sha256": dataset.sha256}


def has_finished(out: Path | str) -> bool:
    """Whether a folder has the model of a finished training, and no state of an unfinished one."""
    return (Path(out) / SIDECAR).is_file() and not (Path(out) / FOLDER).exists()


def finished_run(out: Path | str, folder: TrainingFolder) -> TaskModel | None:
    """The model of a finished run; None if there is none or if a newer run is unfinished.

    Args:
        out: The output folder.
        folder: The training state inside it, with the identity of the requested run.

    Raises:
        UsageError: The folder has a model of a different run of this stage.
    """
    finish_interrupted(Path(out))
    if not has_finished(out):
        return None
    model = open_model(out)
    entry = model.history[-1] if model.history else {}
    saved = _identity_of(entry)
    if saved is None or saved["stage"] != folder.identity["stage"]:
        return None
    require_same_run(saved, folder.identity, str(out))
    return model


def _identity_of(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """The identity of the run that wrote an entry of a history; None for another entry."""
    if "started_from" not in entry:
        return None
    return {"stage": entry["stage"], "settings": entry["settings"], **entry["started_from"]}


def refuse_other_model(run: StageRun, identity: Mapping[str, Any]) -> None:
    """Checks that a stage replaces no model of another run. The same run may be repeated.

    Args:
        run: The output folder, and whether a model in it is replaced or a run resumed.
        identity: Stage, settings, data and model of the requested run.

    Raises:
        UsageError: The folder has another model.
    """
    out = Path(run.out)
    found = next((name for name in (SIDECAR, *_MODEL_FILES) if (out / name).is_file()), None)
    is_resumed = run.resume and any((out / name).exists() for name in (FOLDER, UNTRAINED))
    if run.overwrite or is_resumed or found is None:
        return
    received = f"a folder with {found}"
    if found == SIDECAR:
        history: tuple[dict[str, Any], ...] = read_sidecar(out).get("history") or ({},)
        # Structured pruning is not the last stage: its recovery is.
        entries = [each.get("asked") for each in history] if "stage" not in identity else []
        saved = [each for each in entries or [_identity_of(history[-1])] if each is not None]
        differences = [differences_of(each, json_value(identity)) for each in saved]
        if "" in differences:
            return
        received = "a model of another run" + (f": {differences[-1]}" if differences else "")
    raise UsageError(
        f"{out}: expected a folder without a model, since this run would replace it. Received: "
        f"{received}. Next: choose another folder, or add --overwrite to replace the model."
    )
