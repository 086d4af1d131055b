"""Runs a tiny int8 `.tflite` in the installed runtime and compares its answer with numpy.

The file has the two operators that every int8 file of edgebert needs in new versions:
EMBEDDING_LOOKUP 4 (int8 rows with a scale each) and FULLY_CONNECTED 12 (int8 weights with a scale
per output, float activations that the runtime quantizes). `python -m edgebert.models.runtime_check`
prints the result as JSON, so that a crash of the runtime ends only that process.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from converters.tflite.graph_builder import GraphBuilder
from converters.tflite.quantized_matrix import quantize_rows
from edgebert.models.inspection import inspect_model
from edgebert.models.litert_runtime import load_interpreter
from edgebert.system.json_text import json_text

LARGEST_ERROR = 0.03
"""The activations are rounded to 8 bits, which costs about 0.01 of the largest output here."""
_ROWS, _WIDTH, _OUTPUTS = 16, 32, 8
_IDS = np.arange(0, _ROWS, 2, dtype=np.int32)


@dataclass(frozen=True)
class RuntimeCheck:
    """The answer of the runtime.

    Attributes:
        error: Largest difference from numpy, as a share of the largest output.
        largest_error: The largest `error` that rounding explains.
        partitions: Partitions that XNNPACK runs; 0 if it runs nothing.
    """

    error: float
    largest_error: float
    partitions: int


def tiny_file() -> tuple[bytes, np.ndarray]:
    """The file, and the right output `[8, 8]` float32 for its only input."""
    random = np.random.default_rng(0)
    table, table_scales = quantize_rows(random.normal(size=(_ROWS, _WIDTH)))
    kernel, kernel_scales = quantize_rows(random.normal(size=(_OUTPUTS, _WIDTH)))
    bias = random.normal(size=_OUTPUTS).astype(np.float32)
    graph = GraphBuilder("edgebert doctor")
    signature = graph.subgraph("serving_default")
    ids = signature.input("token_ids", _IDS.shape)
    rows = signature.embedding_lookup(
        ids, graph.constant("table", table, table_scales), "embeddings"
    )
    weights = graph.constant("kernel", kernel, kernel_scales)
    outputs = signature.fully_connected(rows, weights, graph.constant("bias", bias), "outputs")
    signature.output("outputs", outputs)
    looked_up = table[_IDS] * table_scales[_IDS, None]
    expected = looked_up @ (kernel * kernel_scales[:, None]).T + bias
    return graph.finish(), expected.astype(np.float32)


def check_runtime() -> RuntimeCheck:
    """Runs the tiny file on one thread.

    Raises:
        MissingExtraError: No runtime is installed.
        ModelError: The runtime can't load the file.
    """
    body, expected = tiny_file()
    with tempfile.TemporaryDirectory(prefix="edgebert-") as scratch:
        path = Path(scratch) / "tiny.tflite"
        path.write_bytes(body)
        run = load_interpreter(path, threads=1).get_signature_runner("serving_default")
        received = run(token_ids=_IDS)["outputs"]
        delegation = inspect_model(path).delegation[0]
    error = float(np.abs(received - expected).max() / np.abs(expected).max())
    return RuntimeCheck(error, LARGEST_ERROR, delegation.partitions)


if __name__ == "__main__":
    click.echo(json_text(asdict(check_runtime())))
