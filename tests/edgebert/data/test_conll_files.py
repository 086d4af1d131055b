"""Tagged sentences: what is read, what is skipped, and the problems of a file."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgebert.data.conll_files import TaggedSentence, has_tokens, read_tagged
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings

Sentences = list[tuple[tuple[str, ...], tuple[str | None, ...]]]


def read(path: Path, text_column: str = "", label_column: str = "", **how: Any) -> Sentences:
    columns = DataSettings(text_column, label_column=label_column)
    return [(item.words, item.tags) for item in read_tagged(path, columns, **how).examples]


def problems(path: Path, **how: Any) -> list[str]:
    """The lines of the message that list problems."""
    with pytest.raises(DataError) as caught:
        read_tagged(path, **how)
    return [line.strip() for line in str(caught.value).split("\n")[1:-1]]


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(text: str | bytes, name: str = "data.conll") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


TWO: Sentences = [(("turn", "it", "off"), ("O", "O", "B-X")), (("now",), ("O",))]


@pytest.mark.parametrize(
    "text",
    [
        "turn\tO\nit\tO\noff\tB-X\n\nnow\tO\n",
        "turn\tO\r\nit\tO\r\noff\tB-X\r\n\r\nnow\tO",
        "\n\nturn O\nit  O\noff B-X\n \t\n\nnow O\n\n\n",
        "\ufeffturn\tx\tO\nit\ty\tO\noff\t\tB-X\n\nnow\tx\tO\n",
        "-DOCSTART- -X- O\n\nturn VB O\nit PRP O\noff RP B-X\n\n-DOCSTART- -X- O\n\nnow RB O\n",
        "-DOCSTART-\nturn\tO\nit\tO\noff\tB-X\n-DOCSTART-\nnow\tO\n",
        "# newdoc id = 1\n# text = turn it off\nturn\tO\nit\tO\noff\tB-X\n\n# sent 2\nnow\tO\n",
        "# sent_id = 1\nturn x y O\nit x y O\noff x y B-X\n\n# sent_id = 2\nnow x y O\n",
    ],
)
def test_columns(file: Any, text: str) -> None:
    assert read(file(text), entities=True) == TWO
    assert [words for words, _ in read(file(text), labels="none")] == [words for words, _ in TWO]


def test_the_text_of_a_sentence_has_single_spaces(file: Any) -> None:
    data = read_tagged(file("turn\tO\nit\tO\n\nnow\tO\n"))
    assert data.texts == ("turn it", "now")
    assert data.name == "data"


def test_words_that_look_like_comments_are_kept(file: Any) -> None:
    text = "#\tO\n#win\tO\n\n#win\tO\n# 1\tO\n\n# 1\tO\n"
    assert read(file(text)) == [
        (("#", "#win"), ("O", "O")),
        (("#win", "# 1"), ("O", "O")),
        (("# 1",), ("O",)),
    ]
    assert read(file("# O\nof O\n# O\n")) == [(("#", "of", "#"), ("O", "O", "O"))]
    assert problems(file("of\tO\n# text = b\n")) == ["line 2: 1 columns, most lines have 2"]
    assert problems(file("of\tO\n\n#win\nof\tO\n")) == ["line 3: 1 columns, most lines have 2"]


def test_words_without_tags(file: Any) -> None:
    path = file("turn\nit\n\n#now\n")
    expected = [(("turn", "it"), (None, None)), (("#now",), (None,))]
    assert read(path, labels="none") == read(path, labels="optional") == expected
    with pytest.raises(DataError, match=r"a word and its tag in columns 1 and 1.*1 column in"):
        read(path)


def test_other_columns(file: Any) -> None:
    path = file("1\tturn\tO\t-\n2\toff\tB-X\t-\n")
    how = {"text_column": "2", "label_column": "3"}
    assert read(path, **how, entities=True) == [(("turn", "off"), ("O", "B-X"))]
    with pytest.raises(DataError, match=r"columns 2 and 5.* 4 columns in most lines"):
        read(path, text_column="2", label_column="5")
    with pytest.raises(UsageError, match="--label-column: expected the number of a column"):
        read(path, label_column="tag")
    with pytest.raises(UsageError, match="--text-column: expected the number of a column"):
        read(path, text_column="0")


def test_conllu(file: Any) -> None:
    line = "{}\t{}\tlemma\t{}\t_\t_\t0\troot\t_\t_\n"
    rows = [("1-2", "don't", "_"), ("1", "do", "AUX"), ("2", "n't", "PART"), ("2.1", "go", "VERB")]
    text = "# sent_id = 1\n# text = don't\n" + "".join(line.format(*row) for row in rows)
    assert read(file(text, "a.conllu")) == [(("do", "n't"), ("AUX", "PART"))]
    gzipped = file(gzip.compress(text.encode()), "a.conllu.gz")
    assert read(gzipped) == [(("do", "n't"), ("AUX", "PART"))]
    assert read(gzipped, label_column="3") == [(("do", "n't"), ("lemma", "lemma"))]


def test_ragged_columns_and_empty_cells(file: Any) -> None:
    text = "a\tO\nb\nc\tO\tO\n\tO\nd\t\ne\tO\nf \tO\ng\nh\n\ni\tO\n"
    assert problems(file(text)) == [
        "line 2: 1 columns, most lines have 2",
        "line 3: 3 columns, most lines have 2",
        "line 4: an empty word",
        "line 5: an empty tag",
        "line 8: 1 columns, most lines have 2",
        "and 1 more",
    ]


def test_broken_bio(file: Any) -> None:
    text = "a\tB-X\nb\tI-Y\n\nc\tI-X\nd\tO\n\ne\tI-X\nf\tB-X\n" + "\ng\tI-Y\n" * 4
    found = problems(file(text), entities=True)
    assert found[:3] == [
        "line 2: I-Y after B-X: expected B-Y to begin an entity",
        "line 4: I-X after O: expected B-X to begin an entity",
        "line 7: I-X after O: expected B-X to begin an entity",
    ]
    assert found[-1] == "and 2 more"
    assert len(read(file(text))) == 7, "parts of speech may have any names"


def test_a_skipped_line_makes_no_tags_invalid(file: Any) -> None:
    path = file("a\tO\nb B-X\nc\tI-X\n\nd\tO\n")
    assert problems(path, entities=True) == ["line 2: 1 columns, most lines have 2"]


def test_other_schemes_become_iob2(file: Any) -> None:
    iob1 = file("a I-X\nb I-X\nc B-X\nd O\n")
    assert read(iob1, entities=True) == [(("a", "b", "c", "d"), ("B-X", "I-X", "B-X", "O"))]
    iobes = file("a B-X\nb E-X\nc S-X\nd O\n")
    assert read(iobes, entities=True) == [(("a", "b", "c", "d"), ("B-X", "I-X", "B-X", "O"))]
    assert read(iobes)[0][1] == ("B-X", "E-X", "S-X", "O")


def test_not_utf8(file: Any) -> None:
    found = problems(file(b"a\tO\n\xff\tO\n"))
    assert found == ["line 2: not UTF-8 (byte 0xff at offset 4)"]


@pytest.mark.parametrize("text", ["", "\n\n", "-DOCSTART- O\n\n"])
def test_no_sentence(file: Any, text: str) -> None:
    with pytest.raises(DataError, match="at least one sentence"):
        read_tagged(file(text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_tagged(tmp_path / "none.conll")
    (tmp_path / "cut.conll.gz").write_bytes(gzip.compress(b"a\tO\n")[:-9])
    with pytest.raises(DataError, match="can't be read"):
        read_tagged(tmp_path / "cut.conll.gz")


def test_jsonl(file: Any) -> None:
    rows = [
        {"id": 1, "tokens": ["turn", "it", "off"], "ner_tags": ["O", "O", "B-X"]},
        {"id": 2, "tokens": ["now"], "ner_tags": ["O"]},
    ]
    path = file("\n".join(map(json.dumps, rows)), "data.jsonl")
    assert read(path, entities=True) == TWO
    assert has_tokens(path) and not has_tokens(file('{"text": "a"}\n', "texts.jsonl"))
    named = file('{"w": ["a"], "t": ["X"]}\n', "named.jsonl")
    assert read(named, text_column="w", label_column="t") == [(("a",), ("X",))]
    assert read(file('{"tokens": ["a"]}\n', "a.jsonl"), labels="optional") == [(("a",), (None,))]
    half = file(b'{"tokens": ["\\ud800a"], "tags": ["O"]}\n', "half.jsonl")
    assert read(half) == [(("\ufffda",), ("O",))]


def test_problems_of_jsonl(file: Any) -> None:
    lines = [
        '{"tokens": ["a", "b", "c"], "tags": ["O", "O"]}',
        '{"tokens": ["a"], "tags": [0.5]}',
        '{"tokens": "a", "tags": ["O"]}',
        '{"tokens": ["a", ""], "tags": ["O", "O"]}',
        '{"tokens": ["a"]}',
        "[1]",
        '{"tokens": [], "tags": []}',
        "{",
    ]
    assert problems(file("\n".join(lines), "a.jsonl")) == [
        "line 6: a JSON array where an object was expected",
        "line 8: invalid JSON: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
        "line 1: 3 tokens and 2 tags",
        "line 2: tags: expected texts in the list. Received: a JSON number",
        "line 3: tokens: expected a list of texts. Received: a JSON text",
        "and 3 more",
    ]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"a\tO\nb\tB-X\n", b'{"tokens": ["a", "b"], "tags": ["O", "B-X"]}\n'):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        assert read(Path("-"), entities=True) == [(("a", "b"), ("O", "B-X"))]


WORDS = st.text(st.characters(exclude_characters="\t\n\r", codec="utf-8"), min_size=1)
NAMES = st.text(st.characters(categories=["L", "N"], codec="utf-8"), min_size=1)


@given(
    sentences=st.lists(
        st.lists(st.tuples(WORDS, NAMES), min_size=1, max_size=5), min_size=1, max_size=5
    )
)
def test_written_tabs_are_read_back(
    sentences: list[list[tuple[str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assume(not any(word.startswith("-DOCSTART-") for rows in sentences for word, _ in rows))
    assume(not sentences[0][0][0].startswith("\ufeff"))
    path = tmp_path_factory.mktemp("conll") / "a.conll"
    blocks = ["".join(f"{word}\t{tag}\n" for word, tag in rows) for rows in sentences]
    path.write_bytes("\n".join(blocks).encode())
    expected = tuple(TaggedSentence(*zip(*rows, strict=True)) for rows in sentences)
    assert read_tagged(path).examples == expected


@given(data=st.binary(max_size=60), name=st.sampled_from(["a.conll", "a.jsonl", "a.conllu"]))
def test_any_bytes_give_sentences_or_an_error(
    data: bytes, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(data)
    try:
        examples = read_tagged(path, entities=True).examples
    except DataError:
        return
    assert all(each.words and len(each.words) == len(each.tags) for each in examples)


@pytest.mark.parametrize(
    ("name", "sentences", "words"),
    [
        ("wnut17/train.conll.gz", 3394, 62730),
        ("restaurant8k/train.conll.gz", 8198, 72993),
        ("uner_ewt/dev.conll.gz", 2001, 25149),
    ],
)
def test_real_files(data_dir: Path, name: str, sentences: int, words: int) -> None:
    data = read_tagged(data_dir / name, entities=True)
    assert len(data) == sentences
    assert sum(len(each.words) for each in data.examples) == words
