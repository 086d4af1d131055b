"""Question answering data: SQuAD's JSON (v1.1 and v2.0) and JSONL in, questions out.

Formats, by the file's name, each maybe with `.gz` after it:

- `.json`: SQuAD's own (Rajpurkar et al. 2016 and 2018): articles of paragraphs, each a `context`
  with its `qas`;
- `.jsonl`: one object a line with `question`, `context` and `answers`, for people's own data.

`-` is the standard input: either of the two. Answers are objects with `text` and `answer_start`
(in characters, Python's), or texts alone where each occurs once in its context. A question without
answers is one that its context does not answer. An answer with `"exact": false` is right as a text
though its place may be another than the annotator's: it is scored, and looked for where its start
is wrong.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.data.columns import Problems
from edgebert.data.labels import json_type
from edgebert.data.table_files import STANDARD_INPUT, LabelUse, open_bytes
from edgebert.errors import DataError

ENDINGS = (".json", ".jsonl")
_SHOWN_CHARACTERS = 40
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_EXPECTED = {dict: "an object", list: "an array", str: "a text", int: "a whole number"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A text out of a context, and the character at which it starts there."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question on a context.

    Attributes:
        id: the file's, or the line of a JSONL; empty for one that somebody typed.
        question: what is asked.
        context: the text that has the answer, or has not.
        answers: what annotators gave; the first is learnt. Empty where there is none.
        is_impossible: whether it is known that the context does not answer the question.
    """

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] = ()
    is_impossible: bool = False

    @property
    def text(self) -> str:
        """What is asked."""
        return self.question


@dataclass(frozen=True)
class Keys:
    """What the keys of a JSONL are called."""

    question: str = "question"
    context: str = "context"
    answers: str = "answers"


def read_questions(
    path: Path, labels: LabelUse = "required", keys: Keys = Keys()
) -> tuple[list[Question], str]:
    """Reads a file of questions.

    Args:
        path: a .json or .jsonl, maybe with .gz after it, or `-` for the standard input.
        labels: `required`: every question has answers, or says that it has none. `optional`: it
            may. `none`: answers are not looked at.
        keys: of a JSONL.

    Returns:
        The questions in the file's order, and the SHA-256 of the file's bytes in hex.

    Raises:
        DataError: the file is missing, cut short, empty, no JSON, or keys are missing, values have
            another type, answers are not in their context at their start, or `is_impossible`
            contradicts the answers. Up to five problems are listed, and how many there are.
    """
    where = "standard input" if path == STANDARD_INPUT else str(path)
    data, sha256 = _bytes_of(path, where)
    problems = Problems()
    text = _decoded(data, where)
    if _is_jsonl(path, text):
        rows = _jsonl_rows(text, keys, problems)
    else:
        rows = _squad_rows(_articles(text, where), problems)
    read = (_question(place, row, labels, problems) for place, row in rows)
    questions = [question for question in read if question is not None]
    if problems.count:
        raise DataError(
            f"{where}: expected questions with their contexts and answers, in SQuAD's format or "
            f"one JSON object a line. {problems.listed()}"
        )
    if not questions:
        raise DataError(f"{where}: expected at least one question. Received: none.")
    return questions, sha256


def _bytes_of(path: Path, where: str) -> tuple[bytes, str]:
    if path != STANDARD_INPUT:
        ending = Path(path.name.lower().removesuffix(".gz")).suffix
        if ending not in ENDINGS:
            raise DataError(
                f"{where}: expected a name that ends in {' or '.join(ENDINGS)}, maybe with .gz "
                f"after it. Received: {path.name!r}. Next: name the file after its format."
            )
    try:
        stream, sha256 = open_bytes(path)
        with stream:
            return stream.read(), sha256
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{where} can't be read: {error}. Next: check the path, and that it was copied whole."
        ) from error


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: expected UTF-8. Received: byte 0x{data[error.start]:02x} at offset "
            f"{error.start}. Next: save the file as UTF-8."
        ) from error


def _is_jsonl(path: Path, text: str) -> bool:
    if path != STANDARD_INPUT:
        return path.name.lower().removesuffix(".gz").endswith(".jsonl")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return True
    return not (isinstance(content, dict) and "data" in content)


def _articles(text: str, where: str) -> list[Any]:
    """What is in SQuAD's outermost object."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: expected JSON in SQuAD's format. Received: {error}. Next: check that the "
            "file is whole; one object a line is a .jsonl."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        received = (
            f"an object with the keys {', '.join(map(repr, list(content)[:8]))}"
            if isinstance(content, dict)
            else f"a JSON {json_type(content)}"
        )
        raise DataError(
            f"{where}: expected SQuAD's format, an object whose 'data' is an array of articles. "
            f"Received: {received}. Next: one object a line is a .jsonl."
        )
    articles: list[Any] = content["data"]
    return articles


def _squad_rows(articles: list[Any], problems: Problems) -> Iterator[tuple[str, Any]]:
    """Yields SQuAD's questions, each with its context, and where they stand."""
    for i, article in enumerate(articles):
        for j, paragraph in _items(article, "paragraphs", f"data[{i}]", problems):
            context = _member(paragraph, "context", str, j, problems)
            if context is None:
                continue
            for k, question in _items(paragraph, "qas", j, problems):
                is_object = isinstance(question, dict)
                yield k, {**question, "context": context} if is_object else question


def _items(parent: Any, key: str, place: str, problems: Problems) -> Iterator[tuple[str, Any]]:
    """What is in an array of an object, each with its place."""
    for number, item in enumerate(_member(parent, key, list, place, problems) or ()):
        yield f"{place}.{key}[{number}]", item


def _jsonl_rows(text: str, keys: Keys, problems: Problems) -> Iterator[tuple[str, Any]]:
    names = {keys.question: "question", keys.context: "context", keys.answers: "answers"}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.add(f"line {number}", f"invalid JSON: {error}")
            continue
        if isinstance(row, dict):
            row = {"id": str(number)} | {names.get(key, key): row[key] for key in row}
        yield f"line {number}", row


def _member(parent: Any, key: str, kind: type, place: str, problems: Problems) -> Any:
    """A value of an object; None where there is none of that type, which is noted."""
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
        texts[key] = _LONE_SURROGATE.sub("\ufffd", text or "")
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
    said = row.get("is_impossible", not answered)
    if type(said) is not bool:
        problems.add(place, f"'is_impossible' is a JSON {json_type(said)}, not a boolean")
    elif said == answered:
        there_are = "there are answers" if answered else "there are no answers"
        problems.add(place, f"'is_impossible' is {str(said).lower()}, and {there_are}")
    return said is True


def _answers(place: str, row: dict[str, Any], context: str, problems: Problems) -> Iterator[Answer]:
    for number, raw in enumerate(_raw_answers(place, row, problems)):
        at = f"{place}.answers[{number}]"
        answer = {"text": raw} if isinstance(raw, str) else raw
        text = _member(answer, "text", str, at, problems)
        if text is None:
            continue
        text = _LONE_SURROGATE.sub("\ufffd", text)
        start = _start(at, answer, text, context, problems)
        if start is not None:
            yield Answer(text, start)


def _raw_answers(place: str, row: dict[str, Any], problems: Problems) -> list[Any]:
    """The answers as an array; `datasets` keeps SQuAD's as an object of two arrays."""
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
    """Where an answer starts in its context; None where it can't be said, which is noted."""
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
            place, f"{shown} is more than once in its context: 'answer_start' must say where"
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
