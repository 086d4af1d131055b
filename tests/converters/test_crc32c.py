"""CRC-32C: known values, and long data as short data."""

from __future__ import annotations

import numpy as np
import pytest

from converters.crc32c import _long, crc32c


def test_values_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(b"") == 0


@pytest.mark.parametrize("size", [1, 31, 32, 1000, 2047])
def test_lanes_give_what_bytes_give(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    assert _long(data) == crc32c(data)


def test_a_changed_byte_of_long_data_is_seen() -> None:
    data = bytearray(np.random.default_rng(0).bytes(10_000))
    before = crc32c(bytes(data))
    data[5000] ^= 1
    assert crc32c(bytes(data)) != before
