"""Writes TFLite files: shared constants and signatures, straight into the flatbuffer schema.

This room knows the file format and nothing of BERT. One `GraphBuilder` holds a file: its constants
and its signatures, each a `SubgraphBuilder`. Writing operators ourselves, and not tracing a
program, is what keeps the layout that the runtime is fast with, names every tensor after the layer
that it belongs to, and makes a further signature cost milliseconds and no second copy of the
weights.

The schema is public: https://github.com/google-ai-edge/LiteRT (schema.fbs, version 3).
"""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.tflite.quantized_matrix import QuantizedMatrix, pack_nibbles
from converters.tflite.subgraph_builder import Constant, SubgraphBuilder

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3


class AlignedBuffer(schema.BufferT):
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
    """One `.tflite` file in the making.

    Attributes:
        sources: what a constant was made of, by its name, where its maker says so: the neutral
            names of the kernels that one FULLY_CONNECTED computes.
    """

    def __init__(self, description: str) -> None:
        self._model = schema.ModelT()
        self._model.version = SCHEMA_VERSION
        self._model.description = description
        self._model.buffers = [schema.BufferT()]
        self._model.operatorCodes = []
        self._model.subgraphs = []
        self._model.signatureDefs = []
        self._model.metadata = []
        self.sources: dict[str, tuple[str, ...]] = {}
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

    def quantized(self, name: str, matrix: QuantizedMatrix) -> Constant:
        """Adds a matrix of integers with its scales once, nibbles packed."""
        if name in self._constants:
            return self._constants[name]
        if matrix.bits == 8 and not matrix.block:
            return self.constant(name, matrix.values, matrix.scales)
        data = pack_nibbles(matrix.values)
        by_row = None if matrix.block else matrix.scales
        by_block = self.constant(f"{name}/scales", matrix.scales) if matrix.block else None
        constant = Constant(
            name,
            matrix.values.shape,
            np.dtype(np.int8),
            self._buffer(data),
            by_row,
            0,
            matrix.bits,
            matrix.block,
            by_block,
        )
        self._constants[name] = constant
        return constant

    def find(self, name: str) -> Constant | None:
        """The constant of that name, where it was added already."""
        return self._constants.get(name)

    def _buffer(self, data: np.ndarray) -> int:
        self._model.buffers.append(AlignedBuffer(data))
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
