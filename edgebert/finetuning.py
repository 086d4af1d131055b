"""Fine-tuning: a BERT and labelled text become a classifier."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebert import native_noise
from edgebert.datasets import Dataset, encode_labels, label_names, split_dataset, take
from edgebert.errors import UsageError
from edgebert.model import SIDECAR, TaskModel, open_model
from edgebert.progress import Progress, silent
from edgebert.settings import FinetuneSettings
from edgebert.tasks import classification
from edgebert.training.batches import encode_rows
from edgebert.training.state import (
    TrainingFolder,
    describe_data,
    describe_model,
    require_same_run,
)

if TYPE_CHECKING:
    from edgebert.training.fitting import Outcome
    from edgebert.training.loop import LabelledRows

STAGE = "finetune"
_SHORTEST = 3
_STARTED_FROM = ("model", "train", "dev")


@dataclass(frozen=True)
class FinetuneResult:
    """What fine-tuning made.

    Attributes:
        model: with the weights of the best epoch.
        out: the folder that it was written to.
        metrics: of the best epoch on the dev rows: accuracy, macro_f1, loss.
        epochs: what each epoch gave: epoch, loss, dev_loss, dev_accuracy, dev_macro_f1.
        best_epoch: its number, from 1.
        steps: that were taken in all.
        sentences_per_second: of training in steady state: no tracing, no scoring, no saving.
    """

    model: TaskModel
    out: Path
    metrics: dict[str, float]
    epochs: tuple[dict[str, Any], ...]
    best_epoch: int
    steps: int
    sentences_per_second: float


def finetune(
    base: TaskModel,
    train: Dataset,
    dev: Dataset | None,
    settings: FinetuneSettings,
    out: Path | str,
    resume: bool = False,
    progress: Progress | None = None,
) -> FinetuneResult:
    """Fine-tunes a BERT for text classification and writes the folder.

    The labels are those of the training rows. A base that is a classifier of the same labels keeps
    its head; otherwise the head is new.

    Args:
        base: a bare encoder or a classifier.
        train: labelled rows; `max_rows` of them are taken at random.
        dev: what the best epoch is chosen by; None splits `dev_fraction` off the training rows.
        settings: the recipe.
        out: the folder to write. The state of an unfinished run is in its `.training/`.
        resume: goes on where an interrupted run stopped; a finished run returns at once.
        progress: told after every step.

    Raises:
        UsageError: settings make no sense, or the run to resume is another one; all at once.
        DataError: dev has labels that no training row has.
        ModelError: the saved state is damaged.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    check_settings(base, settings, dev_is_given=dev is not None)
    labels = label_names(train)
    labels = base.labels if set(labels) == set(base.labels) else labels
    identity = {
        "stage": STAGE,
        "settings": asdict(settings),
        "model": describe_model(base),
        "train": describe_data(train),
        "dev": describe_data(dev),
    }
    train, dev = choose_rows(train, dev, settings)
    targets = encode_labels(dev, labels)
    folder = TrainingFolder(out, identity)
    if resume:
        finished = finished_run(out, folder)
        if finished is not None:
            return _result(finished, Path(out))

    native_noise.load_keras()
    from edgebert.training import fitting

    keras_model = fitting.build_model(base, len(labels), labels == base.labels, settings)
    data = label_rows(base, train, encode_labels(train, labels), settings, len(labels))
    judged = label_rows(base, dev, targets, settings, len(labels))
    outcome = fitting.train(
        keras_model, data, judged, settings, folder, progress or silent, "fine-tune", resume
    )
    entry = history_entry(identity, train, dev, outcome.metrics, outcome)
    model = base.updated(keras_model, labels, entry, max_length=settings.max_length)
    model.save(out)
    folder.remove()
    return _result(model, Path(out))


def check_settings(base: TaskModel, settings: FinetuneSettings, dev_is_given: bool) -> None:
    """Refuses settings that make no sense.

    Raises:
        UsageError: every problem is listed.
    """
    limit = base.checkpoint.config.max_positions
    rules = [
        ("epochs", settings.epochs >= 1, "at least 1"),
        ("batch_size", settings.batch_size >= 1, "at least 1"),
        ("learning_rate", settings.learning_rate > 0, "above 0"),
        ("warmup_ratio", 0 <= settings.warmup_ratio <= 1, "between 0 and 1"),
        ("weight_decay", settings.weight_decay >= 0, "at least 0"),
        ("clip_norm", settings.clip_norm >= 0, "at least 0 (0 clips nothing)"),
        ("dropout", 0 <= settings.dropout < 1, "at least 0 and below 1"),
        (
            "max_length",
            _SHORTEST <= settings.max_length <= limit,
            f"between {_SHORTEST} and {limit}, the model's positions",
        ),
        ("patience", settings.patience >= 0, "at least 0"),
        ("max_rows", settings.max_rows >= 0, "at least 0"),
        ("seed", settings.seed >= 0, "at least 0"),
        ("dev_fraction", dev_is_given or 0 < settings.dev_fraction < 1, "between 0 and 1"),
    ]
    problems = [
        f"{name}: expected {expected}. Received: {getattr(settings, name)}"
        for name, holds, expected in rules
        if not holds
    ]
    if problems:
        raise UsageError("; ".join(problems) + ".")


def choose_rows(
    train: Dataset, dev: Dataset | None, settings: FinetuneSettings
) -> tuple[Dataset, Dataset]:
    """The rows that are trained on and those that epochs are judged by."""
    if dev is None:
        train, dev = split_dataset(train, settings.dev_fraction, settings.seed)
    if settings.max_rows:
        train = take(train, settings.max_rows, settings.seed)
    return train, dev


def label_rows(
    base: TaskModel, data: Dataset, targets: Any, settings: FinetuneSettings, num_labels: int
) -> LabelledRows:
    """Encodes the texts and weighs the rows by their class."""
    from edgebert.training.loop import LabelledRows

    weights = np.ones(num_labels, np.float32)
    if settings.class_weights == "balanced":
        weights = classification.class_weights(targets, num_labels)
    rows = encode_rows(base.tokenizer, data.texts, settings.max_length)
    return LabelledRows(rows, targets, weights[targets])


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


def _result(model: TaskModel, out: Path) -> FinetuneResult:
    entry = model.history[-1]
    return FinetuneResult(
        model,
        out,
        dict(entry["metrics"]),
        tuple(entry["epochs"]),
        entry["epoch"],
        entry["steps"],
        entry["sentences_per_second"],
    )
