"""The formats of text files: bytes in, rows of text and label out, or all that is wrong.

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
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from edgebert.errors import DataError, UsageError

LabelUse = Literal["required", "optional", "none"]
"""Whether every row must have a label, may have one, or labels are not looked at."""

STANDARD_INPUT = Path("-")
TEXT_COLUMNS = (
    "text",
    "sentence",
    "utterance",
    "review",
    "query",
    "question",
    "content",
    "message",
    "comment",
    "tweet",
)
LABEL_COLUMNS = ("label", "intent", "category", "class")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN_PROBLEMS = 5
_SHOWN_COLUMNS = 20

_PEEKED_BYTES = 4096

RawRow = tuple[int, Any, Any]
"""Line number, text and label as the file has them; None where there is none."""


@dataclass
class Problems:
    """What is wrong with a file: the first few, and how many."""

    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, problem: str) -> None:
        """Notes what is wrong with a line."""
        self.count += 1
        if self.count <= _SHOWN_PROBLEMS:
            self.shown.append(f"line {line}: {problem}")

    def listed(self) -> str:
        """The problems as the end of a message: how many, the first few, and what to do."""
        shown = "".join(f"\n  {problem}" for problem in self.shown)
        more = self.count - len(self.shown)
        return (
            f"Received {self.count} problem{'s' if self.count > 1 else ''}:{shown}"
            + (f"\n  and {more} more" if more else "")
            + "\nNext: mend these lines; nothing was taken from the file."
        )


@dataclass(frozen=True)
class _Columns:
    """Which columns the caller named, and what it wants of the labels."""

    where: str
    text: str | None
    label: str | None
    labels: LabelUse

    def choose(self, columns: Sequence[str], earlier: Problems) -> tuple[str, str | None] | None:
        """Says which column has the text, and which one the label if there is one.

        Returns:
            None where it is not clear but lines before had problems, which may be why.

        Raises:
            DataError: it is not clear; the message has the columns found and the flags to use.
        """
        problems = []
        text = _column(columns, self.text, TEXT_COLUMNS)
        if text is None:
            wanted = f"the column {self.text!r}" if self.text else _one_of(TEXT_COLUMNS)
            problems.append(f"{wanted} for the text (--text-column names another)")
        label = None
        if self.labels != "none":
            label = _column(columns, self.label, LABEL_COLUMNS)
            unclear = self.labels == "required" or self.label or _matches(columns, LABEL_COLUMNS)
            if label is None and unclear:
                wanted = f"the column {self.label!r}" if self.label else _one_of(LABEL_COLUMNS)
                problems.append(f"{wanted} for the label (--label-column names another)")
        if text is None or problems:
            if earlier.count:
                return None
            found = ", ".join(repr(column[:40]) for column in columns[:_SHOWN_COLUMNS])
            raise DataError(
                f"{self.where}: expected {' and '.join(problems)}. Received the columns: {found}. "
                "Next: name the columns with these flags; in a TSV or CSV the first line has to be "
                "their names."
            )
        return text, label


_Reader = Callable[[Iterable[tuple[int, str]], _Columns, Problems], Iterator[RawRow]]


def read_rows(
    path: Path, text_column: str | None, label_column: str | None, labels: LabelUse
) -> tuple[list[tuple[str, str | None]], str]:
    """Reads a file.

    Args:
        path: the file; `-` is the standard input.
        text_column: the column that has the text; None finds it by its name.
        label_column: the same for the label.
        labels: what is wanted of labels.

    Returns:
        The text and the label of each row, and the SHA-256 of the file's bytes in hex.

    Raises:
        DataError: the file can't be read as what it should be; up to five problems are listed, and
            how many there are.
        UsageError: `labels` is none of its values, or columns are named where there are none.
    """
    where = "standard input" if path == STANDARD_INPUT else str(path)
    if labels not in ("required", "optional", "none"):
        raise UsageError(f"labels: expected required, optional or none. Received: {labels!r}.")
    columns = _Columns(where, text_column, label_column, labels)
    problems = Problems()
    try:
        stream, sha256 = open_bytes(path)
        with closing(stream):
            read = _reader(path, stream, where)
            raw_rows = read(numbered_lines(stream, problems), columns, problems)
            rows = list(_judged(raw_rows, labels, problems))
            size = stream.tell()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{where} can't be read: {error}. Next: check the path, and that it was copied whole."
        ) from error
    if problems.count:
        raise _error(where, labels, problems)
    if not rows:
        received = "a header or empty lines and nothing else" if size else "an empty file"
        raise DataError(f"{where}: expected at least one row of text. Received: {received}.")
    return rows, sha256


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
    lines: Iterable[tuple[int, str]], columns: _Columns, problems: Problems
) -> Iterator[RawRow]:
    if columns.labels == "required":
        raise DataError(
            f"{columns.where}: expected labelled text. Received: one text a line, which has no "
            "labels. Next: give a .tsv, .csv or .jsonl with a column for the label."
        )
    if columns.text or (columns.label and columns.labels != "none"):
        raise UsageError(f"{columns.where} has one text a line: there are no columns to name.")
    for number, line in lines:
        yield number, _without_end(line), None


def _tsv_rows(
    lines: Iterable[tuple[int, str]], columns: _Columns, problems: Problems
) -> Iterator[RawRow]:
    texts = ((number, _without_end(line)) for number, line in lines)
    split = ((number, text.split("\t") if text else []) for number, text in texts)
    return _table_rows(split, columns, problems, "a tab in a text? TSV is read without quoting")


def _csv_rows(
    lines: Iterable[tuple[int, str]], columns: _Columns, problems: Problems
) -> Iterator[RawRow]:
    return _table_rows(
        _csv_records(lines, problems), columns, problems, "a comma in a text needs quotes around it"
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
    records: Iterator[tuple[int, list[str]]], columns: _Columns, problems: Problems, hint: str
) -> Iterator[RawRow]:
    header = next((fields for _, fields in records if fields), [])
    names = [name.strip() for name in header]
    chosen = columns.choose(names, problems) if header else None
    for number, fields in records:
        if chosen is None or not (fields or len(names) == 1):
            continue
        if len(fields or [""]) != len(names):
            why = f" ({hint})" if len(fields) > len(names) else ""
            problems.add(number, f"{len(fields)} columns, the header has {len(names)}{why}")
            continue
        row = dict(zip(names, fields or [""], strict=True))
        yield number, row[chosen[0]], None if chosen[1] is None else row[chosen[1]]


def _jsonl_rows(
    lines: Iterable[tuple[int, str]], columns: _Columns, problems: Problems
) -> Iterator[RawRow]:
    objects: list[tuple[int, dict[str, Any]]] = []
    for number, line in lines:
        if not line.strip():
            continue
        try:
            content = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            problems.add(number, f"invalid JSON: {error}")
            continue
        if isinstance(content, dict):
            objects.append((number, content))
        else:
            problems.add(number, f"a JSON {json_type(content)} where an object was expected")
    keys = list(dict.fromkeys(key for _, row in objects for key in row))
    chosen = columns.choose(keys, problems) if objects else None
    if chosen is None:
        return
    text, label = chosen
    for number, row in objects:
        yield number, row.get(text), None if label is None else row.get(label)


# By the ending of the file's name.
_READERS: dict[str, _Reader] = {
    ".tsv": _tsv_rows,
    ".csv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".txt": _text_rows,
}


def _judged(
    rows: Iterable[RawRow], labels: LabelUse, problems: Problems
) -> Iterator[tuple[str, str | None]]:
    for number, text, raw_label in rows:
        label = _label_text(raw_label)
        if text is not None and not isinstance(text, str):
            problems.add(number, f"the text is a JSON {json_type(text)}")
        elif text is None or not text.strip():
            problems.add(number, "empty text")
        elif isinstance(raw_label, (dict, list)):
            problems.add(number, f"the label is a JSON {json_type(raw_label)}")
        elif label is None and labels == "required":
            problems.add(number, "missing label")
        else:
            yield _LONE_SURROGATE.sub("\ufffd", text), label


def _label_text(label: Any) -> str | None:
    """Numbers and booleans of JSON become the texts that JSON has for them."""
    if label is None:
        return None
    text = label if isinstance(label, str) else json.dumps(label)
    return _LONE_SURROGATE.sub("\ufffd", text).strip() or None


def json_type(value: Any) -> str:
    """What a value of JSON is, in JSON's own terms."""
    names = {dict: "object", list: "array", str: "text", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _matches(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    return [column for column in columns if column.strip().lower() in names]


def _column(columns: Sequence[str], named: str | None, names: Sequence[str]) -> str | None:
    found = [c for c in columns if c == named] if named else _matches(columns, names)
    return found[0] if len(found) == 1 else None


def _one_of(names: Sequence[str]) -> str:
    return f"one column that is named {', '.join(names[:-1])} or {names[-1]}"


def _error(where: str, labels: LabelUse, problems: Problems) -> DataError:
    wanted = "a text and a label" if labels == "required" else "a text"
    return DataError(f"{where}: expected UTF-8 with {wanted} in every row. {problems.listed()}")
