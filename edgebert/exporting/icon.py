"""The icon of a page as PNG, which phones want for the home screen (W3C PNG, ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib

import numpy as np

BLUE, WHITE = (47, 111, 237), (255, 255, 255)
LINES = ((14, 16, 36), (14, 29, 24), (14, 42, 30))
"""Left, top and width of the lines of text, 7 high, on a square of 64: as in web/site/icon.svg."""
GRID, LINE_HEIGHT = 64, 7


def icon_png(size: int) -> bytes:
    """The icon.

    Args:
        size: width and height in pixels.
    """
    pixels = np.full((size, size, 3), BLUE, np.uint8)
    for left, top, width in LINES:
        rows = slice(top * size // GRID, (top + LINE_HEIGHT) * size // GRID)
        columns = slice(left * size // GRID, (left + width) * size // GRID)
        pixels[rows, columns] = WHITE
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
