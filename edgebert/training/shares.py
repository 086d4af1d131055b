"""What a share of a batch counts, and gradients of shares added up to that of the batch."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from edgebert.training.optimizer import summed


def loss_of(model: Any, inputs: Any, targets: Any, outputs: Any, weights: Any) -> Any:
    """The loss of a batch: the model's own, else the task's.

    Keras' `compute_loss` gives the task's too, but where a model has several outputs it makes
    variables meanwhile, which can't be made inside a step.
    """
    if _has_own_loss(model):
        return model.compute_loss(inputs, targets, outputs, weights, training=True)
    return model.loss(targets, outputs, sample_weight=weights)


def _has_own_loss(model: Any) -> bool:
    return type(model).compute_loss is not keras.Model.compute_loss


def count_of(model: Any, targets: Any, weights: Any) -> Any:
    """How many items the loss of a batch is a mean of: rows, unless the task's loss says otherwise.

    It says so by a method `count` of the targets; Keras' own losses by what they ignore.
    """
    loss: Any = None if _has_own_loss(model) else model.loss
    ignored = getattr(loss, "ignore_class", None)
    if hasattr(loss, "count"):
        return tf.cast(loss.count(targets), tf.float32)
    if ignored is not None:
        return tf.reduce_sum(tf.cast(targets != ignored, tf.float32))
    return tf.cast(tf.shape(weights)[0], tf.float32)


def times(gradient: Any, factor: Any) -> Any:
    """A gradient that counts so much: where it is 0 the mean of nothing, no number, is 0 too."""
    if gradient is None:
        return None
    if isinstance(gradient, tf.IndexedSlices):
        values = tf.math.multiply_no_nan(gradient.values, factor)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return tf.math.multiply_no_nan(gradient, factor)


def added_up(context: Any, gradients: list[Any], facts: Any) -> tuple[list[Any], Any]:
    """Gradients and facts, added up over all replicas; a sparse gradient stays sparse."""
    dense = [g for g in gradients if g is not None and not isinstance(g, tf.IndexedSlices)]
    *dense, facts = context.all_reduce(tf.distribute.ReduceOp.SUM, [*dense, facts])
    sums = iter(dense)
    added = []
    for gradient in gradients:
        if isinstance(gradient, tf.IndexedSlices):
            mine = summed(gradient)
            values, rows = (context.all_gather(part, 0) for part in (mine.values, mine.indices))
            added.append(tf.IndexedSlices(values, rows, gradient.dense_shape))
        else:
            added.append(None if gradient is None else next(sums))
    return added, tf.unstack(facts)
