"""Fine-tuning: a BERT and labelled text become a model for a task."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgebert.data.datasets import Dataset
from edgebert.models.task_model import TaskModel
from edgebert.settings import DeviceSettings, FinetuneSettings, TaskSettings
from edgebert.system import native_noise
from edgebert.system.progress import Progress, silent
from edgebert.tasks import task_named, task_of_file
from edgebert.tasks.task import Task
from edgebert.training.inputs import check_settings, choose_rows, encode_split
from edgebert.training.record import TrainingResult, finished_run, history_entry, result_fields
from edgebert.training.state import TrainingFolder, describe_data, describe_model

STAGE = "finetune"
AUTO = "auto"


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
    task: TaskSettings = TaskSettings(),
    where: DeviceSettings = DeviceSettings(),
) -> FinetuneResult:
    """Fine-tunes a BERT for a task and writes the folder.

    The labels are those of the training rows. A base that has the task's head already, with the
    same labels, keeps it; otherwise the head is new.

    Args:
        base: a bare encoder or any other BERT.
        train: labelled rows, of the task's reader; `max_rows` of them are taken at random.
        dev: what the best epoch is chosen by; None splits `dev_fraction` off the training rows.
        settings: the recipe.
        out: the folder to write. The state of an unfinished run is in its `.training/`.
        resume: goes on where an interrupted run stopped; a finished run returns at once.
        progress: told after every step.
        task: what the model is to do; `auto` is the task whose reader read the training rows.
        where: on which devices and hosts it computes. Of several hosts all call this with the same
            arguments and get the same result; the chief alone writes.

    Raises:
        UsageError: settings make no sense, or the run to resume is another one; all at once.
        DataError: dev has labels that no training row has.
        ModelError: the saved state is damaged.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    name = task.task if task.task != AUTO else train.task
    kind = task_named(name) if name else task_of_file(train.path, base.task)
    task = kind.resolve_settings(task, train)
    limit = base.checkpoint.config.max_positions
    settings = replace(settings, max_length=settings.max_length or min(kind.max_length, limit))
    check_settings(base, settings, dev_is_given=dev is not None, where=where)
    identity = {
        "stage": STAGE,
        "settings": asdict(settings),
        "task": {**asdict(task), "task": kind.name},
        "model": describe_model(base),
        "train": describe_data(train),
        "dev": describe_data(dev),
    }
    train, dev = choose_rows(train, dev, settings)
    base, keep_head = _prepared(base, kind, train, task)
    labels = base.labels
    kind.require_known(dev, labels)
    folder = TrainingFolder(out, identity)
    if resume:
        finished = finished_run(out, folder)
        if finished is not None:
            return FinetuneResult(**result_fields(finished, out))

    native_noise.load_keras()
    from edgebert.training import fitting
    from edgebert.training.devices import open_devices, require_same

    devices = open_devices(where)
    require_same(devices, folder.identity)
    with devices.scope():
        keras_model = fitting.build_model(base, kind, kind.num_outputs(labels), keep_head, settings)
        data = encode_split(base, train, base.facts, settings)
        judge = encode_split(base, dev, base.facts, settings, chooses=True)
        if not keep_head:
            kind.start_head(keras_model, data.rows)
        outcome = fitting.train(
            keras_model,
            data.rows,
            judge,
            settings,
            folder,
            progress or silent,
            "fine-tune",
            resume,
            devices=devices,
        )
        decoding = judge.chosen_decoding(outcome.outputs, settings.batch_size, settings.max_length)
        entry = history_entry(identity, train, dev, outcome.metrics, outcome, devices.replicas)
        model = base.updated(keras_model, labels, entry, max_length=settings.max_length)
        checkpoint, decoding = kind.finalize(model.checkpoint, decoding)
        model = replace(model, checkpoint=checkpoint, decoding=decoding)
    if devices.worker == 0:
        model.save(out)
        folder.remove()
    devices.exchange("done")
    return FinetuneResult(**result_fields(model, out))


def _prepared(
    base: TaskModel, kind: Task[Any], train: Dataset, task: TaskSettings
) -> tuple[TaskModel, bool]:
    """The base with the task's settings and labels, and whether it keeps its head."""
    checkpoint = kind.prepare_checkpoint(base.checkpoint, task)
    labels = kind.label_names(train)
    has_head = base.checkpoint.head == checkpoint.head == kind.head
    keep_head = has_head and set(labels) == set(checkpoint.labels)
    labels = checkpoint.labels if keep_head else labels
    decoding = kind.decoding(task) | ({} if keep_head else kind.training_units(train))
    prepared = replace(checkpoint, labels=labels)
    return replace(base, checkpoint=prepared, task=kind, decoding=decoding), keep_head
