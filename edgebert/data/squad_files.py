"""Reads question answering data: SQuAD's JSON (v1.1 and v2.0) and JSONL.

The ending of the file name gives the format; `.gz` may follow it:

- `.json`: SQuAD (Rajpurkar et al. 2016 and 2018): articles of paragraphs, each with a `context` and
  its `qas`;
- `.json` with an array, or `.jsonl` with one object per line: objects with `question`,
  `context` and `answers`.

`-` is the standard input in either format. Answers are objects with `text` and `answer_start` (in
Unicode code points), or only texts if each occurs once in its context. A question without answers
is one that the context does not answer. An answer with `"exact": false` has the right text, but its
start may be wrong: it counts for the score, and if the text is not at `answer_start`, its first
occurrence is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
    open_bytes,
    read_errors,
)
from edgebert.data.json_arrays import array_items, is_array
from edgebert.data.labels import LabelUse
from edgebert.errors import DataError, UsageError

ENDINGS = (".json", ".jsonl")
_SHOWN_CHARACTERS = 40
_EXPECTED = {dict: "an object", list: "an array", str: "a text", int: "a whole number"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of a context: its text and its first character."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question on a context.

    Attributes:
        id: id in the file, or line number in a JSONL; empty for typed input.
        question: text of the question.
        context: text that may contain the answer.
        answers: answers of the annotators; training uses the first. Empty if there are none.
        is_impossible: whether the context is known not to answer the question.
    """

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] = ()
    is_impossible: bool = False

    @property
    def text(self) -> str:
        """The question."""
        return self.question


@dataclass(frozen=True)
class Keys:
    """The names of the keys of a JSONL."""

    question: str = "question"
    context: str = "context"
    answers: str = "answers"


def read_questions(
    path: Path,
    labels: LabelUse = "required",
    keys: Keys = Keys(),
    encoding: str = "",
    skip_bad_rows: bool = False,
) -> Dataset:
    """Reads a file of questions.

    Args:
        path: a .json or .jsonl, maybe with .gz after it, or `-` for the standard input.
        labels: `required`: every question has answers or is marked as impossible. `optional`: a
            question may have answers. `none`: answers are ignored.
        keys: names of the keys of a JSONL.
        encoding: as for `edgebert.data.encodings.as_utf8`.
        skip_bad_rows: whether questions with problems are left out instead of refused.

    Returns:
        The questions in the order of the file.

    Raises:
        DataError: The file is missing, truncated, empty or no JSON, keys are missing, values have
            another type, answers are not at their start in the context, or `is_impossible`
            contradicts the answers. The first five problems are listed, and the number of all.
    """
    where = describe(path)
    data, sha256 = _bytes_of(path, where, encoding)
    problems = Problems(skip_bad_rows)
    text = _decoded(data, path, problems)
    if _is_jsonl(path, text):
        rows = _jsonl_rows(text, keys, problems)
    elif is_array(text):
        rows = _array_rows(text, keys, where)
    elif keys != Keys():
        raise UsageError(f"{where} is in SQuAD's format, which has no columns to name.")
    else:
        rows = _squad_rows(_articles(text, where), problems)
    questions = []
    for place, row in rows:
        before = problems.count
        question = _question(place, row, labels, problems)
        problems.join(before)
        if question is not None:
            questions.append(question)
    if problems.are_refused or (problems.count and not questions):
        raise DataError(
            f"{where}: expected questions with their contexts and answers, in SQuAD's format or "
            f"one JSON object per line. {problems.listed()}"
        )
    if not questions:
        raise DataError(f"{where}: expected at least one question. Received: none.")
    name = dataset_name(path)
    return Dataset(name, tuple(questions), path, sha256, left_out=problems.left_out)


def _bytes_of(path: Path, where: str, encoding: str) -> tuple[bytes, str]:
    if path != STANDARD_INPUT and ending_of(path) not in ENDINGS:
        raise DataError(
            f"{where}: expected a file name that ends in {' or '.join(ENDINGS)}, or in one of "
            f"these and .gz. Received: {path.name!r}. Next: rename the file after its format."
        )
    with read_errors(path):
        stored, sha256 = open_bytes(path)
        stream = as_utf8(stored, where, encoding)
        with stream:
            return stream.read(), sha256


def _decoded(data: bytes, path: Path, problems: Problems) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if problems.skips and ending_of(path) == ".jsonl":
            return "\n".join(_decoded_lines(data, problems))
        raise DataError(
            f"{describe(path)}: expected UTF-8. Received: byte 0x{data[error.start]:02x} at offset "
            f"{error.start}. Next: save the file as UTF-8, or name its encoding, such as "
            "--encoding windows-1252."
        ) from error


def _decoded_lines(data: bytes, problems: Problems) -> Iterator[str]:
    """Yields the lines; an empty one, with a problem added, for a line that is not UTF-8."""
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            problems.add(f"line {number}", f"not UTF-8 (byte 0x{line[error.start]:02x})")
            yield ""


def _is_jsonl(path: Path, text: str) -> bool:
    if path != STANDARD_INPUT:
        return ending_of(path) == ".jsonl"
    try:
        content = parse_json(text)
    except InvalidJsonError:
        return True
    return not (isinstance(content, dict) and "data" in content)


def _articles(text: str, where: str) -> list[Any]:
    """The articles in SQuAD's outermost object."""
    try:
        content = parse_json(text)
    except InvalidJsonError as error:
        raise DataError(
            f"{where}: expected JSON in SQuAD's format. Received: {error}. Next: check that the "
            "file is complete; a file with one object per line must end in .jsonl."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        received = (
            f"an object with the keys {', '.join(map(repr, list(content)[:8]))}"
            if isinstance(content, dict)
            else f"a JSON {json_type(content)}"
        )
        raise DataError(
            f"{where}: expected SQuAD's format, an object whose 'data' is an array of articles. "
            f"Received: {received}. Next: name a file with one object per line .jsonl."
        )
    articles: list[Any] = content["data"]
    return articles


def _squad_rows(articles: list[Any], problems: Problems) -> Iterator[tuple[str, Any]]:
    """Yields the place in the file and the object of each question, with its context added."""
    for i, article in enumerate(articles):
        for j, paragraph in _items(article, "paragraphs", f"data[{i}]", problems):
            context = _member(paragraph, "context", str, j, problems)
            if context is None:
                continue
            for k, question in _items(paragraph, "qas", j, problems):
                is_object = isinstance(question, dict)
                yield k, {**question, "context": context} if is_object else question


def _items(parent: Any, key: str, place: str, problems: Problems) -> Iterator[tuple[str, Any]]:
    """Yields the place and the value of each item of an array in an object."""
    for number, item in enumerate(_member(parent, key, list, place, problems) or ()):
        yield f"{place}.{key}[{number}]", item


def _jsonl_rows(text: str, keys: Keys, problems: Problems) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except InvalidJsonError as error:
            problems.add(f"line {number}", f"invalid JSON: {error}")
            continue
        yield f"line {number}", _with_usual_keys(row, keys, number)


def _array_rows(text: str, keys: Keys, where: str) -> Iterator[tuple[str, Any]]:
    for number, (place, row) in enumerate(array_items(text, where), 1):
        yield place, _with_usual_keys(row, keys, number)


def _with_usual_keys(row: Any, keys: Keys, number: int) -> Any:
    if not isinstance(row, dict):
        return row
    names = {keys.question: "question", keys.context: "context", keys.answers: "answers"}
    row = with_paths(row, names)
    return {"id": str(number)} | {names.get(key, key): row[key] for key in row}


def _member(parent: Any, key: str, kind: type, place: str, problems: Problems) -> Any:
    """A value of an object; None, with a problem added, if it is missing or of another type."""
    if not isinstance(parent, dict):
        problems.add(place, f"a JSON {json_type(parent)} where an object was expected")
    elif key not in parent:
        problems.add(place, f"the key {key!r} is missing")
    elif type(parent[key]) is not kind:
        received = json_type(parent[key])
        problems.add(place, f"{key!r} is a JSON {received}, not {_EXPECTED[kind]}")
    else:
        return parent[key]
    return None


def _question(place: str, row: Any, labels: LabelUse, problems: Problems) -> Question | None:
    if not isinstance(row, dict):
        problems.add(place, f"a JSON {json_type(row)} where an object was expected")
        return None
    before = problems.count
    texts = {}
    for key in ("question", "context"):
        text = _member(row, key, str, place, problems)
        if text is not None and not text.strip():
            problems.add(place, f"the {key} is empty")
        texts[key] = replace_lone_surrogates(text or "")
    answers: tuple[Answer, ...] = ()
    impossible = False
    if labels == "required" or (labels == "optional" and "answers" in row):
        answers = tuple(_answers(place, row, texts["context"], problems))
        if problems.count == before:
            impossible = _is_impossible(place, row, bool(answers), problems)
    if problems.count > before:
        return None
    return Question(str(row.get("id", "")), answers=answers, is_impossible=impossible, **texts)


def _is_impossible(place: str, row: dict[str, Any], answered: bool, problems: Problems) -> bool:
    value = row.get("is_impossible", not answered)
    if type(value) is not bool:
        problems.add(place, f"'is_impossible' is a JSON {json_type(value)}, not a boolean")
    elif value == answered:
        there_are = "there are answers" if answered else "there are no answers"
        problems.add(place, f"'is_impossible' is {str(value).lower()}, and {there_are}")
    return value is True


def _answers(place: str, row: dict[str, Any], context: str, problems: Problems) -> Iterator[Answer]:
    for number, raw in enumerate(_raw_answers(place, row, problems)):
        at = f"{place}.answers[{number}]"
        answer = {"text": raw} if isinstance(raw, str) else raw
        text = _member(answer, "text", str, at, problems)
        if text is None:
            continue
        text = replace_lone_surrogates(text)
        start = _start(at, answer, text, context, problems)
        if start is not None:
            yield Answer(text, start)


def _raw_answers(place: str, row: dict[str, Any], problems: Problems) -> list[Any]:
    """The answers as an array; the library `datasets` stores an object of two arrays instead."""
    raw = row.get("answers")
    if not isinstance(raw, dict):
        return _member(row, "answers", list, place, problems) or []
    columns = [
        _member(raw, key, list, f"{place}.answers", problems) for key in ("text", "answer_start")
    ]
    if None in columns:
        return []
    texts, starts = columns
    if len(texts) != len(starts):
        problems.add(f"{place}.answers", f"{len(texts)} texts and {len(starts)} starts")
        return []
    return [
        {"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)
    ]


def _start(
    place: str, answer: dict[str, Any], text: str, context: str, problems: Problems
) -> int | None:
    """The first character of an answer in its context; None, with a problem added, if unclear."""
    shown = repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")
    found = context.find(text)
    if not text.strip():
        problems.add(place, "the answer is empty")
    elif found < 0:
        problems.add(place, f"the answer {shown} is not in its context")
    elif "answer_start" not in answer:
        if context.find(text, found + 1) < 0:
            return found
        problems.add(
            place, f"{shown} occurs more than once in its context: 'answer_start' is needed"
        )
    else:
        start: int | None = _member(answer, "answer_start", int, place, problems)
        if start is None or (start >= 0 and context.startswith(text, start)):
            return start
        if answer.get("exact") is False:
            return found
        problems.add(
            place, f"the answer {shown} is not in its context at {start}, but first at {found}"
        )
    return None
