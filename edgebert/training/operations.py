"""The operations of a BERT's training step, with gradients in closed form.

The gradients that TensorFlow derives are correct but slow on a CPU, since they keep and multiply
more intermediate arrays than the closed forms. Values and gradients are the same. All operations
work on float32 activations `[rows, features]`; matmuls may run in bfloat16 or float16 and return
float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from converters.checkpoint import GELU_EXACT, GELU_TANH, RELU, TANH

_SLOW_COLUMN_SUM = 512
_LEVELS = 1 << 16
_SMALLEST_SCALE = 1.2e-38


def matmul(
    a: Any, b: Any, precision: str, transpose_a: bool = False, transpose_b: bool = False
) -> Any:
    """A matrix product with operands in `precision` and a float32 result."""
    product = tf.matmul(
        tf.cast(a, precision),
        tf.cast(b, precision),
        transpose_a=transpose_a,
        transpose_b=transpose_b,
    )
    return tf.cast(product, tf.float32)


def column_sums(x: Any) -> Any:
    """Sums `[rows, features]` to `[features]`; for narrow arrays by a matmul, which is faster."""
    if x.shape[1] is None or x.shape[1] > _SLOW_COLUMN_SUM:
        return tf.raw_ops.BiasAddGrad(out_backprop=x)
    return tf.reshape(tf.matmul(tf.ones([1, tf.shape(x)[0]]), x), [-1])


def dense(x: Any, kernel: Any, bias: Any, precision: str) -> Any:
    """`x @ kernel + bias`.

    Args:
        x: `[rows, inputs]`.
        kernel: `[inputs, outputs]`.
        bias: `[outputs]`.
        precision: dtype of the operands of the three matmuls: forward, and both gradients.
    """

    @tf.custom_gradient
    def run(x: Any, kernel: Any, bias: Any) -> Any:
        low_x, low_kernel = tf.cast(x, precision), tf.cast(kernel, precision)
        y = tf.nn.bias_add(matmul(low_x, low_kernel, precision), bias)

        def gradient(dy: Any) -> Any:
            low_dy = tf.cast(dy, precision)
            return (
                matmul(low_dy, low_kernel, precision, transpose_b=True),
                matmul(low_x, low_dy, precision, transpose_a=True),
                column_sums(dy),
            )

        return y, gradient

    return run(x, kernel, bias)


def fake_quantize(x: Any, bits: int, axis: int) -> Any:
    """Rounds `x` to the levels of symmetric quantization. The gradient is that of the identity.

    This is the straight-through estimator (Bengio et al. 2013; for integer inference Jacob et al.
    2018): rounding itself has a gradient of zero.

    Example with 4 bits: the levels are -7 to 7, so [0.7, -0.33] has the scale 0.1 and becomes
    [0.7, -0.3].

    Args:
        x: Array of any shape.
        bits: 8 or 4. The levels are -(2^(bits-1) - 1) to 2^(bits-1) - 1.
        axis: Numbers along this axis share a scale.
    """
    levels = float(2 ** (bits - 1) - 1)
    scale = tf.reduce_max(tf.abs(x), axis, keepdims=True) / levels
    scale = tf.where(scale > _SMALLEST_SCALE, scale, tf.ones_like(scale))
    return x + tf.stop_gradient(tf.round(x / scale) * scale - x)


@tf.custom_gradient
def gelu(x: Any) -> Any:
    """GELU in its exact form, x * Phi(x) (Hendrycks and Gimpel 2016)."""
    cdf = 0.5 + 0.5 * tf.math.erf(x * math.sqrt(0.5))

    def gradient(dy: Any) -> Any:
        density = tf.exp(-0.5 * tf.square(x)) * (1 / math.sqrt(2 * math.pi))
        return dy * (cdf + x * density)

    return x * cdf, gradient


def _gelu_tanh(x: Any) -> Any:
    return tf.nn.gelu(x, approximate=True)


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    GELU_EXACT: gelu,
    GELU_TANH: _gelu_tanh,
    RELU: tf.nn.relu,
    TANH: tf.tanh,
}


@tf.custom_gradient
def layer_norm(x: Any, scale: Any, bias: Any, epsilon: Any) -> Any:
    """Layer normalization over the features (Ba et al. 2016).

    Args:
        x: `[rows, features]`.
        scale: `[features]`.
        bias: `[features]`.
        epsilon: added to the variance.
    """
    features = x.shape[-1]
    mean_of = tf.fill([features, 1], 1.0 / features)
    centered = x - tf.matmul(x, mean_of)
    inverse = tf.math.rsqrt(tf.matmul(tf.square(centered), mean_of) + epsilon)
    normal = centered * inverse

    def gradient(dy: Any) -> Any:
        dn = dy * scale
        dx = (dn - tf.matmul(dn, mean_of) - normal * tf.matmul(dn * normal, mean_of)) * inverse
        return dx, column_sums(dy * normal), column_sums(dy), None

    return normal * scale + bias, gradient


@tf.custom_gradient
def small_table_rows(table: Any, rows: Any) -> Any:
    """Gathers rows of a small table. The gradient is dense: a matmul with one-hot rows.

    Args:
        table: `[entries, features]`.
        rows: int32 `[n]`.
    """

    def gradient(dy: Any) -> Any:
        return tf.matmul(tf.one_hot(rows, table.shape[0], axis=0), dy), None

    return tf.gather(table, rows), gradient


def permute(x: Any, there: Any, back: Any, width: int) -> Any:
    """Reorders rows of `width` numbers. The gradient uses the inverse order.

    A gather's own gradient is a scatter, which is slow. Since the order is a permutation, the
    gradient is a gather too, with the inverse permutation.

    Example: rows [a, b, c] with `there` = [2, 0, 1] become [c, a, b], and `back` = [1, 2, 0] brings
    the gradients of the result back into the order of a, b, c.

    Args:
        x: Array of any shape, seen as `[-1, width]`.
        there: For each row of the result the row of `x`, int32 of any shape.
        back: For each row of `x` the row of the result. For a row of `x` that is not in the result:
            any row whose gradient is zero.
        width: Numbers per row.

    Returns:
        `[*there.shape, width]`.
    """

    @tf.custom_gradient
    def run(x: Any) -> Any:
        shape = tf.shape(x)

        def gradient(dy: Any) -> Any:
            return tf.reshape(tf.gather(tf.reshape(dy, [-1, width]), back), shape)

        return tf.gather(tf.reshape(x, [-1, width]), there), gradient

    return run(x)


class Dropout:
    """Dropout that depends only on a seed, a counter and the order of the calls.

    It draws 16 random bits per number instead of a float32. The rate is thus rounded to a multiple
    of 1/65536, and the kept numbers are scaled by the rounded rate.

    Args:
        rate: Share of numbers to set to zero. With 0, a call returns its argument.
        seed: int64 `[2]`: the run's seed, and a counter that differs between the steps.
    """

    def __init__(self, rate: float, seed: Any) -> None:
        self._dropped = round(rate * _LEVELS)
        self._seed = seed
        self._calls = 0

    def __call__(self, x: Any) -> Any:
        """Applies dropout to an array of any shape."""
        if not self._dropped:
            return x
        self._calls += 1
        size = tf.size(x)
        bits = tf.random.stateless_uniform(
            [(size + 1) // 2],
            tf.stack([self._seed[0] + (self._calls << 32), self._seed[1]]),
            minval=None,
            maxval=None,
            dtype=tf.uint32,
            alg="philox",
        )
        levels = tf.reshape(tf.reshape(tf.bitcast(bits, tf.uint16), [-1])[:size], tf.shape(x))
        kept = tf.cast(levels >= self._dropped, tf.float32)
        return x * tf.stop_gradient(kept * (_LEVELS / (_LEVELS - self._dropped)))
