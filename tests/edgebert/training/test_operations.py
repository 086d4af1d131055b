"""Gradients that were written by hand are those that TensorFlow derives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from edgebert.training import operations as ops  # noqa: E402


def values_and_gradients(function: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        result = function(*tensors)
        places = tf.range(tf.cast(tf.size(result), tf.float32))
        total = tf.reduce_sum(result * tf.cos(tf.reshape(places, tf.shape(result))))
    return [
        tf.convert_to_tensor(value).numpy() for value in (result, *tape.gradient(total, tensors))
    ]


def assert_same(one: Callable[..., Any], other: Callable[..., Any], *arrays: np.ndarray) -> None:
    for a, b in zip(
        values_and_gradients(one, *arrays), values_and_gradients(other, *arrays), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("outputs", [24, 600])
def test_dense(outputs: int) -> None:
    assert_same(
        lambda x, w, b: ops.dense(x, w, b, "float32"),
        lambda x, w, b: tf.matmul(x, w) + b,
        normal(40, 16),
        normal(16, outputs),
        normal(outputs),
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_low_precision_gives_float32_of_about_the_same_value(precision: str) -> None:
    arrays = normal(40, 16), normal(16, 24), normal(24)
    low = values_and_gradients(lambda x, w, b: ops.dense(x, w, b, precision), *arrays)
    full = values_and_gradients(lambda x, w, b: ops.dense(x, w, b, "float32"), *arrays)
    for a, b in zip(low, full, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=0.02 * np.abs(b).max())


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("gelu", lambda x: tf.nn.gelu(x, approximate=False)),
        ("gelu_tanh", lambda x: tf.nn.gelu(x, approximate=True)),
        ("relu", tf.nn.relu),
    ],
)
def test_activations(name: str, reference: Callable[[Any], Any]) -> None:
    assert_same(ops.ACTIVATIONS[name], reference, 3 * normal(40, 24))


def test_layer_norm() -> None:
    def reference(x: Any, scale: Any, bias: Any) -> Any:
        mean, variance = tf.nn.moments(x, 1, keepdims=True)
        return (x - mean) * tf.math.rsqrt(variance + 1e-5) * scale + bias

    assert_same(
        lambda x, scale, bias: ops.layer_norm(x, scale, bias, 1e-5),
        reference,
        normal(40, 24),
        normal(24, seed=1),
        normal(24, seed=2),
    )


def test_rows_of_a_small_table() -> None:
    rows = tf.constant([3, 0, 3, 5, 1])
    assert_same(
        lambda table: ops.small_table_rows(table, rows),
        lambda table: tf.gather(table, rows),
        normal(7, 8),
    )


def test_permuted_rows() -> None:
    there = np.random.default_rng(0).permutation(12).astype(np.int32)
    back = np.argsort(there).astype(np.int32)
    assert_same(
        lambda x: ops.permute(x, there, back, 4),
        lambda x: tf.gather(tf.reshape(x, [12, 4]), there),
        normal(6, 8),
    )


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    seed = tf.constant([7, 0], tf.int64)
    drop = ops.Dropout(0.1, seed)
    first, second = drop(tf.ones([301, 333])).numpy(), drop(tf.ones([301, 333])).numpy()
    assert abs((first == 0).mean() - 0.1) < 0.005
    assert abs(first.mean() - 1) < 0.005
    assert (first != second).any()
    np.testing.assert_array_equal(ops.Dropout(0.1, seed)(tf.ones([301, 333])).numpy(), first)
    other_step = ops.Dropout(0.1, tf.constant([7, 1], tf.int64))
    assert (other_step(tf.ones([301, 333])).numpy() != first).any()


def test_a_rate_of_zero_returns_the_argument() -> None:
    x = tf.constant(normal(3, 3))
    assert ops.Dropout(0.0, None)(x) is x
