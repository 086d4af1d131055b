"""`DistillationModel`: a student that learns what a teacher says and, where asked, how it thinks.

Losses are a table, put together by name (`METHODS`). What a teacher says of texts with one label
comes with the rows, computed once; what it says of other tasks' rows, and hidden states and
attention, it computes beside the student, step by step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters.layer_choice import spread_layers
from edgebert.encoding.encoded_rows import EncodedRows
from edgebert.system.progress import Progress
from edgebert.training.batches import sorted_batches
from edgebert.training.heads import Head, soft_loss
from edgebert.training.packed_encoder import Taps

SOFT, HIDDEN, COSINE, EMBEDDINGS, ATTENTION, RELATIONS = (
    "soft",
    "hidden",
    "cosine",
    "embeddings",
    "attention",
    "relations",
)
METHODS: dict[str, dict[str, float]] = {
    # Hinton et al. 2015.
    "soft-labels": {SOFT: 1.0},
    # Xia et al. 2022 (CoFi): soft labels and the hidden states of every layer.
    "hidden-states": {SOFT: 1.0, HIDDEN: 1.0},
    # Sanh et al. 2019.
    "distilbert": {SOFT: 1.0, COSINE: 1.0},
    # Jiao et al. 2020; attention is the mean over heads, of which teacher and student may have
    # different numbers.
    "tinybert": {SOFT: 1.0, HIDDEN: 1.0, EMBEDDINGS: 1.0, ATTENTION: 1.0},
    # Wang et al. 2021 (MiniLMv2): relations of queries, keys and values in the last layer.
    "minilm": {SOFT: 1.0, RELATIONS: 1.0},
}
LOGITS = "logits"
"""The key of what a teacher says, in the targets of rows that have it."""
RELATION_PARTS = ("query", "key", "value")


@dataclass(frozen=True)
class Teacher:
    """A frozen teacher, out of Keras' sight.

    Attributes:
        encoder: its `PackedEncoder`.
        head: what stands behind it.
        num_layers: of it.
        hidden_size: of it.
        token_ids: the teacher's id of each of the student's tokens, int32 `[student's vocabulary]`.
    """

    encoder: Any
    head: Head
    num_layers: int
    hidden_size: int
    token_ids: npt.NDArray[np.int32]

    def run(
        self, inputs: dict[str, Any], wanted: Callable[[str], bool], whole: bool
    ) -> tuple[Any, dict[str, Any]]:
        """What the teacher says of a batch of the student's, and what it computes on the way."""
        taps = Taps(wanted)
        ids = tf.gather(tf.constant(self.token_ids), inputs["token_ids"])
        encoded = self.encoder.encode({**inputs, "token_ids": ids}, False, taps, whole)
        outputs = self.head(encoded, inputs["padding_mask"])
        values = {name: tf.stop_gradient(value) for name, value in taps.values.items()}
        return tf.stop_gradient(outputs), values


def teacher_logits(
    net: keras.Model, rows: EncodedRows, progress: Progress, batch_size: int = 64
) -> np.ndarray:
    """A teacher's logits, float32 `[rows, labels]`.

    Args:
        net: the teacher, of `fitting.build_frozen`.
        rows: encoded with its own tokenizer.
        progress: told after every batch.
        batch_size: texts at once.
    """
    run = tf.function(lambda inputs: net(inputs, training=False), reduce_retracing=True)
    logits = np.zeros((len(rows), net.output_shape[-1]), np.float32)
    batches = list(sorted_batches(rows.lengths, batch_size))
    for number, batch in enumerate(batches):
        logits[batch] = run(rows.padded(batch, int(rows.lengths.max()))).numpy()
        progress("teacher", number + 1, len(batches))
    return logits


class DistillationModel(keras.Model):
    """A student with the losses of distillation; called, it gives the student's outputs.

    Args:
        student: of `fitting.build_model`.
        num_layers: of the student.
        hidden_size: of the student.
        teacher: asked where a loss needs more than soft labels, or the rows have none.
        losses: weights by name, a row of `METHODS`.
        temperature: of the soft labels.
        hard_weight: share of the loss against the true labels, where rows have one.
        kind: what the outputs are, of `training.heads`.
        task_loss: the task's own loss.
    """

    def __init__(
        self,
        student: keras.Model,
        num_layers: int,
        hidden_size: int,
        teacher: Teacher,
        losses: dict[str, float],
        temperature: float,
        hard_weight: float,
        kind: str,
        task_loss: Any,
    ) -> None:
        super().__init__(name="distillation")
        self.student = student
        self._encoder, self._head = student.get_layer("packed_encoder"), Head(student)
        self._kind, self._task_loss = kind, task_loss
        self._teacher, self._portions = teacher, losses
        self._looks = set(losses) != {SOFT}
        self._temperature, self._hard_weight = temperature, hard_weight
        self._whole = RELATIONS in losses
        self._pairs = _layer_pairs(num_layers, teacher.num_layers)
        self._projection = None
        if self._looks and teacher.hidden_size != hidden_size:
            self._projection = keras.layers.Dense(
                teacher.hidden_size, use_bias=False, name="distillation_projection"
            )
            self._projection.build((None, hidden_size))
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """The outputs; in training with what the losses look at."""
        if not training:
            return self.student(inputs, training=False)
        taps = Taps(self._wanted)
        encoded = self._encoder.encode(inputs, True, taps, self._whole)
        return self._head(encoded, inputs["padding_mask"], training=True), taps.values

    def _wanted(self, name: str) -> bool:
        ends = {
            HIDDEN: (".hidden",),
            COSINE: (".hidden",),
            EMBEDDINGS: ("embeddings",),
            ATTENTION: (".attention.query", ".attention.key"),
            RELATIONS: tuple(f".attention.{part}" for part in RELATION_PARTS),
        }
        return any(name.endswith(ends[loss]) for loss in self._portions if loss != SOFT)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The weighted sum of the losses: a scalar."""
        said, own = y_pred
        has_logits = isinstance(y, dict) and LOGITS in y
        wanted: Any = None
        theirs: dict[str, Any] = {}
        if self._looks or not has_logits:
            wanted, theirs = self._teacher.run(x, self._wanted, self._whole)
        soft = self._soft(y[LOGITS] if has_logits else wanted, said, x["padding_mask"])
        hard = self._hard(y, said, sample_weight, has_logits) if self._hard_weight else 0.0
        total = (1 - self._hard_weight) * self._portions.get(SOFT, 0.0) * soft
        total += self._hard_weight * hard
        if not self._looks:
            return total
        tokens = tf.reduce_sum(x["padding_mask"])
        for name, weight in self._portions.items():
            if name != SOFT:
                total += weight * getattr(self, f"_{name}")(own, theirs, tokens, x["padding_mask"])
        return total

    def _soft(self, wanted: Any, said: Any, mask: Any) -> Any:
        """The mean over the rows of `heads.soft_loss`."""
        return tf.reduce_mean(soft_loss(self._kind, wanted, said, mask, self._temperature))

    def _hard(self, y: Any, said: Any, weights: Any, has_logits: bool) -> Any:
        """The task's loss; of texts with one label, over those that have one."""
        if not has_logits:
            return self._task_loss(y, said, sample_weight=weights)
        known = tf.cast(y["targets"] >= 0, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.maximum(y["targets"], 0), logits=said
        )
        return tf.reduce_mean(losses * known * weights)

    def _states(self, own: Any, theirs: Any) -> list[tuple[Any, Any]]:
        return [
            (self._project(own[f"layers.{mine}.hidden"]), theirs[f"layers.{its}.hidden"])
            for mine, its in self._pairs.items()
        ]

    def _project(self, x: Any) -> Any:
        return x if self._projection is None else self._projection(x)

    def _hidden(self, own: Any, theirs: Any, tokens: Any, mask: Any) -> Any:
        """Mean squared error of hidden states, as a share of their mean square."""
        return tf.add_n([_relative_error(a, b, tokens) for a, b in self._states(own, theirs)]) / (
            len(self._pairs)
        )

    def _cosine(self, own: Any, theirs: Any, tokens: Any, mask: Any) -> Any:
        """1 - cosine of hidden states."""
        losses = []
        for a, b in self._states(own, theirs):
            rows = tf.minimum(tokens, tf.shape(a)[0])
            cosine = tf.reduce_sum(tf.math.l2_normalize(a, -1) * tf.math.l2_normalize(b, -1), -1)
            losses.append(tf.reduce_mean((1 - cosine)[:rows]))
        return tf.add_n(losses) / len(losses)

    def _embeddings(self, own: Any, theirs: Any, tokens: Any, mask: Any) -> Any:
        """Mean squared error of what the first layer reads."""
        return _relative_error(self._project(own["embeddings"]), theirs["embeddings"], tokens)

    def _attention(self, own: Any, theirs: Any, tokens: Any, mask: Any) -> Any:
        """Mean squared error of attention scores before the softmax, averaged over the heads."""
        losses = []
        for mine, its in self._pairs.items():
            if f"layers.{mine}.attention.query" not in own or (
                f"layers.{its}.attention.query" not in theirs
            ):
                continue
            a, b = (
                _mean_scores(
                    values[f"layers.{i}.attention.query"], values[f"layers.{i}.attention.key"]
                )
                for values, i in ((own, mine), (theirs, its))
            )
            pairs = _token_pairs(mask)
            losses.append(
                tf.reduce_sum(tf.square(a - b) * pairs)
                / (tf.reduce_sum(tf.square(b) * pairs) + 1e-6)
            )
        return tf.add_n(losses) / len(losses) if losses else tf.constant(0.0)

    def _relations(self, own: Any, theirs: Any, tokens: Any, mask: Any) -> Any:
        """Divergence of the softmax of scaled products of all tokens (MiniLMv2, section 3.1)."""
        mine, its = max(self._pairs.items())
        losses = []
        for part in RELATION_PARTS:
            said, wanted = (
                _relation(values[f"layers.{i}.attention.{part}"], mask)
                for values, i in ((own, mine), (theirs, its))
            )
            divergence = tf.reduce_sum(tf.exp(wanted) * (wanted - said), -1)
            present = tf.cast(mask, tf.float32)
            losses.append(tf.reduce_sum(divergence * present) / tf.reduce_sum(present))
        return tf.add_n(losses) / len(losses)


def _layer_pairs(student: int, teacher: int) -> dict[int, int]:
    """Each layer of the student with one of the teacher, evenly spread, last with last."""
    return dict(enumerate(spread_layers(teacher, student)))


def _relative_error(a: Any, b: Any, tokens: Any) -> Any:
    rows = tf.minimum(tokens, tf.shape(a)[0])
    return tf.reduce_mean(tf.square(a - b)[:rows]) / tf.reduce_mean(tf.square(b)[:rows])


def _mean_scores(query: Any, key: Any) -> Any:
    size = int(query.shape[-1])
    return tf.reduce_mean(tf.matmul(query, key, transpose_b=True), 1) / math.sqrt(size)


def _relation(x: Any, mask: Any) -> Any:
    """Log of the relation of every token to every other: `[batch, length, length]`."""
    width = int(x.shape[1] * x.shape[-1])
    products = tf.einsum("bhid,bhjd->bij", x, x) / math.sqrt(width)
    return tf.nn.log_softmax(products + tf.cast(1 - mask, tf.float32)[:, None] * -1e9)


def _token_pairs(mask: Any) -> Any:
    present = tf.cast(mask, tf.float32)
    return present[:, :, None] * present[:, None]
