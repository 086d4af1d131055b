"""Reads the structure of any `.tflite`: signatures, operators, tensors; weights are not copied."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.errors import ConversionError
from converters.tflite.flatbuffer import FILE_IDENTIFIER


def _names(kind: type) -> dict[int, str]:
    return {value: name for name, value in vars(kind).items() if isinstance(value, int)}


_OPERATORS = _names(schema.BuiltinOperator)
_TYPES = _names(schema.TensorType)


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of a subgraph.

    Attributes:
        name: its name.
        dtype: the schema's name of its type, such as FLOAT32.
        shape: -1 where a size is free.
        size_bytes: of a constant; 0 for an activation.
        buffer: index of its buffer.
        block_size: number of values that share a scale, where blocks have scales; else 0.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    buffer: int
    block_size: int = 0


@dataclass(frozen=True)
class OperatorInfo:
    """An operator: its name and the indices of its tensors (-1: an optional tensor is absent)."""

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class SubgraphInfo:
    """A subgraph with its signature's key ("" for a subgraph without a signature)."""

    signature: str
    inputs: dict[str, int]
    outputs: dict[str, int]
    tensors: tuple[TensorInfo, ...]
    operators: tuple[OperatorInfo, ...]

    def operator_counts(self) -> dict[str, int]:
        """Occurrences of each operator, the most frequent first."""
        return dict(Counter(operator.name for operator in self.operators).most_common())


@dataclass(frozen=True)
class ModelInfo:
    """The structure of a file.

    Attributes:
        description: of the flatbuffer.
        size_bytes: of the file.
        sha256: of the file, hex.
        subgraphs: in the order of the file.
        constant_bytes: bytes of all constants by type, the largest first; shared ones count once.
        select_ops: names of custom and Select TF operators, sorted.
    """

    description: str
    size_bytes: int
    sha256: str
    subgraphs: tuple[SubgraphInfo, ...]
    constant_bytes: dict[str, int]
    select_ops: tuple[str, ...]


def read_model(data: bytes) -> ModelInfo:
    """Reads the structure.

    Raises:
        ConversionError: the bytes are not a `.tflite`, or are cut short.
    """
    if data[4:8] != FILE_IDENTIFIER:
        raise ConversionError(
            f"Expected a .tflite, whose bytes 4 to 8 are {FILE_IDENTIFIER!r}. Received: "
            f"{data[4:8]!r} in {len(data)} bytes. Next: check that this is the exported file."
        )
    try:
        model = schema.Model.GetRootAs(data, 0)
        return _model_info(model, data)
    except (
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        struct.error,
    ) as error:
        raise ConversionError(
            f"The .tflite of {len(data)} bytes can't be read ({error}): it is cut short or "
            "damaged. Next: copy or export it again."
        ) from error


def _model_info(model: Any, data: bytes) -> ModelInfo:
    signatures = _signatures(model)
    buffers = [model.Buffers(i).DataLength() for i in range(model.BuffersLength())]
    subgraphs = tuple(
        _subgraph(model, i, signatures.get(i), buffers) for i in range(model.SubgraphsLength())
    )
    by_type: Counter[str] = Counter()
    seen: set[int] = set()
    for subgraph in subgraphs:
        for tensor in subgraph.tensors:
            if tensor.size_bytes and tensor.buffer not in seen:
                seen.add(tensor.buffer)
                by_type[tensor.dtype] += tensor.size_bytes
    custom = (model.OperatorCodes(i).CustomCode() for i in range(model.OperatorCodesLength()))
    return ModelInfo(
        description=(model.Description() or b"").decode("utf-8", "replace"),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        subgraphs=subgraphs,
        constant_bytes=dict(by_type.most_common()),
        select_ops=tuple(sorted(code.decode() for code in custom if code)),
    )


def _signatures(model: Any) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for i in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(i)
        found.setdefault(signature.SubgraphIndex(), signature)
    return found


def _subgraph(model: Any, index: int, signature: Any, buffers: list[int]) -> SubgraphInfo:
    graph = model.Subgraphs(index)
    tensors = tuple(_tensor(graph.Tensors(i), buffers) for i in range(graph.TensorsLength()))
    if signature is None:
        key = ""
        inputs = {tensors[i].name: int(i) for i in graph.InputsAsNumpy()}
        outputs = {tensors[i].name: int(i) for i in graph.OutputsAsNumpy()}
    else:
        key = (signature.SignatureKey() or b"").decode()
        inputs = _tensor_maps(signature.Inputs, signature.InputsLength())
        outputs = _tensor_maps(signature.Outputs, signature.OutputsLength())
    operators = tuple(_operator(model, graph.Operators(i)) for i in range(graph.OperatorsLength()))
    return SubgraphInfo(key, inputs, outputs, tensors, operators)


def _tensor_maps(entry: Any, count: int) -> dict[str, int]:
    return {entry(i).Name().decode(): int(entry(i).TensorIndex()) for i in range(count)}


def _tensor(tensor: Any, buffers: list[int]) -> TensorInfo:
    signature = tensor.ShapeSignatureAsNumpy()
    shape = signature if tensor.ShapeSignatureLength() else tensor.ShapeAsNumpy()
    return TensorInfo(
        name=(tensor.Name() or b"").decode("utf-8", "replace"),
        dtype=_TYPES.get(tensor.Type(), str(tensor.Type())),
        shape=tuple(int(n) for n in np.atleast_1d(shape)) if tensor.ShapeLength() else (),
        size_bytes=buffers[tensor.Buffer()],
        buffer=tensor.Buffer(),
        block_size=_block_size(tensor.Quantization()),
    )


def _block_size(quantization: Any) -> int:
    blockwise = schema.QuantizationDetails.BlockwiseQuantization
    if quantization is None or quantization.DetailsType() != blockwise:
        return 0
    details, table = schema.BlockwiseQuantization(), quantization.Details()
    details.Init(table.Bytes, table.Pos)
    return int(details.BlockSize())


def _operator(model: Any, operator: Any) -> OperatorInfo:
    code = model.OperatorCodes(operator.OpcodeIndex())
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    custom = code.CustomCode()
    return OperatorInfo(
        name=custom.decode() if custom else _OPERATORS.get(builtin, f"BUILTIN_{builtin}"),
        version=code.Version(),
        inputs=tuple(int(i) for i in _numbers(operator.InputsAsNumpy(), operator.InputsLength())),
        outputs=tuple(
            int(i) for i in _numbers(operator.OutputsAsNumpy(), operator.OutputsLength())
        ),
    )


def _numbers(array: Any, count: int) -> Any:
    return array if count else ()


def one_subgraph(data: bytes, index: int) -> bytes:
    """A file whose only subgraph is one of `data`, for tools that read the first subgraph only.

    Signatures and metadata are left out.
    """
    model = model_object(data)
    model.subgraphs = [model.subgraphs[index]]
    model.signatureDefs, model.metadata = [], []
    used = {0, *(tensor.buffer for tensor in model.subgraphs[0].tensors)}
    for number, buffer in enumerate(model.buffers):
        if number not in used:
            buffer.data = None
    return model_bytes(model)


def model_object(data: bytes) -> Any:
    """The file as the schema's mutable object."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def model_bytes(model: Any) -> bytes:
    """The file of the schema's mutable object."""
    return bytes(model_content(model, 1 << 20))


def model_content(model: Any, expected_bytes: int) -> memoryview:
    """The file of the schema's mutable object, where it was built.

    Args:
        model: the schema's object.
        expected_bytes: about the size of the file. Beyond it, the memory is doubled and copied.
    """
    builder = flatbuffers.Builder(expected_bytes)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return memoryview(builder.Bytes)[builder.Head() :]
