"""Narrows the head of a model to a smaller hidden size (see `hidden_size`).

A head that reads every token, and the first dense layer behind the pooling of a sentence head, are
narrowed like any layer that reads the stream. The pooler of a classifier writes as many numbers as
the hidden size has: it keeps those that the classifier needs most, and the classifier is refitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from converters.checkpoint import Checkpoint
from converters.heads import CLASSIFIER, IDENTITY, SENTENCE, SPANS, TOKEN_CLASSIFIER, SentenceHead
from edgebert.pruning.stream import Floats, TextBatch
from edgebert.pruning.surgeon import Curvature, order_removal
from edgebert.training.least_squares import Moments

NARROWED_HEADS = (CLASSIFIER, TOKEN_CLASSIFIER, SPANS, SENTENCE)
LINEAR_POOLINGS = ("mean", "cls", "weighted_mean", "last")
"""Poolings of which the result is a weighted mean of the tokens' states."""
Activation = Callable[[Floats], Floats]

CLASSIFIER_DAMPING, EXACT = 1e-2, 1e-5


@dataclass(frozen=True)
class LastStates:
    """The states of both models behind the last layer.

    Attributes:
        theirs: The teacher's, `[texts, length, hidden]` for each batch.
        ours: The narrow model's, `[texts, length, size]` for each batch.
        batches: The texts.
        kernel: With `bias` the fit of `theirs` by `ours`: `[hidden, size]`.
        bias: `[hidden]`.
    """

    theirs: Sequence[Floats]
    ours: Sequence[Floats]
    batches: Sequence[TextBatch]
    kernel: Floats
    bias: Floats

    def reader(self, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A dense layer that reads the teacher's state, for the narrow one."""
        return kernel @ self.kernel, kernel @ self.bias + bias


@dataclass(frozen=True)
class NarrowHead:
    """The arrays of a narrow head, and the settings of a sentence head."""

    weights: dict[str, np.ndarray]
    sentence: SentenceHead | None = None


def narrow_head(teacher: Checkpoint, states: LastStates, activation: Activation) -> NarrowHead:
    """The head for the narrow states. Its outputs have the same width as the teacher's.

    Args:
        teacher: The model with the head.
        states: The states behind the last layer.
        activation: The pooler's activation.
    """
    if teacher.head == CLASSIFIER:
        return NarrowHead(_classifier(teacher, states, activation))
    if teacher.head == SENTENCE:
        return _sentence(teacher, states)
    name = {TOKEN_CLASSIFIER: "token_classifier", SPANS: "spans"}[teacher.head]
    return NarrowHead(_dense(teacher, states, name))


def _dense(teacher: Checkpoint, states: LastStates, name: str) -> dict[str, np.ndarray]:
    own = teacher.weights
    kernel, bias = states.reader(own[f"{name}.kernel"], own[f"{name}.bias"])
    return {f"{name}.kernel": kernel, f"{name}.bias": bias}


def _classifier(
    teacher: Checkpoint, states: LastStates, activation: Activation
) -> dict[str, np.ndarray]:
    """The pooler with its most needed outputs, and the classifier."""
    own, size = teacher.weights, states.kernel.shape[1]
    kernel, bias = own["classifier.kernel"], own["classifier.bias"]
    theirs = np.concatenate([state[:, 0] for state in states.theirs])
    ours = np.concatenate([state[:, 0] for state in states.ours])
    pooled = activation(theirs @ own["pooler.kernel"].T + own["pooler.bias"])
    extended = np.concatenate([pooled, np.ones((len(pooled), 1))], 1).astype(np.float64)
    curvature = Curvature(extended.T @ extended / len(pooled), np.eye(len(kernel)))
    order = order_removal(kernel, bias, curvature, size=1, at_once=1).order
    kept = np.sort(order[len(order) - size :])
    pooler, pooler_bias = states.reader(own["pooler.kernel"][kept], own["pooler.bias"][kept])
    logits = pooled @ kernel.T + bias
    selected = _fitted(pooled[:, kept], logits, EXACT)
    inputs = activation(ours @ pooler.T + pooler_bias)
    kernel, bias = _fitted(inputs, logits, CLASSIFIER_DAMPING, near=selected)
    return {
        "pooler.kernel": pooler,
        "pooler.bias": pooler_bias,
        "classifier.kernel": kernel,
        "classifier.bias": bias,
    }


def _fitted(
    x: Floats, y: Floats, damping: float, near: tuple[Floats, Floats] | None = None
) -> tuple[Floats, Floats]:
    moments = Moments.of(x.shape[1], y.shape[1])
    moments.add(x, y, np.ones(len(x)))
    return moments.solve(damping, near)


def _sentence(teacher: Checkpoint, states: LastStates) -> NarrowHead:
    """The head with a dense layer that gives vectors the teacher's width.

    The fit of a state also fits its weighted means. So the first dense layer takes it up for each
    pooling; a head without one gets it as a dense layer of its own.
    """
    head = teacher.sentence
    assert head is not None
    count = len(head.pooling)
    blocks, bias = np.kron(np.eye(count, dtype=np.float32), states.kernel), states.bias
    repeated = np.tile(bias, count)
    weights = {k: v for k, v in teacher.weights.items() if k.startswith("sentence.")}
    first = "sentence.dense.0"
    if head.activations:
        own = weights[f"{first}.kernel"]
        weights[f"{first}.kernel"] = own @ blocks
        weights[f"{first}.bias"] = own @ repeated + weights[f"{first}.bias"]
        return NarrowHead(weights, head)
    weights = {f"{first}.kernel": blocks, f"{first}.bias": repeated}
    return NarrowHead(weights, replace(head, activations=(IDENTITY,)))
