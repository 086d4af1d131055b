"""Writes gpu_cumsum.tflite, which shows a fault of LiteRT's GPU delegate.

    python docs/upstream/gpu_cumsum.py gpu_cumsum.tflite

Two CUMSUM operators: `sum_1` over the only axis of `x_1 [4]`, `sum_3` over the last axis of
`x_3 [1, 1, 4]`. See gpu_cumsum.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from converters.tflite.graph_builder import GraphBuilder

SIZE = 4


def build() -> bytes:
    """The content of the file."""
    file = GraphBuilder("CUMSUM of rank 1 and of rank 3")
    graph = file.subgraph("sums")
    for shape in ([SIZE], [1, 1, SIZE]):
        rank = len(shape)
        x = graph.input(f"x_{rank}", shape, np.float32)
        graph.output(f"sum_{rank}", graph.cumsum(x, rank - 1, f"sum_{rank}", exclusive=False))
    return file.finish()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(build())
