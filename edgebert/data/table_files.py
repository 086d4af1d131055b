"""Reads TSV, CSV, JSONL, JSON arrays and plain text into rows of texts and labels.

Each format has one reader, which yields the rows of the file unchanged. One function checks the
rows of all formats.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from converters.json_files import InvalidJsonError, json_type, parse_json
from edgebert.data.characters import replace_lone_surrogates
from edgebert.data.columns import (
    ColumnFinder,
    Columns,
    Problems,
    RowSpec,
    csv_delimiter,
    named_columns,
    with_paths,
)
from edgebert.data.disk_rows import store_rows
from edgebert.data.encodings import as_utf8
from edgebert.data.files import (
    STANDARD_INPUT,
    describe,
    ending_of,
    numbered_lines,
    open_bytes,
    read_errors,
    without_line_end,
)
from edgebert.data.json_arrays import array_items
from edgebert.data.label_maps import read_label_map, renamed
from edgebert.data.labels import SCORE
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings

_PEEKED_BYTES = 4096
_OBJECT_BYTES = 250
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")

RawRow = tuple[Any, ...]
"""Line number (or place in a JSON array), text, second text and label as in the file, and the third
text if the file has its column; None for a missing value."""

Row = tuple[Any, ...]
"""Text, second text and label, and the third text if the file has its column; None for a missing
value."""


@dataclass(frozen=True)
class ReadRows:
    """The rows of a file.

    Attributes:
        rows: the rows. Those of a large file are kept on disk: see `edgebert.data.disk_rows`.
        sha256: SHA-256 of the file's bytes in hex.
        left_out: rows with problems that were left out, with their places.
    """

    rows: Sequence[Row]
    sha256: str
    left_out: tuple[str, ...]


_Reader = Callable[[Iterable[tuple[int, str]], ColumnFinder, Problems], Iterator[RawRow]]


def read_rows(path: Path, columns: DataSettings, spec: RowSpec) -> ReadRows:
    """Reads a file.

    Args:
        path: the file; `-` is the standard input.
        columns: names of columns; a column with an empty name is found by the usual names.
        spec: the texts and the label of a row.

    Raises:
        DataError: The file can't be read, or rows have problems; the first five and their number
            are listed.
        UsageError: `labels` has an unknown value, or columns are named for a file without columns.
    """
    where = describe(path)
    if spec.labels not in ("required", "optional", "none"):
        raise UsageError(f"labels: expected required, optional or none. Received: {spec.labels!r}.")
    if not columns.label_separator:
        raise UsageError("label_separator: expected at least one character. Received: none.")
    finder = ColumnFinder(where, columns, spec)
    problems = Problems(columns.skip_bad_rows)
    with read_errors(path):
        stored, sha256 = open_bytes(path)
        stream = as_utf8(stored, where, columns.encoding)
        with closing(stream):
            read = _reader(path, stream, where)
            # A record of a CSV with a line that can't be decoded is left out as a whole.
            lines = numbered_lines(stream, problems, keeps_bad=read is _csv_rows)
            checked = _checked_rows(read(lines, finder, problems), finder, problems)
            rows = store_rows(checked, _row_bytes)
            size = stream.tell()
    if problems.are_refused or (problems.count and not rows):
        raise DataError(f"{where}: expected UTF-8 with {spec} in every row. {problems.listed()}")
    if not rows:
        received = "only a header or empty lines" if size else "an empty file"
        raise DataError(f"{where}: expected at least one row of text. Received: {received}.")
    return ReadRows(rows, sha256, problems.left_out)


def _reader(path: Path, stream: BinaryIO, where: str) -> _Reader:
    if path == STANDARD_INPUT:
        start = stream.read(_PEEKED_BYTES).removeprefix(codecs.BOM_UTF8).lstrip()
        stream.seek(0)
        return _jsonl_rows if start.startswith(b"{") else _text_rows
    ending = ending_of(path)
    if ending not in _READERS:
        raise DataError(
            f"{where}: expected a file name that ends in {', '.join(_READERS)}, or in one of these "
            f"and .gz. Received: {path.name!r}. Next: rename the file after its format."
        )
    return _READERS[ending]


def _text_rows(
    lines: Iterable[tuple[int, str]], finder: ColumnFinder, problems: Problems
) -> Iterator[RawRow]:
    named, spec = finder.named, finder.spec
    if spec.labels == "required" or spec.pairs:
        missing = "labels" if spec.labels == "required" else "second texts"
        raise DataError(
            f"{finder.where}: expected {spec} in every row. Received: one text per line, without "
            f"{missing}. Next: use a .tsv, .csv or .jsonl with columns for them."
        )
    is_named = named.text_column or named.pair_column
    if is_named or (named.label_column and spec.labels != "none"):
        raise UsageError(
            f"{finder.where}: expected no column names, since the file has one text per line and "
            "no columns. Next: leave the column options out."
        )
    for number, line in lines:
        yield number, without_line_end(line), None, None


def _tsv_rows(
    lines: Iterable[tuple[int, str]], finder: ColumnFinder, problems: Problems
) -> Iterator[RawRow]:
    texts = ((number, without_line_end(line)) for number, line in lines)
    split = ((number, text.split("\t") if text else []) for number, text in texts)
    return _table_rows(split, finder, problems, "TSV has no quoting, so a text can't have a tab")


def _csv_rows(
    lines: Iterable[tuple[int, str]], finder: ColumnFinder, problems: Problems
) -> Iterator[RawRow]:
    lines = iter(lines)
    start: list[tuple[int, str]] = []
    for line in lines:
        start.append(line)
        if line[1].strip():
            break
    delimiter = csv_delimiter(start[-1][1] if start else "")
    records = _csv_records(itertools.chain(start, lines), delimiter, problems)
    if delimiter == ",":
        return _table_rows(records, finder, problems, "a text with a comma needs quotes")
    rows = _table_rows(records, finder, problems, "a text with a semicolon needs quotes")
    return map(_with_decimal_point, rows) if finder.spec.kind is SCORE else rows


def _with_decimal_point(row: RawRow) -> RawRow:
    """The row with 4,5 as 4.5 in its score."""
    number, text, pair, score, *third = row
    is_decimal = isinstance(score, str) and _DECIMAL_COMMA.fullmatch(score)
    return number, text, pair, score.replace(",", ".") if is_decimal else score, *third


def _csv_records(
    lines: Iterable[tuple[int, str]], delimiter: str, problems: Problems
) -> Iterator[tuple[int, list[str]]]:
    """Yields the first line number and the fields of each record; a quoted field may span lines."""
    numbers: list[int] = []

    def texts() -> Iterator[str]:
        for number, line in lines:
            numbers.append(number)
            yield line

    reader = csv.reader(texts(), delimiter=delimiter, strict=True)
    while True:
        numbers.clear()
        try:
            record = next(reader, None)
        except csv.Error as error:
            place = numbers[0] if numbers else 1
            problems.add(place, f"no valid CSV from here on: {error}", is_final=True)
            return
        if record is None:
            return
        if problems.lines.isdisjoint(numbers):
            yield numbers[0], record


def _table_rows(
    records: Iterator[tuple[int, list[str]]], finder: ColumnFinder, problems: Problems, hint: str
) -> Iterator[RawRow]:
    header = next((fields for _, fields in records if fields), [])
    # Without its first line, the next row would be taken for the header.
    problems.is_final |= problems.count > 0
    names = [name.strip() for name in header]
    columns = finder.find(names, problems) if header else None
    for number, fields in records:
        if columns is None or not (fields or len(names) == 1):
            continue
        if len(fields or [""]) != len(names):
            why = f" ({hint})" if len(fields) > len(names) else ""
            problems.add(number, f"{len(fields)} columns, the header has {len(names)}{why}")
            continue
        row = dict(zip(names, fields or [""], strict=True))
        yield _raw_row(number, row, columns)


def _jsonl_rows(
    lines: Iterable[tuple[int, str]], finder: ColumnFinder, problems: Problems
) -> Iterator[RawRow]:
    keys: dict[str, None] = {}
    objects = store_rows(_json_objects(lines, keys, finder, problems), lambda item: item[2])
    columns = finder.find(list(keys), problems) if objects else None
    if columns is None:
        return
    for number, row, _ in objects:
        yield _raw_row(number, row, columns)


def _json_rows(
    lines: Iterable[tuple[int, str]], finder: ColumnFinder, problems: Problems
) -> Iterator[RawRow]:
    """Yields the rows of a JSON array of objects, which is held in memory."""
    text = "".join(line for _, line in lines)
    problems.is_final |= problems.count > 0
    if problems.is_final or not text:
        return
    rows: list[tuple[str, dict[str, Any]]] = []
    for place, item in array_items(text, finder.where):
        if isinstance(item, dict):
            rows.append((place, with_paths(item, named_columns(finder.named))))
        else:
            problems.add(place, f"a JSON {json_type(item)} where an object was expected")
    keys = dict.fromkeys(key for _, row in rows for key in row)
    columns = finder.find(list(keys), problems) if rows else None
    if columns is not None:
        for place, row in rows:
            yield _raw_row(place, row, columns)


def _json_objects(
    lines: Iterable[tuple[int, str]],
    keys: dict[str, None],
    finder: ColumnFinder,
    problems: Problems,
) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Yields line number, object and its estimated size in bytes; collects all keys in `keys`."""
    for number, line in lines:
        if not line.strip():
            continue
        try:
            content = parse_json(line, constants=False)
        except InvalidJsonError as error:
            problems.add(number, f"invalid JSON: {error}")
            continue
        if isinstance(content, dict):
            content = with_paths(content, named_columns(finder.named))
            keys.update(dict.fromkeys(content))
            yield number, content, _OBJECT_BYTES + 2 * len(line)
        else:
            problems.add(number, f"a JSON {json_type(content)} where an object was expected")


def _raw_row(number: int | str, row: dict[str, Any], columns: Columns) -> RawRow:
    pair, label = (
        None if name is None else row.get(name) for name in (columns.pair, columns.label)
    )
    # A missing second text of a pair is a problem: it does not make the row a single text.
    pair = "" if columns.pair is not None and pair is None else pair
    third = () if columns.third is None else (row.get(columns.third),)
    return number, row.get(columns.text), pair, label, *third


_READERS: dict[str, _Reader] = {
    ".tsv": _tsv_rows,
    ".csv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
    ".txt": _text_rows,
}


def _checked_rows(
    rows: Iterable[RawRow], finder: ColumnFinder, problems: Problems
) -> Iterator[Row]:
    names = _label_map(finder)
    for number, text, pair, raw_label, *third in rows:
        try:
            _check_text(text, "text")
            if pair is not None:
                _check_text(pair, "second text")
            for extra in third:
                _check_text(extra, finder.spec.third)
            label = renamed(_label(raw_label, finder), names)
        except ValueError as error:
            problems.add(number, str(error))
        else:
            text = replace_lone_surrogates(text)
            pair = None if pair is None else replace_lone_surrogates(pair)
            yield text, pair, label, *map(replace_lone_surrogates, third)


def _label_map(finder: ColumnFinder) -> dict[str, str]:
    if finder.named.label_map and finder.spec.kind is SCORE:
        raise UsageError(
            f"--label-map: expected data with labels. Received: {finder.where} with scores. Next: "
            "leave --label-map out."
        )
    return {} if finder.spec.labels == "none" else read_label_map(finder.named.label_map)


def _row_bytes(row: Row) -> int:
    return _OBJECT_BYTES + len(row[0]) + sum(len(text or "") for text in (row[1], *row[3:]))


def _check_text(text: Any, what: str) -> None:
    if text is not None and not isinstance(text, str):
        raise ValueError(f"the {what} is a JSON {json_type(text)}")
    if text is None or not text.strip():
        raise ValueError(f"empty {what}")


def _label(raw: Any, finder: ColumnFinder) -> Any:
    spec = finder.spec
    label = spec.kind.parse(raw, finder.named.label_separator)
    if label is None and spec.labels == "required":
        raise ValueError(f"missing {spec.kind.noun}")
    return label
