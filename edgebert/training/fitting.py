"""The training that fine-tuning, pruning and distillation share: Keras `fit`, stoppable anywhere.

The order of the batches depends on the seed and the epoch alone, and the dropout on a counter that
is saved, so a run that was stopped and resumed ends with the weights that it would have had.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from converters.compaction import compact
from converters.formats import keras_hub
from converters.heads import CLASSIFIER, is_head_weight
from edgebert.models.task_model import TaskModel
from edgebert.settings import FinetuneSettings
from edgebert.system.progress import Progress
from edgebert.tasks.task import Task, TrainingRows
from edgebert.training.batches import count_batches
from edgebert.training.devices import Devices, OneDevice
from edgebert.training.evaluator import Evaluator, Run
from edgebert.training.loop import EpochScore, StatefulCallback, TrainingLoop
from edgebert.training.narrow_backbone import NarrowBackbone
from edgebert.training.optimizer import SparseAdamW, WarmupLinear
from edgebert.training.packed_encoder import pack_backbone
from edgebert.training.state import TrainingFolder


@dataclass(frozen=True)
class Outcome:
    """How a training run went; the model has the weights of its best epoch.

    Attributes:
        epochs: each of them.
        best: of them.
        steps: that were taken.
        sentences_per_second: of training in steady state.
        outputs: runs the model on a batch, without dropout.
    """

    epochs: tuple[EpochScore, ...]
    best: EpochScore
    steps: int
    sentences_per_second: float
    outputs: Run

    @property
    def metrics(self) -> dict[str, float]:
        """Of the best epoch on the dev rows, the loss among them."""
        return {**self.best.metrics, "loss": self.best.dev_loss}


def build_model(
    model: TaskModel, task: Task[Any], num_outputs: int, keep_head: bool, settings: FinetuneSettings
) -> keras.Model:
    """The Keras model to train: a packed `BertBackbone` with the model's weights and a head.

    Heads and neurons that are structurally zero are left out of it, so a pruned model trains at the
    cost of what is left (and what is pruned stays pruned: `TaskModel.updated` puts the zeros back).

    Args:
        model: where the weights come from. What it has not gets fresh ones, fixed by the seed.
        task: whose head is built.
        num_outputs: of the head.
        keep_head: keeps the model's own head.
        settings: dropout, seed and precision.
    """
    keras.utils.set_random_seed(settings.seed)
    narrow = compact(model.checkpoint)
    config, weights = narrow.config, dict(narrow.weights)
    backbone: Any
    if narrow is model.checkpoint:
        backbone = keras_hub.build_backbone(config, settings.dropout)
    else:
        backbone = NarrowBackbone(narrow, settings.seed)
    packed = pack_backbone(
        backbone,
        config,
        settings.dropout,
        settings.seed,
        settings.precision,
        settings.quantization_aware,
        every_token=task.head != CLASSIFIER,
    )
    built = task.add_head(packed, narrow, num_outputs, settings.dropout, settings.seed)
    if not keep_head:
        weights = {name: array for name, array in weights.items() if not is_head_weight(name)}
    keras_hub.load_weights(built, weights, config.num_layers, config.head_size)
    return built


def build_frozen(model: TaskModel) -> keras.Model:
    """The packed model of a task's as it is, for looking at: no dropout, its own head.

    Its layer `packed_encoder` is the `PackedEncoder`, `classifier` the head of a classifier.
    """
    task = model.task
    settings = FinetuneSettings(dropout=0.0)
    return build_model(model, task, task.num_outputs(model.labels), True, settings)


def total_steps(rows: int, settings: FinetuneSettings) -> int:
    """Steps of a whole run."""
    return settings.epochs * count_batches(rows, settings.batch_size)


def train(
    model: keras.Model,
    data: TrainingRows,
    dev: Evaluator,
    settings: FinetuneSettings,
    folder: TrainingFolder,
    progress: Progress,
    stage: str,
    resume: bool = False,
    callbacks: Sequence[StatefulCallback] = (),
    counts_from_step: int = 0,
    devices: Devices | None = None,
) -> Outcome:
    """Trains a model and leaves it with the weights of its best epoch.

    Args:
        model: of `build_model`.
        data: what is learnt.
        dev: what judges epochs; it has the task's loss, which is what is trained by.
        settings: the recipe.
        folder: where the state is kept. It stays when the run is done; the caller removes it after
            the result is safe.
        progress: told after every step.
        stage: what it is called there.
        resume: goes on from the state in the folder, if there is one; else a state is removed.
        callbacks: run beside the loop's own, before it.
        counts_from_step: epochs that end before so many steps can't be the best one.
        devices: where the model was built; None is one device.

    Raises:
        KeyboardInterrupt: Ctrl-C; the state is saved.
        EdgebertError: the loss is no number any more.
    """
    devices = devices or OneDevice()
    compile_model(model, settings, total_steps(len(data), settings), dev.loss)
    loop = TrainingLoop(
        model, data, dev, settings, folder, progress, stage, callbacks, counts_from_step, devices
    )
    if resume:
        loop.restore()
    elif devices.worker == 0:
        folder.remove()
    devices.begin(model)
    with _deferred_interrupt() as devices.pressed:
        try:
            loop.run()
        except KeyboardInterrupt:
            if not loop.in_step:
                loop.save()
            raise
    best = loop.take_best()
    return Outcome(tuple(loop.scores), best, loop.steps, loop.sentences_per_second, loop.outputs)


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Holds the first Ctrl-C back until somebody asks; the second one comes through."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event.is_set
        return
    previous = signal.getsignal(signal.SIGINT) or signal.default_int_handler

    def remember(number: int, frame: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, remember)
    try:
        yield event.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


def compile_model(model: keras.Model, settings: FinetuneSettings, steps: int, loss: Any) -> None:
    """Gives the model a loss and the optimizer of the recipe, for so many steps in all."""
    warmup = math.ceil(settings.warmup_ratio * steps)
    optimizer: Any = SparseAdamW(
        WarmupLinear(settings.learning_rate, warmup, steps),
        settings.weight_decay,
        settings.clip_norm,
    )
    if settings.precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, loss, jit_compile=False, auto_scale_loss=False)
