"""The losses of sentence embeddings: squared error of the cosine, and in-batch negatives."""

from __future__ import annotations

from typing import Any

SCALE = 20.0
"""Scale of the cosines in the softmax."""


def sentence_loss() -> Any:
    """The Keras loss of the vectors of a batch of `SentenceRows` against its targets.

    Targets `[batch]` are scores from 0 to 1: the loss is the squared error of the cosine of the two
    texts (Reimers and Gurevych 2019, section 3). Targets `[batch, candidates]` are the probability
    that each candidate belongs to the first text of a row: the loss is the cross-entropy of the
    scaled cosines. The other rows' texts are the negatives (Henderson et al. 2017).
    """
    import keras
    from keras import ops

    class SentenceLoss(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            batch = ops.shape(y_true)[0]
            vectors = _unit(y_pred)
            first, others = vectors[:batch], vectors[batch:]
            if len(y_true.shape) == 1:
                return ops.square(ops.sum(first * others, axis=-1) - y_true)
            logits = SCALE * ops.matmul(first, ops.transpose(others))
            return keras.losses.categorical_crossentropy(y_true, logits, from_logits=True)

    return SentenceLoss(name="sentence_loss")


def _unit(vectors: Any) -> Any:
    from keras import ops

    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(squares + 1e-24)
