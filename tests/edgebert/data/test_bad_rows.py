"""Rows with problems: refused, or left out and listed by `skip_bad_rows`, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.data.datasets import Dataset
from edgebert.errors import DataError
from edgebert.settings import DataSettings
from edgebert.tasks import task_named

SKIP = DataSettings(skip_bad_rows=True)


def read(task: str, path: Path, content: str | bytes, columns: DataSettings = SKIP) -> Dataset:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return task_named(task).read(path, columns, "required")


CASES: list[tuple[str, str, str | bytes, list[str], list[str]]] = [
    (
        "classification",
        "a.tsv",
        b"text\tlabel\na\tx\n\tx\nb\t\nc\ty\tz\n\xff\tx\nd\ty\n",
        ["a", "d"],
        ["line 3", "line 4", "line 5", "line 6"],
    ),
    (
        "pairs",
        "a.csv",
        b'premise,hypothesis,label\na,b,x\n"two\nlines \xff\nhere",c,x\nd,,x\ne,f,y\n',
        ["a", "e"],
        ["line 4", "line 6"],
    ),
    (
        "multi-label",
        "a.jsonl",
        '{"text": "a", "labels": ["x"]}\n{"text": 1}\nnull\n{\n{"text": "b", "labels": []}\n',
        ["a", "b"],
        ["line 2", "line 3", "line 4"],
    ),
    (
        "regression",
        "a.json",
        '[{"text": "a", "score": 1}, {"text": "b", "score": "high"}, 3]',
        ["a"],
        ["item 2", "item 3"],
    ),
    (
        "embeddings",
        "a.tsv",
        "anchor\tpositive\tnegative\na\tb\tc\nd\te\t\nf\t\tg\nh\ti\tj\n",
        ["a", "h"],
        ["line 3", "line 4"],
    ),
    (
        "ner",
        "a.conll",
        b"a\tO\nb\tB-X\n\nc\tO\nd\n\ne\tI-X\n\n\xff\tO\nf\tO\n\ng\tO\n",
        ["a b", "g"],
        ["line 5", "line 7", "line 9"],
    ),
    (
        "ner",
        "a.jsonl",
        '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["b"], "tags": []}\n[\n',
        ["a"],
        ["line 2", "line 3"],
    ),
    (
        "pos",
        "a.json",
        '[{"tokens": ["a", "b"], "tags": ["X", "Y"]}, {"tokens": ["c"]}]',
        ["a b"],
        ["item 2"],
    ),
    (
        "qa",
        "a.jsonl",
        b'{"question": "q", "context": "a b", "answers": ["b"]}\n{"question": "\xff"}\n'
        b'{"question": "", "context": "a", "answers": ["z"]}\n',
        ["q"],
        ["line 2", "line 3"],
    ),
]


@pytest.mark.parametrize(("task", "name", "content", "texts", "places"), CASES)
def test_bad_rows_are_left_out_and_listed(
    tmp_path: Path,
    task: str,
    name: str,
    content: str | bytes,
    texts: list[str],
    places: list[str],
) -> None:
    data = read(task, tmp_path / name, content)
    assert list(data.texts) == texts
    assert (
        sorted(problem.partition(":")[0].partition(".")[0] for problem in data.left_out) == places
    )
    with pytest.raises(DataError, match=r"Received \d problem|byte 0xff"):
        read(task, tmp_path / name, content, DataSettings())


def test_running_text(tmp_path: Path) -> None:
    data = read("masked-lm", tmp_path / "a.txt", b"\xff\none\n\xfe\ntwo\n\n\xff\nthree\n")
    assert [document.sentences for document in data.examples] == [("one", "two"), ("three",)]
    assert [problem.partition(":")[0] for problem in data.left_out] == [
        "line 1",
        "line 3",
        "line 6",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", b"te\xffxt\tlabel\na\tx\n"),
        ("a.csv", b"te\xffxt,label\na,x\n"),
        ("a.csv", b'text,label\na,x\n"open,x\n'),
        ("a.json", b'[{"text": "a", "label": "\xff"}]'),
        ("a.json", b'[{"text": "a", "label": "b"}'),
        ("a.tsv", b"text\tlabel\n\tx\n"),
    ],
)
def test_what_no_row_survives_is_still_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(DataError):
        read("classification", tmp_path / name, content)


def test_a_file_without_problems_leaves_nothing_out(tmp_path: Path) -> None:
    assert read("classification", tmp_path / "a.tsv", "text\tlabel\na\tx\n").left_out == ()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(['{"text": "a", "label": "x"}', "[1]", "{", '{"text": ""}', "\udcff"]))
)
def test_good_and_bad_rows_add_up(tmp_path_factory: Any, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    path.write_bytes(
        "\n".join([json.dumps({"text": "b", "label": "y"}), *lines]).encode(
            "utf-8", "surrogateescape"
        )
    )
    data = task_named("classification").read(path, SKIP, "required")
    assert len(data) + len(data.left_out) == len(lines) + 1
    assert len(data) == 1 + sum('"label"' in line for line in lines)
