"""Rounding with feedback keeps outputs nearer than rounding to the nearest."""

from __future__ import annotations

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.tflite.error_feedback import quantize_int4_with_feedback
from converters.tflite.quantized_matrix import quantize_int4


def kernel_and_inputs(outputs: int = 48, columns: int = 96) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 1, (columns // 4, columns)) * rng.uniform(0.1, 3, columns)
    inputs = rng.normal(0, 1, (400, columns // 4)) @ mixing + rng.normal(0, 0.2, (400, columns))
    return rng.normal(0, 0.1, (outputs, columns)).astype(np.float32), inputs


def output_error(kernel: np.ndarray, rounded: np.ndarray, inputs: np.ndarray) -> float:
    return float(((inputs @ (rounded - kernel).T) ** 2).mean())


@pytest.mark.parametrize("block", [0, 32])
def test_outputs_are_nearer_with_feedback(block: int) -> None:
    kernel, inputs = kernel_and_inputs()
    moments = inputs[:200].T @ inputs[:200] / 200
    nearest = quantize_int4(kernel, block)
    found = quantize_int4_with_feedback(kernel, moments, block)
    np.testing.assert_array_equal(found.scales, nearest.scales)
    assert found.values.min() >= -8
    assert found.values.max() <= 7
    unseen = inputs[200:]
    before, after = (output_error(kernel, q.dequantized(), unseen) for q in (nearest, found))
    assert after < 0.5 * before


def test_inputs_that_do_not_depend_on_each_other_are_rounded_to_the_nearest() -> None:
    kernel, _ = kernel_and_inputs()
    found = quantize_int4_with_feedback(kernel, np.eye(96), 32)
    np.testing.assert_array_equal(found.values, quantize_int4(kernel, 32).values)


def test_inputs_that_never_come_are_rounded_to_the_nearest() -> None:
    kernel, _ = kernel_and_inputs()
    found = quantize_int4_with_feedback(kernel, np.zeros((96, 96)), 32)
    np.testing.assert_array_equal(found.values, quantize_int4(kernel, 32).values)


def test_few_inputs_still_give_an_answer() -> None:
    kernel, inputs = kernel_and_inputs()
    found = quantize_int4_with_feedback(kernel, inputs[:1].T @ inputs[:1], 0)
    assert np.isfinite(found.dequantized()).all()


@pytest.mark.parametrize("moments", [np.eye(95), np.full((96, 96), np.nan)])
def test_moments_that_can_not_be(moments: np.ndarray) -> None:
    kernel, _ = kernel_and_inputs()
    with pytest.raises(ConversionError, match="96 inputs"):
        quantize_int4_with_feedback(kernel, moments, 32)
