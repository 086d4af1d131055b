"""Fine-tuning: a BERT and labelled text become a classifier."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from edgebert import native_noise
from edgebert.datasets import Dataset, encode_labels, label_names
from edgebert.model import TaskModel
from edgebert.progress import Progress, silent
from edgebert.settings import FinetuneSettings
from edgebert.training.inputs import check_settings, choose_rows, label_rows
from edgebert.training.record import TrainingResult, finished_run, history_entry, result_fields
from edgebert.training.state import TrainingFolder, describe_data, describe_model

STAGE = "finetune"


class FinetuneResult(TrainingResult):
    """What fine-tuning made."""


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
            return FinetuneResult(**result_fields(finished, out))

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
    return FinetuneResult(**result_fields(model, out))
