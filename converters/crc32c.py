"""CRC-32C (Castagnoli), the checksum in TensorFlow's checkpoints."""

from __future__ import annotations

import numpy as np

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
_SHORT = 2048
"""Data of fewer bytes is read byte by byte."""


def _table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (_POLYNOMIAL if value & 1 else 0) for value in table]
    return table


_TABLE = _table()
_NUMPY_TABLE = np.array(_TABLE, np.uint32)
_BITS = np.arange(32, dtype=np.uint32)
_ONE_BYTE = _NUMPY_TABLE[(np.uint32(1) << _BITS) & 255] ^ ((np.uint32(1) << _BITS) >> 8)
"""What a zero byte makes of each bit of a checksum. All such maps are linear."""


def crc32c(data: bytes) -> int:
    """The checksum of data. Long data is cut in lanes that are read together."""
    if len(data) < _SHORT:
        value = _ONES
        for byte in data:
            value = _TABLE[(value ^ byte) & 255] ^ value >> 8
        return value ^ _ONES
    return _long(data)


def _long(data: bytes) -> int:
    lanes = 1 << (len(data).bit_length() // 2 + 2)
    length = -(-len(data) // lanes)
    padded = np.zeros(lanes * length, np.uint8)  # zeros in front don't change a checksum of 0
    padded[padded.size - len(data) :] = np.frombuffer(data, np.uint8)
    columns = np.ascontiguousarray(padded.reshape(lanes, length).T)
    values = np.zeros(lanes, np.uint32)
    for column in columns:
        values = _NUMPY_TABLE[(values ^ column) & 255] ^ values >> 8
    step = _power(length)
    while len(values) > 1:
        values = _apply(step, values[0::2]) ^ values[1::2]
        step = _apply(step, step)
    start = _apply(_power(len(data)), np.array([_ONES], np.uint32))
    return int(values[0] ^ start[0]) ^ _ONES


def _apply(step: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The checksums after the bytes of a step: `[32]` images of bits, `[values]`."""
    result = np.zeros_like(values)
    for bit in range(32):
        result ^= step[bit] * (values >> bit & 1)
    return result


def _power(count: int) -> np.ndarray:
    """The step of `count` zero bytes."""
    result, step = np.uint32(1) << _BITS, _ONE_BYTE
    while count:
        if count & 1:
            result = _apply(step, result)
        step = _apply(step, step)
        count >>= 1
    return result
