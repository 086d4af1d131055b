"""Running text: documents are found in one pass and read on access."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.data.corpus_files import CHUNK_SENTENCES, Corpus, Document, read_corpus
from edgebert.data.datasets import split_dataset, take
from edgebert.errors import DataError


def corpus_of(path: Path) -> Corpus:
    examples = read_corpus(path, "masked-lm").examples
    assert isinstance(examples, Corpus)
    return examples


def written(folder: Path, text: str, name: str = "text.txt") -> Path:
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["text.txt", "text.txt.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_empty_lines_divide_documents(name: str, end: str, tmp_path: Path) -> None:
    lines = ["", "\ufeffOne Café.", "  Two. ", "", "", "Three.", " ", "Four.", "Five.", ""]
    corpus = corpus_of(written(tmp_path, end.join(lines[1:]), name))
    assert corpus.has_documents
    assert list(corpus) == [
        Document(("One Café.", "Two.")),
        Document(("Three.",)),
        Document(("Four.", "Five.")),
    ]
    assert [corpus[i] for i in (2, 0, -1)] == [list(corpus)[i] for i in (2, 0, -1)]
    assert list(corpus[1:]) == list(corpus)[1:]
    assert corpus.num_sentences == 5


def test_text_without_documents_is_read_in_chunks(tmp_path: Path) -> None:
    count = 2 * CHUNK_SENTENCES + 3
    corpus = corpus_of(written(tmp_path, "\n".join(f"line {i}" for i in range(count))))
    assert not corpus.has_documents
    assert [len(document.sentences) for document in corpus] == [CHUNK_SENTENCES, CHUNK_SENTENCES, 3]
    assert [s for d in corpus for s in d.sentences] == [f"line {i}" for i in range(count)]


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), min_size=1),
        min_size=2,
        max_size=6,
    )
)
def test_written_files_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[str]]
) -> None:
    text = "\n\n".join("\n".join(document) for document in documents)
    corpus = corpus_of(written(tmp_path_factory.mktemp("corpus"), text))
    assert [list(document.sentences) for document in corpus] == documents


def test_a_split_is_a_partition_and_reads_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "\n\n".join(f"a {i}\nb {i}" for i in range(20)))
    data = read_corpus(path, "masked-lm")
    train, dev = split_dataset(data, 0.2, 1)
    assert isinstance(train.examples, Corpus)
    assert (len(train), len(dev)) == (16, 4)
    assert sorted([*train.examples, *dev.examples], key=str) == sorted(data.examples, key=str)
    few = take(data, 3, 0)
    assert isinstance(few.examples, Corpus)
    assert few.examples.has_documents
    assert len(list(few.examples)) == 3


def test_bad_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_corpus(tmp_path / "none.txt")
    with pytest.raises(DataError, match=r"expected running text, a \.txt or \.txt\.gz"):
        read_corpus(written(tmp_path, "a\tb", "table.tsv"))
    for text in ("", "\n \n\n"):
        with pytest.raises(DataError, match="Received: no text"):
            read_corpus(written(tmp_path, text))
    path = tmp_path / "latin.txt"
    path.write_bytes("ok\ncaf\xe9\n\nstill \xfc\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"(?s)expected UTF-8.*line 2: not UTF-8.*line 4"):
        read_corpus(path)
    cut = written(tmp_path, "one\n" * 999, "cut.txt.gz")
    cut.write_bytes(cut.read_bytes()[:-9])
    with pytest.raises(DataError, match="can't be read"):
        read_corpus(cut)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, "one\ntwo\n\nthree\nfour\n")
    corpus = corpus_of(path)
    path.write_text("one\n")
    with pytest.raises(DataError, match="fewer lines than before"):
        list(corpus)
