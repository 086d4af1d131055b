"""Reads the arrays of TensorFlow's checkpoints (`NAME.index`, `NAME.data-...`) without TensorFlow.

The index is a table of LevelDB's format, whose values are protocol buffers: `BundleHeaderProto` and
`BundleEntryProto` of tensorflow/core/protobuf/tensor_bundle.proto. The data files have the bytes of
the arrays. All sizes are checked before anything is read, and all checksums afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.bfloat16 import widened
from converters.crc32c import crc32c
from converters.limited_files import read_limited

MAX_INDEX_BYTES = 4 * 2**20
"""The largest index: an array has about 60 bytes there. A BERT of 256 layers has 4,000 arrays, and
three times as many with those of its optimizer."""
_MAX_NAME_BYTES = 512
MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES, _TRAILER_BYTES = 48, 5
MASK = 0xA282EAD8
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 14: "<u2", 19: "<f2"}
"""Types of tensorflow/core/framework/types.proto that are read."""
_BFLOAT16 = 14
_HEADER_SHARDS, _HEADER_ENDIANNESS = 1, 2
_TYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _CHECKSUM, _SLICES = range(1, 8)
_DIMENSION, _UNKNOWN_RANK = 2, 3
_MAX_DIMENSIONS = 8
_SLICE = b"\0"
"""The start of the key of a part of an array that is stored in parts."""


@dataclass(frozen=True)
class _Entry:
    """Where an array is. `kind` is the number of its type."""

    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    is_sliced: bool


class TensorBundle:
    """The arrays of a checkpoint.

    Args:
        prefix: the path of the index without `.index`.

    Attributes:
        shapes: the shape of every array by name.

    Raises:
        ValueError: The index is damaged.
        OSError: The index can't be read, or is too large.
    """

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        pairs = dict(
            _table_pairs(read_limited(prefix.with_name(f"{prefix.name}.index"), MAX_INDEX_BYTES))
        )
        header = _fields(pairs.pop(b"", b""))
        self._shards = _whole(header, _HEADER_SHARDS)
        if _whole(header, _HEADER_ENDIANNESS):
            raise ValueError("the bytes of its numbers are in the other order")
        self._entries = {
            name.decode("utf-8"): _entry(value)
            for name, value in pairs.items()
            if not name.startswith(_SLICE)
        }
        self.shapes = {name: list(entry.shape) for name, entry in self._entries.items()}
        size_bytes = sum(path.stat().st_size for path in data_files(prefix))
        if sum(entry.size for entry in self._entries.values()) > size_bytes:
            raise ValueError(f"its arrays have more bytes than the data files, {size_bytes}")

    def read(self, name: str) -> np.ndarray:
        """An array as float32.

        Raises:
            ValueError: It is damaged, or of another type than numbers.
            OSError: The data file can't be read.
        """
        entry = self._entries[name]
        if entry.is_sliced or entry.kind not in _TYPES or 0 in entry.shape:
            raise ValueError("it is stored in slices, is empty or has no numbers")
        kind = np.dtype(_TYPES[entry.kind])
        if math.prod(entry.shape) * kind.itemsize != entry.size:
            raise ValueError(f"shape {entry.shape} does not fit {entry.size} bytes")
        data = self._data(entry)
        if crc32c(data) != entry.checksum:
            raise ValueError("its checksum differs")
        array = np.frombuffer(data, kind).reshape(entry.shape)
        if entry.kind == _BFLOAT16:
            return widened(array)
        return array.astype(np.float32)

    def _data(self, entry: _Entry) -> bytes:
        name = f"{self._prefix.name}.data-{entry.shard:05}-of-{self._shards:05}"
        path = self._prefix.with_name(name)
        if path.stat().st_size < entry.offset + entry.size:
            raise ValueError(f"{name} is shorter than the index says")
        with path.open("rb") as file:
            file.seek(entry.offset)
            return file.read(entry.size)


def data_files(prefix: Path) -> list[Path]:
    """The files with the bytes of the arrays of a checkpoint."""
    return [
        path for path in prefix.parent.iterdir() if path.name.startswith(f"{prefix.name}.data-")
    ]


def _table_pairs(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a table: a block of blocks, which the footer points at."""
    footer = data[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or int.from_bytes(footer[-8:], "little") != MAGIC:
        raise ValueError("no end of a table")
    _, at = _handle(footer, 0)
    (offset, size), _ = _handle(footer, at)
    left = len(data)
    for _, value in _pairs(_block(data, offset, size)):
        (offset, size), _ = _handle(value, 0)
        left -= size
        if left < 0:
            raise ValueError("blocks that overlap")
        yield from _pairs(_block(data, offset, size))


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where they end."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _block(data: bytes, offset: int, size: int) -> bytes:
    end = offset + size
    if end + _TRAILER_BYTES > len(data):
        raise ValueError("a block is behind the end")
    if data[end]:
        raise ValueError("a compressed index")
    masked = int.from_bytes(data[end + 1 : end + _TRAILER_BYTES], "little")
    if crc32c(data[offset : end + 1]) != _unmasked(masked):
        raise ValueError("the checksum of a block differs")
    return data[offset:end]


def _unmasked(masked: int) -> int:
    """The checksum that is stored as a masked one: rotated, and with a constant added."""
    rotated = (masked - MASK) % 2**32
    return (rotated >> 17 | rotated << 15) % 2**32


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block. A key has a number of bytes in common with the one before."""
    end = len(block) - 4 * (1 + int.from_bytes(block[-4:], "little"))
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        size, at = _varint(block, at)
        if shared > len(key) or shared + own > _MAX_NAME_BYTES or at + own + size > end:
            raise ValueError("a key or a value is behind the end of its block")
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number of 7 bits a byte, and where it ends."""
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise ValueError("a number without an end")


_Fields = dict[int, list[Any]]


def _fields(data: bytes) -> _Fields:
    """The fields of a protocol buffer by number: whole numbers, and bytes."""
    found: _Fields = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: int | bytes
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
            case 2:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
            case 1 | 5 as width:
                size = 8 if width == 1 else 4
                value, at = int.from_bytes(data[at : at + size], "little"), at + size
            case _:
                raise ValueError("a field of an unknown type")
        found.setdefault(tag >> 3, []).append(value)
    if at > len(data):
        raise ValueError("a field is behind the end")
    return found


def _whole(fields: _Fields, number: int) -> int:
    value = fields.get(number, [0])[-1]
    if not isinstance(value, int) or value >= 2**63:
        raise ValueError("a field of another type")
    return value


def _entry(data: bytes) -> _Entry:
    fields = _fields(data)
    shapes = fields.get(_SHAPE, [])
    shape: list[int] = []
    for part in shapes:
        dimensions = _fields(part) if isinstance(part, bytes) else {_UNKNOWN_RANK: [1]}
        if dimensions.get(_UNKNOWN_RANK, [0])[-1]:
            raise ValueError("an array without a shape")
        for dimension in dimensions.get(_DIMENSION, []):
            if not isinstance(dimension, bytes):
                raise ValueError("a field of another type")
            shape.append(_whole(_fields(dimension), 1))
    if len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"an array of {len(shape)} dimensions")
    return _Entry(
        kind=_whole(fields, _TYPE),
        shape=tuple(shape),
        shard=_whole(fields, _SHARD),
        offset=_whole(fields, _OFFSET),
        size=_whole(fields, _SIZE),
        checksum=_unmasked(_whole(fields, _CHECKSUM)),
        is_sliced=_SLICES in fields,
    )
