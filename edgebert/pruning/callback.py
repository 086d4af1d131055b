"""`MaskCallback`: keeps pruned weights at zero during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from converters.checkpoint import BertConfig
from converters.formats import keras_hub
from converters.formats.weight_names import from_keras_hub, to_keras_hub
from edgebert.pruning.masks import Kernel, MakeMask, Mask


class MaskCallback(keras.callbacks.Callback):
    """Updates the masks at the steps of a schedule and applies them after every step.

    The optimizer also updates pruned weights, so the masks are applied again after each step: one
    compiled function does this for all kernels.

    Args:
        model: A Keras model with a keras-hub `BertBackbone`, whose variables are masked.
        config: The shape of the backbone.
        names: Neutral names of the arrays to mask (`masks.prunable_names`). Kernels of sublayers
            that are pruned entirely are not in the model and are skipped.
        make_mask: Computes a mask from a neutral kernel and the current sparsity.
        schedule: Called with a step, returns whether the masks are updated before it, and the
            sparsity; see `schedules.make_schedule`.
    """

    def __init__(
        self,
        model: keras.Model,
        config: BertConfig,
        names: Sequence[str],
        *,
        make_mask: MakeMask,
        schedule: Any,
    ) -> None:
        super().__init__()
        known = keras_hub.variables(model, config)
        self._rows = {name: known[name] for name in names if name in known}
        self._head_size = config.head_size
        self._make_mask, self._schedule = make_mask, schedule
        self._masks = {
            name: tf.Variable(tf.ones(variable.shape, tf.bool), trainable=False)
            for name, (_, variable) in self._rows.items()
        }
        self._step, self._masked = 0, False
        self._apply = tf.function(self._apply_masks, autograph=False, jit_compile=True)

    @property
    def step(self) -> int:
        """Number of finished steps."""
        return self._step

    def kernels(self) -> dict[str, Kernel]:
        """The masked kernels as neutral arrays, `[outputs, inputs]`."""
        return {
            name: from_keras_hub(np.asarray(variable), row.transform)
            for name, (row, variable) in self._rows.items()
        }

    def set_masks(self, masks: Mapping[str, Mask]) -> None:
        """Replaces the masks by new neutral ones and applies them."""
        for name, mask in masks.items():
            transform = self._rows[name][0].transform
            self._masks[name].assign(to_keras_hub(mask, transform, self._head_size))
        self._masked = True
        self._apply()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Updates the masks if the schedule has an update at this step."""
        is_due, sparsity = self._schedule(self._step)
        if bool(is_due):
            share = float(sparsity)
            self.set_masks({n: self._make_mask(k, share) for n, k in self.kernels().items()})

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Applies the masks again."""
        self._step += 1
        if self._masked:
            self._apply()

    def arrays(self) -> dict[str, np.ndarray]:
        """The masks and the number of steps, as the state to save."""
        state = {name: mask.numpy() for name, mask in self._masks.items()}
        return {**state, "step": np.array([self._step, self._masked], np.int64)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores the state that `arrays` returned."""
        self._step, self._masked = int(arrays["step"][0]), bool(arrays["step"][1])
        for name, mask in self._masks.items():
            mask.assign(arrays[name])

    def _apply_masks(self) -> None:
        for name, (_, variable) in self._rows.items():
            value = variable.value
            value.assign(tf.where(self._masks[name], value, 0.0))
