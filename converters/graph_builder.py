"""Writes TFLite graphs: tensors, operators and signatures straight into the flatbuffer schema.

This room knows the file format and nothing of BERT. One `GraphBuilder` holds a file: its shared
constants and its signatures. Each signature is a `SubgraphBuilder` whose methods are the operators
of the format, one each. Writing operators ourselves, and not tracing a program, is what keeps the
layout that the runtime is fast with, names every tensor after the layer that it belongs to, and
makes a further signature cost milliseconds and no second copy of the weights.

The schema is public: https://github.com/google-ai-edge/LiteRT (schema.fbs, version 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
DYNAMIC = -1

_TENSOR_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
}


class _AlignedBuffer(schema.BufferT):
    """A buffer whose bytes start at a multiple of 16, as the schema asks."""

    def __init__(self, data: np.ndarray) -> None:
        super().__init__()
        self._bytes = data.tobytes()

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the schema's own name)
        size = len(self._bytes)
        builder.StartVector(1, size, 16)
        builder.head -= size
        builder.Bytes[builder.head : builder.head + size] = self._bytes
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


@dataclass(frozen=True)
class Constant:
    """A constant of the whole file. Every subgraph that uses it points at the same bytes."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    buffer: int
    scales: np.ndarray | None = None
    quantized_dimension: int = 0


@dataclass(frozen=True)
class Tensor:
    """A tensor of one subgraph. `shape` has `DYNAMIC` where the length is free."""

    index: int
    shape: tuple[int, ...]
    dtype: np.dtype
    name: str


class _SharedQuantization(schema.QuantizationParametersT):
    """Symmetric scales that several subgraphs point at. A flatbuffer may hold a table once and
    refer to it often; the embedding table alone has as many scales as the vocabulary has tokens.
    """

    def __init__(self, constant: Constant) -> None:
        super().__init__()
        assert constant.scales is not None
        self.scale = constant.scales.astype(np.float32)
        self.zeroPoint = np.zeros(constant.scales.size, np.int64)
        self.quantizedDimension = constant.quantized_dimension
        self._offset: int | None = None

    def forget_offset(self) -> None:
        """Makes ready for another builder."""
        self._offset = None

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the schema's own name)
        if self._offset is None:
            self._offset = super().Pack(builder)
        return self._offset


class GraphBuilder:
    """One `.tflite` file in the making."""

    def __init__(self, description: str) -> None:
        self._model = schema.ModelT()
        self._model.version = SCHEMA_VERSION
        self._model.description = description
        self._model.buffers = [schema.BufferT()]
        self._model.operatorCodes = []
        self._model.subgraphs = []
        self._model.signatureDefs = []
        self._model.metadata = []
        self._codes: dict[tuple[int, int], int] = {}
        self._constants: dict[str, Constant] = {}
        self._quantizations: dict[str, _SharedQuantization] = {}

    def constant(
        self,
        name: str,
        value: np.ndarray,
        scales: np.ndarray | None = None,
        quantized_dimension: int = 0,
    ) -> Constant:
        """Adds a constant once; the same name again gives the same constant.

        Args:
            name: unique in the file.
            value: the data, float32, float16, int32 or int8.
            scales: for int8 data, one float32 scale for each index of `quantized_dimension`
                (symmetric: the zero point is 0).
            quantized_dimension: which axis the scales belong to.
        """
        if name in self._constants:
            return self._constants[name]
        data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        constant = Constant(
            name, value.shape, value.dtype, self._buffer(data), scales, quantized_dimension
        )
        self._constants[name] = constant
        return constant

    def find(self, name: str) -> Constant | None:
        """The constant of that name, where it was added already."""
        return self._constants.get(name)

    def _buffer(self, data: np.ndarray) -> int:
        self._model.buffers.append(_AlignedBuffer(data))
        return len(self._model.buffers) - 1

    def subgraph(self, key: str) -> SubgraphBuilder:
        """Opens a signature named `key`, backed by a subgraph of its own."""
        graph = schema.SubGraphT()
        graph.name = key
        graph.tensors, graph.operators = [], []
        graph.inputs, graph.outputs = [], []
        self._model.subgraphs.append(graph)
        signature = schema.SignatureDefT()
        signature.signatureKey = key
        signature.subgraphIndex = len(self._model.subgraphs) - 1
        signature.inputs, signature.outputs = [], []
        self._model.signatureDefs.append(signature)
        return SubgraphBuilder(self, graph, signature)

    def quantization(self, constant: Constant) -> schema.QuantizationParametersT:
        """The scales of a constant, one object for all subgraphs: written once."""
        if constant.name not in self._quantizations:
            self._quantizations[constant.name] = _SharedQuantization(constant)
        return self._quantizations[constant.name]

    def operator_code(self, builtin: int, version: int) -> int:
        if (builtin, version) not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = builtin
            code.deprecatedBuiltinCode = min(builtin, 127)
            code.version = version
            self._model.operatorCodes.append(code)
            self._codes[builtin, version] = len(self._model.operatorCodes) - 1
        return self._codes[builtin, version]

    def finish(self) -> bytes:
        """The file's bytes."""
        for quantization in self._quantizations.values():
            quantization.forget_offset()
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._model.Pack(builder), file_identifier=FILE_IDENTIFIER)
        return bytes(builder.Output())


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
            if constant.scales is not None:
                record.quantization = self._owner.quantization(constant)
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
        """EMBEDDING_LOOKUP: ids [n] int32, table [rows, width] float32 or int8 -> [n, width]."""
        return self._op(
            schema.BuiltinOperator.EMBEDDING_LOOKUP,
            [ids, table],
            name,
            (*ids.shape, table.shape[1]),
            version=4 if table.scales is not None else 1,
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

    def cumsum(self, x: Tensor, name: str) -> Tensor:
        """CUMSUM over axis 0, each element's own value left out: ones [n] -> 0, 1, 2, ..."""
        options = schema.CumsumOptionsT()
        options.exclusive = True
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
            version=12 if weights.dtype == np.int8 else 5,
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

    def mean(self, x: Tensor, axis: int, name: str) -> Tensor:
        """MEAN over one axis, which is kept with length 1."""
        options = schema.ReducerOptionsT()
        options.keepDims = True
        shape = list(x.shape)
        shape[axis] = 1
        return self._op(
            schema.BuiltinOperator.MEAN,
            [x, self._indices([axis])],
            name,
            shape,
            (schema.BuiltinOptions.ReducerOptions, options),
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


def _broadcast(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    rank = max(len(a), len(b))
    a = (1,) * (rank - len(a)) + tuple(a)
    b = (1,) * (rank - len(b)) + tuple(b)
    return tuple(DYNAMIC if DYNAMIC in pair else max(pair) for pair in zip(a, b, strict=True))


def _tensor_map(name: str, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
