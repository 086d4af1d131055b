"""Reads and writes the metadata and the associated files of a `.tflite`.

They are in three places of the file:

- The buffer named `TFLITE_METADATA`: TFLite Metadata, a flatbuffer of its own (schema
  metadata_schema.fbs 1.5.0, identifier M001). MediaPipe and the Task Library read from it the
  tokenizer and the names of tensors and classes.
- Any other named buffer, such as a JSON manifest.
- A ZIP archive behind the last byte of the graph: the files that the metadata names.

The graph is not unpacked: tables are followed by offset, and the old file stays one block.
`packed_parts` copies nothing of it, and no runtime is loaded.

The schemas are public: https://github.com/google-ai-edge/mediapipe (metadata_schema.fbs) and
https://github.com/google-ai-edge/LiteRT (schema.fbs).
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from converters.errors import ConversionError
from converters.tflite.flatbuffer import (
    FILE_IDENTIFIER,
    VECTOR_ALIGNMENT,
    Flatbuffer,
    write_bytes,
    write_vector,
)
from converters.tflite.metadata_schema import associated_file_names, unpack_metadata

METADATA_BUFFER = "TFLITE_METADATA"
_ARCHIVE_DATE = (1980, 1, 1, 0, 0, 0)
MAX_ARCHIVE_ENTRIES = 256
"""The most associated files that are read; text models have one or two, image models a few more."""
MAX_ARCHIVE_LIST_BYTES = MAX_ARCHIVE_ENTRIES * 1024
"""The longest list of entries (central directory): `zipfile` reads all of it."""
_ARCHIVE_END, _ARCHIVE_END_BYTES, _ARCHIVE_COMMENT_BYTES = b"PK\5\6", 22, 2**16
_ARCHIVE_HEADER_BYTES = 30
_ARCHIVE_ENTRY = b"PK\1\2"
_ZIP64_LOCATOR = b"PK\6\7"
# Errors of `zipfile` on bytes that only look like the end of an archive.
_NOT_AN_ARCHIVE = (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error)

# Field numbers of the model schema: tables Model, Metadata and Buffer.
_MODEL_VERSION, _MODEL_BUFFERS, _MODEL_METADATA = 0, 4, 6
_MODEL_FIELDS = 10
_MODEL_TABLE_VECTORS = (1, 2, 4, 6, 7)
_METADATA_NAME, _METADATA_INDEX = 0, 1
_BUFFER_DATA, _BUFFER_OFFSET, _BUFFER_FIELDS = 0, 1, 3


def read_metadata_buffer(model: bytes, name: str) -> bytes | None:
    """The content of a named metadata buffer; None if the file has no such buffer.

    Raises:
        ConversionError: `model` is not a `.tflite` or is cut short.
    """
    return _Model(model).metadata_buffers().get(name)


def add_metadata_buffers(model: bytes, buffers: Mapping[str, bytes]) -> bytes:
    """Adds named metadata buffers to a `.tflite`, and replaces those with the same name.

    A flatbuffer refers forward only. So a new root is written in front and refers into the old
    file, which follows as one block, unchanged and with the same alignment. The bytes of a replaced
    buffer stay in the block, unreachable. Associated files are kept.

    Args:
        model: the file.
        buffers: contents by name.

    Raises:
        ConversionError: `model` is not a `.tflite`, is cut short, has weights outside its
            flatbuffer (as files above 2 GB have), or has fields of a newer schema.
    """
    edited = b"".join(_with_buffers(_Model(model), buffers))
    files = _read_archive(model)
    return append_associated_files(edited, files) if files else edited


def packed_parts(
    graph: bytes | memoryview, buffers: Mapping[str, bytes], files: Mapping[str, bytes]
) -> list[bytes | memoryview]:
    """A graph with named metadata buffers and associated files, in parts that follow each other.

    The parts together are what `append_associated_files` makes of the result of
    `add_metadata_buffers`. The first part holds the buffers. The graph is a part of its own.

    Args:
        graph: a `.tflite` without associated files.
        buffers: contents by name.
        files: contents by file name, without folders.

    Raises:
        ConversionError: as for `add_metadata_buffers`.
    """
    parts = _with_buffers(_Model(graph), buffers)
    return [*parts, _archive(sum(map(len, parts)), files)]


def _with_buffers(old: _Model, buffers: Mapping[str, bytes]) -> list[bytes | memoryview]:
    """A new root with the buffers, the old file as one block, and its padding.

    Raises:
        ConversionError: as for `add_metadata_buffers`.
    """
    import flatbuffers  # a program that only reads files does without

    old.check_movable()
    padding = bytes(-len(old.data) % VECTOR_ALIGNMENT)
    builder = flatbuffers.Builder(sum(map(len, buffers.values())) + 4096)
    # The builder writes what stands in front of the block, whose length comes first. Its offsets
    # count from its end: position p of the old file is `-p`. The block's end is aligned.
    builder.Prep(VECTOR_ALIGNMENT, 0)
    builder.PrependUint32(len(old.data))
    tables = [-position for position in old.tables(_MODEL_BUFFERS)]
    entries = [
        -position
        for position in old.tables(_MODEL_METADATA)
        if old.metadata_name(position) not in buffers
    ]
    for name, contents in buffers.items():
        data, key = write_bytes(builder, contents), builder.CreateString(name)
        builder.StartObject(_BUFFER_FIELDS)
        builder.PrependUOffsetTRelativeSlot(_BUFFER_DATA, data, 0)
        tables.append(builder.EndObject())
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(_METADATA_NAME, key, 0)
        builder.PrependUint32Slot(_METADATA_INDEX, len(tables) - 1, 0)
        entries.append(builder.EndObject())
    fields = {
        slot: -old.follow(position)
        for slot, position in old.root_fields()
        if slot != _MODEL_VERSION
    }
    fields[_MODEL_BUFFERS] = write_vector(builder, tables)
    fields[_MODEL_METADATA] = write_vector(builder, entries)
    builder.StartObject(_MODEL_FIELDS)
    builder.PrependUint32Slot(_MODEL_VERSION, old.version(), 0)
    for slot, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    builder.Finish(builder.EndObject(), FILE_IDENTIFIER)
    return [bytes(builder.Output()), old.data, padding]


def append_associated_files(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """Adds files in a ZIP archive behind a `.tflite`, and replaces those with the same name.

    The files are stored uncompressed, as MediaPipe requires, with offsets from the start of the
    whole file and one fixed date: the same input gives the same bytes.

    Args:
        model: the file.
        files: contents by file name, without folders.

    Raises:
        ConversionError: `model` is not a `.tflite` or is cut short.
    """
    graph = _Model(model).data
    return b"".join((graph, _archive(len(graph), {**_read_archive(model), **files})))


class _Behind(io.BytesIO):
    """What stands behind a number of bytes of a file, with positions in the whole file."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self._before = before

    def tell(self) -> int:
        return self._before + super().tell()

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        from_start = whence == io.SEEK_SET
        moved = super().seek(position - self._before if from_start else position, whence)
        return self._before + moved


def _archive(before: int, files: Mapping[str, bytes]) -> bytes:
    """The ZIP archive of files that stands behind `before` bytes of a file."""
    stream = _Behind(before)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, contents in files.items():
            entry = zipfile.ZipInfo(name, _ARCHIVE_DATE)
            entry.create_system = 3  # Unix: the same bytes on every system
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, contents)
    return stream.getvalue()


def read_associated_files(model: bytes) -> dict[str, bytes]:
    """The associated files by name; empty if there is no archive and the metadata names no file.

    Raises:
        ConversionError: `model` is not a `.tflite` or is cut short, the archive is damaged, or a
            file that the metadata names is missing.
    """
    metadata = _Model(model).metadata_buffers().get(METADATA_BUFFER)
    files = _read_archive(model)
    named = set() if metadata is None else associated_file_names(unpack_metadata(metadata))
    if missing := sorted(named - set(files)):
        raise ConversionError(
            f"Expected a ZIP archive at the end of the file with {', '.join(sorted(named))}, which "
            f"the metadata names. Received: no {', '.join(missing)}. "
            "Next: copy or export the file again; its end was cut off or rewritten."
        )
    return files


def describe_metadata(model: bytes) -> dict[str, Any]:
    """The metadata of a file as plain dicts, lists and strings.

    Returns:
        `metadata`: the TFLite Metadata by the schema's field names, without fields that are not
        set; `buffers`: size in bytes of each named metadata buffer; `associated_files`: size in
        bytes of each file in the archive.

    Raises:
        ConversionError: `model` is not a `.tflite`, is cut short, or has no TFLite Metadata.
    """
    buffers = _Model(model).metadata_buffers()
    if METADATA_BUFFER not in buffers:
        raise ConversionError(
            f"Expected a .tflite with TFLite Metadata in a buffer named {METADATA_BUFFER}. "
            f"Received: {', '.join(sorted(buffers)) or 'no metadata buffer'}. "
            "Next: export the model with its vocabulary and labels."
        )
    return {
        "metadata": unpack_metadata(buffers[METADATA_BUFFER]),
        "buffers": {name: len(contents) for name, contents in buffers.items()},
        "associated_files": {
            name: len(contents) for name, contents in read_associated_files(model).items()
        },
    }


def metadata_buffer_span(model: bytes, name: str) -> range | None:
    """The positions of the bytes of a named metadata buffer; None if the file has no such buffer.

    Raises:
        ConversionError: `model` is not a `.tflite` or is cut short.
    """
    return _Model(model).metadata_spans().get(name)


def _archive_start(model: bytes | memoryview) -> int | None:
    """The position of the archive in bytes; None if there is no readable archive.

    Raises:
        ConversionError: the archive has more entries than are read.
    """
    if not _check_archive_size(model):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            start = min((entry.header_offset for entry in archive.infolist()), default=-1)
    except _NOT_AN_ARCHIVE:
        return None
    return start if start > 0 else None


def _check_archive_size(model: bytes | memoryview) -> bool:
    """Checks the number of entries by the end record, before the list of entries is read.

    Returns:
        Whether there is an end record.
    """
    tail = bytes(memoryview(model)[-_ARCHIVE_END_BYTES - _ARCHIVE_COMMENT_BYTES :])
    end = tail.rfind(_ARCHIVE_END)
    if end < 0 or end + _ARCHIVE_END_BYTES > len(tail):
        return end >= 0
    entries, list_bytes = struct.unpack_from("<HI", tail, end + 10)
    is_zip64 = tail[end - 20 : end - 16] == _ZIP64_LOCATOR
    start = len(model) - len(tail) + end - list_bytes
    has_list = start >= 0 and model[start : start + 4] == _ARCHIVE_ENTRY
    if not (is_zip64 or has_list):  # bytes of something else
        return True
    if is_zip64 or entries > MAX_ARCHIVE_ENTRIES or list_bytes > MAX_ARCHIVE_LIST_BYTES:
        raise _too_large(f"{entries} entries, whose list has {list_bytes} bytes")
    return True


def _too_large(received: str) -> ConversionError:
    return ConversionError(
        f"Expected a ZIP archive of at most {MAX_ARCHIVE_ENTRIES} associated files that don't "
        f"overlap, without ZIP64. Received: {received}. Next: copy or export the file again."
    )


def _read_archive(model: bytes | memoryview) -> dict[str, bytes]:
    if _archive_start(model) is None:
        return {}
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        try:
            return {entry.filename: archive.read(entry) for entry in _stored(archive)}
        except (*_NOT_AN_ARCHIVE, RuntimeError, EOFError) as error:
            raise ConversionError(
                "Expected a readable ZIP archive of associated files at the end of the .tflite. "
                f"Received: a damaged one ({error}). Next: copy or export the file again."
            ) from error


def _stored(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    entries = archive.infolist()
    compressed = [e.filename for e in entries if e.compress_type != zipfile.ZIP_STORED]
    if compressed:
        raise ConversionError(
            "Expected associated files stored uncompressed, as MediaPipe reads them. "
            f"Received: compressed {', '.join(compressed)}. Next: export the model again."
        )
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise _too_large(f"entries that overlap, such as {entry.filename[:80]!r}")
        end = entry.header_offset + _ARCHIVE_HEADER_BYTES + entry.file_size
    return entries


class _Model(Flatbuffer):
    """The flatbuffer of a `.tflite`, without the archive behind it."""

    def __init__(self, model: bytes | memoryview) -> None:
        super().__init__(memoryview(model)[: _archive_start(model)], FILE_IDENTIFIER, "a .tflite")
        for slot in _MODEL_TABLE_VECTORS:
            for table in self.tables(slot):
                if (end := self.inline_end(table)) > len(self.data):
                    raise self.out_of_bounds(end)
        for buffer in self.tables(_MODEL_BUFFERS):
            if data := self.field(buffer, _BUFFER_DATA):
                self.vector(data, 1)

    def tables(self, slot: int) -> list[int]:
        """Positions of the tables in one of the root's vectors."""
        field = self.field(self.root, slot)
        return [] if field is None else [self.follow(item) for item in self.vector(field, 4)]

    def root_fields(self) -> Iterator[tuple[int, int]]:
        for slot in range(_MODEL_FIELDS):
            if field := self.field(self.root, slot):
                yield slot, field

    def version(self) -> int:
        field = self.field(self.root, _MODEL_VERSION)
        return 0 if field is None else int(self.scalar("I", field))

    def metadata_name(self, entry: int) -> str:
        field = self.field(entry, _METADATA_NAME)
        return "" if field is None else self.string(field)

    def metadata_buffers(self) -> dict[str, bytes]:
        spans = self.metadata_spans()
        return {name: bytes(self.data[span.start : span.stop]) for name, span in spans.items()}

    def metadata_spans(self) -> dict[str, range]:
        """The positions of the contents of the named buffers."""
        buffers = self.tables(_MODEL_BUFFERS)
        found = {}
        for entry in self.tables(_MODEL_METADATA):
            field = self.field(entry, _METADATA_INDEX)
            index = 0 if field is None else int(self.scalar("I", field))
            if index >= len(buffers):
                raise self.out_of_bounds(index)
            data = self.field(buffers[index], _BUFFER_DATA)
            found[self.metadata_name(entry)] = range(0) if data is None else self.vector(data, 1)
        return found

    def check_movable(self) -> None:
        """Checks that the file can be copied as a block: no absolute offsets, no unknown fields."""
        layout = self.root - int(self.scalar("i", self.root))
        problems = []
        if self.scalar("H", layout) > 4 + 2 * _MODEL_FIELDS:
            problems.append("the root table has fields of a newer schema")
        offsets = (self.field(table, _BUFFER_OFFSET) for table in self.tables(_MODEL_BUFFERS))
        if any(self.scalar("Q", offset) > 1 for offset in offsets if offset is not None):
            problems.append("weights lie outside the flatbuffer")
        if problems:
            raise ConversionError(
                "Expected a .tflite below 2 GB of schema version 3. "
                f"Received: {'; '.join(problems)}. Next: add the metadata with the program that "
                "wrote the file."
            )
