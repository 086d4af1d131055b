"""The training loop that fine-tuning and pruning share: Keras `fit`, stoppable at every step.

One `fit` is one epoch. A callback counts steps, tells the progress, saves the state now and then
and turns Ctrl-C into a clean stop after the step that runs. The order of the batches depends on the
seed and the epoch alone and the dropout on a counter that is saved, so a run that was stopped and
resumed ends with the weights that it would have had.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters import keras_hub
from edgebert.batches import EncodedRows, count_batches, epoch_batches, sorted_batches
from edgebert.errors import EdgebertError
from edgebert.model import TaskModel
from edgebert.optimizer import SparseAdamW, WarmupLinear
from edgebert.packed_encoder import pack_backbone
from edgebert.progress import Progress
from edgebert.settings import FinetuneSettings
from edgebert.tasks import classification
from edgebert.training_state import Arrays, TrainingFolder

SAVE_EVERY_SECONDS = 600.0
_INPUT = tf.TensorSpec([None, None], tf.int32)
_INPUTS = {name: _INPUT for name in ("token_ids", "padding_mask", "segment_ids")}


@dataclass(frozen=True)
class LabelledRows:
    """Encoded texts with their label numbers.

    Attributes:
        rows: the texts.
        targets: int32 `[rows]`.
        weights: of each row in the loss, float32 `[rows]`.
    """

    rows: EncodedRows
    targets: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True)
class EpochScore:
    """How an epoch went.

    Attributes:
        epoch: its number from 1.
        loss: mean over the steps of the epoch, on the training rows.
        dev_loss: mean cross-entropy on the dev rows after the epoch.
        dev_accuracy: on the dev rows.
        dev_macro_f1: on the dev rows.
        counts: whether it may be the best epoch.
    """

    epoch: int
    loss: float
    dev_loss: float
    dev_accuracy: float
    dev_macro_f1: float
    counts: bool = True

    @property
    def rank(self) -> tuple[float, float]:
        """Better epochs have larger ranks: by accuracy, ties by the loss."""
        return self.dev_accuracy, -self.dev_loss


@dataclass(frozen=True)
class Outcome:
    """How a training run went; the model has the weights of its best epoch."""

    epochs: tuple[EpochScore, ...]
    best: EpochScore
    steps: int
    sentences_per_second: float


class StepHook(Protocol):
    """What another room does in the loop, such as keeping masks on weights."""

    def start(self, model: keras.Model, steps: int) -> None:
        """Called once before the first step, with the steps done so far."""

    def after_step(self, steps: int) -> None:
        """Called after every step, with the steps done so far."""

    def arrays(self) -> Arrays:
        """What the hook must have again when the run is resumed."""

    def restore(self, arrays: Arrays) -> None:
        """Takes back what `arrays` gave; called before `start`."""


def build_model(
    model: TaskModel, num_labels: int, keep_head: bool, settings: FinetuneSettings
) -> keras.Model:
    """The Keras model to train: a packed `BertBackbone` with the model's weights and a head.

    Args:
        model: where the weights come from. What it has not gets fresh ones, fixed by the seed.
        num_labels: outputs of the head.
        keep_head: keeps the model's own classifier.
        settings: dropout, seed and precision.
    """
    keras.utils.set_random_seed(settings.seed)
    config, weights = model.checkpoint.config, dict(model.checkpoint.weights)
    backbone = keras_hub.build_backbone(config, settings.dropout)
    packed = pack_backbone(backbone, config, settings.dropout, settings.seed, settings.precision)
    built = classification.add_head(packed, num_labels, settings.dropout, settings.seed)
    if not keep_head:
        weights = {k: v for k, v in weights.items() if not k.startswith("classifier.")}
    keras_hub.load_weights(built, weights, config.num_layers, config.num_heads)
    return built


def total_steps(rows: int, settings: FinetuneSettings) -> int:
    """Steps of a whole run."""
    return settings.epochs * count_batches(rows, settings.batch_size)


def train(
    model: keras.Model,
    data: LabelledRows,
    dev: LabelledRows,
    settings: FinetuneSettings,
    folder: TrainingFolder,
    progress: Progress,
    stage: str,
    resume: bool = False,
    hooks: Sequence[StepHook] = (),
    counts_from_step: int = 0,
) -> Outcome:
    """Trains a model and leaves it with the weights of its best epoch.

    Args:
        model: of `build_model`.
        data: what is learnt.
        dev: what epochs are judged by.
        settings: the recipe.
        folder: where the state is kept. It stays when the run is done; the caller removes it after
            the result is safe.
        progress: told after every step.
        stage: what it is called there.
        resume: goes on from the state in the folder, if there is one; else a state is removed.
        hooks: called around the steps.
        counts_from_step: epochs that end before so many steps can't be the best one.

    Raises:
        KeyboardInterrupt: Ctrl-C; the state is saved.
        EdgebertError: the loss is no number any more.
    """
    loop = _Loop(model, data, dev, settings, folder, progress, stage, hooks, counts_from_step)
    if resume:
        loop.restore()
    else:
        folder.remove()
    with _deferred_interrupt() as interrupted:
        loop.interrupted = interrupted
        try:
            loop.run()
        except KeyboardInterrupt:
            if not loop.in_step:
                loop.save()
            raise
    return loop.finish()


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Holds the first Ctrl-C back until somebody asks; the second one comes through."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event.is_set
        return
    previous = signal.getsignal(signal.SIGINT)

    def remember(number: int, frame: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, remember)
    try:
        yield event.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


class _Loop(keras.callbacks.Callback):  # type: ignore[misc]
    """The epochs, and what happens between steps.

    `epoch`, `step`, `loss_sum` and `scores` are where the run stands: `step` batches of epoch
    `epoch` (from 0) are done, `loss_sum` is the sum of their losses.
    """

    def __init__(
        self,
        model: keras.Model,
        data: LabelledRows,
        dev: LabelledRows,
        settings: FinetuneSettings,
        folder: TrainingFolder,
        progress: Progress,
        stage: str,
        hooks: Sequence[StepHook],
        counts_from_step: int,
    ) -> None:
        super().__init__()
        self.net, self.data, self.dev, self.settings = model, data, dev, settings
        self.folder, self.progress, self.stage, self.hooks = folder, progress, stage, hooks
        self.counts_from_step = counts_from_step
        self.interrupted: Callable[[], bool] = lambda: False
        self.in_step = False
        self.epoch, self.step, self.loss_sum = 0, 0, 0.0
        self.scores: list[EpochScore] = []
        self.timed_rows, self.timed_seconds = 0, 0.0
        self.steps_an_epoch = count_batches(len(data.rows), settings.batch_size)
        self.total_steps = total_steps(len(data.rows), settings)
        self._saved_at = time.monotonic()
        self._scorer = tf.function(
            lambda inputs: model(inputs, training=False), input_signature=[_INPUTS]
        )
        _compile(model, settings, self.total_steps)

    @property
    def steps(self) -> int:
        """Steps done in all."""
        return self.epoch * self.steps_an_epoch + self.step

    @property
    def best(self) -> EpochScore | None:
        """The best epoch so far that counts."""
        counting = [score for score in self.scores if score.counts]
        return max(counting, key=lambda score: score.rank) if counting else None

    def run(self) -> None:
        """Runs the epochs that are left."""
        for hook in self.hooks:
            hook.start(self.net, self.steps)
        while self.epoch < self.settings.epochs and not self._patience_is_over():
            if self.step < self.steps_an_epoch:
                self.net.fit(
                    self._batches(),
                    epochs=self.epoch + 1,
                    initial_epoch=self.epoch,
                    verbose=0,
                    callbacks=[self],
                )
            self._end_epoch()

    def finish(self) -> Outcome:
        """Puts the best epoch's weights into the model."""
        best = self.best
        assert best is not None, "the last epoch always counts"
        kept = self.folder.read_best(best.epoch)
        for name, variable in _named(self.net.trainable_variables):
            variable.assign(kept[name])
        speed = self.timed_rows / self.timed_seconds if self.timed_seconds else 0.0
        return Outcome(tuple(self.scores), best, self.steps, speed)

    def on_train_begin(self, logs: Any = None) -> None:
        """The first batch of an epoch is not timed: it fills the pipeline."""
        self._last_end: float | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """From here to the step's end the weights belong to no count of steps."""
        self.in_step = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the step, lets the hooks work, and stops where Ctrl-C was pressed."""
        for hook in self.hooks:
            hook.after_step(self.steps + 1)
        rows = self._queue_rows.pop(0)
        self._time(rows)
        # Keras gives the mean over this fit's rows; the sum survives being stopped.
        self._fit_rows += rows
        self.loss_sum = self._loss_before + logs["loss"] * self._fit_rows
        self.step, self.in_step = self.step + 1, False
        if not math.isfinite(logs["loss"]):
            raise EdgebertError(
                f"The loss became {logs['loss']} at step {self.steps} of {self.total_steps}. "
                f"Next: lower the learning rate (it peaks at {self.settings.learning_rate:g}) or "
                "use precision float32."
            )
        self.progress(
            self.stage,
            self.steps,
            self.total_steps,
            epoch=self.epoch + 1,
            loss=self.loss_sum / self._rows_done,
        )
        if self.interrupted():
            raise KeyboardInterrupt
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
            self.save()

    def _time(self, rows: int) -> None:
        now = time.perf_counter()
        if self._last_end is not None:
            self.timed_rows += rows
            self.timed_seconds += now - self._last_end
        self._last_end = now

    def _batches(self) -> tf.data.Dataset:
        """The batches of this epoch that are left."""
        order = epoch_batches(
            self.data.rows.lengths, self.settings.batch_size, self.settings.seed, self.epoch
        )
        queue = order[self.step :]
        self._queue_rows = [len(rows) for rows in queue]
        self._rows_before = sum(map(len, order[: self.step]))
        self._fit_rows, self._loss_before = 0, self.loss_sum

        def generate() -> Iterator[Any]:
            for rows in queue:
                inputs = self.data.rows.padded(rows, self.settings.max_length)
                yield inputs, self.data.targets[rows], self.data.weights[rows]

        signature = (_INPUTS, tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32))
        dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(queue))).prefetch(2)

    @property
    def _rows_done(self) -> int:
        return self._rows_before + self._fit_rows

    def _end_epoch(self) -> None:
        loss, accuracy, macro_f1 = self._score()
        last = self.epoch + 1 == self.settings.epochs
        score = EpochScore(
            self.epoch + 1,
            self.loss_sum / len(self.data.rows),
            loss,
            accuracy,
            macro_f1,
            counts=last or self.steps >= self.counts_from_step,
        )
        self.scores.append(score)
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        self.progress(
            self.stage,
            self.steps,
            self.total_steps,
            epoch=self.epoch,
            loss=score.loss,
            dev_accuracy=accuracy,
        )
        if score is self.best:
            self.folder.write_best(_values(self.net.trainable_variables), score.epoch)
        self.save()

    def _score(self) -> tuple[float, float, float]:
        """Mean cross-entropy, accuracy and macro F1 on the dev rows."""
        dev, num_labels = self.dev, self.net.output_shape[-1]
        logits = np.zeros((len(dev.rows), num_labels), np.float32)
        for rows in sorted_batches(dev.rows.lengths, self.settings.batch_size):
            logits[rows] = self._scorer(dev.rows.padded(rows, self.settings.max_length)).numpy()
            if self.interrupted():
                raise KeyboardInterrupt
        scores = classification.log_softmax(logits)
        metrics = classification.metrics(logits.argmax(-1), dev.targets, num_labels)
        loss = -float(np.mean(scores[np.arange(len(dev.rows)), dev.targets]))
        return loss, metrics["accuracy"], metrics["macro_f1"]

    def _patience_is_over(self) -> bool:
        best = self.best
        if not self.settings.patience or best is None:
            return False
        return self.epoch - best.epoch >= self.settings.patience

    def save(self) -> None:
        """Writes all that the run needs to go on."""
        arrays = _values(_state_variables(self.net))
        for number, hook in enumerate(self.hooks):
            arrays |= {f"hook-{number}/{name}": array for name, array in hook.arrays().items()}
        best = self.best
        self.folder.write(
            arrays,
            {
                "epoch": self.epoch,
                "step": self.step,
                "loss_sum": self.loss_sum,
                "scores": [asdict(score) for score in self.scores],
                "best_epoch": best.epoch if best else None,
                "timed_rows": self.timed_rows,
                "timed_seconds": self.timed_seconds,
            },
        )
        self._saved_at = time.monotonic()

    def restore(self) -> None:
        """Goes to where the saved run stands, if there is one."""
        state = self.folder.read()
        if state is None:
            return
        for name, variable in _named(_state_variables(self.net)):
            variable.assign(state.arrays[name])
        for number, hook in enumerate(self.hooks):
            start = f"hook-{number}/"
            hook.restore(
                {
                    name.removeprefix(start): array
                    for name, array in state.arrays.items()
                    if name.startswith(start)
                }
            )
        facts = state.facts
        self.epoch, self.step, self.loss_sum = facts["epoch"], facts["step"], facts["loss_sum"]
        self.scores = [EpochScore(**score) for score in facts["scores"]]
        self.timed_rows, self.timed_seconds = facts["timed_rows"], facts["timed_seconds"]


def _compile(model: keras.Model, settings: FinetuneSettings, steps: int) -> None:
    warmup = math.ceil(settings.warmup_ratio * steps)
    optimizer: Any = SparseAdamW(
        WarmupLinear(settings.learning_rate, warmup, steps),
        settings.weight_decay,
        settings.clip_norm,
    )
    if settings.precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, classification.loss(), jit_compile=False, auto_scale_loss=False)


def _state_variables(model: keras.Model) -> list[Any]:
    """Weights, the counters of random numbers, and the optimizer's variables."""
    weights = list(model.trainable_variables)
    counters = [v for v in model.non_trainable_variables if v.path.endswith("seed_generator_state")]
    return [*weights, *counters, *model.optimizer.variables]


def _named(variables: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Variables with names that do not depend on how many models were built before."""
    for number, variable in enumerate(variables):
        yield f"{number:04d}", variable


def _values(variables: Sequence[Any]) -> Arrays:
    return {name: np.array(variable, order="C") for name, variable in _named(variables)}
