"""Augmented copies: words are masked, replaced by similar words or cut, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from converters.vocabulary import Vocabulary
from edgebert.encoding import augmentation
from edgebert.encoding.augmentation import _words, augment, nearest_words
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import UsageError

TEXTS = ("turn on the lights now", "Play music, please!", "turn the music off", "a", "")


@pytest.fixture(scope="module")
def tokenizer(tiny_vocabulary: Vocabulary) -> Tokenizer:
    return Tokenizer(tiny_vocabulary)


@pytest.fixture(scope="module")
def table(tokenizer: Tokenizer) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(tokenizer.vocabulary.size, 8)).astype(np.float32)


def test_the_same_seed_gives_the_same_copies(tokenizer: Tokenizer, table: np.ndarray) -> None:
    copies = augment(tokenizer, table, TEXTS, copies=3, seed=1)
    assert len(copies) == 3 * len(TEXTS)
    assert copies == augment(tokenizer, table, TEXTS, copies=3, seed=1)
    assert copies != augment(tokenizer, table, TEXTS, copies=3, seed=2)
    assert augment(tokenizer, table, TEXTS, copies=0, seed=1) == []
    assert augment(tokenizer, table, (), copies=3, seed=1) == []
    assert set(copies[4::5]) == {""}


def test_words_are_masked_replaced_and_cut_at_the_given_rates(
    tokenizer: Tokenizer, table: np.ndarray
) -> None:
    words = ["turn", "on", "the", "lights", "now"]
    copies = [c.split() for c in augment(tokenizer, table, [" ".join(words)], copies=4000, seed=3)]
    whole = [copy for copy in copies if len(copy) == len(words)]
    # A cut that keeps all words happens in 2 of 25 cases.
    assert len(whole) / len(copies) == pytest.approx(1 - augmentation.CUT_SHARE * 23 / 25, abs=0.03)
    pairs = [(a, b) for copy in whole for a, b in zip(copy, words, strict=True)]
    masked = np.mean([a == "[MASK]" for a, _ in pairs])
    replaced = np.mean([a not in ("[MASK]", b) for a, b in pairs])
    assert masked == pytest.approx(augmentation.MASKED_SHARE, abs=0.02)
    assert replaced == pytest.approx(augmentation.REPLACED_SHARE, abs=0.02)


def test_the_nearest_words_come_first(tokenizer: Tokenizer) -> None:
    vocabulary = tokenizer.vocabulary
    table = np.eye(vocabulary.size, dtype=np.float32)
    lights, music, now = map(vocabulary.id_of, ("lights", "music", "now"))
    table[music] = table[lights] + 0.1 * table[music]
    table[now] = table[lights] + 0.5 * table[now]
    near = nearest_words(vocabulary, table, tokenizer.encode_batch(TEXTS))
    assert near[lights].tolist()[:2] == [music, now]
    assert lights not in near[lights]
    unused = set(range(vocabulary.size)) - set(near)
    assert not unused & {int(i) for row in near.values() for i in row}
    assert all(vocabulary.tokens[i].isalpha() for i in near)


@given(st.text(max_size=40))
@hypothesis_settings(max_examples=200, deadline=None)
def test_a_copy_of_any_text_has_no_more_words(
    tokenizer: Tokenizer, table: np.ndarray, text: str
) -> None:
    vocabulary = tokenizer.vocabulary
    count = len(_words(tokenizer.encode(text), vocabulary))
    for copy in augment(tokenizer, table, [text, *TEXTS], copies=2, seed=0)[:: len(TEXTS) + 1]:
        assert len(_words(tokenizer.encode(copy), vocabulary)) <= count


def test_a_negative_number_of_copies(tokenizer: Tokenizer, table: np.ndarray) -> None:
    with pytest.raises(UsageError, match="0 copies or more"):
        augment(tokenizer, table, TEXTS, copies=-1, seed=0)
