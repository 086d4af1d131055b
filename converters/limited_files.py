"""Reads whole files up to a limit, and only regular ones."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path


class UnreadableFileError(OSError):
    """A file is no regular file, or is larger than the limit."""


def read_limited(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file.

    A device such as /dev/zero has a size of 0 and no end, and a pipe may wait for ever.

    Args:
        path: the file; links are followed.
        max_bytes: the largest content that is read.

    Raises:
        UnreadableFileError: it is no regular file or is larger.
        OSError: it can't be read.
    """
    require_limited((path,), max_bytes)
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise UnreadableFileError(f"more bytes than the limit of {max_bytes}")
    return data


def require_limited(paths: Iterable[Path], max_bytes: int) -> None:
    """Checks the sizes of files that are read together, before any of them is read.

    Args:
        paths: the files; links are followed.
        max_bytes: the most bytes of all of them.

    Raises:
        UnreadableFileError: one is no regular file, or they are larger.
        OSError: one can't be looked at.
    """
    size_bytes = 0
    for path in paths:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableFileError("a folder")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFileError("a device or a pipe")
        size_bytes += status.st_size
    if size_bytes > max_bytes:
        raise UnreadableFileError(f"{size_bytes} bytes, more than the limit of {max_bytes}")
