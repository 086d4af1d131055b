"""The formats of text files: bytes in, rows of texts and label out, or all that is wrong.

One reader a format; each yields rows as they stand in the file, and one judge of rows for all of
them. Line numbers count from 1, byte offsets from 0 (after unpacking, in a `.gz`).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, cast

from edgebert.data.columns import Chosen, ColumnChoice, Wanted
from edgebert.data.columns import Problems as Problems
from edgebert.data.disk_rows import kept
from edgebert.data.labels import LabelUse as LabelUse
from edgebert.data.labels import json_type as json_type
from edgebert.data.labels import whole_characters
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings

STANDARD_INPUT = Path("-")
_PEEKED_BYTES = 4096
_LONGEST_LINE_BYTES = 65_536
_OBJECT_BYTES = 250

RawRow = tuple[int, Any, Any, Any]
"""Line number, text, second text and label as the file has them; None where there is none."""

Row = tuple[str, str | None, Any]
"""Text, second text and label; None where there is none."""

_Reader = Callable[[Iterable[tuple[int, str]], ColumnChoice, Problems], Iterator[RawRow]]


def read_rows(path: Path, columns: DataSettings, wanted: Wanted) -> tuple[Sequence[Row], str]:
    """Reads a file. Where it is large its rows are kept on disk: see `edgebert.data.disk_rows`.

    Args:
        path: the file; `-` is the standard input.
        columns: the columns that are named; the others are found by their names.
        wanted: what is read of a row.

    Returns:
        The rows, and the SHA-256 of the file's bytes in hex.

    Raises:
        DataError: the file can't be read as what it should be; up to five problems are listed, and
            how many there are.
        UsageError: `labels` is none of its values, or columns are named where there are none.
    """
    where = "standard input" if path == STANDARD_INPUT else str(path)
    if wanted.labels not in ("required", "optional", "none"):
        raise UsageError(
            f"labels: expected required, optional or none. Received: {wanted.labels!r}."
        )
    if not columns.label_separator:
        raise UsageError("label_separator: expected at least one character. Received: none.")
    choice = ColumnChoice(where, columns, wanted)
    problems = Problems()
    try:
        stream, sha256 = open_bytes(path)
        with closing(stream):
            read = _reader(path, stream, where)
            raw_rows = read(numbered_lines(stream, problems), choice, problems)
            rows = kept(_judged(raw_rows, choice, problems), _row_bytes)
            size = stream.tell()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{where} can't be read: {error}. Next: check the path, and that it was copied whole."
        ) from error
    if problems.count:
        raise DataError(f"{where}: expected UTF-8 with {wanted} in every row. {problems.listed()}")
    if not rows:
        received = "a header or empty lines and nothing else" if size else "an empty file"
        raise DataError(f"{where}: expected at least one row of text. Received: {received}.")
    return rows, sha256


def first_lines(path: Path, count: int) -> list[str]:
    """The first lines of a file, packed or not, without their ends; none if it can't be read."""
    try:
        packed = path.suffix.lower() == ".gz"
        with closing(cast(BinaryIO, gzip.open(path) if packed else path.open("rb"))) as stream:
            lines = [stream.readline(_LONGEST_LINE_BYTES) for _ in range(count)]
    except (OSError, EOFError, zlib.error):
        return []
    texts = (line.decode("utf-8", "replace").rstrip("\r\n") for line in lines if line)
    return [text.removeprefix("\ufeff") for text in texts]


def open_bytes(path: Path) -> tuple[BinaryIO, str]:
    """A file's bytes, unpacked where its name ends in `.gz`, and the SHA-256 of it as it lies."""
    if path == STANDARD_INPUT:
        data = sys.stdin.buffer.read()
        return io.BytesIO(data), hashlib.sha256(data).hexdigest()
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path)), sha256
    return path.open("rb"), sha256


def _reader(path: Path, stream: BinaryIO, where: str) -> _Reader:
    if path == STANDARD_INPUT:
        start = stream.read(_PEEKED_BYTES).removeprefix(codecs.BOM_UTF8).lstrip()
        stream.seek(0)
        return _jsonl_rows if start.startswith(b"{") else _text_rows
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    if ending not in _READERS:
        raise DataError(
            f"{where}: expected a name that ends in {', '.join(_READERS)}, maybe with .gz after "
            f"it. Received: {path.name!r}. Next: name the file after its format."
        )
    return _READERS[ending]


def numbered_lines(stream: BinaryIO, problems: Problems) -> Iterator[tuple[int, str]]:
    """Yields numbered lines with their ends, but for the empty ones at the end of the file."""
    offset, empty = 0, []
    for number, line in enumerate(stream, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            start = offset + error.start
            problems.add(number, f"not UTF-8 (byte 0x{line[error.start]:02x} at offset {start})")
        else:
            if text in ("\n", "\r\n", ""):
                empty.append((number, text))
            else:
                yield from empty
                empty.clear()
                yield number, text
        offset += len(line)


def _text_rows(
    lines: Iterable[tuple[int, str]], choice: ColumnChoice, problems: Problems
) -> Iterator[RawRow]:
    named, wanted = choice.named, choice.wanted
    if wanted.labels == "required" or wanted.pairs:
        lacks = "labels" if wanted.labels == "required" else "second texts"
        raise DataError(
            f"{choice.where}: expected {wanted} in every row. Received: one text a line, which has "
            f"no {lacks}. Next: give a .tsv, .csv or .jsonl with columns for them."
        )
    is_named = named.text_column or named.pair_column
    if is_named or (named.label_column and wanted.labels != "none"):
        raise UsageError(f"{choice.where} has one text a line: there are no columns to name.")
    for number, line in lines:
        yield number, _without_end(line), None, None


def _tsv_rows(
    lines: Iterable[tuple[int, str]], choice: ColumnChoice, problems: Problems
) -> Iterator[RawRow]:
    texts = ((number, _without_end(line)) for number, line in lines)
    split = ((number, text.split("\t") if text else []) for number, text in texts)
    return _table_rows(split, choice, problems, "a tab in a text? TSV is read without quoting")


def _csv_rows(
    lines: Iterable[tuple[int, str]], choice: ColumnChoice, problems: Problems
) -> Iterator[RawRow]:
    return _table_rows(
        _csv_records(lines, problems), choice, problems, "a comma in a text needs quotes around it"
    )


def _csv_records(
    lines: Iterable[tuple[int, str]], problems: Problems
) -> Iterator[tuple[int, list[str]]]:
    """Yields records with the number of their first line; a quoted field may span lines."""
    numbers: list[int] = []

    def texts() -> Iterator[str]:
        for number, line in lines:
            numbers.append(number)
            yield line

    reader = csv.reader(texts(), strict=True)
    while True:
        numbers.clear()
        try:
            record = next(reader, None)
        except csv.Error as error:
            problems.add(numbers[0] if numbers else 1, f"no valid CSV from here on: {error}")
            return
        if record is None:
            return
        yield numbers[0], record


def _table_rows(
    records: Iterator[tuple[int, list[str]]], choice: ColumnChoice, problems: Problems, hint: str
) -> Iterator[RawRow]:
    header = next((fields for _, fields in records if fields), [])
    names = [name.strip() for name in header]
    chosen = choice.choose(names, problems) if header else None
    for number, fields in records:
        if chosen is None or not (fields or len(names) == 1):
            continue
        if len(fields or [""]) != len(names):
            why = f" ({hint})" if len(fields) > len(names) else ""
            problems.add(number, f"{len(fields)} columns, the header has {len(names)}{why}")
            continue
        row = dict(zip(names, fields or [""], strict=True))
        yield _raw_row(number, row, chosen)


def _jsonl_rows(
    lines: Iterable[tuple[int, str]], choice: ColumnChoice, problems: Problems
) -> Iterator[RawRow]:
    keys: dict[str, None] = {}
    objects = kept(_json_objects(lines, keys, problems), lambda item: item[2])
    chosen = choice.choose(list(keys), problems) if objects else None
    if chosen is None:
        return
    for number, row, _ in objects:
        yield _raw_row(number, row, chosen)


def _json_objects(
    lines: Iterable[tuple[int, str]], keys: dict[str, None], problems: Problems
) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Yields line number, object, and about the bytes that it takes; notes all keys."""
    for number, line in lines:
        if not line.strip():
            continue
        try:
            content = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            problems.add(number, f"invalid JSON: {error}")
            continue
        if isinstance(content, dict):
            keys.update(dict.fromkeys(content))
            yield number, content, _OBJECT_BYTES + 2 * len(line)
        else:
            problems.add(number, f"a JSON {json_type(content)} where an object was expected")


def _raw_row(number: int, row: dict[str, Any], chosen: Chosen) -> RawRow:
    pair, label = (None if name is None else row.get(name) for name in (chosen.pair, chosen.label))
    # A pair that lacks its second text is no single text.
    pair = "" if chosen.pair is not None and pair is None else pair
    return number, row.get(chosen.text), pair, label


# By the ending of the file's name.
_READERS: dict[str, _Reader] = {
    ".tsv": _tsv_rows,
    ".csv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".txt": _text_rows,
}


def _judged(rows: Iterable[RawRow], choice: ColumnChoice, problems: Problems) -> Iterator[Row]:
    for number, text, pair, raw_label in rows:
        try:
            _check_text(text, "text")
            if pair is not None:
                _check_text(pair, "second text")
            label = _label(raw_label, choice)
        except ValueError as error:
            problems.add(number, str(error))
        else:
            yield whole_characters(text), None if pair is None else whole_characters(pair), label


def _row_bytes(row: Row) -> int:
    return _OBJECT_BYTES + len(row[0]) + len(row[1] or "")


def _check_text(text: Any, what: str) -> None:
    if text is not None and not isinstance(text, str):
        raise ValueError(f"the {what} is a JSON {json_type(text)}")
    if text is None or not text.strip():
        raise ValueError(f"empty {what}")


def _label(raw: Any, choice: ColumnChoice) -> Any:
    wanted = choice.wanted
    label = wanted.kind.parse(raw, choice.named.label_separator)
    if label is None and wanted.labels == "required":
        raise ValueError(f"missing {wanted.kind.noun}")
    return label


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")
