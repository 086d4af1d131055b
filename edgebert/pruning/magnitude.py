"""The pruning stage: small weights become zeros, and training recovers what that costs."""

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
from edgebert.evaluation.predictors import KerasPredictor, evaluate
from edgebert.models.task_model import TaskModel
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
from edgebert.system.progress import Progress, silent
from edgebert.tasks.examples import task_with_answers
from edgebert.training.inputs import check_settings, choose_rows, encode_split
from edgebert.training.record import TrainingResult, finished_run, history_entry, result_fields
from edgebert.training.state import TrainingFolder, describe_data, describe_model

if TYPE_CHECKING:
    from edgebert.tasks.task import Task
    from edgebert.training.evaluator import EncodedSplit

STAGE = "prune"
_GZIP_LEVEL = 6


@dataclass(frozen=True)
class LayerSparsity:
    """One row of the report: a kernel or table that masks may be put on."""

    name: str
    shape: tuple[int, ...]
    sparsity: float


@dataclass(frozen=True)
class PruneResult(TrainingResult):
    """What pruning made: the model has the weights of the best epoch at the final sparsity.

    Attributes:
        sparsity: share of zeros among the arrays that were pruned.
        layers: each of them.
        kernel_gzip_bytes_before: all kernels of the model, int8 rows, gzip'd: what of them an app
            store ships.
        kernel_gzip_bytes_after: the same after pruning.
    """

    sparsity: float
    layers: tuple[LayerSparsity, ...]
    kernel_gzip_bytes_before: int
    kernel_gzip_bytes_after: int


def prune(
    model: TaskModel,
    train: Dataset,
    dev: Dataset | None,
    settings: PruneSettings,
    out: Path | str,
    resume: bool = False,
    progress: Progress | None = None,
) -> PruneResult:
    """Prunes a classifier and writes the folder.

    Epochs that end before the final sparsity is reached can't be the best one. With `epochs=0` the
    final masks are put on once and nothing is trained.

    Args:
        model: a classifier.
        train: rows of the recovery training, with labels that the model knows.
        dev: what the best epoch is chosen by; None splits a tenth off the training rows.
        settings: method, schedule and recovery.
        out: the folder to write. The state of an unfinished run is in its `.training/`.
        resume: goes on where an interrupted run stopped; a finished run returns at once.
        progress: told after every step.

    Raises:
        UsageError: settings make no sense, the model is no classifier, or the run to resume is
            another one.
        DataError: labels that the model does not know.
        ModelError: the saved state is damaged.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    recipe = _recipe(model, settings)
    _check(model, settings, recipe, dev_is_given=dev is not None)
    identity = {
        "stage": STAGE,
        "settings": asdict(settings),
        "model": describe_model(model),
        "train": describe_data(train),
        "dev": describe_data(dev),
    }
    folder = TrainingFolder(out, identity)
    if resume:
        finished = finished_run(out, folder)
        if finished is not None:
            return _result(finished, out)
    train, dev = choose_rows(train, dev, recipe)
    job = _Job(model, train, dev, settings, recipe, folder, resume, progress or silent)
    for part in (train, dev):
        job.task.require_known(part, model.labels)
    pruned, entry = _recover(job) if settings.epochs else _mask_once(job)
    entry |= _report(model.checkpoint, pruned.checkpoint, settings)
    pruned = replace(pruned, history=(*model.history, entry))
    pruned.save(out)
    folder.remove()
    return _result(pruned, out)


@dataclass(frozen=True)
class _Job:
    """One call of `prune`, with the rows chosen."""

    model: TaskModel
    train: Dataset
    dev: Dataset
    settings: PruneSettings
    recipe: FinetuneSettings
    folder: TrainingFolder
    resume: bool
    progress: Progress

    @property
    def names(self) -> tuple[str, ...]:
        """What masks are put on."""
        return _names(self.model.checkpoint, self.settings)

    @property
    def task(self) -> Task[Any]:
        """What the model does."""
        return self.model.task

    def split(self, data: Dataset) -> EncodedSplit:
        """One part, encoded."""
        model = self.model
        return encode_split(model, data, model.facts, self.recipe)


def _recipe(model: TaskModel, settings: PruneSettings) -> FinetuneSettings:
    """The recovery training: fine-tuning's defaults where pruning has no setting."""
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
    weights, share = dict(job.model.checkpoint.weights), schedules.final_sparsity(job.settings)
    make_mask = _mask_maker(job.settings)
    for done, name in enumerate(job.names):
        job.progress("prune", done, len(job.names), kernel=name)
        weights[name] = np.where(make_mask(weights[name], share), weights[name], np.float32(0))
    job.progress("prune", len(job.names), len(job.names))
    pruned = replace(job.model, checkpoint=job.model.checkpoint.with_weights(weights))
    metrics = evaluate(KerasPredictor(pruned), job.dev).metrics
    return pruned, history_entry(job.folder.identity, job.train, job.dev, metrics)


def _recover(job: _Job) -> tuple[TaskModel, dict[str, Any]]:
    native_noise.load_keras()
    from edgebert.pruning.callback import MaskCallback
    from edgebert.training import fitting

    model, config = job.model, job.model.checkpoint.config
    outputs = job.task.num_outputs(model.labels)
    keras_model = fitting.build_model(model, job.task, outputs, True, job.recipe)
    steps = schedules.window(job.settings, fitting.total_steps(len(job.train), job.recipe))
    callback = MaskCallback(
        keras_model,
        config.num_layers,
        config.head_size,
        job.names,
        _mask_maker(job.settings),
        schedules.make_schedule(job.settings, steps),
    )
    outcome = fitting.train(
        keras_model,
        job.split(job.train).rows,
        job.split(job.dev),
        job.recipe,
        job.folder,
        job.progress,
        "prune",
        job.resume,
        callbacks=[callback],
        counts_from_step=steps.end + 1,
    )
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
    """The gzip'd size of all kernels and tables in int8 rows, as an export stores them."""
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
