"""Where a training run computes: on one device, on several of this machine, or on several hosts.

`OneDevice` trains by Keras' `fit`. `DataParallel` gives each replica its share of every batch, adds
the gradients up and lets every replica take the same step, through `tf.distribute`. A loss is a
mean over rows (or over what its `count` says, such as tokens), so a share's gradient counts as much
as it has of them: the step is that of the whole batch on one device, however the batch divides.

Keras' own `fit` is not used for several replicas. It averages the shares' means, which is another
loss wherever shares differ, and under `MultiWorkerMirroredStrategy` Keras 3.15 does not get as far:
before the first step it reduces a whole nested batch at once, which TensorFlow does not take.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgebert import errors
from edgebert.errors import UsageError
from edgebert.settings import DeviceSettings
from edgebert.training.cluster import Cluster, read_cluster, wait_for_workers
from edgebert.training.shares import added_up, count_of, loss_of, times

T = TypeVar("T")
Rows = npt.NDArray[np.int64]
MakeBatch = Callable[[Rows], Any]
NOISE = "seed_generator_state"
"""How the path of a counter of random numbers ends."""
_NOISE_APART = 1_000_003
_GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class Devices(Protocol):
    """What the loop must know of where it runs."""

    pressed: Callable[[], bool]
    """Whether Ctrl-C was pressed in this process."""

    @property
    def worker(self) -> int:
        """Which process this is; 0 is the chief, who alone writes."""
        ...

    @property
    def replicas(self) -> int:
        """Copies of the model, in all processes."""
        ...

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """What variables are made in."""
        ...

    def exchange(self, value: T) -> list[T]:
        """What every process says, ready for JSON, in their order: all must call it."""
        ...

    def share(self, variables: Sequence[Any]) -> None:
        """Gives every process the chief's values."""
        ...

    def begin(self, model: keras.Model) -> None:
        """Gives every process the chief's state, and every replica noise of its own."""
        ...

    def stopping(self) -> bool:
        """Whether Ctrl-C was pressed in any process: all say the same after the same step."""
        ...

    def fit(
        self,
        model: keras.Model,
        queue: Sequence[Rows],
        make_batch: MakeBatch,
        callbacks: Sequence[Any],
        epoch: int,
    ) -> None:
        """Trains on batches, in their order.

        Args:
            model: compiled.
            queue: row numbers of each batch.
            make_batch: of row numbers the inputs, targets and weights.
            callbacks: Keras callbacks. Their `logs` have the mean loss of the rows so far.
            epoch: its number from 0.
        """
        ...


class OneDevice:
    """The usual case: whatever device TensorFlow takes by itself."""

    worker, replicas = 0, 1

    def __init__(self) -> None:
        self.pressed: Callable[[], bool] = lambda: False

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def exchange(self, value: T) -> list[T]:
        return [value]

    def share(self, variables: Sequence[Any]) -> None:
        pass

    def begin(self, model: keras.Model) -> None:
        pass

    def stopping(self) -> bool:
        return self.pressed()

    def fit(
        self,
        model: keras.Model,
        queue: Sequence[Rows],
        make_batch: MakeBatch,
        callbacks: Sequence[Any],
        epoch: int,
    ) -> None:
        dataset = _dataset(queue, make_batch, make_batch(queue[0]))
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(queue))).prefetch(2)
        model.fit(
            dataset,
            epochs=epoch + 1,
            initial_epoch=epoch,
            verbose=0,
            shuffle=False,
            callbacks=list(callbacks),
        )


class DataParallel:
    """Several replicas of one model.

    Args:
        strategy: of `_Mirrored` or `_MultiWorker`.
        worker: which process this is.
        workers: how many there are.
    """

    def __init__(self, strategy: Any, worker: int = 0, workers: int = 1) -> None:
        self._strategy, self.worker = strategy, worker
        self.replicas: int = strategy.replicas
        self._local = self.replicas // workers
        self.pressed: Callable[[], bool] = lambda: False
        self._stop = False
        self._step: Any = None
        self._gather = tf.function(
            lambda *given: strategy.run(_gather_all, args=given),
            input_signature=[tf.TensorSpec([None], tf.int32)] * 2,
            autograph=False,
        )

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        with self._strategy.scope(), _others_are_there():
            yield

    def exchange(self, value: T) -> list[T]:
        text = np.frombuffer(json.dumps(value).encode(), np.uint8).astype(np.int32)
        with _others_are_there():
            texts, sizes = self._here(self._gather(tf.constant(text), tf.constant([len(text)])))
        ends = np.cumsum(sizes)
        said = [texts[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        return [json.loads(one.astype(np.uint8).tobytes()) for one in said[:: self._local]]

    def _here(self, values: Any) -> Any:
        """Of values that every replica has, those of this process' first one, as arrays."""
        first = self._strategy.experimental_local_results
        return tf.nest.map_structure(lambda each: np.asarray(first(each)[0]), values)

    def _run(self, function: Callable[[], Any]) -> None:
        tf.function(lambda: self._strategy.run(function), autograph=False)()

    def share(self, variables: Sequence[Any]) -> None:
        def take() -> Any:
            context = tf.distribute.get_replica_context()
            number = context.replica_id_in_sync_group
            for variable in variables:
                value = tf.convert_to_tensor(variable.value)
                value = tf.where(number == 0, value, tf.zeros_like(value))
                _here(variable).assign(context.all_reduce(tf.distribute.ReduceOp.SUM, value))
            return number

        self._run(take)

    def begin(self, model: keras.Model) -> None:
        def set_apart() -> Any:
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            for variable in noise:
                apart = tf.cast(tf.stack([number * _NOISE_APART, 0]), variable.value.dtype)
                _here(variable).assign_add(apart)
            return number

        noise = [v for v in model.non_trainable_variables if v.path.endswith(NOISE)]
        self.share([*model.trainable_variables, *noise, *model.optimizer.variables])
        self._run(set_apart)

    def stopping(self) -> bool:
        return self._stop

    def fit(
        self,
        model: keras.Model,
        queue: Sequence[Rows],
        make_batch: MakeBatch,
        callbacks: Sequence[Any],
        epoch: int,
    ) -> None:
        def make_shares(rows: Rows) -> Any:
            return tuple(self._share(rows, number, make_batch) for number in range(self._local))

        first = make_shares(queue[0])
        if self._step is None:
            self._step = self._make_step(model, _signature(first))
        every = keras.callbacks.CallbackList(list(callbacks), model=model)
        every.on_train_begin()
        done, total = 0, 0.0
        for number, shares in enumerate(_dataset(queue, make_shares, first).prefetch(2)):
            every.on_train_batch_begin(number)
            loss, stop = self._step(shares, tf.constant(float(self.pressed())))
            self._stop = bool(stop > 0)
            done, total = done + len(queue[number]), total + float(loss) * len(queue[number])
            every.on_train_batch_end(number, {"loss": total / done})
        every.on_train_end()

    def _share(self, rows: Rows, number: int, make_batch: MakeBatch) -> Any:
        """One replica's part of a batch, and whether it counts: a share must have a row."""
        share = np.array_split(rows, self.replicas)[self.worker * self._local + number]
        return (*make_batch(share if len(share) else rows[:1]), np.float32(len(share) > 0))

    def _make_step(self, model: keras.Model, signature: Any) -> Any:
        """One step of all replicas: a graph for batches of every shape, so that no two processes
        trace another number of graphs, by which their collective operations know each other.
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
            gradients = [times(gradient, count) for gradient in gradients]
            facts = tf.stack([count, tf.math.multiply_no_nan(loss, count), stop])
            gradients, (total, loss, stop) = added_up(context, gradients, facts)
            gradients = [times(gradient, 1 / total) for gradient in gradients]
            model.optimizer.apply(gradients, variables)
            return loss / total, stop

        def step(shares: Any, stop: Any) -> Any:
            loss, stop = self._strategy.run(on_replica, args=(shares, stop))
            return (self._strategy.experimental_local_results(each)[0] for each in (loss, stop))

        whole = [signature, tf.TensorSpec([], tf.float32)]
        return tf.function(
            lambda *values: tuple(step(*values)), input_signature=whole, autograph=False
        )


class _Unscaled:
    """A strategy of which Keras does not know how many replicas it has.

    Keras' losses divide by that number, and only some do; here shares are weighed by what they
    count.
    """

    @property
    def num_replicas_in_sync(self) -> int:
        return 1

    @property
    def replicas(self) -> int:
        count: int = super().num_replicas_in_sync  # type: ignore[misc]
        return count


class _Mirrored(_Unscaled, tf.distribute.MirroredStrategy):
    pass


class _MultiWorker(_Unscaled, tf.distribute.MultiWorkerMirroredStrategy):
    pass


def open_devices(settings: DeviceSettings) -> Devices:
    """The devices that settings name. For several hosts this waits for all of them.

    Raises:
        UsageError: there is one device only, `TF_CONFIG` says nothing that makes sense, or
            TensorFlow was used before in this process, after which it can't join others.
        EdgebertError: workers are missing.
    """
    if settings.strategy == "mirrored":
        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if len(found) < 2:
            raise UsageError(
                f"--strategy mirrored: expected several devices. Received: {found[0].name} alone. "
                "Next: leave --strategy out."
            )
        return DataParallel(_mirrored(tuple(device.name for device in found)))
    if settings.strategy == "multi-worker":
        cluster = read_cluster(os.environ)
        strategy = _joined(cluster, settings.worker_wait_seconds)
        return DataParallel(strategy, cluster.index, len(cluster.addresses))
    return OneDevice()


# One strategy for all runs of a process: two of them would mix up what their replicas say.


@functools.cache
def _mirrored(names: tuple[str, ...]) -> _Mirrored:
    return _Mirrored(list(names))


@functools.cache
def _joined(cluster: Cluster, wait_seconds: float) -> _MultiWorker:
    wait_for_workers(cluster, wait_seconds)
    try:
        return _MultiWorker()
    except RuntimeError as error:
        raise UsageError(
            f"--strategy multi-worker: expected a process that has not used TensorFlow yet. "
            f"Received: {error}. Next: start training in a process of its own."
        ) from error


def from_chief(devices: Devices, make: Callable[[], T]) -> T:
    """What a function gives in the chief, ready for JSON, or the error that it raises there.

    Raises:
        EdgebertError: in all processes where the chief has it.
        KeyboardInterrupt: the same.
    """
    said: dict[str, Any] = {}
    if devices.worker == 0:
        try:
            said = {"value": make()}
        except (errors.EdgebertError, KeyboardInterrupt) as error:
            said = {"error": type(error).__name__, "message": str(error)}
    said = devices.exchange(said)[0]
    if "error" in said:
        kind = getattr(errors, said["error"], KeyboardInterrupt)
        raise kind(*([said["message"]] if said["message"] else []))
    value: T = said["value"]
    return value


def require_same(devices: Devices, identity: Mapping[str, Any]) -> None:
    """Refuses to train where processes were started with other settings, data or models.

    Raises:
        UsageError: in all processes; it says what is not the same.
    """
    own = {
        key: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()
        for key, part in identity.items()
    }
    every = devices.exchange(own)
    other = {
        number: [key for key in own if said.get(key) != every[0][key]]
        for number, said in enumerate(every)
    }
    differences = [f"worker {i}: another {', '.join(keys)}" for i, keys in other.items() if keys]
    if differences:
        raise UsageError(
            "Expected the same command, model and data in all workers. Received, compared with "
            f"worker 0: {'; '.join(differences)}. Next: start the same command with the same files."
        )


def _dataset(queue: Sequence[Rows], make: MakeBatch, first: Any) -> tf.data.Dataset:
    def generate() -> Iterator[Any]:
        for rows in queue:
            yield make(rows)

    return tf.data.Dataset.from_generator(generate, output_signature=_signature(first))


def _signature(batch: Any) -> Any:
    """What batches look like: arrays of the same types, of any shape."""
    return tf.nest.map_structure(
        lambda array: tf.TensorSpec([None] * array.ndim, array.dtype), batch
    )


@contextlib.contextmanager
def _others_are_there() -> Iterator[None]:
    """Says in our words that another process is gone, which TensorFlow notices by itself."""
    try:
        yield
    except _GONE as error:
        first = str(error.message).splitlines()[0]
        raise errors.EdgebertError(
            f"Expected all workers to stay until the end. Received: another one is gone ({first}). "
            "Next: look why it ended; the same command with --resume on all hosts goes on from "
            "the last saved state."
        ) from error


def _gather_all(text: Any, size: Any) -> Any:
    context = tf.distribute.get_replica_context()
    # An argument stands on no device, but what is gathered must stand on the replica's.
    return tuple(context.all_gather(tf.identity(part), 0) for part in (text, size))


def _here(variable: Any) -> Any:
    """A variable's copy on this replica."""
    value = variable.value
    copies = getattr(value, "values", None)
    if copies is None:
        return value
    context = tf.distribute.get_replica_context()
    number = int(tf.get_static_value(context.replica_id_in_sync_group))
    return copies[number % len(copies)]
