"""Reads sentences of tagged words from CoNLL columns and JSONL.

CoNLL columns: one word per line, columns separated by tabs (by spaces in a file without tabs), and
an empty line after each sentence. The word is in the first column and the tag in the last; the
caller can select other columns by their number from 1. In a `.conllu` the default columns are 2
(FORM) and 4 (UPOS). The reader skips:

- lines that begin with `-DOCSTART-`;
- comments of CoNLL-U: lines before the first word of a sentence that begin with `# ` and have
  another number of columns than the others, or, in a file with spaces, the form `# name = value`.
  A word `#` or `#hashtag` is a word;
- in a `.conllu`, ranges (`3-4`) and empty nodes (`8.1`).

JSONL: one object per line with two lists of equal length, `tokens` and `tags`; a `.json` with an
array has the same objects. Tags may be numbers, as in the library `datasets`: they are numbers of a
model's labels, or `--label-map` names them. Files are UTF-8, and `.gz` may follow their names. `-`
is the standard input; it is JSONL if it starts with `{`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from converters.json_files import InvalidJsonError, json_type, parse_json
from edgebert.data.characters import replace_lone_surrogates
from edgebert.data.columns import Problems, with_paths
from edgebert.data.datasets import Dataset
from edgebert.data.encodings import as_utf8
from edgebert.data.files import (
    STANDARD_INPUT,
    dataset_name,
    describe,
    ending_of,
    numbered_lines,
    open_bytes,
    read_errors,
    without_line_end,
)
from edgebert.data.json_arrays import array_items
from edgebert.data.label_maps import read_label_map, renamed
from edgebert.data.labels import LabelUse
from edgebert.data.tagging_schemes import to_iob2
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings

TOKEN_KEYS = ("tokens", "words")
TAG_KEYS = ("tags", "ner_tags", "pos_tags", "upos", "labels")
DOCUMENT_START = "-DOCSTART-"
_CONLLU_COLUMNS = ("2", "4")
_NO_WORD = re.compile(r"[0-9]+[-.][0-9]+")
_COMMENT = re.compile(r"# *(\S+ *=|newdoc|newpar)")
_SPACES = re.compile("[ \t]+")


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Words with their tags.

    Attributes:
        words: the words of the file, none of them empty; a word may contain white space.
        tags: one tag per word; None for a missing tag.
    """

    words: tuple[str, ...]
    tags: tuple[str | None, ...]

    @property
    def text(self) -> str:
        """The words separated by spaces: the input text of a model."""
        return " ".join(self.words)


@dataclass(frozen=True)
class _RawSentence:
    """Words, their tags and their line numbers, or places in an array."""

    words: tuple[str, ...]
    tags: tuple[str | None, ...]
    lines: tuple[int | str, ...]


def read_tagged(
    path: Path | str,
    columns: DataSettings = DataSettings(),
    *,
    labels: LabelUse = "required",
    entities: bool = False,
) -> Dataset:
    """Reads a file of tagged sentences.

    Args:
        path: a file of CoNLL columns, or a .jsonl; `-` is the standard input.
        columns: `text_column` is the number of the word's column, from 1, or the JSONL key of the
            words; empty uses the first column, or a key of `TOKEN_KEYS`. `label_column` is that of
            the tags; empty uses the last column, or a key of `TAG_KEYS`.
        labels: `required`: every word has a tag; `optional`: a word may have a tag; `none`: tags
            are ignored.
        entities: whether tags have a scheme of `edgebert.data.tagging_schemes` and are converted
            to IOB2.

    Raises:
        DataError: The file can't be read, rows have different numbers of columns, words have no
            tag, or tags have no known scheme. The first five problems are listed with their
            lines, and the number of all.
        UsageError: A column of a CoNLL file is not named by a number from 1.
    """
    path = Path(path)
    where = describe(path)
    problems = Problems(columns.skip_bad_rows)
    with read_errors(path):
        stored, sha256 = open_bytes(path)
        stream = as_utf8(stored, where, columns.encoding)
        with closing(stream):
            lines = [
                (number, without_line_end(line))
                for number, line in numbered_lines(stream, problems, keeps_bad=True)
            ]
    finder = _Columns(where, columns.text_column, columns.label_column, labels)
    read = _json_sentences if _is_json(path, lines) else _column_sentences
    raw = list(read(lines, finder, problems, path))
    if labels != "none" and columns.label_map:
        names = read_label_map(columns.label_map)
        raw = [replace(each, tags=tuple(renamed(tag, names) for tag in each.tags)) for each in raw]
    examples = _examples(raw, entities and labels != "none", problems)
    if problems.are_refused or (problems.count and not examples):
        expected = "a word" if labels == "none" else "a word and a tag"
        if read is _json_sentences:
            expected = "a list of words" + (
                "" if labels == "none" else " and a list of tags of the same length"
            )
        raise DataError(
            f"{where}: expected UTF-8 with {expected} in every line. {problems.listed()}"
        )
    if not examples:
        raise DataError(f"{where}: expected at least one sentence. Received: none.")
    return Dataset(dataset_name(path), examples, path, sha256, left_out=problems.left_out)


def has_tokens(path: Path, encoding: str = "") -> bool:
    """Whether a JSONL has lists of tokens instead of texts; True for a file that can't be read."""
    try:
        with read_errors(path):
            stored, _ = open_bytes(path)
            stream = as_utf8(stored, describe(path), encoding)
            with closing(stream):
                first = parse_json(next((line for line in stream if line.strip()), b"{}"))
    except (DataError, InvalidJsonError):
        return True
    return not isinstance(first, dict) or any(key in first for key in TOKEN_KEYS)


@dataclass(frozen=True)
class _Columns:
    """The columns or keys that the caller named, and the use of the tags."""

    where: str
    text: str
    label: str
    labels: LabelUse

    def indexes(self, width: int, path: Path) -> tuple[int, int | None]:
        """The indexes from 0 of the word and of the tag in lines of `width` columns.

        Raises:
            DataError: There are fewer columns.
            UsageError: A column is not named by a number.
        """
        word, tag = _CONLLU_COLUMNS if ending_of(path) == ".conllu" else ("1", str(width))
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
            expected = "a word" if not tag else "a word and its tag"
            raise DataError(
                f"{self.where}: expected {expected} in columns {word}{tag and f' and {tag}'}. "
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


def _is_json(path: Path, lines: _Lines) -> bool:
    if path != STANDARD_INPUT:
        return ending_of(path) in (".json", ".jsonl")
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
    word, tag = columns.indexes(width, path)
    skips_ids = ending_of(path) == ".conllu"

    found: list[tuple[str, str | None, int]] = []
    is_bad = False
    for number, line in [*lines, (0, "")]:
        if not line.strip(" \t") or line.startswith(DOCUMENT_START):
            if found and not is_bad:
                yield _RawSentence(*map(tuple, zip(*found, strict=True)))
            found, is_bad = [], False
            continue
        before = problems.count
        fields = split(line)
        if not found and line.startswith("# ") and _is_comment(line, fields, width, tabs):
            continue
        if len(fields) != width:
            problems.add(number, f"{len(fields)} columns, most lines have {width}")
        elif not fields[word] or (tag is not None and not fields[tag].strip()):
            problems.add(number, "an empty word" if not fields[word] else "an empty tag")
        elif not (skips_ids and _NO_WORD.fullmatch(fields[0])):
            found.append((fields[word], None if tag is None else fields[tag].strip(), number))
        is_bad |= problems.count > before or number in problems.lines


def _is_comment(line: str, fields: Sequence[str], width: int, tabs: bool) -> bool:
    return len(fields) != width or (not tabs and bool(_COMMENT.match(line)))


def _json_sentences(
    lines: _Lines, columns: _Columns, problems: Problems, path: Path
) -> Iterator[_RawSentence]:
    rows: list[tuple[int | str, dict[str, Any]]] = []
    for number, content in _json_values(lines, problems, path):
        if isinstance(content, dict):
            rows.append((number, with_paths(content, (columns.text, columns.label))))
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
        if isinstance(given, list):
            given = [str(tag) if type(tag) is int else tag for tag in given]
        tags = _texts(given, tag_key, number, problems)
        if tags is not None and len(tags) != len(words):
            problems.add(number, f"{len(words)} {word_key} and {len(tags)} {tag_key}")
        elif tags is not None:
            yield _RawSentence(words, tags, (number,) * len(words))


def _json_values(lines: _Lines, problems: Problems, path: Path) -> Iterator[tuple[int | str, Any]]:
    """Yields the place and the value of each line, or of each item of the array in a `.json`."""
    if ending_of(path) == ".json":
        if problems.count:
            problems.is_final = True
            return
        yield from array_items("\n".join(line for _, line in lines), describe(path))
        return
    for number, line in lines:
        if not line.strip() or number in problems.lines:
            continue
        try:
            yield number, parse_json(line)
        except InvalidJsonError as error:
            problems.add(number, f"invalid JSON: {error}")


def _texts(value: Any, key: str, number: int | str, problems: Problems) -> tuple[str, ...] | None:
    """A list of non-empty texts; None, with a problem added, for any other value."""
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
    return tuple(replace_lone_surrogates(item) for item in value)


def _examples(
    raw: Sequence[_RawSentence], entities: bool, problems: Problems
) -> tuple[TaggedSentence, ...]:
    tags: Sequence[tuple[str | None, ...]] = [sentence.tags for sentence in raw]
    every = {tag for each in tags for tag in each}
    are_numbers = all(tag is not None and tag.isdecimal() for tag in every)
    # After a skipped line, the tags around it would look invalid.
    is_clear = problems.skips or not problems.count
    if entities and is_clear and None not in every and not are_numbers:
        turned, faults = to_iob2([[tag for tag in each if tag is not None] for each in tags])
        for fault in faults:
            problems.add(raw[fault.sentence].lines[fault.word], fault.problem)
        if faults and problems.skips:
            bad = {fault.sentence for fault in faults}
            return _examples([each for i, each in enumerate(raw) if i not in bad], True, problems)
        tags = turned
    return tuple(
        TaggedSentence(sentence.words, each) for sentence, each in zip(raw, tags, strict=True)
    )
