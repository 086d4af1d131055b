"""Data files in other encodings than UTF-8 have the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.data.conll_files import read_tagged
from edgebert.data.datasets import Example, read_labelled
from edgebert.data.squad_files import read_questions
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings
from edgebert.tasks import task_named
from edgebert.tasks.recognition import tasks_of_file

TEXTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n\ufeff")).filter(str.strip),
    min_size=1,
)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@given(texts=TEXTS)
def test_rows_are_the_same_in_every_encoding(encoding: str, texts: list[str]) -> None:
    content = "text\tlabel\n" + "".join(f"{text}\tyes\n" for text in texts)
    named = DataSettings(encoding=encoding if encoding in ("utf-16-le", "utf-32") else "")
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.tsv")
        path.write_bytes(content.encode(encoding))
        read = read_labelled(path, named, "required")
    assert list(read.examples) == [Example(text, "yes") for text in texts]


def test_big_endian_utf16_is_known_by_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(("\ufeff" + "text,label\ncafé,yes\n").encode("utf-16-be"))
    assert read_labelled(path, DataSettings(), "required").examples[0] == Example("café", "yes")


def test_windows_1252_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("text\tlabel\n“5 €”\tyes\n".encode("windows-1252"))
    with pytest.raises(DataError, match="--encoding windows-1252"):
        read_labelled(path, DataSettings(), "required")
    read = read_labelled(path, DataSettings(encoding="windows-1252"), "required")
    assert read.examples[0] == Example("“5 €”", "yes")


def test_a_mark_has_precedence_over_the_named_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\ncafé\tyes\n", encoding="utf-8-sig")
    read = read_labelled(path, DataSettings(encoding="windows-1252"), "required")
    assert read.examples[0] == Example("café", "yes")


@pytest.mark.parametrize("encoding", ["windows1252x", "base64", "a\0b"])
def test_an_unknown_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\none\tyes\n")
    with pytest.raises(UsageError, match="--encoding: expected"):
        read_labelled(path, DataSettings(encoding=encoding), "required")


def test_a_byte_that_windows_1252_does_not_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"text\tlabel\n\x81\tyes\n")
    with pytest.raises(DataError, match=r"expected text in cp1252.*0x81"):
        read_labelled(path, DataSettings(encoding="windows-1252"), "required")


def test_tagged_words_and_questions(tmp_path: Path) -> None:
    words = tmp_path / "a.conll"
    words.write_text("Köln B-LOC\nist O\n", encoding="utf-16")
    assert read_tagged(words).examples[0].words == ("Köln", "ist")
    assert tasks_of_file(words, DataSettings())[0] == "ner"
    row = {"question": "où?", "context": "Là.", "answers": {"text": ["Là"], "answer_start": [0]}}
    questions = tmp_path / "a.jsonl"
    questions.write_bytes(json.dumps(row, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(DataError, match="--encoding windows-1252"):
        read_questions(questions)
    assert read_questions(questions, encoding="latin-1").examples[0].question == "où?"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", ""])
def test_running_text_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    text = "Où?\nLà.\n\nCafé.\n"
    path.write_bytes(text.encode(encoding or "utf-8-sig"))
    columns = DataSettings(encoding="" if encoding == "utf-16" else encoding)
    read = task_named("masked-lm").read(path, columns, "required").examples
    expected = [("Où?", "Là."), ("Café.",)]
    assert [document.sentences for document in read] == expected
    assert [document.sentences for document in read[:1]] == expected[:1]
    assert read[1].sentences == expected[1]
