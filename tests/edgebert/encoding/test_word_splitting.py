"""Random words are split into pieces that spell them, rare words most often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.encoding.word_splitting import RARE, count_tokens, split_rare_words
from edgebert.errors import UsageError
from tests.conftest import TINY_TOKENS

TEXTS = ("turn on the lights now", "Play music, please! [MASK]", "a", "")


@pytest.fixture(scope="module")
def tokenizer(tiny_vocabulary: Vocabulary) -> Tokenizer:
    return Tokenizer(tiny_vocabulary)


@pytest.fixture(scope="module")
def unseen(tokenizer: Tokenizer) -> np.ndarray:
    """The counts of an empty corpus: every word is rare."""
    return np.zeros(tokenizer.vocabulary.size, np.int64)


def tokens_of(tokenizer: Tokenizer, encoding: Encoding) -> list[str]:
    return [tokenizer.vocabulary.tokens[i] for i in encoding.token_ids]


def test_a_token_is_spelled_without_itself(tiny_vocabulary: Vocabulary) -> None:
    ids = {token: i for i, token in enumerate(TINY_TOKENS)}
    named = {
        token: [TINY_TOKENS[i] for i in tiny_vocabulary.respell(ids[token])]
        for token in ("lights", "##ing", "a", "##a")
    }
    assert named == {
        "lights": ["light", "##s"],
        "##ing": ["##i", "##n", "##g"],
        "a": [],
        "##a": [],
    }


def test_counts_are_those_of_the_encodings(tokenizer: Tokenizer) -> None:
    counts = count_tokens(tokenizer, TEXTS)
    ids = [i for encoding in tokenizer.encode_batch(TEXTS) for i in encoding.token_ids]
    assert counts.sum() == len(ids)
    assert counts[tokenizer.vocabulary.id_of("[CLS]")] == len(TEXTS)
    assert counts[tokenizer.vocabulary.id_of("lights")] == 1
    assert count_tokens(tokenizer, []).sum() == 0


def test_probability_0_splits_nothing(tokenizer: Tokenizer, unseen: np.ndarray) -> None:
    assert split_rare_words(
        tokenizer, tokenizer.encode_batch(TEXTS), unseen, probability=0.0, seed=1
    ) == tokenizer.encode_batch(TEXTS)


def test_probability_1_splits_every_rare_word(tokenizer: Tokenizer, unseen: np.ndarray) -> None:
    first, second, *_ = split_rare_words(
        tokenizer, tokenizer.encode_batch(TEXTS), unseen, probability=1.0, seed=1
    )
    spelt = "[CLS] t ##u ##r ##n o ##n t ##h ##e light ##s n ##o ##w [SEP]"
    assert tokens_of(tokenizer, first) == spelt.split()
    assert "[MASK]" in tokens_of(tokenizer, second)
    text = TEXTS[0]
    places = dict(zip(tokens_of(tokenizer, first), first.offsets, strict=True))
    assert text[slice(*places["light"])] == "light"
    assert text[slice(*places["##s"])] == "s"


def test_the_seed_determines_the_splits(tokenizer: Tokenizer, unseen: np.ndarray) -> None:
    whole = tokenizer.encode_batch(TEXTS * 5)
    once, again, other = (
        split_rare_words(tokenizer, whole, unseen, probability=0.5, seed=seed) for seed in (1, 1, 2)
    )
    assert once == again
    assert once != other


def test_frequent_words_are_split_less(tokenizer: Tokenizer) -> None:
    counts = np.zeros(tokenizer.vocabulary.size, np.int64)
    counts[tokenizer.vocabulary.id_of("music")] = 10 * RARE
    texts = ["music alarm"] * 4000
    split = split_rare_words(
        tokenizer, tokenizer.encode_batch(texts), counts, probability=0.5, seed=3
    )
    kept = [tokens_of(tokenizer, encoding) for encoding in split]
    assert np.mean(["alarm" in tokens for tokens in kept]) == pytest.approx(0.5, abs=0.03)
    assert np.mean(["music" in tokens for tokens in kept]) == pytest.approx(0.95, abs=0.02)


def test_long_encodings_are_cut(tokenizer: Tokenizer, unseen: np.ndarray) -> None:
    (encoding,) = split_rare_words(
        tokenizer, tokenizer.encode_batch(TEXTS[:1]), unseen, probability=1.0, seed=1, max_length=6
    )
    assert len(encoding) == len(encoding.segment_ids) == len(encoding.offsets) == 6
    assert encoding.token_ids[-1] == tokenizer.vocabulary.id_of("[SEP]")


def test_all_problems_are_listed(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError) as caught:
        split_rare_words(
            tokenizer, [], np.zeros(3, np.int64), probability=1.5, seed=0, max_length=1
        )
    for name in ("probability", "counts", "max_length"):
        assert f"{name}: expected" in str(caught.value)


@given(
    st.lists(st.one_of(st.text(max_size=30), st.text("turnlightsméÉ ſŒ", max_size=30)), max_size=5),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
@hypothesis_settings(max_examples=100, deadline=None)
def test_pieces_spell_the_replaced_tokens(
    tokenizer: Tokenizer, unseen: np.ndarray, texts: list[str], probability: float, seed: int
) -> None:
    split = split_rare_words(
        tokenizer, tokenizer.encode_batch(texts), unseen, probability=probability, seed=seed
    )
    for text, encoding, whole in zip(texts, split, tokenizer.encode_batch(texts), strict=True):
        spelt = [
            "".join(token.removeprefix("##") for token in tokens_of(tokenizer, item))
            for item in (encoding, whole)
        ]
        assert spelt[0] == spelt[1]
        assert len(encoding.offsets) == len(encoding.segment_ids) == len(encoding) >= len(whole)
        starts = [start for start, _ in encoding.offsets[1:-1]]
        assert starts == sorted(starts)
        assert all(0 <= start <= end <= len(text) for start, end in encoding.offsets)
