"""Finds the columns of text, second text and label in a data file.

The user names them, or they are found by their usual names. Names are compared without case and
without white space at the ends.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgebert.data.labels import LabelKind, LabelUse
from edgebert.errors import DataError
from edgebert.settings import DataSettings

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
PAIR_COLUMNS = (
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("text_a", "text_b"),
    ("question1", "question2"),
    ("anchor", "positive"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "passage"),
    ("text", "text2"),
    ("text", "text_pair"),
    ("text", "pair"),
)
"""Usual names of the two columns of a text pair, from GLUE, SICK and Hugging Face data sets."""

_INDEX_DIGITS = 10
_SHOWN_PROBLEMS = 5
_SHOWN_COLUMNS = 20
_SHOWN_PAIRS = 4


@dataclass
class Problems:
    """The problems of a file: the first few in words, the number of all, and the next step.

    Attributes:
        skips: whether rows with problems are left out instead of refused. All problems are then
            kept in `shown`.
        shown: problems with their places.
        count: number of all problems.
        lines: the line numbers with problems, if `skips`.
        is_final: whether there is a problem of the whole file, which can't be skipped.
        next_step: what the user can do.
    """

    skips: bool = False
    shown: list[str] = field(default_factory=list)
    count: int = 0
    lines: set[int | str] = field(default_factory=set)
    is_final: bool = False
    next_step: str = "correct these lines; nothing was read from the file"

    def add(self, line: int | str, problem: str, is_final: bool = False) -> None:
        """Adds a problem.

        Args:
            line: the line number, or another name of the place.
            problem: what is wrong there.
            is_final: whether no row after it can be read.
        """
        self.count += 1
        self.is_final |= is_final
        if self.skips:
            self.lines.add(line)
        if self.skips or self.count <= _SHOWN_PROBLEMS:
            place = f"line {line}" if isinstance(line, int) else line
            self.shown.append(f"{place}: {problem}")

    def join(self, start: int) -> None:
        """Makes one problem of those after the first `start`: they belong to one row."""
        if self.skips and self.count > start + 1:
            self.shown[start:] = ["; ".join(self.shown[start:])]
            self.count = start + 1

    @property
    def are_refused(self) -> bool:
        """Whether the file is not read because of its problems."""
        return self.is_final or (self.count > 0 and not self.skips)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The rows that were left out: their places and problems."""
        return tuple(self.shown) if self.skips else ()

    def listed(self) -> str:
        """The end of an error message: the number of problems, the first few and the next step."""
        first = self.shown[:_SHOWN_PROBLEMS]
        shown = "".join(f"\n  {problem}" for problem in first)
        more = self.count - len(first)
        return (
            f"Received {self.count} problem{'s' if self.count > 1 else ''}:{shown}"
            + (f"\n  and {more} more" if more else "")
            + f"\nNext: {self.next_step}."
        )


@dataclass(frozen=True)
class RowSpec:
    """The expected content of each row.

    Attributes:
        kind: the kind of label.
        labels: whether every row must have a label.
        pairs: whether every row must have two texts. If False, rows have two texts where the file
            has two columns with the usual names of a pair.
        third: name of the column of a third text; every row has one if the file has the column.
    """

    kind: LabelKind
    labels: LabelUse = "required"
    pairs: bool = False
    third: str = ""

    def __str__(self) -> str:
        texts = "two texts" if self.pairs else "a text"
        return f"{texts} and {self.kind.title}" if self.labels == "required" else texts


@dataclass(frozen=True)
class Columns:
    """The names of the columns; None for a column that the file does not have."""

    text: str
    pair: str | None
    label: str | None
    third: str | None = None


@dataclass(frozen=True)
class ColumnFinder:
    """Finds the columns of a file.

    Attributes:
        where: the file, for messages.
        named: the column names that the user gave; empty names are found.
        spec: the expected content of a row.
    """

    where: str
    named: DataSettings
    spec: RowSpec

    def find(self, columns: Sequence[str], earlier: Problems) -> Columns | None:
        """Finds the columns of text, second text and label.

        Args:
            columns: the column names of the file.
            earlier: problems of earlier lines.

        Returns:
            The columns; None if they are not clear and earlier lines had problems, which may be
            the reason.

        Raises:
            DataError: The columns are not clear; the message lists the columns of the file and the
                flags that name them.
        """
        problems: list[str] = []
        text, pair = self._texts(columns, problems)
        label = self._label(columns, problems)
        if problems:
            if earlier.are_refused:
                return None
            found = ", ".join(repr(column[:40]) for column in columns[:_SHOWN_COLUMNS])
            raise DataError(
                f"{self.where}: expected {' and '.join(problems)}. Received the columns: {found}. "
                "Next: name the columns with these flags; the first line of a TSV or CSV must hold "
                "the column names."
            )
        third = self.spec.third
        return Columns(text, pair, label, third if third and third in columns else None)

    def _texts(self, columns: Sequence[str], problems: list[str]) -> tuple[str, str | None]:
        named = self.named
        if not named.text_column and not named.pair_column:
            couple = pair_columns(columns)
            if couple or self.spec.pairs:
                if couple is None:
                    names = "; ".join(" and ".join(pair) for pair in PAIR_COLUMNS[:_SHOWN_PAIRS])
                    problems.append(
                        f"two columns for the texts, such as {names} (--text-column and "
                        "--pair-column name others)"
                    )
                return couple or ("", None)
        others = [column for column in columns if column != named.pair_column]
        firsts = [first for first, _ in PAIR_COLUMNS] if named.pair_column else []
        text = _column(others, named.text_column, (*TEXT_COLUMNS, *firsts))
        if text is None:
            expected = _expected(named.text_column, TEXT_COLUMNS)
            problems.append(f"{expected} for the text (--text-column names another)")
        if not named.pair_column and not self.spec.pairs:
            return text or "", None
        seconds = [second for first, second in PAIR_COLUMNS if first == _plain(text or "")]
        pair = _column([c for c in columns if c != text], named.pair_column, seconds)
        if pair is None:
            usual = seconds or [couple[1] for couple in PAIR_COLUMNS]
            expected = _expected(named.pair_column, usual)
            problems.append(f"{expected} for the second text (--pair-column names another)")
        return text or "", pair

    def _label(self, columns: Sequence[str], problems: list[str]) -> str | None:
        kind, named = self.spec.kind, self.named.label_column
        if self.spec.labels == "none":
            return None
        label = label_column(columns, kind, named)
        unclear = self.spec.labels == "required" or named or _matches(columns, kind.every_name)
        if label is None and unclear:
            expected = _expected(named, kind.every_name)
            problems.append(f"{expected} for the {kind.noun} (--label-column names another)")
        return label


def named_columns(named: DataSettings) -> tuple[str, str, str]:
    """The names that the user gave for text, second text and label; empty if none."""
    return named.text_column, named.pair_column, named.label_column


def with_paths(row: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The JSON object with a key for each name that is a path, such as `data.text`.

    A path has keys of nested objects and indexes of arrays, from 0, separated by dots. A key of the
    object itself with the same name has precedence. Paths without a value are left out.
    """
    found: dict[str, Any] = {}
    for name in names:
        if "." in name and name not in row:
            value: Any = row
            for part in name.split("."):
                value = _member(value, part)
            if value is not None:
                found[name] = value
    return row | found if found else row


def _member(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    is_index = part.isascii() and part.isdigit() and len(part) < _INDEX_DIGITS
    if isinstance(value, list) and is_index and int(part) < len(value):
        return value[int(part)]
    return None


def csv_delimiter(header: str) -> str:
    """The separator of a CSV's columns: the one of comma and semicolon that gives more columns.

    Excel writes semicolons where the comma is the decimal mark.

    Args:
        header: the first line that is not empty.
    """
    return ";" if _width(header, ";") > _width(header, ",") else ","


def _width(header: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([header], delimiter=delimiter), []))
    except csv.Error:
        return 0


def pair_columns(columns: Sequence[str]) -> tuple[str, str] | None:
    """The two columns of a text pair; None unless exactly one pair of usual names is there."""
    by_name = {_plain(column): column for column in columns}
    found = [
        (by_name[first], by_name[second])
        for first, second in PAIR_COLUMNS
        if first in by_name and second in by_name
    ]
    return found[0] if len(found) == 1 else None


def label_column(columns: Sequence[str], kind: LabelKind, named: str = "") -> str | None:
    """The column of a label; None if it is not clear.

    Args:
        columns: the column names of the file.
        kind: the kind of label, whose first group of names has precedence.
        named: the name that the user gave; empty searches for the names of `kind`.
    """
    for names in [()] if named else kind.names:
        if named or _matches(columns, names):
            return _column(columns, named, names)
    return None


def _plain(column: str) -> str:
    return column.strip().lower()


def _matches(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    return [column for column in columns if _plain(column) in names]


def _column(columns: Sequence[str], named: str, names: Sequence[str]) -> str | None:
    found = [c for c in columns if c == named] if named else _matches(columns, names)
    return found[0] if len(found) == 1 else None


def _expected(named: str, names: Sequence[str]) -> str:
    if named:
        return f"the column {named!r}"
    if len(names) == 1:
        return f"one column that is named {names[0]}"
    return f"one column that is named {', '.join(names[:-1])} or {names[-1]}"
