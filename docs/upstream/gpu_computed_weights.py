"""Writes gpu_computed_weights.tflite, which shows a fault of LiteRT's GPU delegate.

    python docs/upstream/gpu_computed_weights.py gpu_computed_weights.tflite

One FULLY_CONNECTED whose weights are an input, with a bias. See gpu_computed_weights.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from converters.tflite.graph_builder import GraphBuilder

ROWS, INPUTS, OUTPUTS = 2, 4, 3


def build() -> bytes:
    """The content of the file."""
    file = GraphBuilder("FULLY_CONNECTED of computed weights with a bias")
    graph = file.subgraph("dense")
    x = graph.input("x", [ROWS, INPUTS], np.float32)
    weights = graph.input("weights", [OUTPUTS, INPUTS], np.float32)
    bias = file.constant("bias", np.arange(1, OUTPUTS + 1, dtype=np.float32))
    graph.output("y", graph.fully_connected(x, weights, bias, "y"))
    return file.finish()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(build())
