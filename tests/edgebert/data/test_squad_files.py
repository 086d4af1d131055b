"""Reads questions: written files are read back, and all problems are listed."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.data.squad_files import Answer, Keys, Question, read_questions
from edgebert.errors import DataError

CONTEXT = "Anna met Ben in Rome. Ben was late."


def squad(*questions: dict[str, Any], context: Any = CONTEXT, version: str = "1.1") -> str:
    paragraph = {"context": context, "qas": list(questions)}
    return json.dumps({"version": version, "data": [{"title": "t", "paragraphs": [paragraph]}]})


def asked(question: str = "Who was late?", **more: Any) -> dict[str, Any]:
    found = {"id": "q", "question": question}
    return {**found, "answers": [{"text": "Ben", "answer_start": 22}], **more}


def write(folder: Path, content: str, name: str = "data.json") -> Path:
    path = folder / name
    data = content.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_questions(path, **options)
    return str(caught.value)


# What is written is read


@pytest.mark.parametrize("name", ["data.json", "data.json.gz", "DATA.JSON"])
def test_squad_1(name: str, tmp_path: Path) -> None:
    read = read_questions(write(tmp_path, squad(asked()), name))
    questions, sha256 = list(read.examples), read.sha256
    assert questions == [Question("q", "Who was late?", CONTEXT, (Answer("Ben", 22),))]
    assert len(sha256) == 64


def test_squad_2_marks_questions_without_answers(tmp_path: Path) -> None:
    plausible = [{"text": "Rome", "answer_start": 16}]
    content = squad(
        asked(is_impossible=False),
        asked("Who left?", answers=[], is_impossible=True, plausible_answers=plausible),
        version="v2.0",
    )
    first, second = read_questions(write(tmp_path, content)).examples
    assert (first.is_impossible, second.is_impossible, second.answers) == (False, True, ())


@pytest.mark.parametrize(
    "answers",
    [
        [{"text": "Rome", "answer_start": 16}],
        {"text": ["Rome"], "answer_start": [16]},  # as `datasets` has it
        [{"text": "Rome"}],
        ["Rome"],
    ],
)
def test_formats_of_answers(answers: Any, tmp_path: Path) -> None:
    row = {"question": "Where?", "context": CONTEXT, "answers": answers}
    path = write(tmp_path, "\n" + json.dumps(row) + "\n\n", "own.jsonl")
    (question,) = read_questions(path).examples
    assert question == Question("2", "Where?", CONTEXT, (Answer("Rome", 16),))


def test_keys_of_a_jsonl_have_other_names(tmp_path: Path) -> None:
    row = {"id": 7, "q": "Where?", "passage": CONTEXT, "gold": ["Rome"]}
    path = write(tmp_path, json.dumps(row), "own.jsonl.gz")
    (question,) = read_questions(path, keys=Keys("q", "passage", "gold")).examples
    assert (question.id, question.answers) == ("7", (Answer("Rome", 16),))


def test_answers_are_ignored(tmp_path: Path) -> None:
    rows = [{"question": "Where?", "context": CONTEXT}, asked(context=CONTEXT, answers="wrong")]
    path = write(tmp_path, "\n".join(map(json.dumps, rows)), "own.jsonl")
    questions = list(read_questions(path, "none").examples)
    assert [question.answers for question in questions] == [(), ()]
    assert not any(question.is_impossible for question in questions)


def test_answers_may_be_missing(tmp_path: Path) -> None:
    rows = [{"question": "Where?", "context": CONTEXT}, asked(context=CONTEXT)]
    path = write(tmp_path, "\n".join(map(json.dumps, rows)), "own.jsonl")
    first, second = read_questions(path, "optional").examples
    assert (first.answers, first.is_impossible) == ((), False)
    assert second.answers


def test_an_inexact_start_is_searched(tmp_path: Path) -> None:
    answers = [{"text": "Ben", "answer_start": 3, "exact": False}]
    (question,) = read_questions(write(tmp_path, squad(asked(answers=answers)))).examples
    assert question.answers == (Answer("Ben", 9),)


@pytest.mark.parametrize("content", [squad(asked()), json.dumps(asked(context=CONTEXT))])
def test_standard_input_has_either_format(content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    (question,) = read_questions(Path("-")).examples
    assert question == Question("q", "Who was late?", CONTEXT, (Answer("Ben", 22),))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
            st.integers(0, 29),
            st.integers(1, 30),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_texts_are_read_back(rows: list[tuple[str, int, int]]) -> None:
    written = []
    for number, (context, start, size) in enumerate(rows):
        context = f"x{context}x"
        start = min(start, len(context) - 1)
        answer = context[start : start + size]
        answers = (Answer(answer, start),) if answer.strip() else ()
        written.append(Question(str(number), f"?{context}", context, answers, not answers))
    paragraphs = [
        {
            "context": question.context,
            "qas": [
                {
                    "id": question.id,
                    "question": question.question,
                    "answers": [
                        {"text": each.text, "answer_start": each.start} for each in question.answers
                    ],
                }
            ],
        }
        for question in written
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), json.dumps({"data": [{"paragraphs": paragraphs}]}))
        assert list(read_questions(path).examples) == written


def test_lone_surrogates_do_not_move_answers(tmp_path: Path) -> None:
    context = "\ud83d is half. Rome"
    answers = [{"text": "Rome", "answer_start": context.index("Rome")}]
    path = write(tmp_path, squad(asked(answers=answers), context=context))
    (question,) = read_questions(path).examples
    assert question.context == "\ufffd is half. Rome"
    assert question.context[question.answers[0].start :] == "Rome"


def test_real_data(data_dir: Path) -> None:
    counts = {}
    for part in ("train", "test"):
        questions = read_questions(data_dir / "squad" / f"{part}.json.gz").examples
        counts[part] = len(questions)
        for question in questions:
            for answer in question.answers:
                assert question.context.startswith(answer.text, answer.start)
    assert counts == {"train": 7430, "test": 975}


# What is wrong is said


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            asked(answers=[{"text": "Ben", "answer_start": 3}]),
            "data[0].paragraphs[0].qas[0].answers[0]: the answer 'Ben' is not in its context at 3, "
            "but first at 9",
        ),
        (asked(answers=[{"text": "Carl", "answer_start": 3}]), "'Carl' is not in its context"),
        (asked(answers=[{"text": "Ben", "answer_start": -13}]), "not in its context at -13"),
        (asked(answers=[{"text": "Ben", "answer_start": "22"}]), "is a JSON text, not a whole"),
        (asked(answers=[{"text": "Ben", "answer_start": True}]), "is a JSON boolean, not a whole"),
        (asked(answers=[{"text": "Ben", "answer_start": 22.0}]), "is a JSON number, not a whole"),
        (asked(answers=[{"text": " ", "answer_start": 4}]), "the answer is empty"),
        (asked(answers=["Ben"]), "'Ben' occurs more than once in its context: 'answer_start'"),
        (asked(answers=[5]), "answers[0]: a JSON number where an object was expected"),
        (asked(answers=[{"answer_start": 5}]), "the key 'text' is missing"),
        (asked(answers={"text": ["Ben"]}), "the key 'answer_start' is missing"),
        (asked(answers={"text": ["Ben"], "answer_start": []}), "1 texts and 0 starts"),
        (asked(answers=None), "'answers' is a JSON null, not an array"),
        (asked(answers=[], is_impossible=False), "'is_impossible' is false, and there are no"),
        (asked(is_impossible=True), "'is_impossible' is true, and there are answers"),
        (asked(is_impossible="yes"), "'is_impossible' is a JSON text, not a boolean"),
        ({"id": "q", "question": "Who?"}, "qas[0]: the key 'answers' is missing"),
        ({"id": "q", "answers": []}, "the key 'question' is missing"),
        (asked(" "), "the question is empty"),
        (asked(question=3), "'question' is a JSON number, not a text"),
        ("no object", "qas[0]: a JSON text where an object was expected"),
    ],
)
def test_wrong_questions(question: Any, expected: str, tmp_path: Path) -> None:
    message = refusal(write(tmp_path, squad(question)))
    assert expected in message
    assert "Received 1 problem:" in message
    assert "Next: " in message


def test_all_problems_are_counted_and_five_shown(tmp_path: Path) -> None:
    wrong = [asked(answers=[{"text": f"no {i}", "answer_start": 0}]) for i in range(8)]
    message = refusal(write(tmp_path, squad(*wrong)))
    assert "Received 8 problems:" in message
    assert message.count("not in its context") == 5
    assert "and 3 more" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "expected JSON in SQuAD's format"),
        ('{"data": [', "expected JSON in SQuAD's format"),
        ("[" * 100_000, "expected a JSON array of objects"),
        ("[]", "at least one question"),
        ('{"rows": 1}', "Received: an object with the keys 'rows'"),
        ('{"data": 1}', "an object whose 'data' is an array of articles"),
        ('{"data": []}', "expected at least one question"),
        ('{"data": [{}]}', "data[0]: the key 'paragraphs' is missing"),
        ('{"data": [{"paragraphs": {}}]}', "'paragraphs' is a JSON object, not an array"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "the key 'context' is missing"),
        ('{"data": [{"paragraphs": [{"context": "x"}]}]}', "the key 'qas' is missing"),
    ],
)
def test_wrong_files(content: str, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(write(tmp_path, content))


def test_problems_have_line_numbers(tmp_path: Path) -> None:
    lines = [json.dumps(asked(context=CONTEXT)), "{", "[]", '{"question": "Who?", "answers": []}']
    message = refusal(write(tmp_path, "\n".join(lines), "own.jsonl"))
    assert "line 2: invalid JSON" in message
    assert "line 3: a JSON array where an object was expected" in message
    assert "line 4: the key 'context' is missing" in message


def test_a_truncated_gzip(tmp_path: Path) -> None:
    path = write(tmp_path, squad(*[asked(f"Who was {i}?") for i in range(200)]), "data.json.gz")
    path.write_bytes(path.read_bytes()[:-40])
    assert "copied completely" in refusal(path)


@pytest.mark.parametrize("name", ["data.json.gz", "data.json"])
def test_files_whose_name_has_the_wrong_ending(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xff\xfe no text")
    assert "Next: " in refusal(path)


def test_names_and_missing_files(tmp_path: Path) -> None:
    assert "ends in .json or .jsonl" in refusal(tmp_path / "data.tsv")
    assert "can't be read" in refusal(tmp_path / "data.json")


def test_an_array_of_questions_is_read_as_the_same_lines_are(tmp_path: Path) -> None:
    rows = [{"q": "Who?", "context": "It is Ben.", "answers": ["Ben"]}] * 2
    keys = Keys(question="q")
    array = write(tmp_path, json.dumps(rows, indent=1))
    lines = write(tmp_path, "\n".join(map(json.dumps, rows)), "data.jsonl")
    assert read_questions(array, keys=keys).examples == read_questions(lines, keys=keys).examples
    assert "item 2: a JSON null" in refusal(write(tmp_path, json.dumps([rows[0], None])), keys=keys)


def test_keys_of_questions_are_named_by_path(tmp_path: Path) -> None:
    row = {"in": {"q": "Who?", "c": "It is Ben."}, "out": [{"a": ["Ben"]}]}
    path = write(tmp_path, json.dumps([row]))
    (question,) = read_questions(path, keys=Keys("in.q", "in.c", "out.0.a")).examples
    assert question.question == "Who?" and question.answers == (Answer("Ben", 6),)
