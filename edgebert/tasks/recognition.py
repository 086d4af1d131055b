"""Recognizes the task of a checkpoint by its head, and of a training file by its first lines.

The task of a file is a guess, which `--task` overrides. Some files fit several tasks, such as pairs
with a score: regression or embeddings. The base model's task then has precedence.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters import heads
from converters.checkpoint import Checkpoint
from converters.json_files import InvalidJsonError, parse_json
from edgebert.data.columns import (
    TEXT_COLUMNS,
    csv_delimiter,
    label_column,
    named_columns,
    pair_columns,
    with_paths,
)
from edgebert.data.files import STANDARD_INPUT, first_lines
from edgebert.data.json_arrays import first_items
from edgebert.data.labels import (
    LABEL_COLUMNS,
    LABEL_LIST,
    LABEL_LIST_COLUMNS,
    ONE_LABEL,
    SCORE,
    SCORE_COLUMNS,
)
from edgebert.data.tagging_schemes import OUTSIDE, as_iob2
from edgebert.settings import DataSettings

_LINES = 40
_CONLL = re.compile(r"\.(conll\w*|bio|iob2?)$")
_TAG_OF_ENTITY = re.compile(r"[BIESLU]-.+|O")
_TOKEN_KEYS = {"tokens", "words"}

NO_ENTITY = ("X", "[CLS]", "[SEP]", "[PAD]", "PAD", "<pad>", "[UNK]", "<s>", "</s>")
"""Labels of later word pieces and of special tokens, in older training scripts."""

LABEL = ("classification",)
PAIR = ("pairs",)
LABELS = ("multi-label",)
SCORES = ("regression",)
PAIR_SCORES = ("regression", "embeddings")
PAIR_ALONE = ("embeddings", *PAIR)
ENTITIES, WORD_CLASSES = ("ner", "pos"), ("pos", "ner")
QUESTIONS = ("qa",)
PLAIN_TEXT = ("masked-lm",)

_PROBLEM_TASKS = {
    heads.SINGLE_LABEL: "classification",
    heads.MULTI_LABEL: "multi-label",
    heads.REGRESSION: "regression",
}
_HEAD_TASKS = {
    heads.ENCODER: "encoder",
    heads.SPANS: "qa",
    heads.SENTENCE: "embeddings",
    heads.MASKED_LM: "masked-lm",
}

_UNIVERSAL_TAGS = frozenset(
    [
        "ADJ",
        "ADP",
        "ADV",
        "AUX",
        "CCONJ",
        "DET",
        "INTJ",
        "NOUN",
        "NUM",
        "PART",
        "PRON",
        "PROPN",
        "PUNCT",
        "SCONJ",
        "SYM",
        "VERB",
        "X",
    ]
)
"""The parts of speech of Universal Dependencies (de Marneffe et al. 2021)."""


_ENTITY_TYPES = frozenset(
    ["PER", "PERSON", "LOC", "LOCATION", "ORG", "ORGANIZATION", "ORGANISATION", "GPE"]
)


def task_of_head(checkpoint: Checkpoint) -> str:
    """The name of the task of a checkpoint, by its head and its labels."""
    if checkpoint.head == heads.CLASSIFIER:
        return _PROBLEM_TASKS[checkpoint.problem]
    if checkpoint.head == heads.TOKEN_CLASSIFIER:
        return "ner" if _are_entities(checkpoint.labels) else "pos"
    return _HEAD_TASKS[checkpoint.head]


def _are_entities(labels: Sequence[str]) -> bool:
    """Whether the labels of a token classifier are those of entities.

    They are if all have a prefix of a tagging scheme, if a usual type of entities is among them, or
    if there is an `O` among names of types: tags of words have no `O`, except in sets of single
    letters and beside tags of Universal Dependencies.
    """
    tags = [label for label in labels if label not in NO_ENTITY]
    types = [tag for tag in tags if tag != OUTSIDE]
    prefixed = [tag for tag in types if as_iob2(tag)[:2] in ("B-", "I-")]
    if len(prefixed) == len(types):
        return True
    if are_parts_of_speech(types):
        return False
    if _ENTITY_TYPES & {tag.upper() for tag in types}:
        return True
    return OUTSIDE in tags and (bool(prefixed) or all(len(tag) > 1 for tag in types))


def are_parts_of_speech(labels: Sequence[str]) -> bool:
    """Whether labels are parts of speech of Universal Dependencies."""
    return set(labels) <= {*_UNIVERSAL_TAGS, OUTSIDE}


def entity_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels with `I-` before the name of a type that has no prefix.

    Such a type begins with a word outside of it, and continues over words of the same type, as in
    the token classification pipeline of `transformers`.
    """
    return tuple(
        label
        if label == OUTSIDE or label in NO_ENTITY or as_iob2(label)[:2] in ("B-", "I-")
        else f"I-{label}"
        for label in labels
    )


@dataclass(frozen=True)
class _Start:
    """The columns and the first rows of a table."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]

    def values(self, column: str) -> list[Any]:
        return [row[column] for row in self.rows if column in row]


def tasks_of_file(path: Path | str, columns: DataSettings) -> tuple[str, ...]:
    """The possible tasks of a file, the most likely first; classification if nothing is known.

    Args:
        path: A file of any task's format. The reader reports a missing file.
        columns: The columns that the user names.
    """
    path = Path(path)
    if path == STANDARD_INPUT:
        return LABEL
    name = path.name.lower().removesuffix(".gz")
    lines = first_lines(path, _LINES, columns.encoding)
    if _CONLL.search(name):
        return _tagged(lines, name)
    if name.endswith(".json"):
        items = first_items(path, _LINES, columns.encoding)
        return QUESTIONS if items is None else _of_table(_start_of(items, columns), columns)
    if name.endswith(".txt"):
        return PLAIN_TEXT
    if name.endswith(".jsonl"):
        return _of_table(_objects(lines, columns), columns)
    if name.endswith(".tsv") and _is_conll(lines):
        return _tagged(lines, name)
    header = next((line for line in lines if line.strip()), "")
    delimiter = "\t" if name.endswith(".tsv") else csv_delimiter(header)
    return _of_table(_table(lines, delimiter), columns)


def _of_table(start: _Start, named: DataSettings) -> tuple[str, ...]:
    plain = {column.strip().lower() for column in start.columns}
    if {"question", "context"} <= plain:
        return QUESTIONS
    if plain & _TOKEN_KEYS and not plain & set(TEXT_COLUMNS):
        return _of_tags([tag for tags in _lists(start) for tag in tags])
    is_pair = bool(named.pair_column)
    if not named.text_column and not is_pair:
        is_pair = pair_columns(start.columns) is not None
    label = label_column(start.columns, ONE_LABEL, named.label_column)
    if _has_label_lists(start, label):
        return LABELS
    if label is None:
        has_score = label_column(start.columns, SCORE) is not None
        if has_score:
            return PAIR_SCORES if is_pair else SCORES
        return PAIR_ALONE if is_pair else LABEL
    kinds: tuple[str, ...] = PAIR if is_pair else LABEL
    if label.strip().lower() in SCORE_COLUMNS:
        return PAIR_SCORES if is_pair else SCORES
    values = [str(value).strip() for value in start.values(label)]
    if any(named.label_separator in value for value in values):
        kinds = (*kinds, *LABELS)
    return (*kinds, *SCORES) if values and all(map(_is_number, values)) else kinds


def _has_label_lists(start: _Start, label: str | None) -> bool:
    named = _named(start.columns, LABEL_LIST_COLUMNS)
    if label is None and named and not _named(start.columns, SCORE_COLUMNS):
        return True
    lists = label or label_column(start.columns, LABEL_LIST)
    return lists is not None and any(isinstance(value, list) for value in start.values(lists))


def _lists(start: _Start) -> list[list[str]]:
    words = _named(start.columns, _TOKEN_KEYS)
    columns = [column for column in start.columns if column not in words]
    values = itertools.chain.from_iterable(map(start.values, columns))
    return [list(map(str, value)) for value in values if isinstance(value, list)]


def _tagged(lines: Sequence[str], name: str) -> tuple[str, ...]:
    words = [line.split("\t") if "\t" in line else line.split() for line in lines]
    if name.endswith(".conllu"):
        return WORD_CLASSES
    return _of_tags([fields[-1].strip() for fields in words if len(fields) > 1])


def _of_tags(tags: Sequence[str]) -> tuple[str, ...]:
    is_entities = bool(tags) and all(_TAG_OF_ENTITY.fullmatch(tag) for tag in tags)
    return ENTITIES if is_entities else WORD_CLASSES


def _is_conll(lines: Sequence[str]) -> bool:
    """Whether a TSV file has one word per line and blank lines between sentences."""
    header = [field.strip().lower() for field in lines[0].split("\t")] if lines else []
    known = (*TEXT_COLUMNS, *LABEL_COLUMNS, *LABEL_LIST_COLUMNS, *SCORE_COLUMNS)
    is_named = bool(set(header) & set(known)) or pair_columns(header) is not None
    filled = {len(line.split("\t")) for line in lines if line}
    return not is_named and "" in lines[1:] and len(filled) == 1 and filled != {1}


def _table(lines: Sequence[str], delimiter: str) -> _Start:
    filled = [line for line in lines if line]
    if delimiter == "\t":
        filled = [line.replace('"', "") for line in filled]  # TSV is read without quoting
    try:
        records = list(csv.reader(filled, delimiter=delimiter))
    except csv.Error:
        records = []
    if not records:
        return _Start((), ())
    columns = tuple(records[0])
    return _Start(columns, tuple(dict(zip(columns, row, strict=False)) for row in records[1:]))


def _objects(lines: Sequence[str], named: DataSettings) -> _Start:
    rows = []
    for line in lines:
        try:
            content = parse_json(line)
        except InvalidJsonError:
            continue
        rows.append(content)
    return _start_of(rows, named)


def _start_of(items: Iterable[Any], named: DataSettings) -> _Start:
    names = named_columns(named)
    rows = [with_paths(item, names) for item in items if isinstance(item, dict)]
    return _Start(tuple(dict.fromkeys(key for row in rows for key in row)), tuple(rows))


def _named(columns: Sequence[str], names: Container[str]) -> list[str]:
    return [column for column in columns if column.strip().lower() in names]


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
