"""The training loop: epochs, steps, evaluation, early stopping, saving and resuming.

One call of Keras' `fit` is one epoch, or the rest of an epoch that was interrupted. A callback
counts the steps, reports the progress, saves the state every `SAVE_EVERY_SECONDS`, and stops after
the current step when Ctrl-C was pressed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgebert.encoding.encoded_rows import Inputs
from edgebert.errors import EdgebertError
from edgebert.settings import FinetuneSettings
from edgebert.system.progress import Progress, silent
from edgebert.tasks.task import TrainingRows
from edgebert.training.agreement import from_coordinator
from edgebert.training.batches import count_batches, epoch_batches
from edgebert.training.devices import RANDOM_STATE, Devices, OneDevice
from edgebert.training.evaluator import Evaluator
from edgebert.training.state import Arrays, TrainingFolder

SAVE_EVERY_SECONDS = 600.0


@dataclass(frozen=True)
class EpochScore:
    """The losses and metrics of one epoch.

    Attributes:
        epoch: The number of the epoch, from 1.
        loss: Mean loss of the epoch's steps, on the training rows.
        dev_loss: Mean loss on the dev rows after the epoch.
        metrics: The task's metrics on the dev rows.
        rank: Sort key: by the task's metric, then by the loss. A better epoch has a larger one.
        counts: Whether the epoch may be selected as the best one.
    """

    epoch: int
    loss: float
    dev_loss: float
    metrics: dict[str, float]
    rank: tuple[float, float]
    counts: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The entry of the model's history: each metric has the prefix `dev_`."""
        dev = {f"dev_{name}": value for name, value in self.metrics.items()}
        return {
            "epoch": self.epoch,
            "loss": self.loss,
            "dev_loss": self.dev_loss,
            **dev,
            "counts": self.counts,
        }


class StatefulCallback(Protocol):
    """A Keras callback whose state is saved with the run, such as one that applies masks."""

    def arrays(self) -> Arrays:
        """The state to save."""

    def restore(self, arrays: Arrays) -> None:
        """Restores the state that `arrays` returned. Called before the first step."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """Everything of a training run except its Keras model.

    Attributes:
        rows: The training rows.
        evaluator: Scores each epoch on the dev rows; its loss is also the training loss.
        settings: Training hyperparameters.
        folder: Holds the state of the run.
        stage: Name of the stage in progress reports.
        progress: Called after every step.
        callbacks: Further Keras callbacks; they run before the loop's own.
        first_eligible_step: Epochs that end before this step can't be the best one. The last epoch
            always can.
        devices: The devices on which the model was built.
    """

    rows: TrainingRows
    evaluator: Evaluator
    settings: FinetuneSettings
    folder: TrainingFolder
    stage: str
    progress: Progress = silent
    callbacks: Sequence[StatefulCallback] = ()
    first_eligible_step: int = 0
    devices: Devices = field(default_factory=OneDevice)


@dataclass
class _FitState:
    """The counters of one call of `fit`.

    Attributes:
        batch_sizes: Rows of each batch of this call.
        rows_before: Rows of the epoch that earlier calls trained on.
        loss_before: Sum of the losses over those rows.
        batches_done: Batches of this call that are done.
        rows_done: Rows of this call that are done.
        last_end: Time at which the last step ended. The first step of a call is not timed, since
            it waits for the input pipeline to fill.
    """

    batch_sizes: list[int] = field(default_factory=list)
    rows_before: int = 0
    loss_before: float = 0.0
    batches_done: int = 0
    rows_done: int = 0
    last_end: float | None = None


class TrainingLoop(keras.callbacks.Callback):
    """Runs the epochs, and works between the steps as a Keras callback.

    Args:
        model: The compiled Keras model.
        training: Data, evaluator, settings and devices.

    Attributes:
        epoch: Number of finished epochs.
        step: Number of finished batches of the current epoch.
        loss_sum: Sum of the losses over the rows of those batches.
        scores: Scores of the finished epochs.
        in_step: Whether a step is running, so that the weights belong to no step count.
    """

    def __init__(self, model: keras.Model, training: Training) -> None:
        super().__init__()
        self.net, self.training = model, training
        self.settings, self.devices = training.settings, training.devices
        self.epoch, self.step, self.loss_sum = 0, 0, 0.0
        self.scores: list[EpochScore] = []
        self.in_step = False
        self.timed_rows, self.timed_seconds = 0, 0.0
        self.steps_per_epoch = count_batches(len(training.rows), self.settings.batch_size)
        self.total_steps = self.settings.epochs * self.steps_per_epoch
        self._fit_state = _FitState()
        self._saved_at = time.monotonic()
        self._infer = tf.function(
            lambda inputs: model(inputs, training=False), autograph=False, reduce_retracing=True
        )

    @property
    def steps(self) -> int:
        """Number of finished steps of the whole run."""
        return self.epoch * self.steps_per_epoch + self.step

    @property
    def best(self) -> EpochScore | None:
        """The best eligible epoch so far."""
        return _best(self.scores)

    @property
    def sentences_per_second(self) -> float:
        """Training speed in steady state, without tracing, evaluation and saving."""
        return self.timed_rows / self.timed_seconds if self.timed_seconds else 0.0

    def run(self) -> None:
        """Runs the remaining epochs."""
        while self.epoch < self.settings.epochs and not self._patience_is_exhausted():
            if self.step < self.steps_per_epoch:
                self._fit_epoch()
            self._end_epoch()

    def load_best(self) -> EpochScore:
        """Loads the weights of the best epoch into the model and returns its score."""
        best = self.best
        assert best is not None, "the last epoch is always eligible"
        from_coordinator(self.devices, lambda: self._read_best(best.epoch))
        self.devices.broadcast(self.net.trainable_variables)
        return best

    def _read_best(self, epoch: int) -> None:
        kept = self.training.folder.read_best(epoch)
        for name, variable in _numbered(self.net.trainable_variables):
            variable.assign(kept[name])

    def _fit_epoch(self) -> None:
        """Trains on the remaining batches of the epoch."""
        batches = epoch_batches(
            self.training.rows.lengths, self.settings.batch_size, self.settings.seed, self.epoch
        )
        done, remaining = batches[: self.step], batches[self.step :]
        self._fit_state = _FitState(
            batch_sizes=[len(rows) for rows in remaining],
            rows_before=sum(len(rows) for rows in done),
            loss_before=self.loss_sum,
        )
        callbacks = [*self.training.callbacks, self]
        self.devices.fit(self.net, remaining, self._make_batch, callbacks, self.epoch)

    def _make_batch(self, rows: npt.NDArray[np.int64]) -> Any:
        return self.training.rows.batch(rows, self.settings.max_length, self.epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Marks the weights as changing until the step ends."""
        self.in_step = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the step, reports it, and stops if Ctrl-C was pressed.

        Raises:
            EdgebertError: The loss is not a finite number.
            KeyboardInterrupt: Ctrl-C was pressed in any process.
        """
        state = self._fit_state
        rows = state.batch_sizes[state.batches_done]
        self._time(rows)
        state.batches_done += 1
        state.rows_done += rows
        # Keras reports the mean over the rows of this call of fit. An epoch may take several calls.
        self.loss_sum = state.loss_before + logs["loss"] * state.rows_done
        self.step, self.in_step = self.step + 1, False
        if not math.isfinite(logs["loss"]):
            raise EdgebertError(
                f"The loss became {logs['loss']} at step {self.steps} of {self.total_steps}. "
                f"Next: lower the learning rate (its peak is {self.settings.learning_rate:g}) or "
                "use precision float32."
            )
        mean_loss = self.loss_sum / (state.rows_before + state.rows_done)
        self._report(epoch=self.epoch + 1, loss=mean_loss)
        if self.devices.should_stop():
            raise KeyboardInterrupt
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
            self.save()

    def _time(self, rows: int) -> None:
        now = time.perf_counter()
        if self._fit_state.last_end is not None:
            self.timed_rows += rows
            self.timed_seconds += now - self._fit_state.last_end
        self._fit_state.last_end = now

    def _report(self, **facts: Any) -> None:
        self.training.progress(self.training.stage, self.steps, self.total_steps, **facts)

    def _end_epoch(self) -> None:
        metrics = self._evaluate()
        dev_loss = metrics.pop("loss")
        is_last = self.epoch + 1 == self.settings.epochs
        score = EpochScore(
            self.epoch + 1,
            self.loss_sum / len(self.training.rows),
            dev_loss,
            metrics,
            self.training.evaluator.rank(metrics, dev_loss),
            counts=is_last or self.steps >= self.training.first_eligible_step,
        )
        scores = [*self.scores, score]
        if score is _best(scores) and self.devices.is_coordinator:
            self.training.folder.write_best(_values(self.net.trainable_variables), score.epoch)
        self.scores, self.epoch, self.step, self.loss_sum = scores, self.epoch + 1, 0, 0.0
        self.save()
        metric = self.training.evaluator.metric
        self._report(epoch=self.epoch, loss=score.loss, **{f"dev_{metric}": metrics[metric]})

    def _evaluate(self) -> dict[str, float]:
        """The metrics and the loss on the dev rows, computed by the coordinator for all."""

        def infer(inputs: Inputs) -> Any:
            if self.devices.interrupt.requested:
                raise KeyboardInterrupt
            return self.outputs(inputs)

        evaluator, settings = self.training.evaluator, self.settings
        return from_coordinator(
            self.devices, lambda: evaluator.score(infer, settings.batch_size, settings.max_length)
        )

    def outputs(self, inputs: Inputs) -> Any:
        """The model's outputs for a batch, without dropout: an array, or a dict of arrays."""
        return tf.nest.map_structure(np.asarray, self._infer(inputs))

    def _patience_is_exhausted(self) -> bool:
        best = self.best
        if not self.settings.patience or best is None:
            return False
        return self.epoch - best.epoch >= self.settings.patience

    def save(self) -> None:
        """Writes the state of the run; only the coordinator does."""
        if not self.devices.is_coordinator:
            return
        arrays = _values(_state_variables(self.net))
        for number, callback in enumerate(self.training.callbacks):
            arrays |= {
                f"callback-{number}/{name}": array for name, array in callback.arrays().items()
            }
        best = self.best
        self.training.folder.write(
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
        """Restores the saved state of the run, if there is one."""
        facts = from_coordinator(self.devices, self._read_state)
        if facts is None:
            return
        self.epoch, self.step, self.loss_sum = facts["epoch"], facts["step"], facts["loss_sum"]
        self.scores = [
            EpochScore(**{**score, "rank": tuple(score["rank"])}) for score in facts["scores"]
        ]
        self.timed_rows, self.timed_seconds = facts["timed_rows"], facts["timed_seconds"]

    def _read_state(self) -> dict[str, Any] | None:
        """Reads the saved arrays into the variables and returns the saved facts of the loop."""
        state = self.training.folder.read()
        if state is None:
            return None
        for name, variable in _numbered(_state_variables(self.net)):
            variable.assign(state.arrays[name])
        for number, callback in enumerate(self.training.callbacks):
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
    """The eligible epoch with the largest rank; of equal ones the first."""
    eligible = [score for score in scores if score.counts]
    return max(eligible, key=lambda score: score.rank) if eligible else None


def _state_variables(model: keras.Model) -> list[Any]:
    """Weights, random counters and the optimizer's variables."""
    counters = [v for v in model.non_trainable_variables if v.path.endswith(RANDOM_STATE)]
    return [*model.trainable_variables, *counters, *model.optimizer.variables]


def _numbered(variables: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Variables with their number as a name. Keras' names depend on the models built before."""
    for number, variable in enumerate(variables):
        yield f"{number:04d}", variable


def _values(variables: Sequence[Any]) -> Arrays:
    """The arrays of variables, as views: a copy of a BERT-base with its optimizer takes 1.3 GB.

    TensorFlow copies a variable that changes while it is viewed, so that the views do not change.
    """
    return {
        name: np.asarray(tf.convert_to_tensor(variable.value))
        for name, variable in _numbered(variables)
    }
