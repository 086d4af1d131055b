"""Packing of a corpus into single rows without loss, and into BERT's pairs."""

from __future__ import annotations

import numpy as np
import pytest

from edgebert.data.corpus_files import Document
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.tasks import corpus_rows
from edgebert.tasks.corpus_rows import ALONE, ELSEWHERE, FOLLOWS, CorpusRows, pack_corpus

WORDS = (
    "movie",
    "film",
    "light",
    "lights",
    "music",
    "alarm",
    "timer",
    "weather",
    "today",
    "play",
    "stop",
    "set",
    "turn",
    "good",
)


@pytest.fixture(scope="module")
def tokenizer(tiny_vocabulary) -> Tokenizer:  # type: ignore[no-untyped-def]
    return Tokenizer(tiny_vocabulary)


def documents_of(count: int, sentences: int, seed: int = 0) -> list[Document]:
    """Documents of one repeated word each, so that a row shows its document."""
    rng = np.random.default_rng(seed)
    return [
        Document(
            tuple(
                " ".join([WORDS[number % len(WORDS)]] * int(rng.integers(1, 7)))
                for _ in range(sentences)
            )
        )
        for number in range(count)
    ]


def texts(corpus: CorpusRows, tokenizer: Tokenizer, row: int) -> list[list[str]]:
    """The words of a row's first text and of its second."""
    ids, segments = corpus.tokens(row)
    tokens = tokenizer.vocabulary.tokens
    return [
        [tokens[i] for i, s in zip(ids, segments, strict=True) if s == side and i not in (2, 3)]
        for side in (0, 1)
    ]


def test_single_rows_contain_every_sentence_once_in_order(tokenizer: Tokenizer) -> None:
    documents = documents_of(5, 30)
    documents.insert(2, Document(("turn " * 50,)))
    corpus = pack_corpus(tokenizer, documents, 16, in_pairs=False)
    assert set(corpus.follows) == {ALONE}
    assert corpus.rows.lengths.max() <= 16
    assert (np.diff(corpus.owners) >= 0).all()
    for number, document in enumerate(documents):
        rows = np.flatnonzero(corpus.owners == number)
        read = [word for row in rows for word in texts(corpus, tokenizer, int(row))[0]]
        assert read == " ".join(document.sentences).split()
        # Full rows: one more sentence would not have fitted.
        assert (corpus.rows.lengths[rows[:-1]] > 16 - 6).all()


def test_half_of_the_second_texts_are_from_another_document(tokenizer: Tokenizer) -> None:
    documents = documents_of(14, 40)
    corpus = pack_corpus(tokenizer, documents, 32, in_pairs=True)
    assert (corpus.follows == ELSEWHERE).mean() == pytest.approx(0.5, abs=0.05)
    for row in range(len(corpus)):
        first, second = texts(corpus, tokenizer, row)
        assert first
        assert second
        follows = corpus.follows[row] == FOLLOWS
        assert (first[0] == second[0]) == follows
        assert first[0] == WORDS[corpus.owners[row]]
    assert corpus.rows.lengths.max() <= 32


def test_replaced_sentences_start_the_next_pair(tokenizer: Tokenizer) -> None:
    """Every sentence of a document occurs, except for tokens removed from long pairs."""
    documents = documents_of(6, 40, seed=3)
    corpus = pack_corpus(tokenizer, documents, 48, in_pairs=True)
    for number, document in enumerate(documents):
        own = 0
        for row in np.flatnonzero(corpus.owners == number):
            first, second = texts(corpus, tokenizer, int(row))
            own += len(first) + len(second) * int(corpus.follows[row] == FOLLOWS)
        whole = len(" ".join(document.sentences).split())
        assert 0.8 * whole <= own <= whole


def test_single_last_sentences_keep_the_pairs_balanced(tokenizer: Tokenizer) -> None:
    corpus = pack_corpus(tokenizer, documents_of(60, 5), 24, in_pairs=True)
    assert (corpus.follows == ELSEWHERE).mean() == pytest.approx(0.5, abs=0.06)


def test_a_corpus_in_several_parts_has_valid_rows(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = documents_of(14, 20)
    whole = pack_corpus(tokenizer, documents, 24, in_pairs=False)
    monkeypatch.setattr(corpus_rows, "_SENTENCES_AT_ONCE", 7)
    parts = pack_corpus(tokenizer, iter(documents), 24, in_pairs=False)
    np.testing.assert_array_equal(parts.rows.token_ids, whole.rows.token_ids)
    np.testing.assert_array_equal(parts.rows.starts, whole.rows.starts)
    pairs = pack_corpus(tokenizer, iter(documents), 24, in_pairs=True)
    assert (pairs.follows == ELSEWHERE).mean() == pytest.approx(0.5, abs=0.06)
    assert isinstance(parts.rows.token_ids.base, np.memmap)


def test_special_tokens_in_a_text_are_removed(tokenizer: Tokenizer) -> None:
    documents = [Document(("play [MASK] music [SEP]", "[CLS]")), Document(("[PAD]",))]
    corpus = pack_corpus(tokenizer, documents, 24, in_pairs=False)
    assert len(corpus) == 1
    assert texts(corpus, tokenizer, 0)[0] == ["play", "music"]


def test_the_same_corpus_gives_the_same_pairs(tokenizer: Tokenizer) -> None:
    first, second = (pack_corpus(tokenizer, documents_of(9, 9), 24, True) for _ in range(2))
    np.testing.assert_array_equal(first.rows.token_ids, second.rows.token_ids)
    np.testing.assert_array_equal(first.follows, second.follows)


def test_a_model_without_segments_has_segment_zero_only(tiny_vocabulary) -> None:  # type: ignore[no-untyped-def]
    one_segment = Tokenizer(tiny_vocabulary, segments=False)
    corpus = pack_corpus(one_segment, documents_of(4, 9), 24, in_pairs=True)
    assert not np.asarray(corpus.rows.segment_ids).any()
