"""Magnitude pruning: sets the smallest weights to zero, with recovery training."""

from __future__ import annotations

import functools
import gzip
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.checkpoint import Checkpoint
from converters.tflite.inference_graph import quantize_rows
from edgebert.data.datasets import Dataset
from edgebert.data.label_numbers import with_label_names
from edgebert.evaluation.predictors import KerasPredictor, evaluate
from edgebert.models.task_model import TaskModel, as_model
from edgebert.pruning import schedules
from edgebert.pruning.masks import (
    Kernel,
    MakeMask,
    Mask,
    magnitude_mask,
    parse_pattern,
    pattern_mask,
    prunable_names,
    sparsity_of,
)
from edgebert.settings import FinetuneSettings, PruneSettings
from edgebert.system import native_noise
from edgebert.tasks.examples import task_with_answers
from edgebert.training.inputs import check_settings, choose_rows, encode_split
from edgebert.training.record import (
    TrainingResult,
    finished_run,
    history_entry,
    refuse_other_model,
    result_fields,
    write_timings,
)
from edgebert.training.stage_run import StageRun
from edgebert.training.state import TrainingFolder, describe_data, describe_model

if TYPE_CHECKING:
    from edgebert.tasks.task import Task

STAGE = "prune"
_GZIP_LEVEL = 6


@dataclass(frozen=True)
class LayerSparsity:
    """The sparsity of one kernel or embedding table.

    Attributes:
        name: Neutral name of the array.
        shape: Shape of the array.
        sparsity: Share of zeros, from 0 to 1.
    """

    name: str
    shape: tuple[int, ...]
    sparsity: float


@dataclass(frozen=True)
class PruneResult(TrainingResult):
    """The pruned model, with the weights of the best epoch at the final sparsity.

    Attributes:
        sparsity: Share of zeros over all pruned arrays.
        layers: Sparsity of each pruned array.
        kernel_gzip_bytes_before: Size of all kernels as gzip'd int8 rows before pruning, which is
            what they add to the download of an app.
        kernel_gzip_bytes_after: The same after pruning.
    """

    sparsity: float
    layers: tuple[LayerSparsity, ...]
    kernel_gzip_bytes_before: int
    kernel_gzip_bytes_after: int


def prune(
    model: TaskModel | Path | str,
    train: Dataset,
    dev: Dataset | None,
    settings: PruneSettings,
    run: StageRun,
) -> PruneResult:
    """Prunes single weights of a model and writes the model folder.

    Epochs that end before the final sparsity is reached can't be the best one. With `epochs=0` the
    final masks are applied once and nothing is trained.

    Args:
        model: A model with a task, or its path.
        train: Rows of the recovery training, with labels that the model knows.
        dev: Rows that select the best epoch; None splits a tenth off the training rows.
        settings: Method, schedule and recovery training.
        run: Output folder, resuming and progress. This stage runs on one device.

    Returns:
        The model with the weights of its best epoch, and its sparsity.

    Raises:
        UsageError: Invalid settings, a bare encoder, or `resume` of a different run.
        DataError: The data has labels that the model does not know.
        ModelError: The saved state is damaged.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    run.require_one_device()
    model = as_model(model)
    train = with_label_names(train, model.labels)
    dev = None if dev is None else with_label_names(dev, model.labels)
    recipe = recovery_settings(model, settings)
    _check(model, settings, recipe, dev_is_given=dev is not None)
    identity = {
        "stage": STAGE,
        "settings": asdict(settings),
        "model": describe_model(model),
        "train": describe_data(train),
        "dev": describe_data(dev),
    }
    refuse_other_model(run, identity)
    folder = TrainingFolder(run.out, identity)
    if run.resume:
        finished = finished_run(run.out, folder)
        if finished is not None:
            return _result(finished, run.out)
    train, dev = choose_rows(train, dev, recipe)
    job = _Job(model, train, dev, settings, recipe, folder, run)
    for part in (train, dev):
        job.task.require_known(part, model.labels)
    pruned, entry = _recover(job) if settings.epochs else _mask_once(job)
    entry |= _report(model.checkpoint, pruned.checkpoint, settings)
    pruned = replace(pruned, history=(*model.history, entry))
    pruned.save(run.out)
    folder.remove()
    return _result(pruned, run.out)


@dataclass(frozen=True)
class _Job:
    """One call of `prune`.

    Attributes:
        model: The model to prune.
        train: Rows to train on.
        dev: Rows that select the best epoch.
        settings: Method, schedule and recovery training.
        recipe: The recovery training as fine-tuning settings.
        folder: The training state.
        run: Output folder, resuming and progress.
    """

    model: TaskModel
    train: Dataset
    dev: Dataset
    settings: PruneSettings
    recipe: FinetuneSettings
    folder: TrainingFolder
    run: StageRun

    @property
    def names(self) -> tuple[str, ...]:
        """Neutral names of the arrays to prune."""
        return _names(self.model.checkpoint, self.settings)

    @property
    def task(self) -> Task[Any]:
        """The model's task."""
        return self.model.task


def recovery_settings(model: TaskModel, settings: PruneSettings) -> FinetuneSettings:
    """The recovery training as fine-tuning settings; the rest are fine-tuning's defaults."""
    return FinetuneSettings(
        epochs=max(1, settings.epochs),
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        max_length=model.max_length,
        patience=0,
        max_rows=settings.max_rows,
        seed=settings.seed,
    )


def _check(
    model: TaskModel, settings: PruneSettings, recipe: FinetuneSettings, dev_is_given: bool
) -> None:
    task_with_answers(model)
    schedules.check_settings(settings)
    check_settings(model, recipe, dev_is_given)


def _mask_maker(settings: PruneSettings) -> MakeMask:
    if settings.method == "magnitude":
        return magnitude_mask
    kept, group = parse_pattern(settings.pattern)
    return functools.partial(_constant_pattern, kept=kept, group=group)


def _constant_pattern(kernel: Kernel, sparsity: float, kept: int, group: int) -> Mask:
    return pattern_mask(kernel, kept, group)


def _names(checkpoint: Checkpoint, settings: PruneSettings) -> tuple[str, ...]:
    return prunable_names(checkpoint.weights, settings.include_embeddings, settings.include_head)


def _mask_once(job: _Job) -> tuple[TaskModel, dict[str, Any]]:
    """Applies the final masks without training; returns the model and its history entry."""
    weights, share = dict(job.model.checkpoint.weights), schedules.final_sparsity(job.settings)
    make_mask = _mask_maker(job.settings)
    for done, name in enumerate(job.names):
        job.run.progress("prune", done, len(job.names), kernel=name)
        weights[name] = np.where(make_mask(weights[name], share), weights[name], np.float32(0))
    job.run.progress("prune", len(job.names), len(job.names))
    pruned = replace(job.model, checkpoint=job.model.checkpoint.with_weights(weights))
    metrics = evaluate(KerasPredictor(pruned), job.dev).metrics
    return pruned, history_entry(job.folder.identity, job.train, job.dev, metrics)


def _recover(job: _Job) -> tuple[TaskModel, dict[str, Any]]:
    """Prunes on the schedule while training; returns the model and its history entry."""
    native_noise.load_keras()
    from edgebert.pruning.callback import MaskCallback
    from edgebert.training import fitting

    model = job.model
    outputs = job.task.num_outputs(model.labels)
    keras_model = fitting.build_model(model, job.task, outputs, True, job.recipe)
    steps = schedules.window(job.settings, fitting.total_steps(len(job.train), job.recipe))
    callback = MaskCallback(
        keras_model,
        model.checkpoint.config,
        job.names,
        make_mask=_mask_maker(job.settings),
        schedule=schedules.make_schedule(job.settings, steps),
    )
    training = fitting.Training(
        rows=encode_split(model, job.train, job.recipe).rows,
        evaluator=encode_split(model, job.dev, job.recipe),
        settings=job.recipe,
        folder=job.folder,
        stage=STAGE,
        progress=job.run.progress,
        callbacks=[callback],
        first_eligible_step=steps.end + 1,
    )
    outcome = fitting.train(keras_model, training, resume=job.run.resume)
    write_timings(job.run.out, outcome)
    entry = history_entry(job.folder.identity, job.train, job.dev, outcome.metrics, outcome)
    return model.updated(keras_model, model.labels, entry), entry


def _report(before: Checkpoint, after: Checkpoint, settings: PruneSettings) -> dict[str, Any]:
    pruned = {name: after.weights[name] for name in _names(after, settings)}
    return {
        "sparsity": sparsity_of(pruned.values()),
        "layers": [
            {"name": name, "shape": list(array.shape), "sparsity": sparsity_of([array])}
            for name, array in pruned.items()
        ],
        "kernel_gzip_bytes_before": kernel_gzip_bytes(before),
        "kernel_gzip_bytes_after": kernel_gzip_bytes(after),
    }


def kernel_gzip_bytes(checkpoint: Checkpoint) -> int:
    """The gzip'd size of all kernels and tables as int8 rows, the way an export stores them."""
    matrices = [array for array in checkpoint.weights.values() if array.ndim == 2]
    values = b"".join(quantize_rows(matrix)[0].tobytes() for matrix in matrices)
    return len(gzip.compress(values, _GZIP_LEVEL, mtime=0))


def _result(model: TaskModel, out: Path | str) -> PruneResult:
    entry = model.history[-1]
    rows: Sequence[dict[str, Any]] = entry["layers"]
    return PruneResult(
        **result_fields(model, out),
        sparsity=entry["sparsity"],
        layers=tuple(
            LayerSparsity(row["name"], tuple(row["shape"]), row["sparsity"]) for row in rows
        ),
        kernel_gzip_bytes_before=entry["kernel_gzip_bytes_before"],
        kernel_gzip_bytes_after=entry["kernel_gzip_bytes_after"],
    )
