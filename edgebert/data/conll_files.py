"""Sentences whose words have tags: CoNLL columns and JSONL, or all that is wrong with the file.

CoNLL columns: a word a line, its columns divided by tabs (or, in a file without them, by spaces), a
blank line after each sentence. The word is in the first column and the tag in the last; other
columns are named by their numbers from 1. Left out are:

- lines that begin with `-DOCSTART-`;
- comments as CoNLL-U has them: lines before a sentence's first word that begin with `# ` and have
  not as many columns as the others, or, where spaces divide columns, read `# name = value`. So a
  word `#` or `#hashtag` stays a word;
- in a `.conllu`: ranges (`3-4`) and empty nodes (`8.1`). There the word is in column 2 and the tag
  in column 4 (UPOS) where nothing else is said.

JSONL: an object a line with a list of `tokens` and one of `tags`, as long. Files are UTF-8 and may
have `.gz` after their names. `-` is the standard input, JSONL where it starts with `{`.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.data.datasets import Dataset
from edgebert.data.table_files import (
    STANDARD_INPUT,
    LabelUse,
    Problems,
    json_type,
    numbered_lines,
    open_bytes,
)
from edgebert.data.tagging_schemes import to_iob2
from edgebert.errors import DataError, UsageError

TOKEN_KEYS = ("tokens", "words")
TAG_KEYS = ("tags", "ner_tags", "pos_tags", "upos", "labels")
DOCUMENT_START = "-DOCSTART-"
_CONLLU_COLUMNS = ("2", "4")
_NO_WORD = re.compile(r"[0-9]+[-.][0-9]+")
_COMMENT = re.compile(r"# *(\S+ *=|newdoc|newpar)")
_SPACES = re.compile("[ \t]+")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Words with their tags; None where a word has none.

    Attributes:
        words: as the file has them; none is empty, and one may hold white space.
        tags: as many.
    """

    words: tuple[str, ...]
    tags: tuple[str | None, ...]

    @property
    def text(self) -> str:
        """The words with a space between two, which is what a model reads."""
        return " ".join(self.words)


@dataclass(frozen=True)
class _RawSentence:
    """Words and tags, and the line of each word."""

    words: tuple[str, ...]
    tags: tuple[str | None, ...]
    lines: tuple[int, ...]


def read_tagged(
    path: Path | str,
    text_column: str = "",
    label_column: str = "",
    labels: LabelUse = "required",
    entities: bool = False,
) -> Dataset:
    """Reads a file of tagged sentences.

    Args:
        path: of CoNLL columns, or a .jsonl; `-` is the standard input.
        text_column: the number of the column that has the word, from 1, or the key of a JSONL's
            list; empty for the first column, or a key of `TOKEN_KEYS`.
        label_column: the same of the tag; empty for the last column, or a key of `TAG_KEYS`.
        labels: `required`: every word has a tag; `optional`: they may have none; `none`: tags are
            not looked at.
        entities: tags are of one of the schemes in `edgebert.data.tagging_schemes`, and are turned
            into IOB2.

    Raises:
        DataError: the file can't be read, has ragged columns, words without a tag, or tags of no
            scheme. Up to five problems are listed with their lines, and how many there are.
        UsageError: a column is named that CoNLL columns can't have.
    """
    path = Path(path)
    where = "standard input" if path == STANDARD_INPUT else str(path)
    problems = Problems()
    try:
        stream, sha256 = open_bytes(path)
        with closing(stream):
            lines = [
                (number, line.removesuffix("\n").removesuffix("\r"))
                for number, line in numbered_lines(stream, problems)
            ]
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{where} can't be read: {error}. Next: check the path, and that it was copied whole."
        ) from error
    columns = _Columns(where, text_column, label_column, labels)
    read = _json_sentences if _is_jsonl(path, lines) else _column_sentences
    raw = list(read(lines, columns, problems, path))
    examples = _examples(raw, entities and labels != "none", problems)
    if problems.count:
        wanted = "a word" if labels == "none" else "a word and a tag"
        if read is _json_sentences:
            wanted = "a list of words" + ("" if labels == "none" else " and one of tags, as long,")
        raise DataError(f"{where}: expected UTF-8 with {wanted} in every line. {problems.listed()}")
    if not examples:
        raise DataError(f"{where}: expected at least one sentence. Received: none.")
    name = "stdin" if path == STANDARD_INPUT else path.name.split(".")[0] or path.name
    return Dataset(name, examples, path, sha256)


def has_tokens(path: Path) -> bool:
    """Whether a JSONL has lists of tokens rather than texts; unreadable files count as having."""
    try:
        stream, _ = open_bytes(path)
        with closing(stream):
            first = json.loads(next((line for line in stream if line.strip()), b"{}"))
    except (OSError, EOFError, zlib.error, ValueError):
        return True
    return not isinstance(first, dict) or any(key in first for key in TOKEN_KEYS)


@dataclass(frozen=True)
class _Columns:
    """Which columns or keys the caller named, and what it wants of the tags."""

    where: str
    text: str
    label: str
    labels: LabelUse

    def places(self, width: int, path: Path) -> tuple[int, int | None]:
        """The places from 0 of the word and the tag in lines of so many columns.

        Raises:
            DataError: there are not so many columns.
            UsageError: a column is no number.
        """
        conllu = path.name.lower().removesuffix(".gz").endswith(".conllu")
        word, tag = _CONLLU_COLUMNS if conllu else ("1", str(width))
        word, tag = self.text or word, self.label or tag
        for flag, column in (("--text-column", word), ("--label-column", tag)):
            if not (column.isascii() and column.isdigit()) or int(column) < 1:
                raise UsageError(
                    f"{flag}: expected the number of a column, from 1, in {self.where}. "
                    f"Received: {column!r}."
                )
        if self.labels == "none" or (self.labels == "optional" and width == 1):
            tag = ""
        if int(word) > width or int(tag or 1) > width or word == tag:
            wanted = "a word" if not tag else "a word and its tag"
            raise DataError(
                f"{self.where}: expected {wanted} in columns {word}{tag and f' and {tag}'}. "
                f"Received: {width} column{'s' if width > 1 else ''} in most lines. Next: name the "
                "columns by their numbers with --text-column and --label-column."
            )
        return int(word) - 1, int(tag) - 1 if tag else None

    def keys(self, rows: Sequence[dict[str, Any]]) -> tuple[str, str]:
        """The keys of the words and the tags in objects."""
        found = dict.fromkeys(key for row in rows for key in row)
        word = next((key for key in TOKEN_KEYS if key in found), TOKEN_KEYS[0])
        tag = next((key for key in TAG_KEYS if key in found), TAG_KEYS[0])
        return self.text or word, self.label or tag


_Lines = Sequence[tuple[int, str]]


def _is_jsonl(path: Path, lines: _Lines) -> bool:
    if path != STANDARD_INPUT:
        return path.name.lower().removesuffix(".gz").endswith(".jsonl")
    return next((line for _, line in lines if line.strip()), "").startswith("{")


def _column_sentences(
    lines: _Lines, columns: _Columns, problems: Problems, path: Path
) -> Iterator[_RawSentence]:
    filled = [line for _, line in lines if line.strip(" \t")]
    if not filled:
        return
    words = [line for line in filled if not line.startswith(("# ", DOCUMENT_START))] or filled
    tabs = 2 * sum("\t" in line for line in words) > len(words)
    split = (lambda line: line.split("\t")) if tabs else (lambda line: _SPACES.split(line.strip()))
    width = Counter(len(split(line)) for line in words).most_common(1)[0][0]
    word, tag = columns.places(width, path)
    skips_ids = path.name.lower().removesuffix(".gz").endswith(".conllu")

    found: list[tuple[str, str | None, int]] = []
    for number, line in [*lines, (0, "")]:
        if not line.strip(" \t") or line.startswith(DOCUMENT_START):
            if found:
                yield _RawSentence(*map(tuple, zip(*found, strict=True)))
            found = []
            continue
        fields = split(line)
        if not found and line.startswith("# ") and _is_comment(line, fields, width, tabs):
            continue
        if len(fields) != width:
            problems.add(number, f"{len(fields)} columns, most lines have {width}")
        elif not fields[word] or (tag is not None and not fields[tag].strip()):
            problems.add(number, "an empty word" if not fields[word] else "an empty tag")
        elif not (skips_ids and _NO_WORD.fullmatch(fields[0])):
            found.append((fields[word], None if tag is None else fields[tag].strip(), number))


def _is_comment(line: str, fields: Sequence[str], width: int, tabs: bool) -> bool:
    return len(fields) != width or (not tabs and bool(_COMMENT.match(line)))


def _json_sentences(
    lines: _Lines, columns: _Columns, problems: Problems, path: Path
) -> Iterator[_RawSentence]:
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, line in lines:
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.add(number, f"invalid JSON: {error}")
            continue
        if isinstance(content, dict):
            rows.append((number, content))
        else:
            problems.add(number, f"a JSON {json_type(content)} where an object was expected")
    word_key, tag_key = columns.keys([row for _, row in rows])
    for number, row in rows:
        words = _texts(row.get(word_key), word_key, number, problems)
        given = None if columns.labels == "none" else row.get(tag_key)
        if words is None:
            continue
        if given is None and columns.labels != "required":
            yield _RawSentence(words, (None,) * len(words), (number,) * len(words))
            continue
        tags = _texts(given, tag_key, number, problems)
        if tags is not None and len(tags) != len(words):
            problems.add(number, f"{len(words)} {word_key} and {len(tags)} {tag_key}")
        elif tags is not None:
            yield _RawSentence(words, tags, (number,) * len(words))


def _texts(value: Any, key: str, number: int, problems: Problems) -> tuple[str, ...] | None:
    """A list of texts, none empty, or None and what is wrong with it."""
    if not isinstance(value, list) or not value:
        received = "an empty one" if value == [] else "none"
        if value is not None and not isinstance(value, list):
            received = f"a JSON {json_type(value)}"
        problems.add(number, f"{key}: expected a list of texts. Received: {received}")
        return None
    wrong = next((item for item in value if not isinstance(item, str) or not item), None)
    if wrong is not None or None in value:
        what = "an empty text" if wrong == "" else f"a JSON {json_type(wrong)}"
        problems.add(number, f"{key}: expected texts in the list. Received: {what}")
        return None
    return tuple(_LONE_SURROGATE.sub("\ufffd", item) for item in value)


def _examples(
    raw: Sequence[_RawSentence], entities: bool, problems: Problems
) -> tuple[TaggedSentence, ...]:
    tags: Iterable[tuple[str | None, ...]] = [sentence.tags for sentence in raw]
    # A line that was left out would make faults of the tags around it.
    if entities and not problems.count and all(tag is not None for each in tags for tag in each):
        turned, faults = to_iob2([[tag for tag in each if tag is not None] for each in tags])
        for fault in faults:
            problems.add(raw[fault.sentence].lines[fault.word], fault.problem)
        tags = turned
    return tuple(
        TaggedSentence(sentence.words, each) for sentence, each in zip(raw, tags, strict=True)
    )
