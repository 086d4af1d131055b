"""Whether a native library can be mapped by phones with pages of 16 KB."""

from __future__ import annotations

import struct

PAGE_BYTES = 16384
_LOAD = 1
_CLASS_64 = 2


def smallest_alignment(data: bytes) -> int | None:
    """The least alignment of the segments that are loaded; None of a 32-bit library.

    32-bit phones have pages of 4 KB. ELF-64 is told in "ELF-64 Object File Format", version 1.5.

    Raises:
        ValueError: it is no ELF file of little-endian numbers, or is cut short.
    """
    if data[:4] != b"\x7fELF" or len(data) < 64 or data[5] != 1:
        raise ValueError("expected a native library (ELF, little-endian)")
    if data[4] != _CLASS_64:
        return None
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    if offset + size * count > len(data):
        raise ValueError("expected a whole native library; it is cut short")
    alignments = []
    for number in range(count):
        start = offset + size * number
        (kind,) = struct.unpack_from("<I", data, start)
        (alignment,) = struct.unpack_from("<Q", data, start + 48)
        if kind == _LOAD:
            alignments.append(alignment)
    if not alignments:
        raise ValueError("expected a native library with segments to load; it has none")
    return min(alignments)
