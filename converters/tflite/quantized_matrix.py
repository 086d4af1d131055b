"""Matrices in 8 or 4 bits: the choice of values and scales, and the packing of 4-bit values.

All quantization here is symmetric (the zero point is 0), over the last axis: one scale per row, or
one scale per block of consecutive columns of a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converters.errors import ConversionError

INT4_LOWEST, INT4_HIGHEST = -8, 7
INT4_BLOCKS = (32, 16, 8)
"""Block sizes in columns: the first that divides the width is used, else the whole row."""

_CLIPS = np.linspace(0.5, 1.1, 13, dtype=np.float32)
"""Candidates of the scale search, as multiples of the scale that represents the largest value."""
_CHUNK_ELEMENTS = 1 << 20
_SMALLEST_SCALE = np.float32(2.0**-17)
"""The smallest float16 with eight significant bits."""


@dataclass(frozen=True)
class QuantizedMatrix:
    """A matrix as integers and scales.

    Attributes:
        values: int8 `[rows, columns]`; with 4 bits they are from -8 to 7.
        scales: float32 `[rows]`, or float16 `[rows, columns / block]` with blocks.
        bits: 8 or 4.
        block: columns that share a scale; 0 for one scale per row.
    """

    values: np.ndarray
    scales: np.ndarray
    bits: int = 8
    block: int = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of the values and scales in a file."""
        return (self.values.size * self.bits + 7) // 8 + self.scales.nbytes

    def dequantized(self) -> np.ndarray:
        """The values times their scales, float32 `[rows, columns]`."""
        rows, columns = self.values.shape
        scales = self.scales.astype(np.float32).reshape(rows, -1, 1)
        blocks = self.values.reshape(rows, scales.shape[1], -1).astype(np.float32)
        return np.asarray(blocks * scales).reshape(rows, columns)


def quantize_rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric int8 with one scale per row, narrow range [-127, 127] (Jacob et al. 2018).

    Args:
        matrix: float `[rows, columns]`.

    Returns:
        int8 `[rows, columns]` and float32 scales `[rows]`, `matrix ~ values * scales[:, None]`.
        A row of zeros, or of numbers too small for a normal float32 scale, has scale 1.
    """
    rows, columns = matrix.shape
    values, scales = np.empty((rows, columns), np.int8), np.empty(rows, np.float32)
    step = max(1, _CHUNK_ELEMENTS // max(1, columns))
    for start in range(0, rows, step):
        part = matrix[start : start + step]
        found = np.abs(part).max(axis=1).astype(np.float32) / np.float32(127)
        found = np.where(found >= np.finfo(np.float32).tiny, found, np.float32(1))
        scales[start : start + step] = found
        values[start : start + step] = np.rint(part / found[:, None])
    return values, scales


def quantize_int4(matrix: np.ndarray, block: int = 0) -> QuantizedMatrix:
    """Symmetric int4 in [-8, 7], with scales chosen by their squared error.

    If a scale represents the largest value of its block, most of the 16 levels are unused. Clipping
    the few largest values reduces the error of all others (Banner et al. 2019, "Post training 4-bit
    quantization of convolutional networks"). Scales are searched on a grid around the largest value
    and then set to the least-squares optimum for their integers.

    Args:
        matrix: float `[rows, columns]`.
        block: columns that share a scale, float16 in the file; 0 for one float32 scale per row.

    Raises:
        ConversionError: `block` does not divide the columns, or a scale is too large for its type.
    """
    rows, columns = matrix.shape
    size = block or columns
    if columns % size:
        raise ConversionError(
            f"blocks must divide the columns of a matrix. Received: blocks of {block}, "
            f"{columns} columns."
        )
    _check_range(matrix, bool(block))
    values = np.empty((rows, columns), np.int8)
    scales = np.empty((rows, columns // size), np.float32)
    step = max(1, _CHUNK_ELEMENTS // columns)
    for start in range(0, rows, step):
        part = np.asarray(matrix[start : start + step], np.float32)
        blocks = part.reshape(len(part), -1, size)
        found = _best_int4_scales(blocks)
        if block:
            found = block_scales(found).astype(np.float32)
        scales[start : start + step] = found[..., 0]
        values[start : start + step] = _rounded(blocks, found).reshape(len(part), columns)
    return QuantizedMatrix(values, scales.astype(np.float16) if block else scales[:, 0], 4, block)


def block_scales(scales: np.ndarray) -> np.ndarray:
    """Rounds scales of blocks to float16 with 8 significant bits.

    The type in the file is float16, and XNNPACK packs scales as bfloat16: the result is exact in
    both.
    """
    significand, exponent = np.frexp(np.asarray(scales, np.float32))
    return np.ldexp(np.rint(significand * 256) / 256, exponent).astype(np.float16)


def _best_int4_scales(blocks: np.ndarray) -> np.ndarray:
    """The scale of every block with the smallest squared error of the search.

    Args:
        blocks: float32 `[..., size]`.

    Returns:
        float32 `[..., 1]`; 1 for a block of zeros, or of numbers below the smallest scale.
    """
    reach = np.abs(blocks).max(axis=-1, keepdims=True) / np.float32(INT4_HIGHEST)
    usable = reach * _CLIPS[0] >= _SMALLEST_SCALE
    reach = np.where(usable, reach, np.float32(1))
    best, best_error = reach, _squared_error(blocks, reach)
    for clip in _CLIPS:
        scales = reach * clip
        error = _squared_error(blocks, scales)
        best = np.where(error < best_error, scales, best)
        best_error = np.minimum(error, best_error)
    values = _rounded(blocks, best)
    least_squares = (values * blocks).sum(axis=-1, keepdims=True) / np.maximum(
        (values * values).sum(axis=-1, keepdims=True), 1
    )
    better = (_squared_error(blocks, least_squares) < best_error) & (
        least_squares >= _SMALLEST_SCALE
    )
    best = np.where(better, least_squares, best)
    return np.asarray(np.where(usable, best, np.float32(1)), np.float32)


def _rounded(blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(blocks / scales), INT4_LOWEST, INT4_HIGHEST)


def _squared_error(blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
    error = _rounded(blocks, np.where(scales > 0, scales, np.float32(1))) * scales - blocks
    return np.asarray((error * error).sum(axis=-1, keepdims=True))


def _check_range(matrix: np.ndarray, in_blocks: bool) -> None:
    dtype = np.float16 if in_blocks else np.float32
    largest = float(np.abs(matrix).max(initial=0))
    limit = float(np.finfo(dtype).max) * INT4_HIGHEST / 2
    if not largest <= limit:
        raise ConversionError(
            f"int4 with scales in {np.dtype(dtype)} stores values up to {limit:.3g}. "
            f"Received: {largest:.3g}. Next: store this matrix in int8."
        )


def int4_block(columns: int) -> int:
    """The number of columns that share a scale: the first divisor in `INT4_BLOCKS`, or all."""
    return next((block for block in INT4_BLOCKS if columns % block == 0), columns)


def pack_nibbles(values: np.ndarray) -> np.ndarray:
    """Packs two values into a byte, the first in the low four bits, as the format stores INT4.

    Args:
        values: integers from -8 to 7, any shape; for an odd number of them the last four bits are
            0.

    Returns:
        uint8 `[ceil(size / 2)]`.
    """
    flat = np.asarray(values, np.int8).reshape(-1).view(np.uint8) & 0xF
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    return np.asarray(flat[0::2] | (flat[1::2] << 4), np.uint8)


def unpack_nibbles(packed: np.ndarray, size: int) -> np.ndarray:
    """The inverse of `pack_nibbles`: int8 `[size]`, from -8 to 7."""
    both = np.stack([packed & 0xF, packed >> 4], axis=-1).reshape(-1)[:size].astype(np.int8)
    return np.asarray((both ^ 8) - 8, np.int8)
