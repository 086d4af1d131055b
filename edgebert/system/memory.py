"""Memory that Python has freed goes back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def give_back_memory() -> None:
    """Frees unreachable objects, and returns free memory of the C heap to the system.

    glibc keeps what it got in small pieces, such as 130 MB after the arrays of a BERT-base. Other C
    libraries have no such call, and nothing more is done there.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
