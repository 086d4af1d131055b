"""The choice of masked tokens and their replacement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.vocabulary import Vocabulary
from edgebert.tasks.masking import Masking, padded_places


def masking_of(vocabulary: Vocabulary, share: float = 0.15, whole_words: bool = False) -> Masking:
    return Masking.of(vocabulary, share, whole_words)


def text(vocabulary: Vocabulary, words: str) -> np.ndarray:
    ids = [vocabulary.id_of(token) for token in ("[CLS]", *words.split(), "[SEP]")]
    return np.array(ids, np.int32)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32), st.booleans(), st.integers(0, 9))
def test_positions_are_words_and_match_the_share(
    tiny_vocabulary: Vocabulary, length: int, seed: int, whole_words: bool, most: int
) -> None:
    masking = masking_of(tiny_vocabulary, whole_words=whole_words)
    generator = np.random.default_rng(seed)
    ids = np.concatenate([[2], generator.integers(5, tiny_vocabulary.size, length), [3]]).astype(
        np.int32
    )
    places = masking.choose(ids, generator, most)
    assert len(set(places.tolist())) == len(places)
    assert (np.diff(places) > 0).all()
    assert not masking.framing[ids[places]].any()
    wanted = max(1, round(0.15 * length))
    if not whole_words:
        assert len(places) == (min(wanted, most) if most else wanted)
    elif most:
        assert 1 <= len(places) <= most
    else:
        assert len(places) >= wanted
        inside = [place for place in range(2, length + 1) if masking.continuing[ids[place]]]
        assert all((place in places) == (place - 1 in places) for place in inside)


def test_a_text_without_words_has_no_positions(tiny_vocabulary: Vocabulary) -> None:
    for whole_words in (False, True):
        masking = masking_of(tiny_vocabulary, whole_words=whole_words)
        found = masking.choose(text(tiny_vocabulary, "[PAD]"), np.random.default_rng(0))
        assert found.tolist() == []


def test_a_word_ends_at_a_separator(tiny_vocabulary: Vocabulary) -> None:
    """A pair's second text may begin with a piece: its first text was cut at the front."""
    masking = masking_of(tiny_vocabulary, share=0.01, whole_words=True)
    ids = text(tiny_vocabulary, "play [SEP] ##ing")
    seen = {tuple(masking.choose(ids, np.random.default_rng(seed))) for seed in range(20)}
    assert seen == {(1,), (3,)}


def test_eighty_percent_are_masked_and_ten_percent_replaced(tiny_vocabulary: Vocabulary) -> None:
    masking = masking_of(tiny_vocabulary)
    ids = np.full(20_000, tiny_vocabulary.id_of("movie"), np.int32)
    places = np.arange(0, len(ids), 2, dtype=np.int32)
    seen = masking.hide(ids, places, np.random.default_rng(0))
    assert (seen[1::2] == ids[1::2]).all()
    masked = (seen[places] == masking.mask_id).mean()
    kept = (seen[places] == ids[0]).mean()
    assert masked == pytest.approx(0.8, abs=0.015)
    assert kept == pytest.approx(0.1, abs=0.015)
    assert len(np.unique(seen[places])) > 0.9 * tiny_vocabulary.size
    assert (ids == ids[0]).all()


def test_every_token_is_chosen_equally_often(tiny_vocabulary: Vocabulary) -> None:
    masking = masking_of(tiny_vocabulary, share=0.3)
    ids = text(tiny_vocabulary, "a the is it on off in to of and")
    counts = np.zeros(len(ids))
    for seed in range(2000):
        counts[masking.choose(ids, np.random.default_rng(seed))] += 1
    assert counts[[0, -1]].sum() == 0
    np.testing.assert_allclose(counts[1:-1] / 2000, 0.3, atol=0.04)


def test_positions_are_padded_with_minus_one() -> None:
    assert padded_places([(1, 5), (), (2,)]).tolist() == [[1, 5], [-1, -1], [2, -1]]
    assert padded_places([()]).tolist() == [[-1]]
