"""One training run: its epochs, its steps, where it stands, and how it is saved and restored.

One Keras `fit` is one epoch. A callback counts steps, tells the progress, saves the state now and
then and turns Ctrl-C into a clean stop after the step that runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgebert.errors import EdgebertError
from edgebert.progress import Progress
from edgebert.settings import FinetuneSettings
from edgebert.tasks import classification
from edgebert.training.batches import EncodedRows, count_batches, epoch_batches, sorted_batches
from edgebert.training.state import Arrays, TrainingFolder

SAVE_EVERY_SECONDS = 600.0
_INPUT = tf.TensorSpec([None, None], tf.int32)
_INPUTS = dict.fromkeys(("token_ids", "padding_mask", "segment_ids"), _INPUT)
_TARGETS, _WEIGHTS = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)
_LOGITS = tf.TensorSpec([None, None], tf.float32)


@dataclass(frozen=True)
class LabelledRows:
    """Encoded texts with their label numbers.

    Attributes:
        rows: the texts.
        targets: int32 `[rows]`; -1 for a text without a label, which only a teacher can teach.
        weights: of each row in the loss, float32 `[rows]`.
        teacher_logits: what a teacher says of each row, float32 `[rows, labels]`, or None.
    """

    rows: EncodedRows
    targets: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    teacher_logits: npt.NDArray[np.float32] | None = None

    def wanted(self, rows: npt.NDArray[np.int64]) -> Any:
        """What a model is to learn of some rows: labels, or labels and the teacher's logits."""
        if self.teacher_logits is None:
            return self.targets[rows]
        return {"targets": self.targets[rows], "logits": self.teacher_logits[rows]}

    @property
    def signature(self) -> tuple[Any, Any, Any]:
        """The specification of a batch."""
        if self.teacher_logits is None:
            return _INPUTS, _TARGETS, _WEIGHTS
        return _INPUTS, {"targets": _TARGETS, "logits": _LOGITS}, _WEIGHTS


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


class StatefulCallback(Protocol):
    """A Keras callback that works beside the loop's own: one that keeps masks on weights."""

    def arrays(self) -> Arrays:
        """What the callback must have again when the run is resumed."""

    def restore(self, arrays: Arrays) -> None:
        """Takes back what `arrays` gave; called before the first step."""


class TrainingLoop(keras.callbacks.Callback):
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
        callbacks: Sequence[StatefulCallback],
        counts_from_step: int,
    ) -> None:
        super().__init__()
        self.net, self.data, self.dev, self.settings = model, data, dev, settings
        self.folder, self.progress, self.stage = folder, progress, stage
        self.callbacks = callbacks
        self.counts_from_step = counts_from_step
        self.interrupted: Callable[[], bool] = lambda: False
        self.in_step = False
        self.epoch, self.step, self.loss_sum = 0, 0, 0.0
        self.scores: list[EpochScore] = []
        self.timed_rows, self.timed_seconds = 0, 0.0
        self.steps_an_epoch = count_batches(len(data.rows), settings.batch_size)
        self.total_steps = settings.epochs * self.steps_an_epoch
        self._saved_at = time.monotonic()
        self._scorer = tf.function(
            lambda inputs: model(inputs, training=False), [_INPUTS], autograph=False
        )

    @property
    def steps(self) -> int:
        """Steps done in all."""
        return self.epoch * self.steps_an_epoch + self.step

    @property
    def best(self) -> EpochScore | None:
        """The best epoch so far that counts."""
        return _best(self.scores)

    def run(self) -> None:
        """Runs the epochs that are left."""
        while self.epoch < self.settings.epochs and not self._patience_is_over():
            if self.step < self.steps_an_epoch:
                self.net.fit(
                    self._batches(),
                    epochs=self.epoch + 1,
                    initial_epoch=self.epoch,
                    verbose=0,
                    shuffle=False,
                    callbacks=[*self.callbacks, self],
                )
            self._end_epoch()

    def take_best(self) -> EpochScore:
        """Puts the best epoch's weights into the model, and says which it is."""
        best = self.best
        assert best is not None, "the last epoch always counts"
        kept = self.folder.read_best(best.epoch)
        for name, variable in _named(self.net.trainable_variables):
            variable.assign(kept[name])
        return best

    @property
    def sentences_per_second(self) -> float:
        """Of training in steady state: no tracing, no scoring, no saving."""
        return self.timed_rows / self.timed_seconds if self.timed_seconds else 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """The first batch of an epoch is not timed: it fills the pipeline."""
        self._last_end: float | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """From here to the step's end the weights belong to no count of steps."""
        self.in_step = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the step, and stops where Ctrl-C was pressed."""
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
                yield inputs, self.data.wanted(rows), self.data.weights[rows]

        dataset = tf.data.Dataset.from_generator(generate, output_signature=self.data.signature)
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
        scores = [*self.scores, score]
        if score is _best(scores):
            self.folder.write_best(_values(self.net.trainable_variables), score.epoch)
        self.scores, self.epoch, self.step, self.loss_sum = scores, self.epoch + 1, 0, 0.0
        self.save()
        self.progress(
            self.stage,
            self.steps,
            self.total_steps,
            epoch=self.epoch,
            loss=score.loss,
            dev_accuracy=accuracy,
        )

    def _score(self) -> tuple[float, float, float]:
        """Mean cross-entropy, accuracy and macro F1 on the dev rows."""
        dev, parts = self.dev, []
        order = list(sorted_batches(dev.rows.lengths, self.settings.batch_size))
        for rows in order:
            parts.append(self._scorer(dev.rows.padded(rows, self.settings.max_length)).numpy())
            if self.interrupted():
                raise KeyboardInterrupt
        logits = np.concatenate(parts)[np.argsort(np.concatenate(order))]
        num_labels = logits.shape[-1]
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
        for number, callback in enumerate(self.callbacks):
            arrays |= {
                f"callback-{number}/{name}": array for name, array in callback.arrays().items()
            }
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
        for number, callback in enumerate(self.callbacks):
            start = f"callback-{number}/"
            callback.restore(
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


def _best(scores: Sequence[EpochScore]) -> EpochScore | None:
    """The first of the best epochs that count."""
    counting = [score for score in scores if score.counts]
    return max(counting, key=lambda score: score.rank) if counting else None


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
    return {name: np.asarray(variable.value.numpy()) for name, variable in _named(variables)}
