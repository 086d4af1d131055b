"""`MaskCallback`: zeros stay zeros, whatever made the mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from converters.formats import keras_hub
from converters.formats.weight_names import from_keras_hub, to_keras_hub
from edgebert.pruning.masks import Kernel, MakeMask, Mask


class MaskCallback(keras.callbacks.Callback):
    """Puts masks on kernels before the steps that the schedule names and again after every step.

    The optimizer moves pruned weights as it moves all others, so the masks have to be put on again:
    one compiled function does it for all kernels.

    Args:
        model: holds a keras-hub `BertBackbone`, whose variables are masked.
        num_layers: of the backbone.
        head_size: numbers of an attention head.
        names: what is masked, by neutral name (see `masks.prunable_names`); kernels of sublayers
            that are pruned whole are not there and are passed over.
        make_mask: from a neutral kernel and the sparsity of the moment to the mask.
        schedule: called with a step, says whether masks are made before it, and the sparsity; see
            `schedules.make_schedule`.
    """

    def __init__(
        self,
        model: keras.Model,
        num_layers: int,
        head_size: int,
        names: Sequence[str],
        make_mask: MakeMask,
        schedule: Any,
    ) -> None:
        super().__init__()
        known = keras_hub.variables(model, num_layers)
        self._rows = {name: known[name] for name in names if name in known}
        self._head_size, self._make_mask, self._schedule = head_size, make_mask, schedule
        self._masks = {
            name: tf.Variable(tf.ones(variable.shape, tf.bool), trainable=False)
            for name, (_, variable) in self._rows.items()
        }
        self._step, self._masked = 0, False
        self._apply = tf.function(self._put_on, autograph=False, jit_compile=True)

    @property
    def step(self) -> int:
        """Steps done so far."""
        return self._step

    def kernels(self) -> dict[str, Kernel]:
        """The neutral arrays of what is masked, `[outputs, inputs]`."""
        return {
            name: from_keras_hub(np.asarray(variable), row.transform)
            for name, (row, variable) in self._rows.items()
        }

    def put_masks(self, masks: Mapping[str, Mask]) -> None:
        """Takes new neutral masks and puts them on."""
        for name, mask in masks.items():
            transform = self._rows[name][0].transform
            self._masks[name].assign(to_keras_hub(mask, transform, self._head_size))
        self._masked = True
        self._apply()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Makes new masks where the schedule says so."""
        due, sparsity = self._schedule(self._step)
        if bool(due):
            share = float(sparsity)
            self.put_masks({n: self._make_mask(k, share) for n, k in self.kernels().items()})

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Puts the masks on again."""
        self._step += 1
        if self._masked:
            self._apply()

    def arrays(self) -> dict[str, np.ndarray]:
        """The masks and the number of steps, to be saved."""
        state = {name: mask.numpy() for name, mask in self._masks.items()}
        return {**state, "step": np.array([self._step, self._masked], np.int64)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes to where `arrays` was taken."""
        self._step, self._masked = int(arrays["step"][0]), bool(arrays["step"][1])
        for name, mask in self._masks.items():
            mask.assign(arrays[name])

    def _put_on(self) -> None:
        for name, (_, variable) in self._rows.items():
            value = variable.value
            value.assign(tf.where(self._masks[name], value, 0.0))
