"""What vectors of texts are trained by: cosines that are to be scores, or partners to be found."""

from __future__ import annotations

from typing import Any

SCALE = 20.0
"""Cosines are multiplied by it before exponentials are taken of them."""


def sentence_loss() -> Any:
    """The Keras loss of the vectors of a batch of `SentenceRows` against its targets.

    Where targets are scores from 0 to 1, `[batch]`, it is the squared error of the two texts'
    cosine (Reimers and Gurevych 2019, section 3). Where they are the candidates that belong to each
    first text, `[batch, candidates]`, it is the cross-entropy of finding them (Henderson et al.
    2017: the other rows' texts are the negatives), by the cosines.
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
