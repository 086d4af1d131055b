"""Rows that are too many for memory: in files without names, read when they are asked for.

What is small stays in memory as it is. What is not is appended to a file that has no name, so it is
gone when nobody holds it any more, however the process ends. Such files stand in the folder for
temporary files (the environment's TMPDIR), which must be on a disk to be of use.
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
"""Rows that are estimated to take more than this go to disk."""


class RowsOnDisk(Sequence[T], Generic[T]):
    """Rows of a file.

    Args:
        file: what holds it open.
        starts: where each row begins, int64 `[rows]`.
        sizes: bytes of each row, int32 `[rows]`.
        make: makes what is handed out of what was written.
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
        # Read at a place: threads may share the file.
        return self._make(marshal.loads(os.pread(self._file.fileno(), size, start)))

    def __iter__(self) -> Iterator[T]:
        return (self[i] for i in range(len(self)))

    def subset(self, rows: npt.NDArray[np.intp]) -> RowsOnDisk[T]:
        """Some of the rows, by their numbers; nothing is read."""
        return RowsOnDisk(self._file, self._starts[rows], self._sizes[rows], self._make)

    def then(self, change: Callable[[T], U]) -> RowsOnDisk[U]:
        """The same rows, each changed when it is handed out."""
        make = self._make
        return RowsOnDisk(self._file, self._starts, self._sizes, lambda row: change(make(row)))


def kept(rows: Iterable[R], bytes_of: Callable[[R], int]) -> list[R] | RowsOnDisk[R]:
    """Rows in memory where they are few, on disk where they are many.

    Args:
        rows: of texts, numbers, None, tuples, lists and dicts of such.
        bytes_of: about how much memory a row takes.
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
    file: Any = tempfile.TemporaryFile()  # noqa: SIM115 (the rows hold it)
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


def changed(rows: Sequence[R], change: Callable[[R], U]) -> Sequence[U]:
    """Each row changed: at once where they are in memory, else when it is handed out."""
    return rows.then(change) if isinstance(rows, RowsOnDisk) else tuple(map(change, rows))


class NumbersOnDisk(Generic[N]):
    """Numbers appended to a file, and mapped into memory when all are there.

    Args:
        dtype: of the numbers.
    """

    def __init__(self, dtype: type[N]) -> None:
        self._dtype = np.dtype(dtype)
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115 (the map holds it)

    def add(self, values: npt.NDArray[N]) -> None:
        """Appends numbers."""
        self._file.write(np.ascontiguousarray(values, self._dtype).tobytes())

    def mapped(self) -> npt.NDArray[N]:
        """All of them, `[numbers]`, to be read."""
        self._file.flush()
        if not self._file.tell():
            return np.zeros(0, self._dtype)
        return np.asarray(np.memmap(self._file, self._dtype, "r"))
