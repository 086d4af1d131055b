"""`DistillationModel`: a student with the losses of distillation.

A method is a weighted sum of losses (`METHODS`). For classes and scores of a whole text, the
teacher's outputs are computed once and are part of the rows. For other tasks, and for losses on
hidden states or attention, the teacher runs in every step, unless its states are kept
(`kept_states`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters.checkpoint import BertConfig
from converters.layer_choice import spread_layers
from converters.tflite.output_names import LOGITS
from edgebert.encoding.encoded_rows import EncodedRows
from edgebert.system.progress import Progress
from edgebert.tasks.labelled_rows import TARGETS
from edgebert.training.batches import sorted_batches
from edgebert.training.heads import Head, soft_loss
from edgebert.training.kept_states import FIRST_STATES, STATES, RunTeacher
from edgebert.training.packed_encoder import Taps
from edgebert.training.state_projection import fit_projection

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
    # Jiao et al. 2020, with attention averaged over the heads: teacher and student may have
    # different numbers of them.
    "tinybert": {SOFT: 1.0, HIDDEN: 1.0, EMBEDDINGS: 1.0, ATTENTION: 1.0},
    # Wang et al. 2021 (MiniLMv2): relations of queries, keys and values in the last layer.
    "minilm": {SOFT: 1.0, RELATIONS: 1.0},
}
RELATION_PARTS = ("query", "key", "value")


@dataclass(frozen=True)
class Teacher:
    """A frozen teacher. Keras does not track its variables.

    Attributes:
        encoder: The teacher's `PackedEncoder`.
        head: The teacher's head.
        config: The shape of the teacher.
        token_ids: The teacher's id of each token of the student, int32 `[student's vocabulary]`.
        identity: What the teacher is, as text: another one has other states.
    """

    encoder: Any
    head: Head
    config: BertConfig
    token_ids: npt.NDArray[np.int32]
    identity: str

    def run(
        self, inputs: dict[str, Any], wanted: Callable[[str], bool], whole: bool
    ) -> tuple[Any, dict[str, Any]]:
        """The teacher's outputs for a batch of the student, and its intermediate arrays.

        Args:
            inputs: The student's inputs, with the student's token ids.
            wanted: Whether the intermediate array of a name is returned (see `Taps`).
            whole: Whether the last layer is computed for every token.
        """
        taps = Taps(wanted)
        ids = tf.gather(tf.constant(self.token_ids), inputs["token_ids"])
        encoded = self.encoder.encode({**inputs, "token_ids": ids}, False, taps, whole)
        outputs = self.head(encoded, inputs["padding_mask"])
        values = {name: tf.stop_gradient(value) for name, value in taps.values.items()}
        return tf.stop_gradient(outputs), values

    def runner(self, with_states: bool) -> RunTeacher:
        """A function that computes for a batch what `KeptStates` keeps.

        Args:
            with_states: Whether the hidden states of all layers are kept beside the outputs.
        """

        @tf.function(autograph=False, reduce_retracing=True)
        def run(inputs: dict[str, Any]) -> dict[str, Any]:
            outputs, values = self.run(inputs, lambda name: with_states and is_state(name), False)
            found = {LOGITS: outputs}
            if with_states:
                *before, last = (values[_state(i)] for i in range(self.config.num_layers))
                if self.encoder.every_token:
                    before.append(last)
                else:
                    found[FIRST_STATES] = tf.cast(last, tf.float16)
                if before:
                    tokens = tf.reduce_sum(inputs["padding_mask"])
                    found[STATES] = tf.cast(tf.concat(before, 1)[:tokens], tf.float16)
            return found

        return run

    def kept(self, targets: dict[str, Any]) -> dict[str, Any]:
        """The hidden states of a batch by name, from the kept ones in its targets."""
        parts: list[Any] = []
        if STATES in targets:
            whole = self.config.num_layers - (FIRST_STATES in targets)
            parts += tf.split(targets[STATES], whole, -1)
        if FIRST_STATES in targets:
            parts.append(targets[FIRST_STATES])
        return {_state(i): tf.cast(part, tf.float32) for i, part in enumerate(parts)}


def is_state(name: str) -> bool:
    """Whether a name of an intermediate array is that of a layer's hidden states."""
    return name.endswith(".hidden")


def _state(layer: int) -> str:
    return f"layers.{layer}.hidden"


def outputs_of(
    teacher: Teacher,
    encoded: EncodedRows,
    texts: npt.NDArray[np.int64],
    progress: Progress,
    batch_size: int = 64,
) -> npt.NDArray[np.float32]:
    """A teacher's outputs for some texts in its own tokens, float32 `[len(texts), outputs]`.

    Args:
        teacher: The teacher.
        encoded: Texts encoded with the teacher's tokenizer.
        texts: Numbers of the texts, int64 `[any]`.
        progress: Called after every batch.
        batch_size: Texts per batch.
    """
    own = replace(teacher, token_ids=np.arange(teacher.config.vocab_size, dtype=np.int32))
    run, lengths = own.runner(with_states=False), encoded.lengths
    found: list[np.ndarray] = []
    order: list[npt.NDArray[np.int64]] = list(sorted_batches(lengths[texts], batch_size))
    for number, batch in enumerate(order):
        found.append(np.asarray(run(encoded.padded(texts[batch], int(lengths.max())))[LOGITS]))
        progress("teacher", number + 1, len(order))
    outputs = np.concatenate(found)
    return outputs[np.argsort(np.concatenate(order))]


@dataclass(frozen=True, kw_only=True)
class DistillationLoss:
    """The loss that a student is trained by.

    Attributes:
        weights: The weight of each loss by name: a row of `METHODS`.
        temperature: Temperature of the soft labels.
        hard_weight: Share of the task's loss on true labels, for rows that have them.
        kind: The kind of the outputs: a constant of `training.heads`.
        task_loss: The task's Keras loss; None if no row has a label.
    """

    weights: Mapping[str, float]
    temperature: float
    hard_weight: float
    kind: str
    task_loss: Any

    @property
    def needs_states(self) -> bool:
        """Whether a loss compares intermediate arrays."""
        return set(self.weights) != {SOFT}

    @property
    def keeps_states(self) -> bool:
        """Whether the hidden states of the teacher, and its outputs, are all that it needs."""
        return set(self.weights) <= {SOFT, HIDDEN, COSINE}


class DistillationModel(keras.Model):
    """A student with the losses of distillation. In inference it gives the student's outputs.

    Args:
        student: The Keras model of `fitting.build_model`.
        config: The shape of the student.
        teacher: Runs in every step if a loss compares intermediate arrays, or if the rows have no
            teacher logits.
        loss: The losses and their weights.
    """

    def __init__(
        self, student: keras.Model, config: BertConfig, teacher: Teacher, loss: DistillationLoss
    ) -> None:
        super().__init__(name="distillation")
        self.student = student
        self._encoder, self._head = student.get_layer("packed_encoder"), Head(student)
        # Keras tracks attributes that are dicts; a frozen object stays as it is.
        self._teacher, self._objective = teacher, loss
        self._whole = RELATIONS in loss.weights
        self._pairs = _layer_pairs(config.num_layers, teacher.config.num_layers)
        self._projection = None
        if loss.needs_states and teacher.config.hidden_size != config.hidden_size:
            self._projection = keras.layers.Dense(
                teacher.config.hidden_size, use_bias=False, name="distillation_projection"
            )
            self._projection.build((None, config.hidden_size))
        self.built = True

    def fit_projection(self, rows: EncodedRows) -> None:
        """Starts the projection of a narrower student with a least-squares fit on some texts."""
        if self._projection is None:
            return

        def pairs(inputs: dict[str, Any]) -> list[tuple[Any, Any]]:
            inputs = {name: tf.constant(array) for name, array in inputs.items()}
            taps = Taps(is_state)
            self._encoder.encode(inputs, False, taps, self._whole)
            theirs = self._teacher.run(inputs, is_state, self._whole)[1]
            return [(taps.values[_state(i)], theirs[_state(j)]) for i, j in self._pairs.items()]

        fit_projection(self._projection, pairs, rows)

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """The student's outputs; in training also the intermediate arrays that losses compare."""
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
        return any(name.endswith(ends[loss]) for loss in self._objective.weights if loss != SOFT)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The weighted sum of the losses: a scalar."""
        outputs, student_states = y_pred
        objective, mask = self._objective, x["padding_mask"]
        given = y if isinstance(y, dict) else {TARGETS: y}
        wanted, teacher_states = given.get(LOGITS), self._teacher.kept(given)
        if wanted is None or (objective.needs_states and not teacher_states):
            computed, teacher_states = self._teacher.run(x, self._wanted, self._whole)
            wanted = computed if wanted is None else wanted
        soft = self._soft(wanted, outputs, mask)
        hard_weight = objective.hard_weight
        hard: Any = 0.0
        if hard_weight:
            targets = given[TARGETS]
            # Rows without a label have the weight 0, and count in the mean.
            hard = objective.task_loss(targets, outputs, sample_weight=sample_weight)
        total = (1 - hard_weight) * objective.weights.get(SOFT, 0.0) * soft + hard_weight * hard
        if not objective.needs_states:
            return total
        tokens = tf.reduce_sum(mask)
        losses = {
            HIDDEN: self._hidden,
            COSINE: self._cosine,
            EMBEDDINGS: self._embeddings,
            ATTENTION: self._attention,
            RELATIONS: self._relations,
        }
        for name, weight in objective.weights.items():
            if name != SOFT:
                total += weight * losses[name](student_states, teacher_states, tokens, mask)
        return total

    def _soft(self, wanted: Any, outputs: Any, mask: Any) -> Any:
        """The mean of `heads.soft_loss` over the rows."""
        objective = self._objective
        return tf.reduce_mean(
            soft_loss(objective.kind, wanted, outputs, mask, objective.temperature)
        )

    def _states(self, own: Any, theirs: Any) -> list[tuple[Any, Any]]:
        return [(self._project(own[_state(i)]), theirs[_state(j)]) for i, j in self._pairs.items()]

    def _project(self, x: Any) -> Any:
        return x if self._projection is None else self._projection(x)

    def _hidden(self, own: Any, theirs: Any, tokens: Any, mask: Any) -> Any:
        """Mean squared error of hidden states, relative to the teacher's mean square."""
        return tf.add_n([_relative_error(a, b, tokens) for a, b in self._states(own, theirs)]) / (
            len(self._pairs)
        )

    def _cosine(self, own: Any, theirs: Any, tokens: Any, mask: Any) -> Any:
        """1 - cosine of hidden states."""
        losses = []
        for a, b in self._states(own, theirs):
            a, b = _of_tokens(a, b, tokens)
            cosine = tf.reduce_sum(tf.math.l2_normalize(a, -1) * tf.math.l2_normalize(b, -1), -1)
            losses.append(tf.reduce_mean(1 - cosine))
        return tf.add_n(losses) / len(losses)

    def _embeddings(self, own: Any, theirs: Any, tokens: Any, mask: Any) -> Any:
        """Mean squared error of the first layer's input, relative to the teacher's mean square."""
        return _relative_error(self._project(own["embeddings"]), theirs["embeddings"], tokens)

    def _attention(self, own: Any, theirs: Any, tokens: Any, mask: Any) -> Any:
        """Relative squared error of attention scores before the softmax, averaged over heads."""
        losses = []
        for i, j in self._pairs.items():
            at, teacher_at = f"layers.{i}.attention", f"layers.{j}.attention"
            if f"{at}.query" not in own or f"{teacher_at}.query" not in theirs:
                continue  # a last layer that is computed for [CLS] only has no scores
            a = _mean_scores(own[f"{at}.query"], own[f"{at}.key"])
            b = _mean_scores(theirs[f"{teacher_at}.query"], theirs[f"{teacher_at}.key"])
            pairs = _token_pairs(mask)
            losses.append(
                tf.reduce_sum(tf.square(a - b) * pairs)
                / (tf.reduce_sum(tf.square(b) * pairs) + 1e-6)
            )
        return tf.add_n(losses) / len(losses) if losses else tf.constant(0.0)

    def _relations(self, own: Any, theirs: Any, tokens: Any, mask: Any) -> Any:
        """Kullback-Leibler divergence of token relations in the last layer (MiniLMv2, 3.1)."""
        i, j = max(self._pairs.items())
        losses = []
        for part in RELATION_PARTS:
            relation = _log_relation(own[f"layers.{i}.attention.{part}"], mask)
            wanted = _log_relation(theirs[f"layers.{j}.attention.{part}"], mask)
            divergence = tf.reduce_sum(tf.exp(wanted) * (wanted - relation), -1)
            present = tf.cast(mask, tf.float32)
            losses.append(tf.reduce_sum(divergence * present) / tf.reduce_sum(present))
        return tf.add_n(losses) / len(losses)


def _layer_pairs(student: int, teacher: int) -> dict[int, int]:
    """The teacher's layer for each layer of the student: evenly spread, last with last."""
    return dict(enumerate(spread_layers(teacher, student)))


def _relative_error(a: Any, b: Any, tokens: Any) -> Any:
    """Mean squared error of packed rows over the mean square of `b`; padding rows are left out."""
    a, b = _of_tokens(a, b, tokens)
    return tf.reduce_mean(tf.square(a - b)) / tf.reduce_mean(tf.square(b))


def _of_tokens(a: Any, b: Any, tokens: Any) -> tuple[Any, Any]:
    """Packed rows of two models without the padding rows, or rows of [CLS]."""
    rows = tf.minimum(tokens, tf.shape(a)[0])
    return a[:rows], b[:rows]


def _mean_scores(query: Any, key: Any) -> Any:
    """Scaled attention scores, averaged over the heads: `[batch, length, length]`."""
    size = int(query.shape[-1])
    return tf.reduce_mean(tf.matmul(query, key, transpose_b=True), 1) / math.sqrt(size)


def _log_relation(x: Any, mask: Any) -> Any:
    """Log softmax of the scaled products of all token vectors: `[batch, length, length]`.

    Heads are joined, so teacher and student may have different numbers of them.

    Args:
        x: Queries, keys or values, `[batch, heads, length, head_size]`.
        mask: int32 `[batch, length]`.
    """
    width = int(x.shape[1] * x.shape[-1])
    products = tf.einsum("bhid,bhjd->bij", x, x) / math.sqrt(width)
    return tf.nn.log_softmax(products + tf.cast(1 - mask, tf.float32)[:, None] * -1e9)


def _token_pairs(mask: Any) -> Any:
    """1 where both positions are tokens, else 0: `[batch, length, length]`."""
    present = tf.cast(mask, tf.float32)
    return present[:, :, None] * present[:, None]
