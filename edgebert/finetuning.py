"""Fine-tuning: a BERT and labelled text become a classifier."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgebert import native_noise
from edgebert.datasets import Dataset, encode_labels, label_names
from edgebert.model import TaskModel
from edgebert.progress import Progress, silent
from edgebert.settings import FinetuneSettings
from edgebert.training.inputs import check_settings, choose_rows, label_rows
from edgebert.training.record import finished_run, history_entry
from edgebert.training.state import TrainingFolder, describe_data, describe_model

STAGE = "finetune"


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
