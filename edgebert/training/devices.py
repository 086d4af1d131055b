"""The interface between the training loop and its devices, and training on one device.

`OneDevice` trains with Keras' `fit`. `data_parallel.DataParallel` implements the same interface for
several devices or several hosts, and `strategies.open_devices` chooses between them.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgebert.training.interrupts import DeferredInterrupt

T = TypeVar("T")
Rows = npt.NDArray[np.int64]
MakeBatch = Callable[[Rows], Any]
"""Builds the inputs, targets and weights of a batch from its row numbers."""
RANDOM_STATE = "seed_generator_state"
"""Last part of the path of a Keras variable that counts random draws."""


class Devices(Protocol):
    """Devices that train one model, possibly in several processes.

    Process 0 is the coordinator. It writes all files and evaluates the epochs; the other processes
    are workers, which only compute.
    """

    interrupt: DeferredInterrupt
    """Ctrl-C in this process."""

    @property
    def worker(self) -> int:
        """The number of this process; 0 is the coordinator."""
        ...

    @property
    def replicas(self) -> int:
        """The number of copies of the model, over all processes."""
        ...

    @property
    def is_coordinator(self) -> bool:
        """Whether this process writes files."""
        ...

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which the model's variables must be created."""
        ...

    def exchange(self, value: T) -> list[T]:
        """Gathers one JSON value from every process, in the order of their numbers.

        Every process must make the same call.
        """
        ...

    def broadcast(self, variables: Sequence[Any]) -> None:
        """Copies the coordinator's values of some variables to all processes."""
        ...

    def begin(self, model: keras.Model) -> None:
        """Copies the coordinator's state to all processes, with different dropout per replica."""
        ...

    def should_stop(self) -> bool:
        """Whether Ctrl-C was pressed in any process. All processes agree after the same step."""
        ...

    def fit(
        self,
        model: keras.Model,
        batches: Sequence[Rows],
        make_batch: MakeBatch,
        callbacks: Sequence[Any],
        epoch: int,
    ) -> None:
        """Trains on batches, in the given order.

        Args:
            model: The compiled model.
            batches: The row numbers of each batch.
            make_batch: Builds a batch from its row numbers.
            callbacks: Keras callbacks. Their `logs` hold the mean loss over this call's rows.
            epoch: The number of the epoch, from 0.
        """
        ...


class OneDevice:
    """The default: the device that TensorFlow selects."""

    worker, replicas, is_coordinator = 0, 1, True

    def __init__(self) -> None:
        self.interrupt = DeferredInterrupt()

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def exchange(self, value: T) -> list[T]:
        return [value]

    def broadcast(self, variables: Sequence[Any]) -> None:
        pass

    def begin(self, model: keras.Model) -> None:
        pass

    def should_stop(self) -> bool:
        return self.interrupt.requested

    def fit(
        self,
        model: keras.Model,
        batches: Sequence[Rows],
        make_batch: MakeBatch,
        callbacks: Sequence[Any],
        epoch: int,
    ) -> None:
        dataset = batch_dataset(batches, make_batch, batch_signature(make_batch(batches[0])))
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2)
        model.fit(
            dataset,
            epochs=epoch + 1,
            initial_epoch=epoch,
            verbose=0,
            shuffle=False,
            callbacks=list(callbacks),
        )


def batch_dataset(batches: Sequence[Rows], make_batch: MakeBatch, signature: Any) -> Any:
    """A `tf.data.Dataset` that builds each batch when it is needed.

    TensorFlow keeps the generator of each dataset until the process ends. `make_batch` refers to
    models and data, so the generator has a weak reference to it, and the dataset keeps it.
    """

    def make(rows: Rows) -> Any:
        return make_batch(rows)

    made_by = weakref.ref(make)

    def generate() -> Iterator[Any]:
        for rows in batches:
            kept = made_by()
            assert kept is not None, "the dataset is in use"
            yield kept(rows)

    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    dataset.make_batch = make
    return dataset


def batch_signature(batch: Any) -> Any:
    """The dtypes and ranks of a batch's arrays, with every dimension left open."""
    return tf.nest.map_structure(
        lambda array: tf.TensorSpec([None] * array.ndim, array.dtype), batch
    )
