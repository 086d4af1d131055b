"""One signature of a TFLite file: its tensors, and the operators of the format as methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from converters.tflite.graph_builder import GraphBuilder

DYNAMIC = -1

_TENSOR_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}


@dataclass(frozen=True)
class Constant:
    """A constant of the whole file. Every subgraph that uses it points at the same bytes."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    buffer: int
    scales: np.ndarray | None = None
    quantized_dimension: int = 0
    bits: int = 8
    block: int = 0
    block_scales: Constant | None = None

    @property
    def quantized(self) -> bool:
        """Integers that stand for floats, by scales."""
        return self.scales is not None or self.block_scales is not None


@dataclass(frozen=True)
class Tensor:
    """A tensor of one subgraph. `shape` has `DYNAMIC` where the length is free."""

    index: int
    shape: tuple[int, ...]
    dtype: np.dtype
    name: str


class SubgraphBuilder:
    """One signature. Methods are TFLite operators and return the tensor that they make."""

    def __init__(
        self, owner: GraphBuilder, graph: schema.SubGraphT, signature: schema.SignatureDefT
    ) -> None:
        self._owner, self._graph, self._signature = owner, graph, signature
        self._used: dict[str, Tensor] = {}

    def input(self, name: str, shape: Sequence[int], dtype: type = np.int32) -> Tensor:
        tensor = self._tensor(name, tuple(shape), np.dtype(dtype))
        self._graph.inputs.append(tensor.index)
        self._signature.inputs.append(_tensor_map(name, tensor.index))
        return tensor

    def output(self, name: str, tensor: Tensor) -> None:
        self._graph.outputs.append(tensor.index)
        self._signature.outputs.append(_tensor_map(name, tensor.index))

    def use(self, constant: Constant) -> Tensor:
        """The tensor of this subgraph that stands for a constant of the file."""
        if constant.name not in self._used:
            tensor = self._tensor(constant.name, constant.shape, constant.dtype)
            record = self._graph.tensors[tensor.index]
            record.buffer = constant.buffer
            if constant.bits == 4:
                record.type = schema.TensorType.INT4
            if constant.scales is not None:
                record.quantization = self._owner.quantization(constant)
            if constant.block_scales is not None:
                scales = self.use(constant.block_scales)
                record.quantization = _block_quantization(constant.block, scales.index)
            self._used[constant.name] = tensor
        return self._used[constant.name]

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
        record = schema.TensorT()
        record.name = name
        record.shape = [1 if d == DYNAMIC else d for d in shape]
        if DYNAMIC in shape:
            record.shapeSignature = list(shape)
        record.type = _TENSOR_TYPES[np.dtype(dtype)]
        record.buffer = 0
        self._graph.tensors.append(record)
        return Tensor(len(self._graph.tensors) - 1, tuple(shape), np.dtype(dtype), name)

    def _op(
        self,
        builtin: int,
        inputs: Sequence[Tensor | Constant],
        name: str,
        shape: Sequence[int],
        options: tuple[int, object] | None = None,
        dtype: type | np.dtype = np.float32,
        version: int = 1,
    ) -> Tensor:
        output = self._tensor(name, tuple(shape), np.dtype(dtype))
        self._append(builtin, inputs, [output], options, version)
        return output

    def _append(
        self,
        builtin: int,
        inputs: Sequence[Tensor | Constant],
        outputs: Sequence[Tensor],
        options: tuple[int, object] | None,
        version: int,
    ) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._owner.operator_code(builtin, version)
        operator.inputs = [(self.use(t) if isinstance(t, Constant) else t).index for t in inputs]
        operator.outputs = [t.index for t in outputs]
        if options is not None:
            operator.builtinOptionsType, operator.builtinOptions = options
        self._graph.operators.append(operator)

    def _indices(self, values: Sequence[int]) -> Constant:
        array = np.asarray(values, np.int32)
        return self._owner.constant("indices/" + "_".join(map(str, values)), array)

    # --- operators ---------------------------------------------------------------------------

    def reshape(self, x: Tensor, target: Sequence[int], shape: Sequence[int], name: str) -> Tensor:
        """RESHAPE to `target`, which may hold one -1; `shape` is what comes out."""
        options = schema.ReshapeOptionsT()
        options.newShape = list(target)
        return self._op(
            schema.BuiltinOperator.RESHAPE,
            [x, self._indices(target)],
            name,
            shape,
            (schema.BuiltinOptions.ReshapeOptions, options),
            x.dtype,
        )

    def embedding_lookup(self, ids: Tensor, table: Constant, name: str) -> Tensor:
        """EMBEDDING_LOOKUP: ids [n] int32, table [rows, width] -> [n, width] float32."""
        return self._op(
            schema.BuiltinOperator.EMBEDDING_LOOKUP,
            [ids, table],
            name,
            (*ids.shape, table.shape[1]),
            version=4 if table.quantized else 1,
        )

    def cast(self, x: Tensor, dtype: type, name: str) -> Tensor:
        options = schema.CastOptionsT()
        options.inDataType = _TENSOR_TYPES[x.dtype]
        options.outDataType = _TENSOR_TYPES[np.dtype(dtype)]
        return self._op(
            schema.BuiltinOperator.CAST,
            [x],
            name,
            x.shape,
            (schema.BuiltinOptions.CastOptions, options),
            dtype,
        )

    def gather(self, indices: Tensor, table: Constant, name: str) -> Tensor:
        """GATHER of rows: indices [n] int32, table [rows, width] -> [n, width]."""
        return self._op(
            schema.BuiltinOperator.GATHER,
            [table, indices],
            name,
            (*indices.shape, table.shape[1]),
            (schema.BuiltinOptions.GatherOptions, schema.GatherOptionsT()),
            table.dtype,
        )

    def dequantize(self, x: Tensor | Constant, name: str) -> Tensor:
        """DEQUANTIZE float16, or int8 with scales, to float32."""
        return self._op(
            schema.BuiltinOperator.DEQUANTIZE,
            [x],
            name,
            x.shape,
            (schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT()),
            version=5 if x.dtype == np.int8 else 3,
        )

    def cumsum(self, x: Tensor, name: str, exclusive: bool = True) -> Tensor:
        """CUMSUM over axis 0, each element's own value left out: ones [n] -> 0, 1, 2, ..."""
        options = schema.CumsumOptionsT()
        options.exclusive = exclusive
        return self._op(
            schema.BuiltinOperator.CUMSUM,
            [x, self._indices([0])],
            name,
            x.shape,
            (schema.BuiltinOptions.CumsumOptions, options),
            x.dtype,
        )

    def fully_connected(
        self, x: Tensor, weights: Constant | Tensor, bias: Constant | None, name: str
    ) -> Tensor:
        """FULLY_CONNECTED: x [n, in], weights [out, in], bias [out] -> [n, out]."""
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = True
        inputs = [x, weights] + ([bias] if bias is not None else [])
        return self._op(
            schema.BuiltinOperator.FULLY_CONNECTED,
            inputs,
            name,
            (*x.shape[:-1], weights.shape[0]),
            (schema.BuiltinOptions.FullyConnectedOptions, options),
            version=_fully_connected_version(weights),
        )

    def batch_matmul(
        self, x: Tensor, y: Tensor, shape: Sequence[int], name: str, adj_y: bool = False
    ) -> Tensor:
        options = schema.BatchMatMulOptionsT()
        options.adjY = adj_y
        return self._op(
            schema.BuiltinOperator.BATCH_MATMUL,
            [x, y],
            name,
            shape,
            (schema.BuiltinOptions.BatchMatMulOptions, options),
        )

    def transpose(self, x: Tensor, permutation: Sequence[int], name: str) -> Tensor:
        return self._op(
            schema.BuiltinOperator.TRANSPOSE,
            [x, self._indices(permutation)],
            name,
            [x.shape[p] for p in permutation],
            (schema.BuiltinOptions.TransposeOptions, schema.TransposeOptionsT()),
        )

    def slice(
        self,
        x: Tensor | Constant,
        begin: Sequence[int],
        size: Sequence[int],
        shape: Sequence[int],
        name: str,
    ) -> Tensor:
        return self._op(
            schema.BuiltinOperator.SLICE,
            [x, self._indices(begin), self._indices(size)],
            name,
            shape,
            (schema.BuiltinOptions.SliceOptions, schema.SliceOptionsT()),
            x.dtype,
        )

    def split(self, x: Tensor, axis: int, parts: int, name: str) -> list[Tensor]:
        options = schema.SplitOptionsT()
        options.numSplits = parts
        shape = list(x.shape)
        shape[axis] //= parts
        outputs = [self._tensor(f"{name}/{i}", tuple(shape), x.dtype) for i in range(parts)]
        self._append(
            schema.BuiltinOperator.SPLIT,
            [self._indices([axis]), x],
            outputs,
            (schema.BuiltinOptions.SplitOptions, options),
            1,
        )
        return outputs

    def softmax(self, x: Tensor, name: str) -> Tensor:
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        return self._op(
            schema.BuiltinOperator.SOFTMAX,
            [x],
            name,
            x.shape,
            (schema.BuiltinOptions.SoftmaxOptions, options),
        )

    def logistic(self, x: Tensor, name: str) -> Tensor:
        """LOGISTIC: the sigmoid of each element."""
        return self._op(schema.BuiltinOperator.LOGISTIC, [x], name, x.shape)

    def mean(self, x: Tensor, axis: int, name: str) -> Tensor:
        """MEAN over one axis, which is kept with length 1."""
        return self._reduce(schema.BuiltinOperator.MEAN, x, axis, name)

    def sum(self, x: Tensor, axis: int, name: str) -> Tensor:
        """SUM over one axis, which is kept with length 1."""
        return self._reduce(schema.BuiltinOperator.SUM, x, axis, name)

    def reduce_max(self, x: Tensor, axis: int, name: str) -> Tensor:
        """REDUCE_MAX over one axis, which is kept with length 1."""
        return self._reduce(schema.BuiltinOperator.REDUCE_MAX, x, axis, name)

    def _reduce(self, builtin: int, x: Tensor, axis: int, name: str) -> Tensor:
        options = schema.ReducerOptionsT()
        options.keepDims = True
        shape = list(x.shape)
        shape[axis] = 1
        return self._op(
            builtin,
            [x, self._indices([axis])],
            name,
            shape,
            (schema.BuiltinOptions.ReducerOptions, options),
        )

    def concatenation(self, tensors: Sequence[Tensor], axis: int, name: str) -> Tensor:
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        shape = list(tensors[0].shape)
        shape[axis] = sum(x.shape[axis] for x in tensors)
        return self._op(
            schema.BuiltinOperator.CONCATENATION,
            tensors,
            name,
            shape,
            (schema.BuiltinOptions.ConcatenationOptions, options),
        )

    def add(self, x: Tensor, y: Tensor | Constant, name: str) -> Tensor:
        return self._binary(
            schema.BuiltinOperator.ADD,
            schema.BuiltinOptions.AddOptions,
            schema.AddOptionsT(),
            x,
            y,
            name,
        )

    def sub(self, x: Tensor, y: Tensor | Constant, name: str) -> Tensor:
        return self._binary(
            schema.BuiltinOperator.SUB,
            schema.BuiltinOptions.SubOptions,
            schema.SubOptionsT(),
            x,
            y,
            name,
        )

    def mul(self, x: Tensor, y: Tensor | Constant, name: str) -> Tensor:
        return self._binary(
            schema.BuiltinOperator.MUL,
            schema.BuiltinOptions.MulOptions,
            schema.MulOptionsT(),
            x,
            y,
            name,
        )

    def div(self, x: Tensor, y: Tensor | Constant, name: str) -> Tensor:
        return self._binary(
            schema.BuiltinOperator.DIV,
            schema.BuiltinOptions.DivOptions,
            schema.DivOptionsT(),
            x,
            y,
            name,
        )

    def equal(self, x: Tensor, y: Tensor | Constant, name: str) -> Tensor:
        """EQUAL, with broadcasting: bool."""
        return self._op(
            schema.BuiltinOperator.EQUAL,
            [x, y],
            name,
            _broadcast(x.shape, y.shape),
            (schema.BuiltinOptions.EqualOptions, schema.EqualOptionsT()),
            np.bool_,
        )

    def squared_difference(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        return self._binary(
            schema.BuiltinOperator.SQUARED_DIFFERENCE,
            schema.BuiltinOptions.SquaredDifferenceOptions,
            schema.SquaredDifferenceOptionsT(),
            x,
            y,
            name,
        )

    def _binary(
        self, builtin: int, kind: int, options: object, x: Tensor, y: Tensor | Constant, name: str
    ) -> Tensor:
        return self._op(
            builtin, [x, y], name, _broadcast(x.shape, y.shape), (kind, options), x.dtype
        )

    def rsqrt(self, x: Tensor, name: str) -> Tensor:
        return self._op(schema.BuiltinOperator.RSQRT, [x], name, x.shape)

    def gelu(self, x: Tensor, approximate: bool, name: str) -> Tensor:
        options = schema.GeluOptionsT()
        options.approximate = approximate
        return self._op(
            schema.BuiltinOperator.GELU,
            [x],
            name,
            x.shape,
            (schema.BuiltinOptions.GeluOptions, options),
        )

    def tanh(self, x: Tensor, name: str) -> Tensor:
        return self._op(schema.BuiltinOperator.TANH, [x], name, x.shape)

    def relu(self, x: Tensor, name: str) -> Tensor:
        return self._op(schema.BuiltinOperator.RELU, [x], name, x.shape)


def _fully_connected_version(weights: Constant | Tensor) -> int:
    """The version that the weights need. The runtimes that compute blocks wrongly (ai-edge-litert
    before 2.1 is off by several times the signal) end at 13: they refuse 14 when they load it.
    """
    if isinstance(weights, Constant) and weights.block:
        return 14
    return 12 if weights.dtype == np.int8 else 5


def _block_quantization(block: int, scales: int) -> schema.QuantizationParametersT:
    """Scales of blocks of columns, which stand in a tensor of the same subgraph."""
    details = schema.BlockwiseQuantizationT()
    details.blockSize, details.scales, details.zeroPoints = block, scales, -1
    parameters = schema.QuantizationParametersT()
    parameters.detailsType = schema.QuantizationDetails.BlockwiseQuantization
    parameters.details = details
    return parameters


def _broadcast(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    rank = max(len(a), len(b))
    a = (1,) * (rank - len(a)) + tuple(a)
    b = (1,) * (rank - len(b)) + tuple(b)
    return tuple(DYNAMIC if DYNAMIC in pair else max(pair) for pair in zip(a, b, strict=True))


def _tensor_map(name: str, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
