"""The training that fine-tuning, pruning and distillation share. It can be stopped at any step.

The order of the batches depends only on the seed and the epoch, and dropout on a counter that is
saved. A run that was stopped and resumed therefore ends with the weights of an uninterrupted run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras

from converters.compaction import compact
from converters.formats import keras_hub
from converters.heads import CLASSIFIER, is_head_weight
from edgebert.models.task_model import TaskModel
from edgebert.settings import FinetuneSettings
from edgebert.tasks.task import Task
from edgebert.training.batches import count_batches
from edgebert.training.evaluator import RunModel
from edgebert.training.loop import EpochScore, Training, TrainingLoop
from edgebert.training.narrow_backbone import NarrowBackbone
from edgebert.training.optimizer import SparseAdamW, WarmupLinear
from edgebert.training.packed_backbone import pack_backbone
from edgebert.training.packed_encoder import EncoderOptions

__all__ = ["Outcome", "Training", "build_frozen", "build_model", "compile_model", "train"]


@dataclass(frozen=True)
class Outcome:
    """The result of a training run. The Keras model has the weights of the best epoch.

    Attributes:
        epochs: The score of each epoch.
        best: The score of the best epoch.
        steps: Number of steps taken.
        sentences_per_second: Training speed in steady state.
        outputs: Computes the model's outputs for a batch, without dropout.
    """

    epochs: tuple[EpochScore, ...]
    best: EpochScore
    steps: int
    sentences_per_second: float
    outputs: RunModel

    @property
    def metrics(self) -> dict[str, float]:
        """The best epoch's metrics on the dev rows, `loss` included."""
        return {**self.best.metrics, "loss": self.best.dev_loss}


def build_model(
    model: TaskModel, task: Task[Any], num_outputs: int, keep_head: bool, settings: FinetuneSettings
) -> keras.Model:
    """Builds the Keras model to train: a packed `BertBackbone` and a head.

    Attention heads and neurons whose weights are all zero are left out, so a pruned model trains at
    the cost of its remaining parts. Pruned parts stay pruned: `TaskModel.updated` restores the
    zeros.

    Args:
        model: The source of the weights. Missing weights are initialized from the seed.
        task: The task whose head is built.
        num_outputs: Outputs of the head.
        keep_head: Whether the model's own head is loaded; otherwise the head is initialized.
        settings: Dropout, seed, precision and quantization-aware training.
    """
    keras.utils.set_random_seed(settings.seed)
    narrow = compact(model.checkpoint)
    config, weights = narrow.config, dict(narrow.weights)
    backbone: Any
    if narrow is model.checkpoint:
        backbone = keras_hub.build_backbone(config, settings.dropout)
    else:
        backbone = NarrowBackbone(narrow, settings.seed)
    options = EncoderOptions(
        dropout=settings.dropout,
        seed=settings.seed,
        precision=settings.precision,
        quantization_aware=settings.quantization_aware,
        every_token=task.head != CLASSIFIER,
    )
    packed = pack_backbone(backbone, config, options)
    built = task.add_head(packed, narrow, num_outputs, settings.dropout, settings.seed)
    if not keep_head:
        weights = {name: array for name, array in weights.items() if not is_head_weight(name)}
    keras_hub.load_weights(built, weights, config)
    return built


def build_frozen(model: TaskModel) -> keras.Model:
    """Builds the packed Keras model of a task model for inference: no dropout, its own head.

    Its layer `packed_encoder` is the `PackedEncoder`; `classifier` is the head of a classifier.
    """
    task = model.task
    settings = FinetuneSettings(dropout=0.0)
    return build_model(model, task, task.num_outputs(model.labels), True, settings)


def total_steps(rows: int, settings: FinetuneSettings) -> int:
    """The number of steps of a whole run."""
    return settings.epochs * count_batches(rows, settings.batch_size)


def train(model: keras.Model, training: Training, *, resume: bool = False) -> Outcome:
    """Trains a model and leaves it with the weights of its best epoch.

    Args:
        model: The model of `build_model`, or one with its own loss.
        training: Data, evaluator, settings and devices. Its folder stays when the run is finished;
            the caller removes it after the result is written.
        resume: Continues from the state in the folder, if there is one. Otherwise that state is
            removed.

    Raises:
        KeyboardInterrupt: Ctrl-C; the state is saved.
        EdgebertError: The loss is not a finite number.
    """
    devices = training.devices
    steps = total_steps(len(training.rows), training.settings)
    compile_model(model, training.settings, steps, training.evaluator.loss)
    loop = TrainingLoop(model, training)
    if resume:
        loop.restore()
    elif devices.is_coordinator:
        training.folder.remove()
    devices.begin(model)
    with devices.interrupt:
        try:
            loop.run()
        except KeyboardInterrupt:
            if not loop.in_step:
                loop.save()
            raise
    best = loop.load_best()
    return Outcome(tuple(loop.scores), best, loop.steps, loop.sentences_per_second, loop.outputs)


def compile_model(model: keras.Model, settings: FinetuneSettings, steps: int, loss: Any) -> None:
    """Compiles a model with a loss and the optimizer of the settings.

    Args:
        model: The model to compile.
        settings: Learning rate, warmup, weight decay, clipping and precision.
        steps: Number of steps of the whole run; the learning rate falls to 0 at its end.
        loss: The Keras loss.
    """
    warmup = math.ceil(settings.warmup_ratio * steps)
    optimizer: Any = SparseAdamW(
        WarmupLinear(settings.learning_rate, warmup, steps),
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
    )
    if settings.precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, loss, jit_compile=False, auto_scale_loss=False)
