"""Encodings of texts and pairs: segments, truncation, and the count of truncated examples."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.vocabulary import Vocabulary
from edgebert.data.datasets import Example
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import DataError
from edgebert.tasks.text_features import encode_texts, require_pairs

WORDS = st.lists(st.sampled_from(["the", "movie", "is", "good", "bad", "very", "now"]), max_size=14)
TEXTS = WORDS.map(" ".join)


def test_a_pair_has_two_segments(tiny_vocabulary: Vocabulary) -> None:
    tokenizer = Tokenizer(tiny_vocabulary)
    found = encode_texts(
        tokenizer, [Example("good movie"), Example("the film", pair="is good now")], 20
    )
    single, pair = found.encodings
    assert single.segment_ids == (0,) * 4
    assert pair.segment_ids == (0, 0, 0, 0, 1, 1, 1, 1)
    tokens = [tiny_vocabulary.tokens[i] for i in pair.token_ids]
    assert tokens == ["[CLS]", "the", "film", "[SEP]", "is", "good", "now", "[SEP]"]
    assert found.owners.tolist() == [0, 1] and found.truncated == 0


def test_models_without_segments_have_segment_zero_only(tiny_vocabulary: Vocabulary) -> None:
    tokenizer = Tokenizer(tiny_vocabulary, segments=False)
    (pair,) = encode_texts(tokenizer, [Example("the film", pair="is good")], 20).encodings
    assert set(pair.segment_ids) == {0}


@settings(deadline=None)
@given(texts=st.lists(st.tuples(TEXTS, st.none() | TEXTS), min_size=1, max_size=6))
def test_truncated_examples_are_counted(
    tiny_vocabulary: Vocabulary, texts: list[tuple[str, str | None]]
) -> None:
    tokenizer = Tokenizer(tiny_vocabulary)
    examples = [Example(text, pair=pair) for text, pair in texts]
    found = encode_texts(tokenizer, examples, 12)
    whole = [tokenizer.encode(text, pair) for text, pair in texts]
    assert found.truncated == sum(len(encoding) > 12 for encoding in whole)
    for encoding, (text, pair), full in zip(found.encodings, texts, whole, strict=True):
        assert encoding == tokenizer.encode(text, pair, 12)
        assert len(encoding) == min(12, len(full))


def test_the_longer_text_is_truncated_first(tiny_vocabulary: Vocabulary) -> None:
    examples = [Example("the film", pair="a very very very good movie now")]
    (pair,) = encode_texts(Tokenizer(tiny_vocabulary), examples, 9).encodings
    assert pair.segment_ids == (0, 0, 0, 0, 1, 1, 1, 1, 1)


def test_examples_without_a_second_text_are_refused() -> None:
    require_pairs([Example("a", pair="b")])
    with pytest.raises(
        DataError, match="2 of 3 examples with one text, the first of them number 2"
    ):
        require_pairs([Example("a", pair="b"), Example("c"), Example("d")])
