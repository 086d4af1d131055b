"""What vectors of texts are trained by: pairs in the order of their scores, or partners found."""

from __future__ import annotations

from typing import Any

SCALE = 20.0
"""Cosines are multiplied by it before exponentials are taken of them."""


def sentence_loss() -> Any:
    """The Keras loss of the vectors of a batch of `SentenceRows` against its targets.

    Where targets are scores `[batch]`, it is CoSENT's (Huang et al. 2024): any pair whose score is
    higher than another's is to have the higher cosine. Where they are the candidates that belong to
    each first text, `[batch, candidates]`, it is the cross-entropy of finding them (Henderson et
    al. 2017: the other rows' texts are the negatives), by the cosines.
    """
    import keras
    from keras import ops

    class SentenceLoss(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            batch = ops.shape(y_true)[0]
            vectors = _unit(y_pred)
            first, others = vectors[:batch], vectors[batch:]
            if len(y_true.shape) == 1:
                cosines = ops.sum(first * others, axis=-1)
                return ops.broadcast_to(_order_loss(cosines, y_true), (batch,))
            logits = SCALE * ops.matmul(first, ops.transpose(others))
            return keras.losses.categorical_crossentropy(y_true, logits, from_logits=True)

    return SentenceLoss(name="sentence_loss")


def _unit(vectors: Any) -> Any:
    from keras import ops

    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(squares + 1e-24)


def _order_loss(cosines: Any, scores: Any) -> Any:
    """Log of 1 and the sum, over the pairs i that score higher than j, of exp(cos j - cos i)."""
    from keras import ops

    differences = SCALE * (cosines[None, :] - cosines[:, None])
    is_higher = scores[:, None] > scores[None, :]
    terms = ops.where(is_higher, differences, -1e9)
    return ops.logsumexp(ops.concatenate([ops.zeros((1,)), ops.reshape(terms, (-1,))]))
