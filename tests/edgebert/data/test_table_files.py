"""Reads tables: written files are read back, and problems are listed."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebert.data.columns import RowSpec
from edgebert.data.datasets import Example, read_dataset
from edgebert.data.labels import SCORE
from edgebert.data.table_files import read_rows
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings
from edgebert.tasks.recognition import SCORES, tasks_of_file

Rows = list[tuple[str, str]]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def refusal(path: Path | str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_dataset(path, **options)
    return str(caught.value)


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Gives the process another standard input."""

    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


# What is written is read


def as_tsv(rows: Rows) -> str:
    return "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows])


def as_csv(rows: Rows) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([("text", "label"), *rows])
    return buffer.getvalue()


def as_jsonl(rows: Rows) -> str:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)


def as_raw_jsonl(rows: Rows) -> str:
    return "".join(
        json.dumps({"label": label, "text": text}, ensure_ascii=False) + "\n"
        for text, label in rows
    )


def filled(excluded: str = "") -> st.SearchStrategy[str]:
    characters = st.characters(codec="utf-8", exclude_characters=excluded)
    return st.text(characters, min_size=1).filter(str.strip)


def labels(excluded: str = "") -> st.SearchStrategy[str]:
    return filled(excluded).map(str.strip)


def all_rows(excluded: str = "") -> st.SearchStrategy[Rows]:
    return st.lists(st.tuples(filled(excluded), labels(excluded)), min_size=1, max_size=8)


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize(
    ("ending", "form", "excluded"),
    [
        (".tsv", as_tsv, "\t\n"),
        (".csv", as_csv, ""),
        (".jsonl", as_jsonl, ""),
        (".jsonl", as_raw_jsonl, ""),
    ],
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(data=st.data())
def test_written_files_are_read_back(
    tmp_path: Path,
    ending: str,
    form: Callable[[Rows], str],
    excluded: str,
    packed: str,
    data: st.DataObject,
) -> None:
    rows = data.draw(all_rows(excluded))
    path = write(tmp_path, f"rows{ending}{packed}", form(rows))
    read = read_dataset(path)
    assert list(zip(read.texts, read.labels, strict=True)) == rows
    assert len(read) == len(rows)
    assert read.name == "rows" and read.path == path
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(texts=st.lists(filled("\n\r"), min_size=1))
def test_plain_text_is_read(tmp_path: Path, texts: list[str]) -> None:
    if texts[0].startswith("\ufeff"):
        texts[0] = "a" + texts[0]
    path = write(tmp_path, "lines.txt", "\n".join(texts))
    read = read_dataset(path, labels="none")
    assert list(read.texts) == texts
    assert set(read.labels) == {None}


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)
@given(
    data=st.binary(max_size=60),
    head=st.sampled_from([b"", b"text\tlabel\n", b'text,label\n"', b'{"text": "a"}\n']),
    ending=st.sampled_from([".tsv", ".csv", ".jsonl", ".txt"]),
    use=st.sampled_from(["required", "optional", "none"]),
)
def test_any_bytes_are_read_or_an_error(
    tmp_path: Path, data: bytes, head: bytes, ending: str, use: Any
) -> None:
    path = write(tmp_path, f"any{ending}", head + data)
    try:
        read = read_dataset(path, labels=use)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert all(text.strip() for text in read.texts)
        assert all(label is None or label == label.strip() for label in read.labels)
        assert use != "required" or None not in read.labels
        assert use != "none" or set(read.labels) == {None}


# What the formats are


def test_quotes_are_text_in_tsv(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'text\tlabel\n"unclosed\tyes\n""\tno\n')
    assert read_dataset(path).texts == ('"unclosed', '""')


def test_quoted_csv_fields_may_span_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'label,text\r\nyes,"one, ""two""\n\nthree"\r\nno,four\r\n')
    read = read_dataset(path)
    assert read.examples == (Example('one, "two"\n\nthree', "yes"), Example("four", "no"))


def test_line_ends_byte_order_mark_and_empty_lines(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf\r\ntext\tlabel\r\n\r\none\tyes\r\n\r\ntwo\tno\r\n\r\n\r\n"
    for name in ("a.tsv", "a.tsv.gz", "A.TSV"):
        assert read_dataset(write(tmp_path, name, content)).texts == ("one", "two")


def test_only_line_feeds_end_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\none\u2028\x0b\x85\rtwo\tyes\n")
    assert read_dataset(path).texts == ("one\u2028\x0b\x85\rtwo",)


def test_texts_are_unchanged_and_labels_are_trimmed(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\n  one \t yes \n")
    assert read_dataset(path).examples == (Example("  one ", "yes"),)


def test_json_values_as_labels(tmp_path: Path) -> None:
    values = [1, -2, 3.5, True, False, "four"]
    content = "".join(json.dumps({"text": "a", "label": value}) + "\n\n" for value in values)
    read = read_dataset(write(tmp_path, "a.jsonl", content))
    assert read.labels == ("1", "-2", "3.5", "true", "false", "four")


def test_lone_surrogates_of_json_are_replaced(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "a\\ud83d", "label": "\\ude00 b"}\n')
    assert read_dataset(path).examples == (Example("a\ufffd", "\ufffd b"),)


# Columns


@pytest.mark.parametrize("text", ["text", "sentence", "utterance", "review", "Query", " TEXT "])
@pytest.mark.parametrize("label", ["label", "intent", "category", "Class"])
def test_columns_are_found_by_name(tmp_path: Path, text: str, label: str) -> None:
    path = write(tmp_path, "a.tsv", f"id\t{label}\t{text}\textra\n1\tyes\tone\tx\n")
    assert read_dataset(path).examples == (Example("one", "yes"),)


def test_named_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,premise,label,gold\n1,one,2,yes\n")
    assert read_dataset(path, text_column="premise", label_column="gold").examples == (
        Example("one", "yes"),
    )


def test_json_keys_may_first_occur_in_later_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "one"}\n{"text": "two", "intent": "yes"}\n')
    assert read_dataset(path, labels="optional").labels == (None, "yes")


@pytest.mark.parametrize(
    ("header", "options", "expected"),
    [
        ("phrase\tgold", {}, ["for the text (--text-column", "for the label (--label-column"]),
        ("text\treview\tlabel", {}, ["--text-column", "'text', 'review', 'label'"]),
        ("text\tintent\tclass", {}, ["--label-column", "'intent', 'class'"]),
        ("text\tintent\tclass", {"labels": "optional"}, ["--label-column"]),
        ("text\tgold", {}, ["--label-column", "'text', 'gold'"]),
        ("text\tlabel", {"text_column": "Text"}, ["the column 'Text' for the text"]),
        ("text\tlabel", {"label_column": "x", "labels": "optional"}, ["the column 'x'"]),
        ("text\ttext\tlabel", {"text_column": "text"}, ["--text-column"]),
    ],
)
def test_unclear_columns(
    tmp_path: Path, header: str, options: dict[str, Any], expected: list[str]
) -> None:
    message = refusal(write(tmp_path, "a.tsv", f"{header}\n1\t2\n"), **options)
    assert all(part in message for part in (*expected, "Received the columns:", "Next:")), message


# Labels or none


def test_optional_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\none\tyes\ntwo\t \n")
    assert read_dataset(path, labels="optional").labels == ("yes", None)
    assert read_dataset(path, labels="none").labels == (None, None)
    bare = write(tmp_path, "b.tsv", "text\none\n")
    assert read_dataset(bare, labels="optional").labels == (None,)
    assert "--label-column" in refusal(bare)


def test_plain_text_has_no_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "one\n")
    assert "without labels" in refusal(path)
    with pytest.raises(UsageError, match="no columns"):
        read_dataset(path, text_column="text", labels="none")


def test_unknown_use_of_labels(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'maybe'"):
        read_dataset(tmp_path / "a.tsv", labels="maybe")  # type: ignore[arg-type]


# Standard input


def test_standard_input_as_lines(stdin: Callable[[bytes], None]) -> None:
    stdin(b"one\r\ntwo {x}\n")
    read = read_dataset("-", labels="none")
    assert read.texts == ("one", "two {x}")
    assert (read.name, read.path) == ("stdin", Path("-"))
    assert read.sha256 == hashlib.sha256(b"one\r\ntwo {x}\n").hexdigest()


def test_standard_input_as_jsonl(stdin: Callable[[bytes], None]) -> None:
    stdin(b'\xef\xbb\xbf\n {"text": "one", "label": 1}\n')
    assert read_dataset("-").examples == (Example("one", "1"),)


@pytest.mark.parametrize(
    ("data", "use", "expected"),
    [
        (b"one\n", "required", "standard input: expected a text and a label in every row"),
        (b"", "none", "standard input: expected at least one row"),
        (b"one\n\ntwo\n", "none", "line 2: empty text"),
        (b'{"text": 1}\n', "none", "line 1: the text is a JSON number"),
    ],
)
def test_broken_standard_input(
    stdin: Callable[[bytes], None], data: bytes, use: str, expected: str
) -> None:
    stdin(data)
    assert expected in refusal("-", labels=use)


# Broken files


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", "text\tlabel\none\n", "line 2: 1 columns, the header has 2"),
        (
            "a.tsv",
            "text\tlabel\none\ttwo\tyes\n",
            "line 2: 3 columns, the header has 2 (TSV has no quoting",
        ),
        ("a.tsv", "text\tlabel\none\t\n", "line 2: missing label"),
        ("a.tsv", "text\tlabel\n \tyes\n", "line 2: empty text"),
        (
            "a.tsv",
            b"text\tlabel\none\tyes\ncaf\xe9\tyes\n",
            "line 3: not UTF-8 (byte 0xe9 at offset 22)",
        ),
        ("a.tsv.gz", b"text\tlabel\n\xff\tyes\n", "line 2: not UTF-8 (byte 0xff at offset 11)"),
        ("a.tsv", "text\tlabel\n".encode("utf-16")[:-1], "expected text in utf-16. Received: "),
        ("a.tsv", "", "at least one row of text. Received: an empty file"),
        ("a.jsonl.gz", "", "Received: an empty file"),
        ("a.csv", "\n\n", "Received: only a header or empty lines"),
        ("a.tsv", "text\tlabel\n\n", "Received: only a header or empty lines"),
        ("a.csv", "text,label\none,two,yes\n", "a text with a comma needs quotes"),
        ("a.csv", 'text,label\n"a\n\nb",yes,3\nfour\n', "line 2: 3 columns"),
        ("a.csv", 'text,label\n"a\n\nb",yes,3\nfour\n', "line 5: 1 columns"),
        ("a.csv", 'text,label\n\n"one,yes\ntwo,no\n', "line 3: no valid CSV from here on"),
        ("a.csv", 'text,label\n"one"x,yes\n', "line 2: no valid CSV from here on"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": \n', "line 2: invalid JSON"),
        ("a.jsonl", '{"text": "a", "label": NaN}\n', "NaN is no JSON value"),
        ("a.jsonl", "[" * 100_000 + "\n", "line 1: invalid JSON"),
        ("a.jsonl", '["a", "b"]\n', "line 1: a JSON array where an object was expected"),
        ("a.jsonl", '{"text": "a", "label": [1]}\n', "line 1: the label is a JSON array"),
        ("a.jsonl", '{"text": {}, "label": 1}\n', "line 1: the text is a JSON object"),
        ("a.jsonl", '{"text": true, "label": 1}\n', "line 1: the text is a JSON boolean"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "a"}\n', "line 2: missing label"),
        ("a.jsonl", '{"text": "a", "label": null}\n', "line 1: missing label"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"label": 1}\n', "line 2: empty text"),
        ("a.xlsx", "PK", "ends in .tsv, .csv, .jsonl, .json, .txt"),
        ("a.json", '[{"text": "a", "label": 1}, 2]', "item 2: a JSON number where an object was"),
        ("a.json", '[{"text": "a", "label": 1}, {"text": "b"}]', "item 2: missing label"),
        ("a.json", '[{"text": "a", "label": 1}', "a JSON array of objects. Received: invalid JSON"),
        ("a.json", '{"text": "a", "label": 1}', "Received: a JSON object. Next: write the rows"),
        ("a.json", b'[{"text": "caf\xe9"}]', "line 1: not UTF-8 (byte 0xe9 at offset 14)"),
        ("a.json", "[]", "at least one row of text"),
        ("a", "text", "Received: 'a'"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    path = write(tmp_path, name, content)
    message = refusal(path)
    assert expected in message
    assert str(path) in message


def test_all_problems_are_counted(tmp_path: Path) -> None:
    rows = b"".join(b"%d\t\n" % row for row in range(7))
    path = write(tmp_path, "a.tsv", b"text\tlabel\n\xff\ta\n" + rows + b"one\n")
    message = refusal(path)
    assert "Received 9 problems:\n  line 2: not UTF-8" in message
    assert "--encoding windows-1252" in message
    assert "line 3: missing label" in message and "line 6: missing label" in message
    assert "line 7" not in message and "and 4 more" in message and "Next:" in message


def test_a_broken_header_is_the_reported_problem(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", b"t\xffxt\tlabel\none\tyes\n\xff\n")
    assert "Received 2 problems:\n  line 1: not UTF-8" in refusal(path)


def test_an_empty_line_in_plain_text_is_an_empty_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "one\n\ntwo\n\n\n")
    assert "Received 1 problem:\n  line 2: empty text" in refusal(path, labels="none")
    column = write(tmp_path, "a.csv", "text\none\n\ntwo\n\n\n")
    assert "line 3: empty text" in refusal(column, labels="none")


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "nowhere.tsv")
    (tmp_path / "folder.tsv").mkdir()
    assert "can't be read" in refusal(tmp_path / "folder.tsv")
    whole = gzip.compress(b"text\tlabel\none\tyes\n" * 50)
    for name, data in (("cut.tsv.gz", whole[:-9]), ("plain.tsv.gz", b"text\tlabel\none\tyes\n")):
        (tmp_path / name).write_bytes(data)
        assert "copied completely" in refusal(tmp_path / name)
    (tmp_path / "bits.tsv.gz").write_bytes(whole[:12] + b"\xff" * 8 + whole[20:])
    assert "copied completely" in refusal(tmp_path / "bits.tsv.gz")


@given(
    rows=st.lists(
        st.tuples(st.text(min_size=1).filter(str.strip), st.sampled_from("ab")), min_size=1
    )
)
def test_a_csv_with_semicolons(rows: Rows) -> None:
    rows = [
        (text.replace("\0", "0").encode("utf-8", "replace").decode(), label) for text, label in rows
    ]
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=";").writerows([("text", "label"), *rows])
    with TemporaryDirectory() as folder:
        read = read_dataset(write(Path(folder), "a.csv", buffer.getvalue()))
    assert [(example.text, example.label) for example in read.examples] == rows


def test_scores_in_a_csv_with_semicolons_may_have_decimal_commas(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", '\ntext;score\n1,5 stars;4,5\n"a;b";-3\n')
    rows = read_rows(path, DataSettings(), RowSpec(SCORE)).rows
    assert list(rows) == [("1,5 stars", None, 4.5), ("a;b", None, -3.0)]
    assert tasks_of_file(path, DataSettings()) == SCORES


def test_a_comma_separates_where_the_header_is_not_clear(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label;x\na;b,yes\n")
    assert read_dataset(path, label_column="label;x").examples[0] == Example("a;b", "yes")
    many = write(tmp_path, "b.csv", "text;label\na;b;c\n")
    assert "line 2: 3 columns, the header has 2 (a text with a semicolon" in refusal(many)


JSON_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


@given(rows=st.lists(st.tuples(JSON_TEXTS, st.sampled_from("ab")), min_size=1), is_indented=...)
def test_a_json_array_of_objects(rows: Rows, is_indented: bool) -> None:
    content = json.dumps(
        [{"text": text, "label": label} for text, label in rows], indent=2 if is_indented else None
    )
    with TemporaryDirectory() as folder:
        read = read_dataset(write(Path(folder), "a.json", content))
    assert [(example.text, example.label) for example in read.examples] == rows
