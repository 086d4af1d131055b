"""`SparseAdamW`: AdamW (Loshchilov and Hutter 2019) that updates only the embedding rows in use.

The token table is half of a small BERT, and a batch reads about a hundredth of its rows. Keras'
AdamW makes the table's gradient dense and then passes over every array a dozen times. Here a sparse
gradient stays sparse, and all dense variables are updated in one compiled function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

DECAYED = ("kernel", "embeddings")
"""Last path parts of the variables with weight decay. Biases and LayerNorm have none."""


class WarmupLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warmup to the peak, then linear decay to 0 (Devlin et al. 2019, appendix A.2).

    Args:
        peak: The highest learning rate.
        warmup_steps: Number of steps of the warmup.
        total_steps: Number of steps after which the rate is 0.
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int) -> None:
        self.peak, self.warmup_steps, self.total_steps = peak, warmup_steps, total_steps

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step, counted from 0. No step of the run has rate 0."""
        step = tf.cast(step, tf.float32)
        rise = (step + 1.0) / max(1, self.warmup_steps)
        fall = (self.total_steps - step) / max(1, self.total_steps - self.warmup_steps)
        return self.peak * tf.clip_by_value(tf.minimum(rise, fall), 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }


class SparseAdamW(keras.optimizers.Optimizer):
    """AdamW with gradient clipping by the global norm.

    For a sparse gradient (rows of an embedding table), only those rows get new moments, weight
    decay and a step, as in `torch.optim.SparseAdam`: a row that a batch does not read stays as it
    is. All other variables get the updates of `keras.optimizers.AdamW`.

    Args:
        learning_rate: A number or a schedule.
        weight_decay: Weight decay of the variables whose path ends in one of `DECAYED`.
        clip_norm: Largest global norm of the gradients; 0 disables clipping.
        beta_1: Decay rate of the first moment.
        beta_2: Decay rate of the second moment.
        epsilon: Added to the square root of the second moment.
    """

    def __init__(
        self,
        learning_rate: Any,
        *,
        weight_decay: float = 0.01,
        clip_norm: float = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name="sparse_adamw")
        self.decay, self.clip_norm = weight_decay, clip_norm
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables: Sequence[Any]) -> None:
        """Creates both moments of every variable."""
        if self.built:
            return
        super().build(variables)
        self._first, self._second = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )
        self._places = {id(variable): place for place, variable in enumerate(variables)}
        self._dense_pass = tf.function(self._update_dense, autograph=False, jit_compile=True)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Takes one step.

        Args:
            grads: For each variable a tensor, `tf.IndexedSlices` or None.
            trainable_variables: Variables that the optimizer was built with; None means all.
        """
        variables = list(
            self._trainable_variables if trainable_variables is None else trainable_variables
        )
        if not self.built:
            self.build(variables)
        pairs = [
            (self._places[id(variable)], deduplicated(gradient))
            for gradient, variable in zip(grads, variables, strict=True)
            if gradient is not None
        ]
        rate = tf.cast(self.learning_rate, tf.float32)
        factors = {
            "clip": self._clip_factor([gradient for _, gradient in pairs]),
            "step": rate * self._bias_correction(),
            "decay": rate * self.decay,
        }
        dense = [(place, g) for place, g in pairs if not isinstance(g, tf.IndexedSlices)]
        self._dense_pass(
            tuple(place for place, _ in dense), [gradient for _, gradient in dense], **factors
        )
        for place, gradient in pairs:
            if isinstance(gradient, tf.IndexedSlices):
                self._update_rows(place, gradient, **factors)
        self.iterations.assign_add(1)

    def _bias_correction(self) -> Any:
        step = tf.cast(self.iterations + 1, tf.float32)
        return tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))

    def _clip_factor(self, gradients: list[Any]) -> Any:
        if not self.clip_norm:
            return tf.constant(1.0)
        values = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients]
        norm = tf.sqrt(2 * tf.add_n([tf.nn.l2_loss(value) for value in values]))
        return self.clip_norm / tf.maximum(norm, self.clip_norm)

    def _updated(
        self, place: int, weight: Any, first: Any, second: Any, gradient: Any, factors: Any
    ) -> tuple[Any, Any, Any]:
        """The updated weight and moments of a whole variable or of some of its rows."""
        gradient = gradient * factors["clip"]
        first = first + (gradient - first) * (1 - self.beta_1)
        second = second + (tf.square(gradient) - second) * (1 - self.beta_2)
        if self._trainable_variables[place].path.split("/")[-1] in DECAYED:
            weight = weight * (1 - factors["decay"])
        return weight - factors["step"] * first / (tf.sqrt(second) + self.epsilon), first, second

    def _state(self, place: int) -> tuple[Any, Any, Any]:
        variables = (self._trainable_variables[place], self._first[place], self._second[place])
        return tuple(variable.value for variable in variables)

    def _update_dense(self, places: tuple[int, ...], gradients: list[Any], **factors: Any) -> None:
        for place, gradient in zip(places, gradients, strict=True):
            state = self._state(place)
            updated = self._updated(place, *state, gradient, factors)
            for variable, value in zip(state, updated, strict=True):
                variable.assign(value)

    def _update_rows(self, place: int, gradient: Any, **factors: Any) -> None:
        state, rows = self._state(place), gradient.indices
        weight, first, second = (tf.gather(variable, rows) for variable in state)
        updated = self._updated(place, weight, first, second, gradient.values, factors)
        for variable, value in zip(state, updated, strict=True):
            variable.scatter_update(tf.IndexedSlices(value, rows))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            "learning_rate": super().get_config()["learning_rate"],
            "weight_decay": self.decay,
            "clip_norm": self.clip_norm,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


def deduplicated(gradient: Any) -> Any:
    """A sparse gradient in which each row occurs once; other gradients are returned unchanged.

    Example: the indices [4, 7, 4] with the values [a, b, c] become [4, 7] with [a + c, b].
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, places = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)
