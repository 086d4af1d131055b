"""`SparseAdamW` against Keras' AdamW and torch's SparseAdam rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from edgebert.training.optimizer import SparseAdamW, WarmupLinear  # noqa: E402


def variables() -> list[Any]:
    rng = np.random.default_rng(0)
    return [
        keras.Variable(rng.normal(size=shape).astype(np.float32), name=name)
        for name, shape in (("kernel", (6, 5)), ("bias", (5,)), ("embeddings", (20, 4)))
    ]


def gradients(step: int) -> list[np.ndarray]:
    rng = np.random.default_rng(step + 1)
    return [rng.normal(size=v.shape).astype(np.float32) * (step + 1) for v in variables()]


@pytest.mark.parametrize("clip_norm", [0.0, 1.0, 1e6])
def test_dense_steps_are_those_of_keras(clip_norm: float) -> None:
    ours, theirs = variables(), variables()
    optimizer = SparseAdamW(WarmupLinear(1e-2, 2, 6), weight_decay=0.1, clip_norm=clip_norm)
    reference = keras.optimizers.AdamW(
        WarmupLinear(1e-2, 2, 6), weight_decay=0.1, global_clipnorm=clip_norm or None
    )
    reference.exclude_from_weight_decay(var_names=["bias"])
    for step in range(6):
        optimizer.apply([tf.constant(g) for g in gradients(step)], ours)
        reference.apply([tf.constant(g) for g in gradients(step)], theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.value.numpy(), b.value.numpy(), rtol=2e-5, atol=2e-6)
    assert int(optimizer.iterations) == 6


def test_rows_without_gradient_stay() -> None:
    sparse, dense = variables()[2:], variables()[2:]
    before = sparse[0].value.numpy()
    values = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    rows = [7, 3, 7, 11]
    summed = np.zeros((20, 4), np.float32)
    np.add.at(summed, rows, values)
    SparseAdamW(1e-2).apply([tf.IndexedSlices(values, rows, (20, 4))], sparse)
    SparseAdamW(1e-2).apply([tf.constant(summed)], dense)
    touched = np.unique(rows)
    untouched = np.setdiff1d(np.arange(20), touched)
    np.testing.assert_array_equal(sparse[0].value.numpy()[untouched], before[untouched])
    np.testing.assert_allclose(
        sparse[0].value.numpy()[touched], dense[0].value.numpy()[touched], rtol=1e-6
    )


def test_a_missing_gradient_is_skipped() -> None:
    kernel, bias, table = variables()
    SparseAdamW(1e-2).apply([None, tf.ones(5), None], [kernel, bias, table])
    np.testing.assert_array_equal(kernel.value.numpy(), variables()[0].value.numpy())
    assert (bias.value.numpy() != variables()[1].value.numpy()).all()


def test_the_learning_rate_is_piecewise_linear() -> None:
    schedule = WarmupLinear(2.0, 4, 12)
    rates = [float(schedule(step)) for step in range(13)]
    np.testing.assert_allclose(rates[:4], [0.5, 1.0, 1.5, 2.0])
    np.testing.assert_allclose(rates[4:], np.linspace(2.0, 0.0, 9), atol=1e-6)
    assert float(WarmupLinear(2.0, 0, 10)(0)) == 2.0


def test_it_is_rebuilt_from_its_config() -> None:
    config = SparseAdamW(1e-3, weight_decay=0.2, clip_norm=3.0).get_config()
    made = SparseAdamW(**config)
    assert (made.decay, made.clip_norm, made.epsilon) == (0.2, 3.0, 1e-7)
