"""The number format bfloat16, which numpy does not have."""

from __future__ import annotations

import numpy as np


def widened(halves: np.ndarray) -> np.ndarray:
    """The numbers as float32: a bfloat16 is the upper half of a float32.

    Args:
        halves: bfloat16 numbers as uint16, of any shape.
    """
    return (halves.astype(np.uint32) << 16).view(np.float32)
