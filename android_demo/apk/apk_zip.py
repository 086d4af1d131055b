"""Writes the ZIP of an APK: entries in order, at fixed times, aligned as Android maps them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

LIBRARY_ALIGNMENT = 16384
"""Of native libraries: the page of new phones, and what Google Play wants."""
STORED_ALIGNMENT = 4
STORED, DEFLATED = 0, 8
_DOS_DATE = 33  # 1980-01-01
_UTF8 = 0x800
_VERSION = 20


@dataclass(frozen=True)
class Entry:
    """A file of an APK.

    Attributes:
        name: with `/` between folders.
        data: its bytes.
        is_stored: whether it lies there as it is, to be mapped.
    """

    name: str
    data: bytes
    is_stored: bool

    @property
    def alignment(self) -> int:
        """What the offset of its bytes is a multiple of; 1 where it is compressed."""
        if not self.is_stored:
            return 1
        return LIBRARY_ALIGNMENT if self.name.endswith(".so") else STORED_ALIGNMENT


def write_zip(entries: Iterable[Entry]) -> bytes:
    """The bytes of a ZIP file. The same entries give the same bytes."""
    out, directory, count = bytearray(), bytearray(), 0
    for entry in sorted(entries, key=lambda each: each.name):
        name = entry.name.encode()
        packed = entry.data if entry.is_stored else _deflated(entry.data)
        method = STORED if entry.is_stored else DEFLATED
        facts = struct.pack(
            "<HHHHHIII",
            _VERSION,
            _UTF8,
            method,
            0,
            _DOS_DATE,
            zlib.crc32(entry.data),
            len(packed),
            len(entry.data),
        )
        offset = len(out)
        start = offset + 30 + len(name)
        padding = -start % entry.alignment
        out += b"PK\x03\x04" + facts + struct.pack("<HH", len(name), padding) + name
        out += bytes(padding) + packed
        directory += b"PK\x01\x02" + struct.pack("<H", _VERSION) + facts
        directory += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, offset) + name
        count += 1
    start = len(out)
    out += directory
    out += b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), start, 0)
    return bytes(out)


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()
