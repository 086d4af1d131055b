"""`DataParallel`: training on several devices, or on several hosts, through `tf.distribute`.

Each replica computes the gradient of its share of every batch. The gradients are added up, and
every replica takes the same step. The result is the step of the whole batch on one device, however
the batch is divided. A loss is a mean over items: over rows, or over what the loss' `count` counts,
such as tokens. So each share's gradient is multiplied by its number of items, and the sum over the
replicas is divided by the total.

Example: a batch of 5 rows on 2 replicas gives shares of 3 and 2 rows. With g1 and g2 the gradients
of the shares' mean losses, the gradient of the batch is (3 g1 + 2 g2) / 5. Their plain mean,
(g1 + g2) / 2, would weigh a row of the second share 1.5 times as much as one of the first.

Keras' own `fit` takes that plain mean, so it is not used here. Besides, with Keras 3.15 it fails
under `MultiWorkerMirroredStrategy` before the first step: it reduces a nested batch in one call,
which TensorFlow does not accept.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from edgebert import errors
from edgebert.training.devices import RANDOM_STATE, MakeBatch, Rows, batch_dataset, batch_signature
from edgebert.training.interrupts import DeferredInterrupt
from edgebert.training.shares import count_of, loss_of, scaled, summed_over_replicas

T = TypeVar("T")
_SEED_DISTANCE = 1_000_003
"""Difference between the dropout seeds of two consecutive replicas."""
_LOST_WORKER = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class DataParallel:
    """Several replicas of one model; implements `devices.Devices`.

    Args:
        strategy: A `tf.distribute` strategy with a property `replicas` (`strategies`).
        worker: The number of this process; 0 is the coordinator.
        workers: The number of processes. Each has the same number of replicas.
    """

    def __init__(self, strategy: Any, worker: int = 0, workers: int = 1) -> None:
        self._strategy, self.worker = strategy, worker
        self.replicas: int = strategy.replicas
        self._local = self.replicas // workers
        self.interrupt = DeferredInterrupt()
        self._should_stop = False
        self._step: Any = None
        self._gather = tf.function(
            lambda *given: strategy.run(_gather_all, args=given),
            input_signature=[tf.TensorSpec([None], tf.int32)] * 2,
            autograph=False,
        )

    @property
    def is_coordinator(self) -> bool:
        return self.worker == 0

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        with self._strategy.scope(), _lost_workers_reported():
            yield

    def exchange(self, value: T) -> list[T]:
        # The texts of all replicas come back end to end: "ab" and "cde" as "abcde" with the sizes
        # [2, 3]. The replicas of one process send the same text, of which the first is decoded.
        text = np.frombuffer(json.dumps(value).encode(), np.uint8).astype(np.int32)
        with _lost_workers_reported():
            texts, sizes = self._local_values(
                self._gather(tf.constant(text), tf.constant([len(text)]))
            )
        ends = np.cumsum(sizes)
        parts = [texts[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        return [json.loads(part.astype(np.uint8).tobytes()) for part in parts[:: self._local]]

    def _local_values(self, values: Any) -> Any:
        """Per-replica values as arrays: those of this process' first replica."""
        first = self._strategy.experimental_local_results
        return tf.nest.map_structure(lambda each: np.asarray(first(each)[0]), values)

    def _run(self, function: Callable[[], Any]) -> None:
        tf.function(lambda: self._strategy.run(function), autograph=False)()

    def broadcast(self, variables: Sequence[Any]) -> None:
        def take() -> Any:
            context = tf.distribute.get_replica_context()
            number = context.replica_id_in_sync_group
            for variable in variables:
                # The sum over the replicas is replica 0's value, since all others add zeros.
                value = tf.convert_to_tensor(variable.value)
                value = tf.where(number == 0, value, tf.zeros_like(value))
                _copy_of(variable).assign(context.all_reduce(tf.distribute.ReduceOp.SUM, value))
            return number

        self._run(take)

    def begin(self, model: keras.Model) -> None:
        def shift_seeds() -> Any:
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            for variable in seeds:
                shift = tf.cast(tf.stack([number * _SEED_DISTANCE, 0]), variable.value.dtype)
                _copy_of(variable).assign_add(shift)
            return number

        seeds = [v for v in model.non_trainable_variables if v.path.endswith(RANDOM_STATE)]
        self.broadcast([*model.trainable_variables, *seeds, *model.optimizer.variables])
        self._run(shift_seeds)

    def should_stop(self) -> bool:
        return self._should_stop

    def fit(
        self,
        model: keras.Model,
        batches: Sequence[Rows],
        make_batch: MakeBatch,
        callbacks: Sequence[Any],
        epoch: int,
    ) -> None:
        def make_shares(rows: Rows) -> Any:
            return tuple(self._share(rows, number, make_batch) for number in range(self._local))

        signature = batch_signature(make_shares(batches[0]))
        if self._step is None:
            self._step = self._make_step(model, signature)
        keras_callbacks = keras.callbacks.CallbackList(list(callbacks), model=model)
        keras_callbacks.on_train_begin()
        rows_done, loss_sum = 0, 0.0
        dataset = batch_dataset(batches, make_shares, signature).prefetch(2)
        for number, shares in enumerate(dataset):
            keras_callbacks.on_train_batch_begin(number)
            loss, stop = self._step(shares, tf.constant(float(self.interrupt.requested)))
            self._should_stop = bool(stop > 0)
            rows_done += len(batches[number])
            loss_sum += float(loss) * len(batches[number])
            keras_callbacks.on_train_batch_end(number, {"loss": loss_sum / rows_done})
        keras_callbacks.on_train_end()

    def _share(self, rows: Rows, number: int, make_batch: MakeBatch) -> Any:
        """The share of one replica, and 1 if it counts, else 0.

        A share must have at least one row. With fewer rows than replicas, the last replicas get
        the batch's first row with a count of 0: 2 rows [7, 9] on 3 replicas give the shares
        [7], [9] and [7] with the counts 1, 1 and 0.
        """
        share = np.array_split(rows, self.replicas)[self.worker * self._local + number]
        return (*make_batch(share if len(share) else rows[:1]), np.float32(len(share) > 0))

    def _make_step(self, model: keras.Model, signature: Any) -> Any:
        """Compiles one training step of all replicas.

        One graph serves batches of every shape. Collective operations are matched between the
        processes by the order in which graphs are traced, so all processes must trace the same
        number of graphs.
        """

        def on_replica(shares: Any, stop: Any) -> Any:
            context = tf.distribute.get_replica_context()
            number = int(tf.get_static_value(context.replica_id_in_sync_group))
            inputs, targets, weights, counts = shares[number % self._local]
            with tf.GradientTape() as tape:
                outputs = model(inputs, training=True)
                loss = loss_of(model, inputs, targets, outputs, weights)
            variables = model.trainable_variables
            count = counts * count_of(model, targets, weights)
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            gradients = [scaled(gradient, count) for gradient in gradients]
            scalars = tf.stack([count, tf.math.multiply_no_nan(loss, count), stop])
            gradients, (total, loss, stop) = summed_over_replicas(context, gradients, scalars)
            gradients = [scaled(gradient, 1 / total) for gradient in gradients]
            model.optimizer.apply(gradients, variables)
            return loss / total, stop

        def step(shares: Any, stop: Any) -> Any:
            loss, stop = self._strategy.run(on_replica, args=(shares, stop))
            return tuple(
                self._strategy.experimental_local_results(each)[0] for each in (loss, stop)
            )

        return tf.function(
            step, input_signature=[signature, tf.TensorSpec([], tf.float32)], autograph=False
        )


@contextlib.contextmanager
def _lost_workers_reported() -> Iterator[None]:
    """Turns TensorFlow's errors about a lost process into an `EdgebertError`."""
    try:
        yield
    except _LOST_WORKER as error:
        first = str(error.message).splitlines()[0]
        raise errors.EdgebertError(
            f"Expected all workers to run until the end. Received: a worker was lost ({first}). "
            "Next: find out why it ended; the same command with --resume on all hosts continues "
            "from the last saved state."
        ) from error


def _gather_all(text: Any, size: Any) -> Any:
    context = tf.distribute.get_replica_context()
    # Arguments have no device yet; all_gather needs them on the replica's device.
    return tuple(context.all_gather(tf.identity(part), 0) for part in (text, size))


def _copy_of(variable: Any) -> Any:
    """The copy of a variable on the current replica.

    With 2 processes of 2 replicas each, replica 3 is the second local one: 3 % 2 = 1.
    """
    value = variable.value
    copies = getattr(value, "values", None)
    if copies is None:
        return value
    context = tf.distribute.get_replica_context()
    number = int(tf.get_static_value(context.replica_id_in_sync_group))
    return copies[number % len(copies)]
