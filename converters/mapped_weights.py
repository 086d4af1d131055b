"""Arrays of a safetensors file that stay in the file: the system reads a page when it is used.

The memory of a process has only the pages that were read since the last call of `forget_pages`.
Files are written array by array, without a copy of all of them.

The format: 8 bytes with the length of the header, the header in JSON, and the arrays
(https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from converters.errors import ConversionError

_LENGTH_BYTES = 8
_TYPES = {
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "int32": "I32",
    "int64": "I64",
    "uint32": "U32",
    "uint64": "U64",
    "bool": "BOOL",
}
"""The types of safetensors by those of numpy."""


class Entry(NamedTuple):
    """An array of a file: its type by the format's name, its shape, and its bytes."""

    kind: str
    shape: tuple[int, ...]
    data: memoryview


def read_entries(path: Path) -> dict[str, Entry]:
    """The arrays of a safetensors file by name. Their bytes are read-only and stay in the file.

    Raises:
        ConversionError: The file is truncated, or no safetensors.
    """
    with path.open("rb") as file:
        try:
            with safe_open(path, framework="np"):  # checks the header and all offsets
                pass
        except SafetensorError as error:
            size = path.stat().st_size
            raise ConversionError(
                f"{path} can't be read as safetensors ({error}); it holds {size} bytes. "
                "Next: it is likely truncated; copy or download it again."
            ) from error
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    start = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
    header = json.loads(bytes(data[_LENGTH_BYTES:start]))
    entries = {}
    for name, fields in header.items():
        if name != "__metadata__":
            first, end = fields["data_offsets"]
            part = data[start + first : start + end]
            entries[name] = Entry(fields["dtype"], tuple(fields["shape"]), part)
    return entries


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Writes arrays as float32: the bytes are those of `safetensors.numpy.save`.

    Args:
        path: the file.
        arrays: by name.
        metadata: texts by name, for the header.
    """
    names = sorted(arrays)
    shapes = {name: ("F32", arrays[name].shape, 4 * arrays[name].size) for name in names}
    with path.open("wb") as file:
        file.write(_header(shapes, metadata))
        for name in names:
            file.write(np.ascontiguousarray(arrays[name], "<f4").reshape(-1).view(np.uint8).data)
            forget_pages([arrays[name]])


def parts_of(
    arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> list[bytes | memoryview]:
    """The parts of a safetensors file. They are views of the arrays, which take no memory again.

    Args:
        arrays: by name; contiguous, of the types in `_TYPES`.
        metadata: texts by name, for the header.
    """
    shapes = {
        name: (_TYPES[array.dtype.name], array.shape, array.nbytes)
        for name, array in arrays.items()
    }
    views = (np.ascontiguousarray(each).reshape(-1).view(np.uint8).data for each in arrays.values())
    return [_header(shapes, metadata), *views]


def _header(
    arrays: Mapping[str, tuple[str, tuple[int, ...], int]], metadata: Mapping[str, str]
) -> bytes:
    """The bytes before the arrays of a safetensors file.

    Args:
        arrays: type, shape and size in bytes by name, in the order of the file.
        metadata: texts by name.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    first = 0
    for name, (kind, shape, size_bytes) in arrays.items():
        end = first + size_bytes
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [first, end]}
        first = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def forget_pages(arrays: Iterable[np.ndarray]) -> None:
    """Takes the pages of arrays in a file out of the memory of this process.

    The arrays stay usable: the system reads a page again when it is used. Nothing happens to other
    arrays.
    """
    if not hasattr(mmap, "MADV_DONTNEED"):
        return
    for array in arrays:
        found = _file_of(array)
        if found is not None:
            start = array.ctypes.data - np.frombuffer(found, np.uint8).ctypes.data
            first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
            size = start + array.nbytes - first
            if size > 0:
                found.madvise(mmap.MADV_DONTNEED, first, size)


def _file_of(array: np.ndarray) -> mmap.mmap | None:
    """The read-only file that an array is in; None where it is in memory."""
    owner: object = array
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return owner if isinstance(owner, mmap.mmap) else None
