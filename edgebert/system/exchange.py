"""Exchanges two paths in one step of the file system, where it has one (Linux and macOS)."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_HERE = -100
"""AT_FDCWD of Linux: relative paths are relative to the current folder."""
_EXCHANGE = 2
"""RENAME_EXCHANGE of Linux's renameat2, and RENAME_SWAP of macOS's renamex_np."""
_NOT_THERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
"""The system, or this file system, can't exchange."""


def exchange(first: Path, second: Path) -> bool:
    """Exchanges two files or folders. Nobody sees a moment in which one of them is missing.

    Args:
        first: a path.
        second: another path on the same file system.

    Returns:
        Whether they were exchanged; False where the file system can't, and nothing was done.

    Raises:
        OSError: it can, but not these two.
    """
    names = os.fsencode(first), os.fsencode(second)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            failed = libc.renamex_np(*names, _EXCHANGE)
        else:
            failed = libc.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE)
    except (AttributeError, OSError, TypeError):  # a C library without the function
        return False
    number = ctypes.get_errno()
    if failed and number not in _NOT_THERE:
        raise OSError(number, os.strerror(number), str(second))
    return not failed
