"""What LiteRT's GPU delegate does not take of an exported file: see docs/on-device.md.

Measured with LiteRT.js 2.5.3 on WebGPU, with a software adapter.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from converters.tflite.tflite_file import read_model
from edgebert.models.manifest import Manifest

ON_CPU = ("CUMSUM", "DEQUANTIZE")
"""Operators that the delegate leaves on the CPU."""


def gpu_notes_of(path: Path, manifest: Manifest) -> tuple[str, ...]:
    """Notes on the parts of a file that a GPU does not take; empty if it takes the whole graph.

    Args:
        path: the file.
        manifest: its manifest.
    """
    if not manifest.lengths:
        return (
            "A GPU does not take this file: its length is free. For a GPU, export with --lengths.",
        )
    if manifest.precision["embeddings"] == "int4":
        return (
            "LiteRT.js on a GPU does not compile int4 embedding tables. For a GPU, export with "
            "--embedding int8.",
        )
    (first, *_) = read_model(path.read_bytes()).subgraphs
    counts = Counter(operator.name for operator in first.operators)
    found = [f"{counts[name]} {name}" for name in ON_CPU if counts[name]]
    if not found:
        return ()
    dequantizes = "For the whole graph on a GPU, export with --recipe float32 or dynamic-int8."
    return (
        f"A GPU leaves these operators of each signature to the CPU: {', '.join(found)}."
        + (f" {dequantizes}" if counts["DEQUANTIZE"] else ""),
    )
