"""Which column of a data file has what: named by the user, or found by the names people give them.

Names are compared without regard to case or to white space around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
"""The columns of a pair's two texts, as GLUE, SICK and Hugging Face's data sets call them."""

_SHOWN_PROBLEMS = 5
_SHOWN_COLUMNS = 20
_SHOWN_PAIRS = 4


@dataclass
class Problems:
    """What is wrong with a file: the first few, and how many."""

    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, line: int | str, problem: str) -> None:
        """Notes what is wrong with a line, or at a place that has another name."""
        self.count += 1
        if self.count <= _SHOWN_PROBLEMS:
            place = f"line {line}" if isinstance(line, int) else line
            self.shown.append(f"{place}: {problem}")

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
class Wanted:
    """What is read of each row.

    Attributes:
        kind: what the label is.
        labels: whether every row must have one.
        pairs: whether every row must have two texts; otherwise it has two where the columns' names
            say so.
    """

    kind: LabelKind
    labels: LabelUse = "required"
    pairs: bool = False

    def __str__(self) -> str:
        texts = "two texts" if self.pairs else "a text"
        return f"{texts} and {self.kind.title}" if self.labels == "required" else texts


@dataclass(frozen=True)
class Chosen:
    """The columns' names; None where there is none of the kind."""

    text: str
    pair: str | None
    label: str | None


@dataclass(frozen=True)
class ColumnChoice:
    """Chooses columns.

    Attributes:
        where: the file, for messages.
        named: what the user named; what is empty is found.
        wanted: what is read.
    """

    where: str
    named: DataSettings
    wanted: Wanted

    def choose(self, columns: Sequence[str], earlier: Problems) -> Chosen | None:
        """Says which column has what.

        Args:
            columns: the names in the file.
            earlier: problems of the lines before.

        Returns:
            None where it is not clear but lines before had problems, which may be why.

        Raises:
            DataError: it is not clear; the message has the columns found and the flags to use.
        """
        problems: list[str] = []
        text, pair = self._texts(columns, problems)
        label = self._label(columns, problems)
        if problems:
            if earlier.count:
                return None
            found = ", ".join(repr(column[:40]) for column in columns[:_SHOWN_COLUMNS])
            raise DataError(
                f"{self.where}: expected {' and '.join(problems)}. Received the columns: {found}. "
                "Next: name the columns with these flags; in a TSV or CSV the first line has to be "
                "their names."
            )
        return Chosen(text, pair, label)

    def _texts(self, columns: Sequence[str], problems: list[str]) -> tuple[str, str | None]:
        named = self.named
        if not named.text_column and not named.pair_column:
            couple = pair_columns(columns)
            if couple or self.wanted.pairs:
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
            wanted = _wanted(named.text_column, TEXT_COLUMNS)
            problems.append(f"{wanted} for the text (--text-column names another)")
        if not named.pair_column and not self.wanted.pairs:
            return text or "", None
        seconds = [second for first, second in PAIR_COLUMNS if first == _plain(text or "")]
        pair = _column([c for c in columns if c != text], named.pair_column, seconds)
        if pair is None:
            wanted = _wanted(named.pair_column, seconds or [couple[1] for couple in PAIR_COLUMNS])
            problems.append(f"{wanted} for the second text (--pair-column names another)")
        return text or "", pair

    def _label(self, columns: Sequence[str], problems: list[str]) -> str | None:
        kind, named = self.wanted.kind, self.named.label_column
        if self.wanted.labels == "none":
            return None
        label = label_column(columns, kind, named)
        unclear = self.wanted.labels == "required" or named or _matches(columns, kind.every_name)
        if label is None and unclear:
            wanted = _wanted(named, kind.every_name)
            problems.append(f"{wanted} for the {kind.noun} (--label-column names another)")
        return label


def pair_columns(columns: Sequence[str]) -> tuple[str, str] | None:
    """The columns of a pair's two texts; None where no names, or the names of several, fit."""
    by_name = {_plain(column): column for column in columns}
    found = [
        (by_name[first], by_name[second])
        for first, second in PAIR_COLUMNS
        if first in by_name and second in by_name
    ]
    return found[0] if len(found) == 1 else None


def label_column(columns: Sequence[str], kind: LabelKind, named: str = "") -> str | None:
    """The column that has a label of a kind; None where it is not clear.

    Args:
        columns: the names in the file.
        kind: names that come first are looked for first.
        named: the one that it must be.
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


def _wanted(named: str, names: Sequence[str]) -> str:
    if named:
        return f"the column {named!r}"
    if len(names) == 1:
        return f"one column that is named {names[0]}"
    return f"one column that is named {', '.join(names[:-1])} or {names[-1]}"
