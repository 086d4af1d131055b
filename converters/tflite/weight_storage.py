"""How the arrays of a checkpoint are stored in a file: the precision of kernels and of tables.

A `Precision` is data. This module turns it into constants of a graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from converters.errors import ConversionError
from converters.mapped_weights import forget_pages
from converters.tflite.model_tables import Constant, Deferred, ModelTables
from converters.tflite.quantized_matrix import (
    QuantizedMatrix,
    block_scales,
    int4_block,
    quantize_int4,
    quantize_rows,
)
from converters.tflite.subgraph_builder import SubgraphBuilder, Tensor

KERNEL_PRECISIONS = ("float32", "float16", "dynamic-int8", "weight-int8")
EMBEDDING_PRECISIONS = ("float32", "float16", "int8", "int4")
_FLOAT_ARITHMETIC = ("float16", "weight-int8")
_INT4_KERNEL_BLOCK = 32


@dataclass(frozen=True)
class Precision:
    """How weights are stored. Biases, LayerNorms and positions stay in float32.

    Attributes:
        kernels: how matmul kernels are stored, one of `KERNEL_PRECISIONS`.
        embeddings: how the embedding table is stored, one of `EMBEDDING_PRECISIONS`.
        by_kernel: kernels that are quantized already, by their neutral name without `.kernel`. The
            runtime quantizes their inputs at run time, as with `dynamic-int8`. Either all kernels
            of one matmul (query, key and value of a layer) are here, or none.
    """

    kernels: str = "dynamic-int8"
    embeddings: str = "int8"
    by_kernel: Mapping[str, QuantizedMatrix] = field(default_factory=dict, repr=False)


class Dense(NamedTuple):
    """A dense layer of a checkpoint: `factor * (kernel @ x + bias)`.

    Where there are `input_scales`, float32 `[inputs]`, the graph divides `x` by them and the stored
    kernel is multiplied by them, so that int8 has no outliers (`converters.channel_scales`).
    """

    name: str
    kernel: np.ndarray
    bias: np.ndarray
    factor: float = 1.0
    input_scales: np.ndarray | None = None


class WeightStorage:
    """Adds arrays to a file with a `Precision`. A name that is there already is not added again."""

    def __init__(self, tables: ModelTables, precision: Precision) -> None:
        self._tables, self._precision = tables, precision

    @property
    def has_int8_kernels(self) -> bool:
        """Whether rows of kernels are rounded to int8, so that outliers in them cost precision."""
        return self._precision.kernels in ("dynamic-int8", "weight-int8")

    def vector(self, name: str, value: np.ndarray | float) -> Constant:
        """float32 `[n]`."""
        return self._tables.constant(name, np.atleast_1d(np.asarray(value, np.float32)))

    def table(self, name: str, value: np.ndarray) -> Constant:
        """An embedding table, `[rows, width]`.

        Raises:
            ConversionError: the width is odd and the precision is int4.
        """
        kind = self._precision.embeddings
        if found := self._tables.find(name):
            return found
        if kind == "int8":
            matrix = QuantizedMatrix(*quantize_rows(value))
            forget_pages([value])
            return self._tables.quantized(name, matrix)
        if kind == "int4":
            return self._tables.quantized(name, _int4_rows(value))
        dtype = np.dtype(kind)
        made = Deferred(value.shape, dtype, lambda: value.astype(dtype, copy=False))
        return self._tables.constant(name, made)

    def dense(self, sub: SubgraphBuilder, x: Tensor, layers: Sequence[Dense], name: str) -> Tensor:
        """One FULLY_CONNECTED for several dense layers that read the same input.

        Args:
            sub: the signature.
            x: float32 `[n, inputs]`.
            layers: their outputs are side by side in the result.
            name: of the result, float32 `[n, outputs]`.

        Raises:
            ConversionError: only some of the layers are quantized already, or not all in the same
                way.
        """
        kernel_name = f"{name}/kernel"
        kernel = self._tables.find(kernel_name) or self._kernel(kernel_name, layers)
        bias = self.vector(
            f"{name}/bias", np.concatenate([layer.bias * layer.factor for layer in layers])
        )
        in_float = layers[0].name not in self._precision.by_kernel
        scales = layers[0].input_scales
        if scales is not None and in_float:
            inverse = self.vector(f"{name}/input_scales", 1 / scales)
            x = sub.mul(x, inverse, f"{name}/scaled_input")
        if in_float and self._precision.kernels in _FLOAT_ARITHMETIC:
            return sub.fully_connected(
                x, sub.dequantize(kernel, f"{kernel_name}/float"), bias, name
            )
        return sub.fully_connected(x, kernel, bias, name)

    def tied(
        self, sub: SubgraphBuilder, x: Tensor, table: Constant, layer: Dense, name: str
    ) -> Tensor:
        """A FULLY_CONNECTED whose kernel is the embedding table of the file.

        An int4 table is used where the arithmetic is in int8 and XNNPACK supports its block size.
        Otherwise the layer gets a kernel of its own.

        Args:
            sub: the signature.
            x: float32 `[n, width]`.
            table: a result of `table`.
            layer: its kernel is the float table.
            name: of the result, float32 `[n, rows]`.
        """
        in_float = self._precision.kernels != "dynamic-int8"
        if table.bits == 4 and (in_float or not table.block or table.block % _INT4_KERNEL_BLOCK):
            return self.dense(sub, x, [layer], name)
        self._tables.sources[table.name] = ()
        bias = self.vector(f"{name}/bias", layer.bias)
        if table.dtype == np.float16 or (table.quantized and in_float):
            return sub.fully_connected(x, sub.dequantize(table, f"{name}/kernel"), bias, name)
        return sub.fully_connected(x, table, bias, name)

    def _kernel(self, name: str, layers: Sequence[Dense]) -> Constant:
        self._tables.sources[name] = tuple(layer.name for layer in layers)
        stored = [self._precision.by_kernel.get(layer.name) for layer in layers]
        ready = [matrix for matrix in stored if matrix is not None]
        if ready:
            if len(ready) < len(layers):
                raise ConversionError(
                    f"{', '.join(layer.name for layer in layers)} are one matmul: expected all of "
                    f"them quantized. Received: {len(ready)} of {len(layers)}."
                )
            return self._tables.quantized(name, _joined(ready, layers))
        kind = self._precision.kernels
        if kind in ("float32", "float16"):
            dtype, rows = np.dtype(kind), sum(len(layer.kernel) for layer in layers)
            shape = (rows, *layers[0].kernel.shape[1:])
            made = Deferred(shape, dtype, lambda: _values(layers).astype(dtype, copy=False))
            return self._tables.constant(name, made)
        return self._tables.quantized(name, QuantizedMatrix(*quantize_rows(_values(layers))))


def _values(layers: Sequence[Dense]) -> np.ndarray:
    """The kernel of dense layers side by side, with their factors, `[outputs, inputs]`."""
    value = np.concatenate([layer.kernel * layer.factor for layer in layers])
    forget_pages(layer.kernel for layer in layers)
    scales = layers[0].input_scales
    return value if scales is None else value * scales


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
    """int4 rows with one scale per block. The runtime's lookup reads rows from whole bytes."""
    width = table.shape[1]
    if width % 2:
        raise ConversionError(
            f"embeddings in int4 need an even width. Received: {width}. "
            "Next: store the embeddings in int8."
        )
    return quantize_int4(table, int4_block(width))
