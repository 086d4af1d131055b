"""How the arrays of a checkpoint are stored in a file: the precision of kernels and of tables.

A `Precision` is data that somebody else decided on; this room turns it into constants of a graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from converters.errors import ConversionError
from converters.tflite.graph_builder import GraphBuilder
from converters.tflite.quantized_matrix import (
    QuantizedMatrix,
    block_scales,
    int4_block,
    quantize_int4,
    quantize_rows,
)
from converters.tflite.subgraph_builder import Constant, SubgraphBuilder, Tensor

KERNEL_PRECISIONS = ("float32", "float16", "dynamic-int8", "weight-int8")
EMBEDDING_PRECISIONS = ("float32", "float16", "int8", "int4")
_FLOAT_ARITHMETIC = ("float16", "weight-int8")
_INT4_KERNEL_BLOCK = 32


@dataclass(frozen=True)
class Precision:
    """How weights are stored. Biases, LayerNorms and positions stay in float32.

    Attributes:
        kernels: what matmul kernels are stored as, one of `KERNEL_PRECISIONS`.
        embeddings: what the embedding table is stored as, one of `EMBEDDING_PRECISIONS`.
        by_kernel: kernels that were quantized already, by their neutral name without `.kernel`;
            the runtime quantizes their inputs as they come, as with `dynamic-int8`. Kernels that
            are computed in one (query, key and value of a layer) are all here, or none is.
    """

    kernels: str = "dynamic-int8"
    embeddings: str = "int8"
    by_kernel: Mapping[str, QuantizedMatrix] = field(default_factory=dict, repr=False)


class Dense(NamedTuple):
    """A dense layer of a checkpoint: `factor * (kernel @ x + bias)`."""

    name: str
    kernel: np.ndarray
    bias: np.ndarray
    factor: float = 1.0


class WeightStorage:
    """Puts arrays into a graph as a `Precision` says. The same name again is the same constant."""

    def __init__(self, graph: GraphBuilder, precision: Precision) -> None:
        self._graph, self._precision = graph, precision

    def vector(self, name: str, value: np.ndarray | float) -> Constant:
        """float32 `[n]`."""
        return self._graph.constant(name, np.atleast_1d(np.asarray(value, np.float32)))

    def table(self, name: str, value: np.ndarray) -> Constant:
        """An embedding table, `[rows, width]`.

        Raises:
            ConversionError: an odd width in int4.
        """
        kind = self._precision.embeddings
        if kind == "int8":
            return self._graph.quantized(name, QuantizedMatrix(*quantize_rows(value)))
        if kind == "int4":
            return self._graph.quantized(name, _int4_rows(value))
        return self._graph.constant(name, value.astype(np.dtype(kind)))

    def dense(self, sub: SubgraphBuilder, x: Tensor, layers: Sequence[Dense], name: str) -> Tensor:
        """One FULLY_CONNECTED for several dense layers that read the same input.

        Raises:
            ConversionError: some of the layers were quantized already and others were not, or in
                another way.
        """
        kernel_name = f"{name}/kernel"
        kernel = self._graph.find(kernel_name) or self._kernel(kernel_name, layers)
        bias = self.vector(
            f"{name}/bias", np.concatenate([layer.bias * layer.factor for layer in layers])
        )
        in_float = layers[0].name not in self._precision.by_kernel
        if in_float and self._precision.kernels in _FLOAT_ARITHMETIC:
            return sub.fully_connected(
                x, sub.dequantize(kernel, f"{kernel_name}/float"), bias, name
            )
        return sub.fully_connected(x, kernel, bias, name)

    def tied(
        self, sub: SubgraphBuilder, x: Tensor, table: Constant, layer: Dense, name: str
    ) -> Tensor:
        """A FULLY_CONNECTED whose kernel is an embedding table: the file's own, if that can be.

        Nibbles can be multiplied as they are looked up where their blocks are those that XNNPACK
        takes; elsewhere the layer has a kernel of its own.

        Args:
            table: of `table`.
            layer: its kernel in float is the table's.
        """
        in_float = self._precision.kernels != "dynamic-int8"
        if table.bits == 4 and (in_float or not table.block or table.block % _INT4_KERNEL_BLOCK):
            return self.dense(sub, x, [layer], name)
        self._graph.sources[table.name] = ()
        bias = self.vector(f"{name}/bias", layer.bias)
        if table.dtype == np.float16 or (table.quantized and in_float):
            return sub.fully_connected(x, sub.dequantize(table, f"{name}/kernel"), bias, name)
        return sub.fully_connected(x, table, bias, name)

    def _kernel(self, name: str, layers: Sequence[Dense]) -> Constant:
        self._graph.sources[name] = tuple(layer.name for layer in layers)
        stored = [self._precision.by_kernel.get(layer.name) for layer in layers]
        ready = [matrix for matrix in stored if matrix is not None]
        if ready:
            if len(ready) < len(layers):
                raise ConversionError(
                    f"{', '.join(layer.name for layer in layers)} are computed in one and are "
                    f"quantized alike. Received: {len(ready)} of {len(layers)}."
                )
            return self._graph.quantized(name, _joined(ready, layers))
        value = np.concatenate([layer.kernel * layer.factor for layer in layers])
        kind = self._precision.kernels
        if kind in ("float32", "float16"):
            return self._graph.constant(name, value.astype(np.dtype(kind)))
        return self._graph.quantized(name, QuantizedMatrix(*quantize_rows(value)))


def _joined(matrices: Sequence[QuantizedMatrix], layers: Sequence[Dense]) -> QuantizedMatrix:
    first = matrices[0]
    problems = [
        f"{layer.name}: {matrix.bits} bits, blocks of {matrix.block}, {matrix.values.shape}"
        for layer, matrix in zip(layers, matrices, strict=True)
        if (matrix.bits, matrix.block) != (first.bits, first.block)
        or matrix.values.shape != layer.kernel.shape
    ]
    if problems:
        raise ConversionError(
            f"Expected {first.bits} bits in blocks of {first.block} for the kernels "
            f"{', '.join(f'{layer.name} {layer.kernel.shape}' for layer in layers)}. "
            f"Received: {'; '.join(problems)}."
        )
    scales = np.concatenate(
        [
            matrix.scales.astype(np.float32) * np.float32(layer.factor)
            for layer, matrix in zip(layers, matrices, strict=True)
        ]
    )
    values = np.concatenate([matrix.values for matrix in matrices])
    return QuantizedMatrix(
        values, block_scales(scales) if first.block else scales, first.bits, first.block
    )


def _int4_rows(table: np.ndarray) -> QuantizedMatrix:
    """Rows with a scale a block. The runtime's lookup takes rows that start at a whole byte."""
    width = table.shape[1]
    if width % 2:
        raise ConversionError(
            f"embeddings in int4 need an even width. Received: {width}. "
            "Next: store the embeddings in int8."
        )
    return quantize_int4(table, int4_block(width))
