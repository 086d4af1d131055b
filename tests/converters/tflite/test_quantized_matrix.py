"""Matrices in 8 and 4 bits: the scales are good ones, and nibbles come back as they went in."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_quantizer.transformations import transformation_utils
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converters.errors import ConversionError
from converters.tflite.quantized_matrix import (
    QuantizedMatrix,
    block_scales,
    int4_block,
    pack_nibbles,
    quantize_int4,
    quantize_rows,
    unpack_nibbles,
)

NIBBLES = hnp.arrays(
    np.int8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9), elements=st.integers(-8, 7)
)
MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(-100, 100, width=32),
)


def squared_error(matrix: np.ndarray, quantized: QuantizedMatrix) -> float:
    return float(((quantized.dequantized().astype(np.float64) - matrix) ** 2).sum())


@given(NIBBLES)
def test_nibbles_come_back(values: np.ndarray) -> None:
    packed = pack_nibbles(values)
    assert packed.dtype == np.uint8
    assert packed.size == (values.size + 1) // 2
    np.testing.assert_array_equal(unpack_nibbles(packed, values.size), values.reshape(-1))


@given(hnp.arrays(np.uint8, st.integers(1, 20)))
def test_bytes_come_back(packed: np.ndarray) -> None:
    np.testing.assert_array_equal(pack_nibbles(unpack_nibbles(packed, 2 * packed.size)), packed)


@given(NIBBLES)
def test_nibbles_are_packed_as_ai_edge_quantizer_packs_them(values: np.ndarray) -> None:
    judged = transformation_utils.pack_data(4, values.reshape(-1).view(np.uint8))
    np.testing.assert_array_equal(pack_nibbles(values), np.asarray(judged, np.uint8))


@given(MATRICES)
@settings(max_examples=50, deadline=None)
def test_int8_rows_are_within_half_a_step(matrix: np.ndarray) -> None:
    values, scales = quantize_rows(matrix)
    assert values.dtype == np.int8
    assert np.abs(values.astype(int)).max(initial=0) <= 127
    error = np.abs(values * scales[:, None].astype(np.float64) - matrix)
    assert (error <= scales[:, None] * 0.51 + 1e-30).all()


@given(MATRICES, st.booleans())
@settings(max_examples=80, deadline=None)
def test_int4_is_no_worse_than_reaching_the_largest_value(
    matrix: np.ndarray, in_blocks: bool
) -> None:
    columns = matrix.shape[1]
    found = quantize_int4(matrix, columns if in_blocks else 0)
    assert found.values.dtype == np.int8
    assert found.values.min() >= -8
    assert found.values.max() <= 7
    reach = np.abs(matrix).max(axis=1) / 7
    reach = np.where(reach > 1e-3, reach, 1).astype(np.float32)
    plain = QuantizedMatrix(np.rint(matrix / reach[:, None]).astype(np.int8), reach, 4)
    rounding_of_scales = (2.0**-8 * np.abs(matrix).sum()) ** 2
    assert squared_error(matrix, found) <= squared_error(matrix, plain) * 1.01 + rounding_of_scales


def test_clipping_and_blocks_each_lower_the_error() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.standard_t(5, (64, 128)).astype(np.float32) * 0.05
    reach = np.abs(matrix).max(axis=1) / 7
    plain = QuantizedMatrix(np.rint(matrix / reach[:, None]).astype(np.int8), reach, 4)
    errors = [
        squared_error(matrix, q)
        for q in (
            plain,
            quantize_int4(matrix),
            quantize_int4(matrix, 64),
            quantize_int4(matrix, 32),
        )
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 0.75 * errors[0]
    assert errors[3] < 0.55 * errors[0]


def test_the_scale_is_near_the_best_that_there_is() -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(0, 1, (8, 32)).astype(np.float32)
    found = quantize_int4(matrix)
    for row, scale in zip(matrix, found.scales, strict=True):
        tried = np.linspace(0.3, 1.3, 2001) * np.abs(row).max() / 7
        values = np.clip(np.rint(row / tried[:, None]), -8, 7)
        best = ((values * tried[:, None] - row) ** 2).sum(axis=1).min()
        got = ((np.clip(np.rint(row / scale), -8, 7) * scale - row) ** 2).sum()
        assert got <= 1.1 * best


@given(st.floats(2.0**-17, 60000))
def test_scales_of_blocks_are_exact_in_both_16_bit_types(scale: float) -> None:
    stored = block_scales(np.array([scale], np.float32))
    bits = stored.astype(np.float32).view(np.uint32)
    assert bits[0] & 0xFFFF == 0
    assert abs(float(stored[0]) - scale) <= scale * 2.0**-8


def test_sizes_are_those_of_packed_nibbles() -> None:
    matrix = np.ones((3, 64), np.float32)
    assert quantize_int4(matrix, 32).size_bytes == 3 * 32 + 3 * 2 * 2
    assert quantize_int4(matrix).size_bytes == 3 * 32 + 3 * 4
    assert QuantizedMatrix(*quantize_rows(matrix)).size_bytes == 3 * 64 + 3 * 4


@pytest.mark.parametrize("value", [0.0, 1e-40, 1e-9])
def test_zeros_and_tiny_numbers_have_a_scale(value: float) -> None:
    found = quantize_int4(np.full((2, 32), value, np.float32), 32)
    assert np.isfinite(found.scales).all()
    assert (found.scales > 0).all()
    assert np.isfinite(found.dequantized()).all()


@pytest.mark.parametrize(("columns", "block"), [(384, 32), (48, 16), (24, 8), (20, 20)])
def test_the_block_divides_the_columns(columns: int, block: int) -> None:
    assert int4_block(columns) == block


def test_what_can_not_be_is_refused() -> None:
    with pytest.raises(ConversionError, match="blocks must divide"):
        quantize_int4(np.ones((2, 33), np.float32), 32)
    with pytest.raises(ConversionError, match="Next: store this matrix in int8"):
        quantize_int4(np.full((2, 32), 1e6, np.float32), 32)
    with pytest.raises(ConversionError, match="Received: nan"):
        quantize_int4(np.full((2, 32), np.nan, np.float32), 32)
