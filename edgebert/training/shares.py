"""Losses and gradients of a batch that is divided among replicas (see `data_parallel`)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from edgebert.training.optimizer import deduplicated


def loss_of(model: Any, inputs: Any, targets: Any, outputs: Any, weights: Any) -> Any:
    """The loss of a batch: a scalar.

    A model with its own `compute_loss` is asked for it. Otherwise the compiled loss is called
    directly: for a model with several outputs, Keras' `compute_loss` creates variables on the first
    call, which is not allowed inside a replica's step.
    """
    if _has_own_loss(model):
        return model.compute_loss(inputs, targets, outputs, weights, training=True)
    return model.loss(targets, outputs, sample_weight=weights)


def _has_own_loss(model: Any) -> bool:
    return type(model).compute_loss is not keras.Model.compute_loss


def count_of(model: Any, targets: Any, weights: Any) -> Any:
    """The number of items that the loss of a batch is a mean of: a float32 scalar.

    These are the rows, except for a loss with a method `count(targets)`, and for Keras' losses with
    `ignore_class`, which are means over the targets that are not ignored.
    """
    loss: Any = None if _has_own_loss(model) else model.loss
    ignored = getattr(loss, "ignore_class", None)
    if hasattr(loss, "count"):
        return tf.cast(loss.count(targets), tf.float32)
    if ignored is not None:
        return tf.reduce_sum(tf.cast(targets != ignored, tf.float32))
    return tf.cast(tf.shape(weights)[0], tf.float32)


def scaled(gradient: Any, factor: Any) -> Any:
    """A gradient times a factor. A factor of 0 gives 0, also for the NaN of a mean over no items.

    Args:
        gradient: A tensor, `tf.IndexedSlices` or None.
        factor: A scalar.
    """
    if gradient is None:
        return None
    if isinstance(gradient, tf.IndexedSlices):
        values = tf.math.multiply_no_nan(gradient.values, factor)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return tf.math.multiply_no_nan(gradient, factor)


def summed_over_replicas(context: Any, gradients: list[Any], scalars: Any) -> tuple[list[Any], Any]:
    """The sums over all replicas. A sparse gradient stays sparse: its rows are gathered.

    Args:
        context: The replica context.
        gradients: Tensors, `tf.IndexedSlices` or None.
        scalars: float32 `[n]`, summed in the same operation as the dense gradients.

    Returns:
        The summed gradients, and the summed scalars as a list of `n`.
    """
    dense = [g for g in gradients if g is not None and not isinstance(g, tf.IndexedSlices)]
    *dense, scalars = context.all_reduce(tf.distribute.ReduceOp.SUM, [*dense, scalars])
    sums = iter(dense)
    summed = []
    for gradient in gradients:
        if isinstance(gradient, tf.IndexedSlices):
            own = deduplicated(gradient)
            values, rows = (context.all_gather(part, 0) for part in (own.values, own.indices))
            summed.append(tf.IndexedSlices(values, rows, gradient.dense_shape))
        else:
            summed.append(None if gradient is None else next(sums))
    return summed, tf.unstack(scalars)
