"""Writes gpu_constant_add.tflite: two ADD operators that show a fault of LiteRT's GPU delegate.

    python docs/upstream/gpu_constant_add.py gpu_constant_add.tflite

`sum_2` is input `x_2` plus a constant [4, 3]; `sum_3` is input `x_3` plus the same numbers as a
constant [1, 4, 3]. With inputs of zeros both outputs are the constant. See gpu_constant_add.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from converters.tflite.graph_builder import GraphBuilder

ROWS, COLUMNS = 4, 3


def build() -> bytes:
    """The content of the file."""
    file = GraphBuilder("ADD of a constant of rank 2 and of rank 3")
    graph = file.subgraph("add")
    numbers = np.arange(ROWS * COLUMNS, dtype=np.float32)
    for shape in ([ROWS, COLUMNS], [1, ROWS, COLUMNS]):
        rank = len(shape)
        x = graph.input(f"x_{rank}", shape, np.float32)
        constant = file.constant(f"constant_{rank}", numbers.reshape(shape))
        graph.output(f"sum_{rank}", graph.add(x, constant, f"sum_{rank}"))
    return file.finish()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(build())
