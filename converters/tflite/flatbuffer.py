"""Reads flatbuffers by position with bounds checks, and writes vectors of floats and bytes.

This module knows the flatbuffer encoding (https://flatbuffers.dev/internals/) and no schema: the
fields of a table are numbers. Files may be cut short or damaged, so every offset is checked and
every failure is a `ConversionError`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from converters.errors import ConversionError

if TYPE_CHECKING:
    import flatbuffers

FILE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every `.tflite`."""
VECTOR_ALIGNMENT = 16
"""Alignment of the data of a buffer in bytes, as the model schema requires (force_align)."""


class Flatbuffer:
    """Reads a flatbuffer in place, by position in bytes.

    Args:
        data: the file.
        identifier: the file identifier, bytes 4 to 8.
        what: the kind of file, for messages.

    Raises:
        ConversionError: the identifier differs; in every method, an offset leaves the file.
    """

    def __init__(self, data: bytes | memoryview, identifier: bytes, what: str) -> None:
        self.data = memoryview(data)
        self.what = what
        received = bytes(self.data[4:8])
        if received != identifier:
            raise ConversionError(
                f"Expected {what} (identifier {identifier.decode()}). Received: "
                f"{len(self.data)} bytes with the identifier {received!r}. "
                "Next: check that the file is a .tflite and was copied completely."
            )
        self.root = self.follow(0)

    def out_of_bounds(self, position: int) -> ConversionError:
        """The error for an offset that leaves the file."""
        return ConversionError(
            f"Expected {self.what} whose offsets stay within the file. Received: an offset to "
            f"byte {position} of {len(self.data)}. Next: copy or export the file again; it is cut "
            "short or damaged."
        )

    def scalar(self, code: str, position: int) -> Any:
        """The number at `position`, little-endian, by its `struct` code."""
        if not 0 <= position <= len(self.data) - struct.calcsize("<" + code):
            raise self.out_of_bounds(position)
        return struct.unpack_from("<" + code, self.data, position)[0]

    def follow(self, position: int) -> int:
        """The position that the offset at `position` refers to."""
        target = position + int(self.scalar("I", position))
        if target >= len(self.data):
            raise self.out_of_bounds(target)
        return target

    def inline_end(self, table: int) -> int:
        """The end of the table itself, without the data that it refers to."""
        return table + int(self.scalar("H", table - int(self.scalar("i", table)) + 2))

    def field(self, table: int, slot: int) -> int | None:
        """Position of a field of a table; None where the field is not set."""
        layout = table - int(self.scalar("i", table))
        if 4 + 2 * slot >= self.scalar("H", layout):
            return None
        offset = self.scalar("H", layout + 4 + 2 * slot)
        return table + offset if offset else None

    def vector(self, field: int, item_bytes: int) -> range:
        """Positions of the items of the vector that the field refers to."""
        start = self.follow(field) + 4
        end = start + item_bytes * int(self.scalar("I", start - 4))
        if end > len(self.data):
            raise self.out_of_bounds(end)
        return range(start, end, item_bytes)

    def contents(self, field: int) -> bytes:
        """The bytes of the vector that the field refers to."""
        span = self.vector(field, 1)
        return bytes(self.data[span.start : span.stop])

    def string(self, field: int) -> str:
        """The text that the field refers to; damaged UTF-8 becomes U+FFFD."""
        return self.contents(field).decode("utf-8", "replace")


def write_floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    """Writes a vector of float32 and returns its offset."""
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())


def write_vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    """Writes a vector of tables by their offsets, and returns its offset."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def write_bytes(builder: flatbuffers.Builder, contents: bytes) -> int:
    """Writes a byte vector whose data starts at a multiple of `VECTOR_ALIGNMENT` bytes."""
    builder.Prep(VECTOR_ALIGNMENT, len(contents))
    return int(builder.CreateByteVector(contents))
