"""Columns of tables: pairs of texts, lists of labels, scores; found by name, or an error."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebert.data.columns import PAIR_COLUMNS, RowSpec, with_paths
from edgebert.data.datasets import Example, read_dataset, read_labelled, read_table
from edgebert.data.labels import LABEL_LIST, ONE_LABEL, SCORE
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings
from edgebert.tasks.recognition import tasks_of_file

PAIRS = RowSpec(ONE_LABEL, pairs=True)
NAMED = DataSettings()


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_bytes(content.encode())
    return path


def rows(path: Path, wanted: RowSpec, columns: DataSettings = NAMED) -> list[tuple[Any, Any, Any]]:
    """Text, second text and label of each row."""
    read = read_table(path, columns, wanted, lambda text, label, pair: (text, pair, label))
    return list(read.examples)


def refusal(path: Path, wanted: RowSpec, columns: DataSettings = NAMED) -> str:
    with pytest.raises(DataError) as caught:
        rows(path, wanted, columns)
    return str(caught.value)


# Pairs


def as_tsv(table: list[tuple[str, ...]]) -> str:
    return "".join("\t".join(row) + "\n" for row in table)


def as_csv(table: list[tuple[str, ...]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(table)
    return buffer.getvalue()


def as_jsonl(table: list[tuple[str, ...]]) -> str:
    return "".join(json.dumps(dict(zip(table[0], row, strict=True))) + "\n" for row in table[1:])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@pytest.mark.parametrize(
    ("ending", "form", "excluded"),
    [("tsv", as_tsv, "\t\n"), ("csv", as_csv, ""), ("jsonl", as_jsonl, "")],
)
@given(data=st.data(), names=st.sampled_from(PAIR_COLUMNS))
def test_written_pairs_are_read_back(
    tmp_path: Path,
    ending: str,
    form: Callable[[list[tuple[str, ...]]], str],
    excluded: str,
    data: st.DataObject,
    names: tuple[str, str],
) -> None:
    characters = st.characters(codec="utf-8", exclude_characters=excluded)
    text = st.text(characters, min_size=1).filter(str.strip)
    table = data.draw(st.lists(st.tuples(text, text, text.map(str.strip)), min_size=1, max_size=5))
    path = write(tmp_path, f"pairs.{ending}", form([(*names, "label"), *table]))
    assert rows(path, PAIRS) == table
    assert rows(path, RowSpec(ONE_LABEL)) == table


@pytest.mark.parametrize(("first", "second"), PAIR_COLUMNS)
def test_columns_of_pairs_are_found_by_name(tmp_path: Path, first: str, second: str) -> None:
    path = write(tmp_path, "a.tsv", f"id\t{second}\t {first.upper()}\tlabel\n1\ttwo\tone\tyes\n")
    assert rows(path, PAIRS) == [("one", "two", "yes")]
    assert read_dataset(path).examples == (Example("one", "yes", "two"),)
    assert read_dataset(path).task == "pairs"
    assert read_dataset(path, text_column=second).task == "classification"


@pytest.mark.parametrize(
    ("header", "columns", "expected"),
    [
        ("a\tb\tlabel", DataSettings("a", "b"), ("1", "2")),
        ("text\tb\tlabel", DataSettings(pair_column="b"), ("1", "2")),
        ("sentence1\tb\tlabel", DataSettings(pair_column="b"), ("1", "2")),
        ("hypothesis\tpremise\tlabel", DataSettings("premise"), ("2", "1")),
        ("sentence1\tsentence2\tlabel", DataSettings("sentence2", "sentence1"), ("2", "1")),
    ],
)
def test_named_columns_of_pairs(
    tmp_path: Path, header: str, columns: DataSettings, expected: tuple[str, str]
) -> None:
    assert rows(write(tmp_path, "a.tsv", f"{header}\n1\t2\tyes\n"), PAIRS, columns) == [
        (*expected, "yes")
    ]


def test_only_a_named_text_column_gives_single_texts(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "sentence1\tsentence2\tlabel\none\ttwo\tyes\n")
    assert read_dataset(path, text_column="sentence2").examples == (Example("two", "yes"),)
    assert read_dataset(path, text_column="sentence2", pair_column="sentence1").examples == (
        Example("two", "yes", "one"),
    )


@pytest.mark.parametrize(
    ("header", "columns", "expected"),
    [
        ("text\tother\tlabel", NAMED, ["two columns for the texts", "sentence1 and sentence2"]),
        ("premise\thypothesis\tquestion1\tquestion2\tlabel", NAMED, ["--pair-column"]),
        ("text\tother\tlabel", DataSettings(pair_column="x"), ["the column 'x' for the second"]),
        ("text\tother\tlabel", DataSettings("other"), ["for the second text (--pair-column"]),
        ("a\tb\tlabel", DataSettings(pair_column="b"), ["for the text (--text-column"]),
        ("text\tother\tlabel", DataSettings("text", "text"), ["the column 'text' for the text"]),
    ],
)
def test_unclear_columns_of_pairs(
    tmp_path: Path, header: str, columns: DataSettings, expected: list[str]
) -> None:
    row = "\t".join("1" for _ in header.split("\t"))
    message = refusal(write(tmp_path, "a.tsv", f"{header}\n{row}\n"), PAIRS, columns)
    assert all(part in message for part in (*expected, "Received the columns:", "Next:")), message


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", "text1\ttext2\tlabel\none\t \tyes\n", "line 2: empty second text"),
        ("a.jsonl", '{"text1": "a", "text2": "b", "label": 1}\n{"text1": "a", "label": 1}\n',
         "line 2: empty second text"),
        ("a.jsonl", '{"text1": "a", "text2": 2, "label": 1}\n', "the second text is a JSON number"),
        ("a.tsv", "text1\ttext2\tlabel\n\ttwo\tyes\n", "line 2: empty text"),
        ("a.tsv", "text1\ttext2\tlabel\none\ttwo\t\n", "line 2: missing label"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wanted", [PAIRS, RowSpec(ONE_LABEL)])
def test_rows_with_missing_values(
    tmp_path: Path, name: str, content: str, expected: str, wanted: RowSpec
) -> None:
    message = refusal(write(tmp_path, name, content), wanted)
    assert expected in message and "and a label in every row" in message


def test_one_text_per_line_has_no_pairs(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "one\n")
    assert "without second texts" in refusal(path, replace(PAIRS, labels="none"))
    with pytest.raises(UsageError, match="no column names"):
        rows(path, RowSpec(ONE_LABEL, "none"), DataSettings(pair_column="b"))


@pytest.mark.parametrize(
    ("name", "count", "label"),
    [("mrpc/train.tsv.gz", 3667, "1"), ("mrpc/test.tsv", 1380, "1"), ("rte/dev.tsv", 221, None)],
)
def test_pairs_of_glue(data_dir: Path, name: str, count: int, label: str | None) -> None:
    read = rows(data_dir / name, PAIRS)
    assert len(read) == count and all(pair for _, pair, _ in read)
    assert label in (None, read[0][2])
    assert {row[2] for row in read} in ({"0", "1"}, {"entailment", "not_entailment"})


# Lists of labels


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ('["a", "b"]', ("a", "b")),
        ("[]", ()),
        ('"a|b"', ("a", "b")),
        ('" b | a |b|"', ("b", "a")),
        ('""', ()),
        ("3", ("3",)),
        ("[true, 2, \"x\", 2]", ("true", "2", "x")),
        ('["a|b"]', ("a|b",)),
    ],
)  # fmt: skip
def test_lists_of_labels(tmp_path: Path, cell: str, labels: tuple[str, ...]) -> None:
    path = write(tmp_path, "a.jsonl", f'{{"text": "one", "labels": {cell}}}\n')
    assert rows(path, RowSpec(LABEL_LIST)) == [("one", None, labels)]


def test_lists_of_labels_in_tables(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\ttags\none\tb|a\ntwo\t\nthree\ta,b\n")
    wanted = RowSpec(LABEL_LIST)
    assert [label for _, _, label in rows(path, wanted)] == [("b", "a"), (), ("a,b",)]
    commas = DataSettings(label_separator=",")
    assert [label for _, _, label in rows(path, wanted, commas)] == [("b|a",), (), ("a", "b")]
    with pytest.raises(UsageError, match="label_separator"):
        rows(path, wanted, DataSettings(label_separator=""))


def test_a_column_of_labels_has_precedence_over_a_column_of_one_label(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\tlabels\none\tx\ta|b\n")
    assert rows(path, RowSpec(LABEL_LIST))[0][2] == ("a", "b")
    assert rows(path, RowSpec(ONE_LABEL))[0][2] == "x"
    single = write(tmp_path, "b.tsv", "text\tlabel\none\tx\n")
    assert rows(single, RowSpec(LABEL_LIST))[0][2] == ("x",)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('["a", {}]', "line 1: a JSON object among the labels"),
        ('["a", null]', "line 1: a JSON null among the labels"),
        ('[["a"]]', "line 1: a JSON array among the labels"),
        ('[""]', "line 1: an empty text among the labels"),
        ("{}", "line 1: the labels are a JSON object"),
        ("null", "line 1: missing labels"),
    ],
)
def test_broken_lists_of_labels(tmp_path: Path, cell: str, expected: str) -> None:
    path = write(tmp_path, "a.jsonl", f'{{"text": "one", "labels": {cell}}}\n')
    message = refusal(path, RowSpec(LABEL_LIST))
    assert expected in message and "a text and labels in every row" in message


def test_a_list_instead_of_one_label(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "one", "label": ["a"]}\n')
    assert "--task multi-label" in refusal(path, RowSpec(ONE_LABEL))


# Scores


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(scores=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
def test_written_scores_are_read_back(tmp_path: Path, scores: list[float]) -> None:
    tsv = write(tmp_path, "a.tsv", "text\tscore\n" + "".join(f"one\t {s!r}\n" for s in scores))
    lines = "".join(json.dumps({"text": "one", "score": score}) + "\n" for score in scores)
    for path in (tsv, write(tmp_path, "a.jsonl", lines)):
        assert [label for _, _, label in rows(path, RowSpec(SCORE))] == scores


@pytest.mark.parametrize("name", ["score", "Similarity", " rating", "label"])
def test_columns_of_scores(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "a.tsv", f"sentence1\tsentence2\t{name}\na\tb\t2.5\n")
    assert rows(path, RowSpec(SCORE)) == [("a", "b", 2.5)]


def test_a_score_column_has_precedence_over_a_label_column(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\tscore\none\tgood\t2\n")
    assert rows(path, RowSpec(SCORE))[0][2] == 2.0
    both = write(tmp_path, "b.tsv", "text\trating\tscore\none\t1\t2\n")
    assert "one column that is named score, similarity, rating" in refusal(both, RowSpec(SCORE))


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ('"good"', 'line 1: the score is no number: "good"'),
        ('"2,5"', "the score is no number"),
        ('"nan"', "the score is no number"),
        ('"inf"', "the score is no number"),
        ("true", "the score is no number: true"),
        ("[1]", "the score is no number: [1]"),
        ("{}", "the score is no number"),
        ("1" + 400 * "0", "the score is no number"),
        ('" "', "line 1: missing score"),
        ("null", "line 1: missing score"),
    ],
)
def test_broken_scores(tmp_path: Path, cell: str, problem: str) -> None:
    path = write(tmp_path, "a.jsonl", f'{{"text": "one", "score": {cell}}}\n')
    message = refusal(path, RowSpec(SCORE))
    assert problem in message and "a text and a score in every row" in message


def test_scores_of_glue(data_dir: Path) -> None:
    read = rows(data_dir / "stsb" / "train.tsv.gz", RowSpec(SCORE))
    assert len(read) == 5749 and read[0][1:] == ("An air plane is taking off.", 5.0)
    assert 0 <= min(row[2] for row in read) < max(row[2] for row in read) == 5


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="."))


@given(parts=st.lists(st.one_of(KEYS, st.integers(0, 3)), min_size=1))
def test_a_path_finds_the_value_of_nested_objects_and_arrays(parts: list[str | int]) -> None:
    path = ["first", *parts]
    value: Any = "the value"
    for part in reversed(path):
        value = {part: value} if isinstance(part, str) else [*[None] * part, value]
    name = ".".join(map(str, path))
    assert with_paths(value, [name, ""]) == value | {name: "the value"}
    assert with_paths(value | {name: 1}, [name]) == value | {name: 1}


@pytest.mark.parametrize("name", ["a.x", "a.b.3", "a.b.-1", "a.b.x", "a.b.0.c", "a." + "9" * 5000])
def test_a_path_without_a_value_is_left_out(name: str) -> None:
    for row in ({"a": {"b": ["one", 2]}}, {"a": [1]}):
        assert with_paths(row, [name]) == row


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_columns_of_json_are_named_by_path(tmp_path: Path, ending: str) -> None:
    items = [{"data": {"text": "one"}, "labels": ["yes"]}, {"data": {"text": "two"}, "labels": []}]
    path = tmp_path / f"a.{ending}"
    named = DataSettings(text_column="data.text", label_column="labels.0")
    path.write_text(json.dumps(items) if ending == "json" else "\n".join(map(json.dumps, items)))
    assert tasks_of_file(path, named)[0] == "classification"
    read = read_labelled(path, named, "optional")
    assert [(e.text, e.label) for e in read.examples] == [("one", "yes"), ("two", None)]
    with pytest.raises(DataError, match=r"the column 'data\.words'"):
        read_labelled(path, DataSettings(text_column="data.words"), "none")
