"""What LiteRT's GPU delegate takes of a `.tflite`: see docs/on-device.md.

Measured with LiteRT.js 2.5.3 on WebGPU, with a software adapter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from converters.tflite.tflite_file import OperatorInfo, SubgraphInfo, TensorInfo, read_model

_EMBEDDING_TABLES = "EMBEDDING_LOOKUP of a table with a scale per block, such as int4"
_KERNELS = "FULLY_CONNECTED with a scale per block of its weights"
_BIAS = "FULLY_CONNECTED with a bias and weights that DEQUANTIZE computes, as in weight-int8"
_NEXT = {
    _EMBEDDING_TABLES: "--embedding int8",
    _KERNELS: "--int4-block 0",
    _BIAS: "--recipe dynamic-int8, whose weights a GPU dequantizes itself",
}


@dataclass(frozen=True)
class GpuSupport:
    """What a GPU does with the operators of a file.

    Attributes:
        faults: operators at which LiteRT.js ends while it compiles, or that give wrong answers,
            each with the options of `edgebert export` that avoid it.
        on_cpu: operators that the GPU leaves to the CPU, with their number in a signature.
    """

    faults: dict[str, str]
    on_cpu: dict[str, int]


def gpu_support_of(path: Path) -> GpuSupport:
    """Reads the operators of the first signature of any `.tflite`.

    Raises:
        ConversionError: it is no `.tflite`, or cut short.
    """
    graph = read_model(path.read_bytes()).subgraphs[0]
    faults = dict.fromkeys(_faults(graph))
    on_cpu = Counter(
        operator.name for operator in graph.operators if _is_on_cpu(operator, graph.tensors)
    )
    return GpuSupport({fault: _NEXT[fault] for fault in faults}, dict(on_cpu))


def _faults(graph: SubgraphInfo) -> Iterator[str]:
    computed = {index: operator for operator in graph.operators for index in operator.outputs}
    for operator in graph.operators:
        if operator.name not in ("EMBEDDING_LOOKUP", "FULLY_CONNECTED"):
            continue
        weights = operator.inputs[1]
        if graph.tensors[weights].block_size:
            yield _EMBEDDING_TABLES if operator.name == "EMBEDDING_LOOKUP" else _KERNELS
        source = computed.get(weights)
        has_bias = len(operator.inputs) > 2 and operator.inputs[2] >= 0
        if source is not None and has_bias and _is_on_cpu(source, graph.tensors):
            yield _BIAS


def _is_on_cpu(operator: OperatorInfo, tensors: tuple[TensorInfo, ...]) -> bool:
    """Whether the delegate leaves an operator to the CPU."""
    used = [tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
    if any(tensor.dtype == "INT16" for tensor in used):
        return True
    if operator.name == "CUMSUM":
        return used[0].dtype != "FLOAT32"
    if operator.name == "DEQUANTIZE":  # the delegate folds float16 constants
        return used[0].dtype == "INT8" or not used[0].size_bytes
    return False
