"""A model's head as a separate function, and the losses that compare the outputs of two models.

Distillation compares a student's outputs with its teacher's. Structured pruning needs the gradient
of a loss on labels that are drawn from the model's own outputs. Both depend on how the outputs of a
head turn into probabilities.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from converters import heads
from converters.checkpoint import Checkpoint
from edgebert.errors import UsageError

CHOICE, TOKEN_CHOICES, SPANS, LABELS, NUMBER, VECTOR, STATES = (
    "choice",
    "token choices",
    "spans",
    "labels",
    "number",
    "vector",
    "states",
)
"""Kinds of outputs: logits of one label out of several; the same for each token; logits of the
start and end positions of a span; logits of independent labels; a score; a vector of which only the
direction counts; the hidden states of a bare encoder."""

SIMILARITY_WEIGHT = 1.0
"""Weight of the cosines within a batch in the soft loss of vectors."""
_ENCODED = ("pooled_output", "sequence_output")
_KINDS = {
    heads.TOKEN_CLASSIFIER: TOKEN_CHOICES,
    heads.SPANS: SPANS,
    heads.SENTENCE: VECTOR,
    heads.ENCODER: STATES,
}
_PROBLEMS = {
    heads.SINGLE_LABEL: CHOICE,
    heads.MULTI_LABEL: LABELS,
    heads.REGRESSION: NUMBER,
}


def kind_of(checkpoint: Checkpoint) -> str:
    """The kind of the outputs of a checkpoint's head.

    Raises:
        UsageError: The head has none of these kinds: a masked LM.
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
    """The head of a model as a function of the packed encoder's outputs.

    Args:
        model: The Keras model of `fitting.build_model`. Its layers are shared, not copied.
    """

    def __init__(self, model: keras.Model) -> None:
        encoder = model.get_layer("packed_encoder")
        # Keras flattens a dict of outputs in the order of its keys.
        self._names = _ENCODED if encoder.every_token else _ENCODED[:1]
        inputs = [*keras.tree.flatten(encoder.output), model.input["padding_mask"]]
        self._model = keras.Model(inputs, model.output, name="head")

    def __call__(self, encoded: dict[str, Any], padding_mask: Any, training: bool = False) -> Any:
        """The head's outputs for a batch.

        Args:
            encoded: The outputs of `PackedEncoder.encode`.
            padding_mask: int32 `[batch, length]`.
            training: Whether dropout is applied.
        """
        inputs = [*(encoded[name] for name in self._names), tf.convert_to_tensor(padding_mask)]
        return self._model(inputs, training=training)


def soft_loss(kind: str, wanted: Any, outputs: Any, padding_mask: Any, temperature: float) -> Any:
    """The distance of a student's outputs from its teacher's: float32 `[batch]`.

    For probabilities it is the Kullback-Leibler divergence at the temperature, times the
    temperature's square (Hinton et al. 2015), averaged over the choices of a row. For scores it is
    half the squared error. For vectors it is 1 - cosine, plus the squared error of the cosines with
    the other vectors of the batch (as in Park et al. 2019, "Relational Knowledge Distillation").
    For hidden states it is the squared error over the teacher's squares.

    Args:
        kind: The kind of the outputs.
        wanted: The teacher's outputs.
        outputs: The student's outputs.
        padding_mask: int32 `[batch, length]`. Padding is left out.
        temperature: Divides the logits of both models.
    """
    if kind == NUMBER:
        return 0.5 * tf.reduce_sum(tf.square(wanted - outputs), -1)
    if kind == VECTOR:
        wanted, outputs = tf.math.l2_normalize(wanted, -1), tf.math.l2_normalize(outputs, -1)
        errors = tf.matmul(wanted, wanted, transpose_b=True) - tf.matmul(
            outputs, outputs, transpose_b=True
        )
        distances = 1 - tf.reduce_sum(wanted * outputs, -1)
        return distances + SIMILARITY_WEIGHT * tf.reduce_mean(tf.square(errors), -1)
    if kind == STATES:
        present = tf.cast(padding_mask, tf.float32)[:, :, None]
        squares = tf.reduce_sum(tf.square(wanted) * present, [1, 2])
        return tf.reduce_sum(tf.square(wanted - outputs) * present, [1, 2]) / squares
    if kind == LABELS:
        # sigmoid(x) = softmax([x, 0])[0]
        wanted, outputs = (tf.stack([x, tf.zeros_like(x)], -1) for x in (wanted, outputs))
    if kind == SPANS:
        # [batch, length, 2] to [batch, 2, length]: a softmax over the positions
        wanted, outputs = (tf.transpose(x, [0, 2, 1]) for x in (wanted, outputs))
    target = tf.nn.log_softmax(wanted / temperature)
    divergence = tf.reduce_sum(
        tf.exp(target) * (target - tf.nn.log_softmax(outputs / temperature)), -1
    )
    divergence *= temperature**2
    if kind == CHOICE:
        return divergence
    if kind == TOKEN_CHOICES:
        present = tf.cast(padding_mask, tf.float32)
        return tf.reduce_sum(divergence * present, -1) / tf.reduce_sum(present, -1)
    return tf.reduce_mean(divergence, -1)


def sampled_loss(kind: str, outputs: Any, padding_mask: Any, seed: Any) -> Any:
    """The log loss of targets that are sampled from the model's own outputs: a scalar sum.

    The expectation of its squared gradient is the true Fisher information (Kunstner et al. 2019).
    Scores, vectors and hidden states are taken as means of normal distributions with variance 1:
    there the loss of the target output + noise is 0.5 * noise^2, with the gradient -noise.

    Args:
        kind: The kind of the outputs.
        outputs: The outputs for a batch.
        padding_mask: int32 `[batch, length]`. Nothing is sampled for padding.
        seed: Two integers.
    """
    if kind in (NUMBER, VECTOR, STATES):
        noise = tf.random.stateless_normal(tf.shape(outputs), seed)
        if kind == STATES:
            noise *= tf.cast(padding_mask, tf.float32)[:, :, None]
        return -tf.reduce_sum(noise * outputs)
    if kind == LABELS:
        outputs = tf.stack([tf.zeros_like(outputs), outputs], -1)
    if kind == SPANS:
        outputs = tf.transpose(outputs, [0, 2, 1])
    logits = tf.reshape(outputs, [-1, tf.shape(outputs)[-1]])
    sampled = tf.random.stateless_categorical(logits, 1, seed)[:, 0]
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(sampled, tf.int32), logits)
    if kind == TOKEN_CHOICES:
        losses *= tf.cast(tf.reshape(padding_mask, [-1]), tf.float32)
    return tf.reduce_sum(losses)
