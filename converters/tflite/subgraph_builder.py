"""One signature of a TFLite file: its tensors and operators.

Operators are rows of a table: the name that the schema gives the operator, and the name of its
options. Every method of `SubgraphBuilder` adds one operator and returns its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.tflite.model_tables import Constant, ModelTables

DYNAMIC = -1
"""The size of an axis that the caller resizes."""

_TENSOR_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}
_OPTIONS = {
    "ADD": "AddOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CAST": "CastOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CUMSUM": "CumsumOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "DIV": "DivOptions",
    "EMBEDDING_LOOKUP": "",
    "EQUAL": "EqualOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "LOGISTIC": "",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "PAD": "PadOptions",
    "REDUCE_MAX": "ReducerOptions",
    "RELU": "",
    "RESHAPE": "ReshapeOptions",
    "RSQRT": "",
    "SLICE": "SliceOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPLIT": "SplitOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "TANH": "",
    "TRANSPOSE": "TransposeOptions",
}
"""The options of each operator, by the schema's names; empty for an operator without options."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of one subgraph. `shape` has `DYNAMIC` where the size is free."""

    index: int
    shape: tuple[int, ...]
    dtype: np.dtype
    name: str


class Output(NamedTuple):
    """The output of a new operator."""

    name: str
    shape: Sequence[int]
    dtype: type | np.dtype = np.float32


Value = Tensor | Constant
"""What an operator reads."""


class SubgraphBuilder:
    """Builds one signature. Methods are operators of the format and return their output."""

    def __init__(
        self, tables: ModelTables, graph: schema.SubGraphT, signature: schema.SignatureDefT
    ) -> None:
        self._tables, self._graph, self._signature = tables, graph, signature
        self._used: dict[str, Tensor] = {}

    def input(self, name: str, shape: Sequence[int], dtype: type = np.int32) -> Tensor:
        """Adds an input of the signature."""
        tensor = self._tensor(Output(name, shape, dtype))
        self._graph.inputs.append(tensor.index)
        self._signature.inputs.append(_tensor_map(name, tensor.index))
        return tensor

    def output(self, name: str, tensor: Tensor) -> None:
        """Makes a tensor an output of the signature."""
        self._graph.outputs.append(tensor.index)
        self._signature.outputs.append(_tensor_map(name, tensor.index))

    def use(self, constant: Constant) -> Tensor:
        """The tensor of this subgraph that refers to a constant of the file."""
        if constant.name not in self._used:
            tensor = self._tensor(Output(constant.name, constant.shape, constant.dtype))
            record = self._graph.tensors[tensor.index]
            record.buffer = constant.buffer
            if constant.bits == 4:
                record.type = schema.TensorType.INT4
            if constant.scales is not None:
                record.quantization = self._tables.quantization(constant)
            if constant.block_scales is not None:
                scales = self.use(constant.block_scales)
                record.quantization = _block_quantization(constant.block, scales.index)
            self._used[constant.name] = tensor
        return self._used[constant.name]

    # Shapes

    def reshape(self, x: Tensor, target: Sequence[int], shape: Sequence[int], name: str) -> Tensor:
        """RESHAPE to `target`, which may hold one -1; `shape` is the shape of the result."""
        inputs: list[Value] = [x, self._indices(target)]
        output = Output(name, shape, x.dtype)
        return self._add("RESHAPE", inputs, output, newShape=list(target))

    def transpose(self, x: Tensor, permutation: Sequence[int], name: str) -> Tensor:
        """TRANSPOSE of float32: axis i of the result is axis `permutation[i]` of `x`."""
        output = Output(name, [x.shape[p] for p in permutation])
        return self._add("TRANSPOSE", [x, self._indices(permutation)], output)

    def slice(
        self, x: Value, begin: Sequence[int], size: Sequence[int], shape: Sequence[int], name: str
    ) -> Tensor:
        """SLICE: `size` elements of each axis from `begin`; `shape` is the shape of the result."""
        inputs: list[Value] = [x, self._indices(begin), self._indices(size)]
        return self._add("SLICE", inputs, Output(name, shape, x.dtype))

    def pad(
        self, x: Tensor, widths: Sequence[tuple[int, int]], shape: Sequence[int], name: str
    ) -> Tensor:
        """PAD with zeros: for each axis, how many before and behind; `shape` is the result's."""
        flat = "_".join(str(width) for pair in widths for width in pair)
        array = np.asarray(widths, np.int32)
        constant = self._tables.constant(f"padding/{flat}", array)
        return self._add("PAD", [x, constant], Output(name, shape, x.dtype))

    def split(self, x: Tensor, axis: int, parts: int, name: str) -> list[Tensor]:
        """SPLIT into equal parts along an axis."""
        shape = list(x.shape)
        shape[axis] //= parts
        outputs = [Output(f"{name}/{i}", shape, x.dtype) for i in range(parts)]
        return self._operator("SPLIT", [self._indices([axis]), x], outputs, numSplits=parts)

    def concatenation(self, tensors: Sequence[Tensor], axis: int, name: str) -> Tensor:
        """CONCATENATION of float32 along an axis."""
        shape = list(tensors[0].shape)
        shape[axis] = sum(x.shape[axis] for x in tensors)
        return self._add("CONCATENATION", tensors, Output(name, shape), axis=axis)

    # Types and tables

    def cast(self, x: Tensor, dtype: type, name: str) -> Tensor:
        """CAST to another type."""
        source, target = _TENSOR_TYPES[x.dtype], _TENSOR_TYPES[np.dtype(dtype)]
        output, version = Output(name, x.shape, dtype), 5 if x.dtype == np.float16 else 1
        return self._add("CAST", [x], output, version, inDataType=source, outDataType=target)

    def dequantize(self, x: Value, name: str) -> Tensor:
        """DEQUANTIZE of float16, or of int8 with scales, to float32."""
        version = 5 if x.dtype == np.int8 else 3
        return self._add("DEQUANTIZE", [x], Output(name, x.shape), version)

    def embedding_lookup(self, ids: Tensor, table: Constant, name: str) -> Tensor:
        """EMBEDDING_LOOKUP: ids `[n]` int32, table `[rows, width]` -> float32 `[n, width]`."""
        output = Output(name, (*ids.shape, table.shape[1]))
        return self._add("EMBEDDING_LOOKUP", [ids, table], output, 4 if table.quantized else 1)

    def gather(self, table: Value, indices: Tensor, name: str) -> Tensor:
        """GATHER of entries: table `[entries, ...]`, indices `[n]` int32 -> `[n, ...]`."""
        output = Output(name, (*indices.shape, *table.shape[1:]), table.dtype)
        return self._add("GATHER", [table, indices], output)

    def cumsum(self, x: Tensor, axis: int, name: str, exclusive: bool = True) -> Tensor:
        """CUMSUM over one axis: ones become 0, 1, 2, ... where `exclusive`, else 1, 2, 3."""
        output = Output(name, x.shape, x.dtype)
        return self._add("CUMSUM", [x, self._indices([axis])], output, exclusive=exclusive)

    # Products

    def fully_connected(
        self, x: Tensor, weights: Value, bias: Constant | None, name: str
    ) -> Tensor:
        """FULLY_CONNECTED: x `[n, in]`, weights `[out, in]`, bias `[out]` -> `[n, out]`."""
        inputs = [x, weights] if bias is None else [x, weights, bias]
        output = Output(name, (*x.shape[:-1], weights.shape[0]))
        version = _fully_connected_version(weights)
        return self._add("FULLY_CONNECTED", inputs, output, version, keepNumDims=True)

    def batch_matmul(
        self, x: Tensor, y: Tensor, shape: Sequence[int], name: str, adj_y: bool = False
    ) -> Tensor:
        """BATCH_MATMUL; `adj_y` transposes the last two axes of `y`."""
        return self._add("BATCH_MATMUL", [x, y], Output(name, shape), adjY=adj_y)

    # One input, element by element

    def softmax(self, x: Tensor, name: str) -> Tensor:
        """SOFTMAX over the last axis."""
        return self._add("SOFTMAX", [x], Output(name, x.shape), beta=1.0)

    def gelu(self, x: Tensor, approximate: bool, name: str) -> Tensor:
        """GELU; `approximate` is the variant with tanh."""
        return self._add("GELU", [x], Output(name, x.shape), approximate=approximate)

    def logistic(self, x: Tensor, name: str) -> Tensor:
        """LOGISTIC: the sigmoid."""
        return self._add("LOGISTIC", [x], Output(name, x.shape))

    def rsqrt(self, x: Tensor, name: str) -> Tensor:
        """RSQRT: one over the square root."""
        return self._add("RSQRT", [x], Output(name, x.shape))

    def tanh(self, x: Tensor, name: str) -> Tensor:
        """TANH."""
        return self._add("TANH", [x], Output(name, x.shape))

    def relu(self, x: Tensor, name: str) -> Tensor:
        """RELU."""
        return self._add("RELU", [x], Output(name, x.shape))

    # One input, over one axis, which stays with size 1

    def mean(self, x: Tensor, axis: int, name: str) -> Tensor:
        """MEAN over one axis."""
        return self._reduction("MEAN", x, axis, name)

    def sum(self, x: Tensor, axis: int, name: str) -> Tensor:
        """SUM over one axis."""
        return self._reduction("SUM", x, axis, name)

    def reduce_max(self, x: Tensor, axis: int, name: str) -> Tensor:
        """REDUCE_MAX over one axis."""
        return self._reduction("REDUCE_MAX", x, axis, name)

    # Two inputs, element by element, with broadcasting

    def add(self, x: Tensor, y: Value, name: str) -> Tensor:
        """ADD."""
        return self._broadcast("ADD", x, y, name)

    def sub(self, x: Value, y: Value, name: str) -> Tensor:
        """SUB: x - y."""
        return self._broadcast("SUB", x, y, name)

    def mul(self, x: Tensor, y: Value, name: str) -> Tensor:
        """MUL."""
        return self._broadcast("MUL", x, y, name)

    def div(self, x: Tensor, y: Value, name: str) -> Tensor:
        """DIV: x / y."""
        return self._broadcast("DIV", x, y, name)

    def squared_difference(self, x: Tensor, y: Value, name: str) -> Tensor:
        """SQUARED_DIFFERENCE: (x - y) squared."""
        return self._broadcast("SQUARED_DIFFERENCE", x, y, name)

    def equal(self, x: Tensor, y: Value, name: str) -> Tensor:
        """EQUAL: bool."""
        return self._broadcast("EQUAL", x, y, name, np.bool_)

    # What every operator goes through

    def _reduction(self, kind: str, x: Tensor, axis: int, name: str) -> Tensor:
        shape = list(x.shape)
        shape[axis] = 1
        return self._add(kind, [x, self._indices([axis])], Output(name, shape), keepDims=True)

    def _broadcast(
        self, kind: str, x: Value, y: Value, name: str, dtype: type | None = None
    ) -> Tensor:
        output = Output(name, _broadcast_shape(x.shape, y.shape), dtype or x.dtype)
        return self._add(kind, [x, y], output)

    def _add(
        self, kind: str, inputs: Sequence[Value], output: Output, version: int = 1, **options: Any
    ) -> Tensor:
        """Adds an operator with one output."""
        (tensor,) = self._operator(kind, inputs, [output], version, **options)
        return tensor

    def _operator(
        self,
        kind: str,
        inputs: Sequence[Value],
        outputs: Sequence[Output],
        version: int = 1,
        **options: Any,
    ) -> list[Tensor]:
        """Adds an operator.

        Args:
            kind: a row of `_OPTIONS`.
            inputs: what it reads, in the schema's order.
            outputs: what it gives, in the schema's order.
            version: of the operator.
            **options: fields of its options that are not the schema's default.
        """
        tensors = [self._tensor(output) for output in outputs]
        builtin = getattr(schema.BuiltinOperator, kind)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._tables.operator_code(builtin, version)
        operator.inputs = [(self.use(t) if isinstance(t, Constant) else t).index for t in inputs]
        operator.outputs = [tensor.index for tensor in tensors]
        if table := _OPTIONS[kind]:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, f"{table}T")()
            for field, value in options.items():
                setattr(operator.builtinOptions, field, value)
        self._graph.operators.append(operator)
        return tensors

    def _tensor(self, output: Output) -> Tensor:
        shape, dtype = tuple(output.shape), np.dtype(output.dtype)
        record = schema.TensorT()
        record.name = output.name
        record.shape = [1 if size == DYNAMIC else size for size in shape]
        if DYNAMIC in shape:
            record.shapeSignature = list(shape)
        record.type = _TENSOR_TYPES[dtype]
        record.buffer = 0
        self._graph.tensors.append(record)
        return Tensor(len(self._graph.tensors) - 1, shape, dtype, output.name)

    def _indices(self, values: Sequence[int]) -> Constant:
        array = np.asarray(values, np.int32)
        return self._tables.constant("indices/" + "_".join(map(str, values)), array)


def _fully_connected_version(weights: Value) -> int:
    """The operator's version that the weights need.

    Runtimes that compute blocks wrongly (`ai-edge-litert` before 2.1: the error is several times
    the signal) know versions up to 13. They refuse 14 when they load the file.
    """
    if isinstance(weights, Constant) and weights.block:
        return 14
    return 12 if weights.dtype == np.int8 else 5


def _block_quantization(block: int, scales: int) -> schema.QuantizationParametersT:
    """Scales of blocks of columns; `scales` is the index of their tensor in the same subgraph."""
    details = schema.BlockwiseQuantizationT()
    details.blockSize, details.scales, details.zeroPoints = block, scales, -1
    parameters = schema.QuantizationParametersT()
    parameters.detailsType = schema.QuantizationDetails.BlockwiseQuantization
    parameters.details = details
    return parameters


def _broadcast_shape(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    rank = max(len(a), len(b))
    a = (1,) * (rank - len(a)) + tuple(a)
    b = (1,) * (rank - len(b)) + tuple(b)
    return tuple(DYNAMIC if DYNAMIC in pair else max(pair) for pair in zip(a, b, strict=True))


def _tensor_map(name: str, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
