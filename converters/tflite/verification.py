"""Verifies the structure of a `.tflite` before a native runtime sees it.

The runtimes of LiteRT trust the file: an offset that leaves it, an index of a tensor that does not
exist, or a constant that is smaller than its shape ends the process. This module follows every
table of the schema (https://github.com/google-ai-edge/LiteRT, schema.fbs version 3), and then
checks what the schema can't say: indices, shapes against sizes, and the order of operators.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.tflite.flatbuffer import FILE_IDENTIFIER, Flatbuffer

MAX_TENSOR_BYTES = 2**32
"""The largest tensor that is accepted: a `.tflite` has at most 2 GB of constants, and activations
of a BERT with 512 tokens need far less than 4 GB."""
_MAX_RANK = 8
"""TFLite's kernels take at most 6 dimensions, MLIR's at most 8."""

# Fields that refer to other data: slot -> kind. Scalars only have their number of bytes.
# `[N]` is a vector of scalars with N bytes, `Name` a table, `[Name]` a vector of tables,
# `Name|Name` a union, whose member type has the slot before, in the order of the schema from 1.
_TABLES: dict[str, dict[int, str]] = {
    "Model": {
        0: "4", 1: "[OperatorCode]", 2: "[SubGraph]", 3: "string", 4: "[Buffer]", 5: "[4]",
        6: "[Metadata]", 7: "[SignatureDef]",
    },
    "OperatorCode": {0: "1", 1: "string", 2: "4", 3: "4"},
    "SubGraph": {0: "[Tensor]", 1: "[4]", 2: "[4]", 3: "[Operator]", 4: "string", 5: "4"},
    "Tensor": {
        0: "[4]", 1: "1", 2: "4", 3: "string", 4: "Quantization", 5: "1", 6: "Sparsity",
        7: "[4]", 8: "1", 9: "[Variant]",
    },
    "Variant": {0: "[4]", 1: "1", 2: "1"},
    "Quantization": {
        0: "[4]", 1: "[4]", 2: "[4]", 3: "[8]", 4: "1",
        5: "CustomQuantization|BlockwiseQuantization", 6: "4",
    },
    "CustomQuantization": {0: "[1]"},
    "BlockwiseQuantization": {0: "4", 1: "4", 2: "4"},
    "Sparsity": {0: "[4]", 1: "[4]", 2: "[Dimension]"},
    "Dimension": {0: "1", 1: "4", 2: "1", 3: "Int32s|Uint16s|Uint8s", 4: "1",
                  5: "Int32s|Uint16s|Uint8s"},
    "Int32s": {0: "[4]"},
    "Uint16s": {0: "[2]"},
    "Uint8s": {0: "[1]"},
    "Operator": {
        0: "4", 1: "[4]", 2: "[4]", 3: "1", 4: "options", 5: "[1]", 6: "1", 7: "[1]", 8: "[4]",
        9: "8", 10: "8", 11: "1", 12: "options_2", 13: "4",
    },
    "Buffer": {0: "[1]", 1: "8", 2: "8"},
    "Metadata": {0: "string", 1: "4"},
    "SignatureDef": {0: "[TensorMap]", 1: "[TensorMap]", 2: "string", 4: "4"},
    "TensorMap": {0: "string", 1: "4"},
}  # fmt: skip
# The options that have more than scalars, by their number in the unions of the schema.
_OPTIONS: dict[int, dict[int, str]] = {
    3: {1: "[4]", 2: "[4]"},
    8: {5: "[1]"},
    17: {0: "[4]"},
    30: {0: "[4]"},
    111: {0: "string", 1: "string"},
    115: {0: "[4]"},
}
_OPTIONS_2: dict[int, dict[int, str]] = {
    2: {0: "[8]"},
    3: dict.fromkeys(range(3), "[8]"),
    4: {**dict.fromkeys((0, 1, 2, 3, 7, 10, 13), "[8]"), 4: "[1]", 16: "[4]"},
    5: {0: "string", 2: "string", 4: "[4]", 5: "[1]"},
    6: {0: "[8]"},
    7: dict.fromkeys((1, 2, 3), "[8]"),
    9: {0: "[8]"},
    10: dict.fromkeys(range(3), "[8]"),
    12: {**dict.fromkeys(range(4), "[8]"), 4: "[4]"},
    13: dict.fromkeys(range(5), "[8]"),
    16: dict.fromkeys((0, 1, 2, 4), "[8]"),
    17: {0: "[8]"},
    21: {0: "string", 2: "[1]"},
    23: {0: "[4]"},
}
# Bits of a value by the number of its TensorType; types without a fixed size are left out.
_BITS = {
    0: 32, 1: 16, 2: 32, 3: 8, 4: 64, 6: 8, 7: 16, 8: 64, 9: 8, 10: 64, 11: 128, 12: 64, 15: 32,
    16: 16, 17: 4, 18: 16, 19: 2, 20: 4, 21: 8, 22: 8,
}  # fmt: skip
_TYPES = 23
_STRING, _RESOURCE, _VARIANT = 5, 13, 14
_ARENA_TYPES = (_STRING, _RESOURCE, _VARIANT)

Table = dict[int, Any]
"""A table by slot: numbers as int, vectors of numbers as arrays, tables as `Table`."""


def verify_model(data: bytes | memoryview) -> None:
    """Checks that a runtime can follow every offset and index of a `.tflite`.

    Args:
        data: the file.

    Raises:
        ConversionError: it can't; the message names the first fault.
    """
    try:
        model = _Reader(data).model()
        _check_model(model, len(data))
    except _FaultError as fault:
        raise ConversionError(
            f"Expected a complete .tflite. Received: one of {len(data)} bytes in which {fault}. "
            "Next: copy or export the file again; it is cut short or damaged."
        ) from fault


class _FaultError(Exception):
    """What is wrong, as the end of a sentence."""


class _Reader(Flatbuffer):
    """Reads all tables of the schema, each once."""

    def __init__(self, data: bytes | memoryview) -> None:
        super().__init__(data, FILE_IDENTIFIER, "a .tflite")
        self._known: dict[tuple[int, str], Table] = {}

    def model(self) -> Table:
        return self._table(self.root, "Model", _TABLES["Model"])

    def _table(self, position: int, kind: str, fields: dict[int, str]) -> Table:
        if (known := self._known.get((position, kind))) is not None:
            return known
        layout = position - int(self.scalar("i", position))
        layout_bytes = int(self.scalar("H", layout))
        inline_bytes = int(self.scalar("H", layout + 2))
        if layout_bytes < 4 or layout_bytes % 2 or inline_bytes < 4:
            raise _FaultError(f"the layout of a table ({kind}) is damaged")
        if max(layout + layout_bytes, position + inline_bytes) > len(self.data):
            raise self.out_of_bounds(max(layout + layout_bytes, position + inline_bytes))
        table: Table = {}
        self._known[position, kind] = table
        slots = np.frombuffer(self.data[layout + 4 : layout + layout_bytes], "<u2")
        for slot, offset in enumerate(slots.tolist()):
            if not offset:
                continue
            field_kind = fields.get(slot, "1")
            if offset < 4 or offset + _inline_bytes(field_kind) > inline_bytes:
                raise _FaultError(f"a field of a table ({kind}) lies outside the table")
            if slot in fields:
                table[slot] = self._field(position + offset, field_kind, table.get(slot - 1, 0))
        return table

    def _field(self, position: int, kind: str, member: Any) -> Any:
        if kind.isdigit():
            return self.scalar({"1": "B", "4": "i", "8": "Q"}[kind], position)
        if kind == "string":
            return self._string(position)
        if kind.startswith("options"):
            table = (_OPTIONS_2 if kind == "options_2" else _OPTIONS).get(member, {})
            return self._table(self.follow(position), f"{kind} {member}", table)
        if "|" in kind:
            kinds = kind.split("|")
            if not 1 <= member <= len(kinds):
                raise _FaultError(f"a union has the unknown member {member}")
            kind = kinds[member - 1]
        elif kind.startswith("["):
            return self._vector(position, kind[1:-1])
        return self._table(self.follow(position), kind, _TABLES[kind])

    def _string(self, position: int) -> str:
        span = self.vector(position, 1)
        if self.scalar("B", span.stop):
            raise _FaultError("a text has no end")
        return bytes(self.data[span.start : span.stop]).decode("utf-8", "replace")

    def _vector(self, position: int, kind: str) -> Any:
        if not kind.isdigit():
            return [
                self._table(self.follow(item), kind, _TABLES[kind])
                for item in self.vector(position, 4)
            ]
        size_bytes = int(kind)
        span = self.vector(position, size_bytes)
        code = {1: "u1", 2: "<u2", 4: "<i4", 8: "<i8"}[size_bytes]
        return np.frombuffer(self.data[span.start : span.stop], code)


def _inline_bytes(kind: str) -> int:
    return int(kind) if kind.isdigit() else 4


def _check_model(model: Table, size_bytes: int) -> None:
    buffers = [_buffer_bytes(buffer, size_bytes) for buffer in model.get(4, [])]
    graphs = model.get(2, [])
    if not graphs or not buffers:
        raise _FaultError("there is no subgraph or no buffer")
    for graph in graphs:
        _check_graph(graph, buffers, len(model.get(1, [])), len(graphs))
    for entry in model.get(6, []):
        _check_index(entry.get(1, 0), len(buffers), "a metadata buffer")
    for signature in model.get(7, []):
        _check_index(signature.get(4, 0), len(graphs), "a signature's subgraph")
        tensors = len(graphs[signature.get(4, 0)].get(0, []))
        for slot in (0, 1):
            for entry in signature.get(slot, []):
                _check_index(entry.get(1, 0), tensors, "a signature's tensor")


def _buffer_bytes(buffer: Table, size_bytes: int) -> int:
    start, length = buffer.get(1, 0), buffer.get(2, 0)
    if start <= 1:
        return len(buffer.get(0, ()))
    if start + length > size_bytes:
        raise _FaultError("a buffer lies behind the end of the file")
    return int(length)


def _check_index(index: int, count: int, what: str) -> None:
    if not 0 <= index < count:
        raise _FaultError(f"the index of {what} is {index} of {count}")


def _check_indices(indices: Any, count: int, what: str, least: int = 0) -> None:
    if len(indices) and (int(indices.min()) < least or int(indices.max()) >= count):
        raise _FaultError(f"an index of {what} is out of range: {count} exist")


def _check_graph(graph: Table, buffers: list[int], codes: int, graphs: int) -> None:
    tensors = graph.get(0, [])
    ready = [_check_tensor(tensor, buffers, len(tensors)) for tensor in tensors]
    constant = list(ready)
    inputs, outputs = graph.get(1, _NONE), graph.get(2, _NONE)
    for indices, what in ((inputs, "a subgraph's inputs"), (outputs, "a subgraph's outputs")):
        _check_indices(indices, len(tensors), what)
    for index in inputs.tolist():
        ready[index] = True
    for operator in graph.get(3, []):
        _check_index(operator.get(0, 0), codes, "an operator's code")
        read, written = operator.get(1, _NONE), operator.get(2, _NONE)
        _check_indices(read, len(tensors), "an operator's inputs", least=-1)
        _check_indices(written, len(tensors), "an operator's outputs")
        _check_indices(operator.get(8, _NONE), len(tensors), "an operator's intermediates", -1)
        if not all(ready[index] for index in read.tolist() if index >= 0):
            raise _FaultError("an operator reads a tensor that nothing has written")
        for index in written.tolist():
            if constant[index]:
                raise _FaultError("an operator writes to a constant")
            ready[index] = True
    if not all(ready[index] for index in outputs.tolist()):
        raise _FaultError("nothing writes an output")


def _check_tensor(tensor: Table, buffers: list[int], tensors: int) -> bool:
    """Whether the tensor has a value before the graph runs."""
    kind, shape = tensor.get(1, 0), tensor.get(0, _NONE)
    _check_index(kind, _TYPES, "a tensor's type")
    _check_index(tensor.get(2, 0), len(buffers), "a tensor's buffer")
    signature = tensor.get(7, _NONE)
    if max(len(shape), len(signature)) > _MAX_RANK:
        raise _FaultError(f"a tensor has {len(shape)} dimensions")
    if (shape < 0).any() or (signature < -1).any():
        raise _FaultError("a tensor has a negative size")
    count = math.prod(shape.tolist())
    size_bytes = (count * _BITS.get(kind, 0) + 7) // 8
    if size_bytes > MAX_TENSOR_BYTES:
        raise _FaultError(f"a tensor has {size_bytes} bytes")
    received = buffers[tensor.get(2, 0)]
    if received and kind not in _ARENA_TYPES and 6 not in tensor and received < size_bytes:
        raise _FaultError(f"a constant of {size_bytes} bytes has a buffer of {received} bytes")
    _check_quantization(tensor.get(4, {}), shape, tensors)
    return bool(received) or bool(tensor.get(5, 0)) or kind in _ARENA_TYPES or count == 0


def _check_quantization(quantization: Table, shape: np.ndarray, tensors: int) -> None:
    scales, zeros = quantization.get(2, _NONE), quantization.get(3, _NONE)
    axis = quantization.get(6, 0)
    if len(scales) > 1 and not (0 <= axis < len(shape) and len(scales) == int(shape[axis])):
        raise _FaultError(f"a tensor has {len(scales)} scales, which do not fit its shape")
    if len(zeros) not in (0, 1, len(scales)):
        raise _FaultError(f"a tensor has {len(scales)} scales and {len(zeros)} zero points")
    if quantization.get(4, 0) == 2:
        blocks = quantization.get(5, {})
        _check_index(blocks.get(0, 0), tensors, "a tensor's scales")
        _check_index(blocks.get(1, 0) + 1, tensors + 1, "a tensor's zero points")
        if blocks.get(2, 0) < 1:
            raise _FaultError("a tensor has blocks without a size")


_NONE = np.zeros(0, np.int32)
