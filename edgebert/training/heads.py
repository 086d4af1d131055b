"""A head apart from its encoder, and what its outputs are to those who compare two models by them.

Distillation compares a student's outputs with its teacher's, structured pruning a model's with what
the model itself might have said. Both need to know how outputs turn into probabilities.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from converters import heads
from converters.checkpoint import Checkpoint
from edgebert.errors import UsageError

CHOICE, TOKEN_CHOICES, SPANS, LABELS, NUMBER, VECTOR = (
    "choice",
    "token choices",
    "spans",
    "labels",
    "number",
    "vector",
)
"""What outputs are: one of several labels; one for each token; the places of a start and an end;
labels that don't exclude each other; a score; a vector whose direction is read."""

_ENCODED = ("pooled_output", "sequence_output")
_KINDS = {
    heads.TOKEN_CLASSIFIER: TOKEN_CHOICES,
    heads.SPANS: SPANS,
    heads.SENTENCE: VECTOR,
}
_PROBLEMS = {
    heads.SINGLE_LABEL: CHOICE,
    heads.MULTI_LABEL: LABELS,
    heads.REGRESSION: NUMBER,
}


def kind_of(checkpoint: Checkpoint) -> str:
    """What the outputs of a checkpoint's head are.

    Raises:
        UsageError: they are none of these: a masked LM, a bare encoder.
    """
    if checkpoint.head == heads.CLASSIFIER:
        return _PROBLEMS[checkpoint.problem]
    if checkpoint.head not in _KINDS:
        raise UsageError(
            f"Expected a model for a task with labels, spans, scores or vectors. Received: one "
            f"whose head is '{checkpoint.head}'. Next: fine-tune it for such a task first."
        )
    return _KINDS[checkpoint.head]


class Head:
    """What stands behind a model's packed encoder, as a function of what that gives.

    Args:
        model: of `fitting.build_model`; its layers are used, not copied.
    """

    def __init__(self, model: keras.Model) -> None:
        encoder = model.get_layer("packed_encoder")
        # Keras keeps a layer's outputs without their names, in the order of the names.
        self._names = _ENCODED if encoder.every_token else _ENCODED[:1]
        inputs = [*keras.tree.flatten(encoder.output), model.input["padding_mask"]]
        self._model = keras.Model(inputs, model.output, name="head")

    def __call__(self, encoded: dict[str, Any], padding_mask: Any, training: bool = False) -> Any:
        """The outputs of a batch.

        Args:
            encoded: of `PackedEncoder.encode`.
            padding_mask: int32 `[batch, length]`.
            training: with dropout.
        """
        inputs = [*(encoded[name] for name in self._names), tf.convert_to_tensor(padding_mask)]
        return self._model(inputs, training=training)


def soft_loss(kind: str, wanted: Any, said: Any, padding_mask: Any, temperature: float) -> Any:
    """How far outputs are from those that are wanted: a loss for each row, float32 `[batch]`.

    Of probabilities it is the Kullback-Leibler divergence at the temperature, times its square
    (Hinton et al. 2015), the mean over a row's choices; of scores half the squared error; of
    vectors 1 - cosine.

    Args:
        kind: of the outputs.
        wanted: the teacher's outputs.
        said: the student's.
        padding_mask: int32 `[batch, length]`: padding has no choice.
        temperature: softens both.
    """
    if kind == NUMBER:
        return 0.5 * tf.reduce_sum(tf.square(wanted - said), -1)
    if kind == VECTOR:
        return 1 - tf.reduce_sum(
            tf.math.l2_normalize(wanted, -1) * tf.math.l2_normalize(said, -1), -1
        )
    if kind == LABELS:
        wanted, said = (tf.stack([x, tf.zeros_like(x)], -1) for x in (wanted, said))
    if kind == SPANS:
        wanted, said = (tf.transpose(x, [0, 2, 1]) for x in (wanted, said))
    target = tf.nn.log_softmax(wanted / temperature)
    divergence = tf.reduce_sum(
        tf.exp(target) * (target - tf.nn.log_softmax(said / temperature)), -1
    )
    divergence *= temperature**2
    if kind == CHOICE:
        return divergence
    if kind == TOKEN_CHOICES:
        present = tf.cast(padding_mask, tf.float32)
        return tf.reduce_sum(divergence * present, -1) / tf.reduce_sum(present, -1)
    return tf.reduce_mean(divergence, -1)


def drawn_loss(kind: str, outputs: Any, padding_mask: Any, seed: Any) -> Any:
    """The log loss of what is drawn from a model's own outputs, summed: a scalar.

    The expectation of its gradient's square is the true Fisher information (Kunstner et al. 2019).
    Scores and vectors are taken as the means of normal distributions of variance 1.

    Args:
        kind: of the outputs.
        outputs: of a batch.
        padding_mask: int32 `[batch, length]`: nothing is drawn for padding.
        seed: two whole numbers.
    """
    if kind in (NUMBER, VECTOR):
        noise = tf.random.stateless_normal(tf.shape(outputs), seed)
        return -tf.reduce_sum(noise * outputs)
    if kind == LABELS:
        outputs = tf.stack([tf.zeros_like(outputs), outputs], -1)
    if kind == SPANS:
        outputs = tf.transpose(outputs, [0, 2, 1])
    logits = tf.reshape(outputs, [-1, tf.shape(outputs)[-1]])
    drawn = tf.random.stateless_categorical(logits, 1, seed)[:, 0]
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(drawn, tf.int32), logits)
    if kind == TOKEN_CHOICES:
        losses *= tf.cast(tf.reshape(padding_mask, [-1]), tf.float32)
    return tf.reduce_sum(losses)
