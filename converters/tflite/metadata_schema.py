"""The TFLite Metadata schema: the fields of its tables, and conversion of records to flatbuffers.

It follows the public metadata_schema.fbs 1.5.0 (https://github.com/google-ai-edge/mediapipe). One
table of field numbers serves both directions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converters.tflite.flatbuffer import Flatbuffer, write_floats, write_vector

if TYPE_CHECKING:
    import flatbuffers

METADATA_IDENTIFIER = b"M001"

Record = dict[str, Any]
"""A table by field name. The value of an enumeration is its member's name; the record of a union
has its member's name in `type`."""

_FILE_TYPES = (
    "UNKNOWN",
    "DESCRIPTIONS",
    "TENSOR_AXIS_LABELS",
    "TENSOR_VALUE_LABELS",
    "TENSOR_AXIS_SCORE_CALIBRATION",
    "VOCABULARY",
    "SCANN_INDEX_FILE",
)
_UNIONS = {
    "ContentProperties": (
        "NONE",
        "FeatureProperties",
        "ImageProperties",
        "BoundingBoxProperties",
        "AudioProperties",
    ),
    "ProcessUnitOptions": (
        "NONE",
        "NormalizationOptions",
        "ScoreCalibrationOptions",
        "ScoreThresholdingOptions",
        "BertTokenizerOptions",
        "SentencePieceTokenizerOptions",
        "RegexTokenizerOptions",
    ),
}
# Field numbers of the metadata schema: table -> field -> (number, kind). The member type of a
# union has the number before the union's. Tables and fields that text models do not have are left
# out and ignored by the reader. Kinds: string, [float], file_type (an enumeration), a table,
# [a table] and `union` with its name.
_TABLES: dict[str, dict[str, tuple[int, str]]] = {
    "ModelMetadata": {
        "name": (0, "string"),
        "description": (1, "string"),
        "version": (2, "string"),
        "subgraph_metadata": (3, "[SubGraphMetadata]"),
        "author": (4, "string"),
        "license": (5, "string"),
        "associated_files": (6, "[AssociatedFile]"),
        "min_parser_version": (7, "string"),
    },
    "SubGraphMetadata": {
        "name": (0, "string"),
        "description": (1, "string"),
        "input_tensor_metadata": (2, "[TensorMetadata]"),
        "output_tensor_metadata": (3, "[TensorMetadata]"),
        "associated_files": (4, "[AssociatedFile]"),
        "input_process_units": (5, "[ProcessUnit]"),
        "output_process_units": (6, "[ProcessUnit]"),
    },
    "TensorMetadata": {
        "name": (0, "string"),
        "description": (1, "string"),
        "content": (3, "Content"),
        "process_units": (4, "[ProcessUnit]"),
        "stats": (5, "Stats"),
        "associated_files": (6, "[AssociatedFile]"),
    },
    "AssociatedFile": {
        "name": (0, "string"),
        "description": (1, "string"),
        "type": (2, "file_type"),
        "locale": (3, "string"),
        "version": (4, "string"),
    },
    "Content": {"content_properties": (1, "union ContentProperties")},
    "Stats": {"max": (0, "[float]"), "min": (1, "[float]")},
    "ProcessUnit": {"options": (1, "union ProcessUnitOptions")},
    "FeatureProperties": {},
    "BertTokenizerOptions": {"vocab_file": (0, "[AssociatedFile]")},
}


def pack_metadata(record: Record) -> bytes:
    """The flatbuffer of a `ModelMetadata` record. Empty strings are not set."""
    import flatbuffers  # a program that only reads files does without

    builder = flatbuffers.Builder(4096)
    builder.Finish(_write_table(builder, "ModelMetadata", record), METADATA_IDENTIFIER)
    return bytes(builder.Output())


def unpack_metadata(contents: bytes) -> Record:
    """The `ModelMetadata` record of a flatbuffer, without the fields that are not set.

    Raises:
        ConversionError: the contents are not TFLite Metadata or are cut short.
    """
    reader = Flatbuffer(contents, METADATA_IDENTIFIER, "TFLite Metadata")
    return _read_table(reader, reader.root, "ModelMetadata")


def associated_file_names(record: Record) -> set[str]:
    """Names of all files that a `ModelMetadata` record refers to."""
    names: set[str] = set()
    pending: list[Any] = [record]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        elif isinstance(item, dict):
            pending += item.values()
            if item.get("type") in _FILE_TYPES and "name" in item:
                names.add(item["name"])
    return names


def _read_table(reader: Flatbuffer, table: int, kind: str) -> Record:
    record: Record = {}
    for name, (slot, field_kind) in _TABLES[kind].items():
        field = reader.field(table, slot)
        if field_kind == "file_type":
            code = 0 if field is None else reader.scalar("B", field)
            record[name] = _name_of(_FILE_TYPES, code)
        elif field is not None and field_kind.startswith("union "):
            record[name] = _read_union(reader, table, slot, _UNIONS[field_kind[6:]])
        elif field is not None:
            record[name] = _read_field(reader, field, field_kind)
    return record


def _read_field(reader: Flatbuffer, field: int, kind: str) -> Any:
    if kind == "string":
        return reader.string(field)
    if kind == "[float]":
        return [reader.scalar("f", item) for item in reader.vector(field, 4)]
    if kind.startswith("["):
        items = reader.vector(field, 4)
        return [_read_table(reader, reader.follow(item), kind[1:-1]) for item in items]
    return _read_table(reader, reader.follow(field), kind)


def _read_union(reader: Flatbuffer, table: int, slot: int, members: tuple[str, ...]) -> Record:
    tag, value = reader.field(table, slot - 1), reader.field(table, slot)
    member = _name_of(members, 0 if tag is None else reader.scalar("B", tag))
    if value is None or member not in _TABLES:
        return {"type": member}
    return {"type": member, **_read_table(reader, reader.follow(value), member)}


def _name_of(names: tuple[str, ...], code: int) -> str:
    return names[code] if code < len(names) else f"unknown ({code})"


def _write_table(builder: flatbuffers.Builder, kind: str, record: Record) -> int:
    """Writes a record with the data that it refers to, and returns its offset."""
    fields = _TABLES[kind]
    offsets: dict[int, int] = {}
    codes: dict[int, int] = {}
    for name, value in record.items():
        slot, field_kind = fields[name]
        if field_kind == "file_type":
            codes[slot] = _FILE_TYPES.index(value)
        elif field_kind.startswith("union "):
            codes[slot - 1] = _UNIONS[field_kind[6:]].index(value["type"])
            member = {key: item for key, item in value.items() if key != "type"}
            offsets[slot] = _write_table(builder, value["type"], member)
        elif value != "":
            offsets[slot] = _write_field(builder, field_kind, value)
    builder.StartObject(max((slot for slot, _ in fields.values()), default=-1) + 1)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, code in codes.items():
        builder.PrependUint8Slot(slot, code, 0)
    return int(builder.EndObject())


def _write_field(builder: flatbuffers.Builder, kind: str, value: Any) -> int:
    if kind == "string":
        return int(builder.CreateString(value))
    if kind == "[float]":
        return write_floats(builder, value)
    if kind.startswith("["):
        return write_vector(builder, [_write_table(builder, kind[1:-1], item) for item in value])
    return _write_table(builder, kind, value)
