"""Fine-tuning: trains a BERT for a task on labelled text."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgebert.data.datasets import Dataset
from edgebert.models.task_model import TaskModel, as_model
from edgebert.settings import FinetuneSettings, TaskSettings
from edgebert.system import native_noise
from edgebert.tasks import task_named, task_of_file
from edgebert.tasks.task import Task
from edgebert.training.inputs import check_settings, choose_rows, encode_split
from edgebert.training.record import (
    TrainingResult,
    finished_run,
    history_entry,
    refuse_other_model,
    result_fields,
    save_result,
)
from edgebert.training.stage_run import StageRun
from edgebert.training.state import TrainingFolder, describe_data, describe_model

STAGE = "finetune"
AUTO = "auto"


class FinetuneResult(TrainingResult):
    """The fine-tuned model, its metrics and its training history."""


def finetune(
    base: TaskModel | Path | str,
    train: Dataset,
    dev: Dataset | None,
    settings: FinetuneSettings,
    run: StageRun,
    task: TaskSettings = TaskSettings(),
) -> FinetuneResult:
    """Fine-tunes a BERT for a task and writes the model folder.

    The model gets the labels of the training rows. If the base already has a head for this task
    with the same labels, the head is kept; otherwise a new head is trained.

    Args:
        base: A bare encoder, any other BERT, or the path of one.
        train: Labelled rows in the task's format. `max_rows` of them are taken at random.
        dev: Labelled rows that select the best epoch. None splits `dev_fraction` off the training
            rows.
        settings: Training hyperparameters.
        run: Output folder, resuming, progress and devices.
        task: The task and its options. `auto` is the task whose reader read the training rows.

    Returns:
        The model with the weights of its best epoch.

    Raises:
        UsageError: Invalid settings (all of them are listed), or `resume` of a different run.
        DataError: The dev rows have labels that no training row has.
        ModelError: The saved state is damaged.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    base = as_model(base, as_base=True)
    name = task.task if task.task != AUTO else train.task
    kind = task_named(name) if name else task_of_file(train.path, base.task)
    task = kind.resolve_settings(task, train)
    limit = base.checkpoint.config.max_positions
    settings = replace(settings, max_length=settings.max_length or min(kind.max_length, limit))
    check_settings(base, settings, dev_is_given=dev is not None, where=run.where)
    identity = {
        "stage": STAGE,
        "settings": asdict(settings),
        "task": {**asdict(task), "task": kind.name},
        "model": describe_model(base),
        "train": describe_data(train),
        "dev": describe_data(dev),
    }
    train, dev = choose_rows(train, dev, settings)
    base, keep_head = _with_task(base, kind, train, task)
    kind.require_known(dev, base.labels)
    refuse_other_model(run, identity)
    folder = TrainingFolder(run.out, identity)
    if run.resume:
        finished = finished_run(run.out, folder)
        if finished is not None:
            return FinetuneResult(**result_fields(finished, run.out))
    model = _train(_Job(base, kind, keep_head, train, dev, settings), folder, run)
    return FinetuneResult(**result_fields(model, run.out))


@dataclass(frozen=True)
class _Job:
    """Model, data and settings of one training run.

    Attributes:
        base: The base with the task's labels and options.
        kind: The task.
        keep_head: Whether training starts from the base's own head.
        train: Rows to train on.
        dev: Rows that select the best epoch.
        settings: Training hyperparameters.
    """

    base: TaskModel
    kind: Task[Any]
    keep_head: bool
    train: Dataset
    dev: Dataset
    settings: FinetuneSettings


def _train(job: _Job, folder: TrainingFolder, run: StageRun) -> TaskModel:
    """Trains the model, writes its folder and removes the training state."""
    native_noise.load_keras()
    from edgebert.training import fitting
    from edgebert.training.agreement import require_same
    from edgebert.training.strategies import open_devices

    base, kind, settings = job.base, job.kind, job.settings
    devices = open_devices(run.where)
    require_same(devices, folder.identity)
    with devices.scope():
        outputs = kind.num_outputs(base.labels)
        keras_model = fitting.build_model(base, kind, outputs, job.keep_head, settings)
        rows = encode_split(base, job.train, settings).rows
        evaluator = encode_split(base, job.dev, settings, chooses=True)
        if not job.keep_head:
            kind.start_head(keras_model, rows)
        training = fitting.Training(
            rows=rows,
            evaluator=evaluator,
            settings=settings,
            folder=folder,
            stage="fine-tune",
            progress=run.progress,
            devices=devices,
        )
        outcome = fitting.train(keras_model, training, resume=run.resume)
        decoding = evaluator.choose_thresholds(
            outcome.outputs, settings.batch_size, settings.max_length
        )
        entry = history_entry(
            folder.identity, job.train, job.dev, outcome.metrics, outcome, devices.replicas
        )
        model = base.updated(keras_model, base.labels, entry, max_length=settings.max_length)
        checkpoint, decoding = kind.finalize(model.checkpoint, decoding)
        model = replace(model, checkpoint=checkpoint, decoding=decoding)
    save_result(model, run.out, folder, devices, outcome)
    return model


def _with_task(
    base: TaskModel, kind: Task[Any], train: Dataset, task: TaskSettings
) -> tuple[TaskModel, bool]:
    """Gives the base the task's options and labels; also returns whether it keeps its head."""
    checkpoint = kind.prepare_checkpoint(base.checkpoint, task)
    labels = kind.label_names(train)
    has_head = base.checkpoint.head == checkpoint.head == kind.head
    keep_head = has_head and set(labels) == set(checkpoint.labels)
    labels = checkpoint.labels if keep_head else labels
    # A new head for the same task keeps the prompts of the base; other settings are new.
    kept = ("prompt", "prompts") if kind.name == base.task.name else ()
    prompts = {key: base.decoding[key] for key in kept if key in base.decoding}
    units = {} if keep_head else kind.training_units(train)
    decoding = prompts | kind.decoding(task) | units
    prepared = replace(checkpoint, labels=labels)
    return replace(base, checkpoint=prepared, task=kind, decoding=decoding), keep_head
