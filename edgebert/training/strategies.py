"""Chooses the devices of a training run: one device, all of this machine, or several hosts."""

from __future__ import annotations

import functools
import os

import tensorflow as tf

from edgebert.errors import UsageError
from edgebert.settings import DeviceSettings
from edgebert.training.cluster import Cluster, read_cluster, wait_for_workers
from edgebert.training.data_parallel import DataParallel
from edgebert.training.devices import Devices, OneDevice


class _UnscaledLoss:
    """A strategy that reports one replica to Keras.

    Some of Keras' losses divide by the number of replicas and some do not. `DataParallel` weighs
    the shares itself, so none may.
    """

    @property
    def num_replicas_in_sync(self) -> int:
        return 1

    @property
    def replicas(self) -> int:
        """The true number of replicas."""
        count: int = super().num_replicas_in_sync  # type: ignore[misc]
        return count


class _Mirrored(_UnscaledLoss, tf.distribute.MirroredStrategy):
    pass


class _MultiWorker(_UnscaledLoss, tf.distribute.MultiWorkerMirroredStrategy):
    pass


def open_devices(settings: DeviceSettings) -> Devices:
    """Opens the devices of a strategy. With several hosts, waits until all of them answer.

    Raises:
        UsageError: `mirrored` with one device only; an invalid `TF_CONFIG`; or a process that has
            used TensorFlow before, which can't join a cluster any more.
        EdgebertError: Workers did not answer in time.
    """
    if settings.strategy == "mirrored":
        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if len(found) < 2:
            raise UsageError(
                "--strategy mirrored: expected several devices. Received: only "
                f"{found[0].name}. Next: leave --strategy out."
            )
        return DataParallel(_mirrored_strategy(tuple(device.name for device in found)))
    if settings.strategy == "multi-worker":
        cluster = read_cluster(os.environ)
        strategy = _multi_worker_strategy(cluster, settings.worker_wait_seconds)
        return DataParallel(strategy, cluster.index, len(cluster.addresses))
    return OneDevice()


# A process uses one strategy for all of its runs: the collective operations of two strategies would
# be matched with each other.


@functools.cache
def _mirrored_strategy(names: tuple[str, ...]) -> _Mirrored:
    return _Mirrored(list(names))


@functools.cache
def _multi_worker_strategy(cluster: Cluster, wait_seconds: float) -> _MultiWorker:
    wait_for_workers(cluster, wait_seconds)
    try:
        return _MultiWorker()
    except RuntimeError as error:
        raise UsageError(
            "--strategy multi-worker: expected a process that has not used TensorFlow yet. "
            f"Received: {error}. Next: start training in a new process."
        ) from error
