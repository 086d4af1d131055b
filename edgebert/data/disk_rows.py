"""Rows of data sets that are too large for memory, in temporary files.

Few rows stay in memory. Many rows are appended to an unnamed temporary file and read on access. The
operating system removes the file when the process ends, in whatever way. Such files are in the
folder for temporary files (TMPDIR), which must be on a disk for this to save memory.
"""

from __future__ import annotations

import marshal
import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
import numpy.typing as npt

R = TypeVar("R")
T = TypeVar("T")
U = TypeVar("U")
N = TypeVar("N", bound=np.generic)

IN_MEMORY_BYTES = 128 * 2**20
"""Estimated size above which rows are written to disk."""


class RowsOnDisk(Sequence[T], Generic[T]):
    """Rows of a temporary file, read on access.

    Args:
        file: the open file.
        starts: byte offset of each row, int64 `[rows]`.
        sizes: size of each row in bytes, int32 `[rows]`.
        make: turns a stored value into the row that is returned.
    """

    def __init__(
        self,
        file: Any,
        starts: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int32],
        make: Callable[[Any], T],
    ) -> None:
        self._file, self._starts, self._sizes, self._make = file, starts, sizes, make

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> RowsOnDisk[T]: ...

    def __getitem__(self, index: int | slice) -> T | RowsOnDisk[T]:
        if isinstance(index, slice):
            return self.subset(np.arange(len(self))[index])
        size, start = int(self._sizes[index]), int(self._starts[index])
        # pread keeps no file position, so threads can share the file.
        return self._make(marshal.loads(os.pread(self._file.fileno(), size, start)))

    def __iter__(self) -> Iterator[T]:
        return (self[i] for i in range(len(self)))

    def subset(self, rows: npt.NDArray[np.intp]) -> RowsOnDisk[T]:
        """A subset of the rows by their numbers; reads nothing."""
        return RowsOnDisk(self._file, self._starts[rows], self._sizes[rows], self._make)

    def map(self, change: Callable[[T], U]) -> RowsOnDisk[U]:
        """The same rows, with a function applied to each on access."""
        make = self._make
        return RowsOnDisk(self._file, self._starts, self._sizes, lambda row: change(make(row)))


def store_rows(rows: Iterable[R], bytes_of: Callable[[R], int]) -> list[R] | RowsOnDisk[R]:
    """Keeps few rows in memory and writes many to disk.

    Args:
        rows: rows of texts, numbers, None, and tuples, lists and dicts of these.
        bytes_of: estimates the memory of a row in bytes.
    """
    held: list[R] = []
    size, rest = 0, iter(rows)
    for row in rest:
        held.append(row)
        size += bytes_of(row)
        if size > IN_MEMORY_BYTES:
            break
    else:
        return held
    file: Any = tempfile.TemporaryFile()  # noqa: SIM115 (RowsOnDisk keeps it open)
    sizes = array("i")
    for some in (held, rest):
        for row in some:
            written: Any = row
            sizes.append(file.write(marshal.dumps(written)))
        held.clear()
    file.flush()
    lengths = np.frombuffer(sizes, np.int32)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    return RowsOnDisk(file, starts, lengths, lambda row: row)


def map_rows(rows: Sequence[R], change: Callable[[R], U]) -> Sequence[U]:
    """Applies a function to each row: at once for rows in memory, on access for rows on disk."""
    return rows.map(change) if isinstance(rows, RowsOnDisk) else tuple(map(change, rows))


class NumbersOnDisk(Generic[N]):
    """Numbers that are appended to a temporary file and then mapped into memory.

    Args:
        dtype: NumPy type of the numbers.
    """

    def __init__(self, dtype: type[N]) -> None:
        self._dtype = np.dtype(dtype)
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115 (the memory map keeps it open)

    def add(self, values: npt.NDArray[N]) -> None:
        """Appends numbers."""
        self._file.write(np.ascontiguousarray(values, self._dtype).tobytes())

    def mapped(self) -> npt.NDArray[N]:
        """All numbers as a read-only array `[numbers]`."""
        self._file.flush()
        if not self._file.tell():
            return np.zeros(0, self._dtype)
        return np.asarray(np.memmap(self._file, self._dtype, "r"))
