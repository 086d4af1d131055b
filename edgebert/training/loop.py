"""One training run: its epochs, its steps, where it stands, and how it is saved and restored.

One Keras `fit` is one epoch. A callback counts steps, tells the progress, saves the state now and
then and turns Ctrl-C into a clean stop after the step that runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgebert.encoding.encoded_rows import Inputs
from edgebert.errors import EdgebertError
from edgebert.settings import FinetuneSettings
from edgebert.system.progress import Progress
from edgebert.tasks.task import TrainingRows
from edgebert.training.batches import count_batches, epoch_batches
from edgebert.training.devices import NOISE, Devices, from_chief
from edgebert.training.evaluator import Evaluator
from edgebert.training.state import Arrays, TrainingFolder

SAVE_EVERY_SECONDS = 600.0


@dataclass(frozen=True)
class EpochScore:
    """How an epoch went.

    Attributes:
        epoch: its number from 1.
        loss: mean over the steps of the epoch, on the training rows.
        dev_loss: the mean of the same loss on the dev rows after the epoch.
        metrics: the task's, on the dev rows.
        rank: better epochs have larger ones: by the task's metric, ties by the loss.
        counts: whether it may be the best epoch.
    """

    epoch: int
    loss: float
    dev_loss: float
    metrics: dict[str, float]
    rank: tuple[float, float]
    counts: bool = True

    def to_dict(self) -> dict[str, Any]:
        """For a model's history: epoch, loss, dev_loss, counts, and `dev_` before each metric."""
        dev = {f"dev_{name}": value for name, value in self.metrics.items()}
        return {
            "epoch": self.epoch,
            "loss": self.loss,
            "dev_loss": self.dev_loss,
            **dev,
            "counts": self.counts,
        }


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
        data: TrainingRows,
        dev: Evaluator,
        settings: FinetuneSettings,
        folder: TrainingFolder,
        progress: Progress,
        stage: str,
        callbacks: Sequence[StatefulCallback],
        counts_from_step: int,
        devices: Devices,
    ) -> None:
        super().__init__()
        self.net, self.data, self.dev, self.settings = model, data, dev, settings
        self.folder, self.progress, self.stage = folder, progress, stage
        self.callbacks = callbacks
        self.counts_from_step = counts_from_step
        self.devices = devices
        self.in_step = False
        self.epoch, self.step, self.loss_sum = 0, 0, 0.0
        self.scores: list[EpochScore] = []
        self.timed_rows, self.timed_seconds = 0, 0.0
        self.steps_an_epoch = count_batches(len(data), settings.batch_size)
        self.total_steps = settings.epochs * self.steps_an_epoch
        self._saved_at = time.monotonic()
        self._scorer = tf.function(
            lambda inputs: model(inputs, training=False), autograph=False, reduce_retracing=True
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
                self.devices.fit(
                    self.net, self._queue(), self._batch, [*self.callbacks, self], self.epoch
                )
            self._end_epoch()

    def take_best(self) -> EpochScore:
        """Puts the best epoch's weights into the model, and says which it is."""
        best = self.best
        assert best is not None, "the last epoch always counts"
        from_chief(self.devices, lambda: self._read_best(best.epoch))
        self.devices.share(self.net.trainable_variables)
        return best

    def _read_best(self, epoch: int) -> None:
        kept = self.folder.read_best(epoch)
        for name, variable in _named(self.net.trainable_variables):
            variable.assign(kept[name])

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
        if self.devices.stopping():
            raise KeyboardInterrupt
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
            self.save()

    def _time(self, rows: int) -> None:
        now = time.perf_counter()
        if self._last_end is not None:
            self.timed_rows += rows
            self.timed_seconds += now - self._last_end
        self._last_end = now

    def _queue(self) -> list[npt.NDArray[np.int64]]:
        """The row numbers of the batches of this epoch that are left."""
        order = epoch_batches(
            self.data.lengths, self.settings.batch_size, self.settings.seed, self.epoch
        )
        queue = order[self.step :]
        self._queue_rows = [len(rows) for rows in queue]
        self._rows_before = sum(map(len, order[: self.step]))
        self._fit_rows, self._loss_before = 0, self.loss_sum
        return queue

    def _batch(self, rows: npt.NDArray[np.int64]) -> Any:
        return self.data.batch(rows, self.settings.max_length, self.epoch)

    @property
    def _rows_done(self) -> int:
        return self._rows_before + self._fit_rows

    def _end_epoch(self) -> None:
        metrics = self._score()
        loss = metrics.pop("loss")
        last = self.epoch + 1 == self.settings.epochs
        score = EpochScore(
            self.epoch + 1,
            self.loss_sum / len(self.data),
            loss,
            metrics,
            self.dev.rank(metrics, loss),
            counts=last or self.steps >= self.counts_from_step,
        )
        scores = [*self.scores, score]
        if score is _best(scores) and self.devices.worker == 0:
            self.folder.write_best(_values(self.net.trainable_variables), score.epoch)
        self.scores, self.epoch, self.step, self.loss_sum = scores, self.epoch + 1, 0, 0.0
        self.save()
        self.progress(
            self.stage,
            self.steps,
            self.total_steps,
            epoch=self.epoch,
            loss=score.loss,
            **{f"dev_{self.dev.metric}": metrics[self.dev.metric]},
        )

    def _score(self) -> dict[str, float]:
        """The task's metrics and the loss on the dev rows: the chief's, which all go by."""

        def run(inputs: Inputs) -> Any:
            if self.devices.pressed():
                raise KeyboardInterrupt
            return self.outputs(inputs)

        size, longest = self.settings.batch_size, self.settings.max_length
        return from_chief(self.devices, lambda: self.dev.score(run, size, longest))

    def outputs(self, inputs: Inputs) -> Any:
        """What the model gives for a batch, without dropout: an array, or a dict of arrays."""
        return tf.nest.map_structure(np.asarray, self._scorer(inputs))

    def _patience_is_over(self) -> bool:
        best = self.best
        if not self.settings.patience or best is None:
            return False
        return self.epoch - best.epoch >= self.settings.patience

    def save(self) -> None:
        """Writes all that the run needs to go on, where this process is the chief."""
        if self.devices.worker:
            return
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
        facts = from_chief(self.devices, self._restore_here)
        if facts is None:
            return
        self.epoch, self.step, self.loss_sum = facts["epoch"], facts["step"], facts["loss_sum"]
        self.scores = [
            EpochScore(**{**score, "rank": tuple(score["rank"])}) for score in facts["scores"]
        ]
        self.timed_rows, self.timed_seconds = facts["timed_rows"], facts["timed_seconds"]

    def _restore_here(self) -> dict[str, Any] | None:
        """Reads the state on disk into the variables; what it says of the loop."""
        state = self.folder.read()
        if state is None:
            return None
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
        return state.facts


def _best(scores: Sequence[EpochScore]) -> EpochScore | None:
    """The first of the best epochs that count."""
    counting = [score for score in scores if score.counts]
    return max(counting, key=lambda score: score.rank) if counting else None


def _state_variables(model: keras.Model) -> list[Any]:
    """Weights, the counters of random numbers, and the optimizer's variables."""
    weights = list(model.trainable_variables)
    counters = [v for v in model.non_trainable_variables if v.path.endswith(NOISE)]
    return [*weights, *counters, *model.optimizer.variables]


def _named(variables: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Variables with names that do not depend on how many models were built before."""
    for number, variable in enumerate(variables):
        yield f"{number:04d}", variable


def _values(variables: Sequence[Any]) -> Arrays:
    return {name: np.asarray(variable.value.numpy()) for name, variable in _named(variables)}
