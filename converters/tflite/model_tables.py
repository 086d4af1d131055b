"""What the subgraphs of one TFLite file share: constants, their scales, and operator codes.

The schema is public: https://github.com/google-ai-edge/LiteRT (schema.fbs, version 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.tflite.quantized_matrix import QuantizedMatrix, pack_nibbles

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class Constant:
    """A constant of the file. Every subgraph that uses it refers to the same bytes.

    Attributes:
        name: unique in the file.
        shape: of the values.
        dtype: of the values; int8 for int4, too.
        buffer: number of the buffer that holds the values.
        scales: float32, one for each index of `quantized_dimension`; None for floats, and for
            values that are quantized in blocks.
        quantized_dimension: the axis that `scales` belong to.
        bits: 8 or 4.
        block: columns that share a scale; 0 for one scale a row.
        block_scales: the float16 scales of the blocks, a constant of their own.
    """

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
        """Whether the values are integers with scales."""
        return self.scales is not None or self.block_scales is not None


@dataclass(frozen=True)
class Deferred:
    """An array that is made when the file is written, so that memory holds one of them at a time.

    Attributes:
        shape: of the array.
        dtype: of the array.
        make: makes the array; every call gives the same one.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    make: Callable[[], np.ndarray]

    @property
    def nbytes(self) -> int:
        """Size of the array in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class AlignedBuffer(schema.BufferT):
    """A buffer whose bytes start at a multiple of 16, as the schema requires."""

    def __init__(self, values: np.ndarray | Deferred) -> None:
        super().__init__()
        self._values = values

    @property
    def nbytes(self) -> int:
        """Size of the values in bytes."""
        return self._values.nbytes

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the schema's own name)
        size = self.nbytes
        builder.StartVector(1, size, 16)
        builder.head -= size
        values = self._values.make() if isinstance(self._values, Deferred) else self._values
        written = np.frombuffer(builder.Bytes, np.uint8, size, builder.head)
        written[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


class SharedQuantization(schema.QuantizationParametersT):
    """Scales that several tensors refer to, written once.

    A flatbuffer may hold a table once and refer to it many times. The embedding table alone has as
    many scales as the vocabulary has tokens.
    """

    def __init__(self, parameters: Any) -> None:
        self.__dict__.update(vars(parameters))
        self._offset: int | None = None

    def forget_offset(self) -> None:
        """Prepares for another flatbuffer builder."""
        self._offset = None

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the schema's own name)
        if self._offset is None:
            self._offset = super().Pack(builder)
        return self._offset


class ModelTables:
    """The tables of a file that all its subgraphs refer to.

    Attributes:
        model: the schema's object of the file.
        sources: for each constant that is the kernel of a FULLY_CONNECTED: the neutral names of
            the checkpoint's kernels that it was made from.
    """

    def __init__(self, description: str) -> None:
        self.model = schema.ModelT()
        self.model.version = SCHEMA_VERSION
        self.model.description = description
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.model.subgraphs = []
        self.model.signatureDefs = []
        self.model.metadata = []
        self.sources: dict[str, tuple[str, ...]] = {}
        self._codes: dict[tuple[int, int], int] = {}
        self._constants: dict[str, Constant] = {}
        self._quantizations: dict[str, SharedQuantization] = {}

    def constant(
        self,
        name: str,
        value: np.ndarray | Deferred,
        scales: np.ndarray | None = None,
        quantized_dimension: int = 0,
    ) -> Constant:
        """Adds a constant; a second call with the same name returns the first one's constant.

        Args:
            name: unique in the file.
            value: float32, float16, int32 or int8.
            scales: for int8 values: float32, one for each index of `quantized_dimension`; the zero
                point is 0.
            quantized_dimension: the axis that `scales` belong to.
        """
        if name not in self._constants:
            self._constants[name] = Constant(
                name, value.shape, value.dtype, self._buffer(value), scales, quantized_dimension
            )
        return self._constants[name]

    def quantized(self, name: str, matrix: QuantizedMatrix) -> Constant:
        """Adds a quantized matrix with its scales; int4 values are packed two to a byte."""
        if name in self._constants:
            return self._constants[name]
        if matrix.bits == 8 and not matrix.block:
            return self.constant(name, matrix.values, matrix.scales)
        data = pack_nibbles(matrix.values)
        by_block = self.constant(f"{name}/scales", matrix.scales) if matrix.block else None
        constant = Constant(
            name,
            matrix.values.shape,
            np.dtype(np.int8),
            self._buffer(data),
            scales=None if matrix.block else matrix.scales,
            bits=matrix.bits,
            block=matrix.block,
            block_scales=by_block,
        )
        self._constants[name] = constant
        return constant

    def find(self, name: str) -> Constant | None:
        """The constant with this name; None where there is none yet."""
        return self._constants.get(name)

    def quantization(self, constant: Constant) -> schema.QuantizationParametersT:
        """The scales of a constant: one object for all subgraphs."""
        if constant.name not in self._quantizations:
            assert constant.scales is not None
            parameters = schema.QuantizationParametersT()
            parameters.scale = constant.scales.astype(np.float32)
            parameters.zeroPoint = np.zeros(constant.scales.size, np.int64)
            parameters.quantizedDimension = constant.quantized_dimension
            self._quantizations[constant.name] = SharedQuantization(parameters)
        return self._quantizations[constant.name]

    def operator_code(self, builtin: int, version: int) -> int:
        """The index of an operator code, which is added where it is new."""
        if (builtin, version) not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = builtin
            code.deprecatedBuiltinCode = min(builtin, 127)
            code.version = version
            self.model.operatorCodes.append(code)
            self._codes[builtin, version] = len(self.model.operatorCodes) - 1
        return self._codes[builtin, version]

    def forget_offsets(self) -> None:
        """Prepares the shared scales for another flatbuffer builder."""
        for quantization in self._quantizations.values():
            quantization.forget_offset()

    @property
    def nbytes(self) -> int:
        """Size of all constants in bytes, with their scales and zero points."""
        scales = sum(len(each.scale) for each in self._quantizations.values())
        buffers = (each for each in self.model.buffers if isinstance(each, AlignedBuffer))
        return 12 * scales + sum(each.nbytes + 16 for each in buffers)

    def _buffer(self, values: np.ndarray | Deferred) -> int:
        self.model.buffers.append(AlignedBuffer(values))
        return len(self.model.buffers) - 1
