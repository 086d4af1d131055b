"""Token lengths: given ones, and the optimum for given texts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.encoding.lengths import STEP, parse_lengths, pick_lengths
from edgebert.errors import UsageError


def test_the_default_stays_within_the_model() -> None:
    assert parse_lengths("", 512) == (16, 32, 64, 128)
    assert parse_lengths("", 40) == (16, 32, 40)
    assert parse_lengths("", 12) == (12,)
    assert parse_lengths("", 512, (64, 384)) == (64, 384)
    assert parse_lengths("", 100, (64, 384)) == (64, 100)


def test_lengths_are_sorted() -> None:
    assert parse_lengths("64, 16,32", 512) == (16, 32, 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("16,many", "whole numbers"),
        ("16,600", r"from 2 to 512 tokens.*Received: 600"),
        ("0", "Received: 0"),
        ("16,16", "different lengths"),
    ],
)
def test_invalid_lengths(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_lengths(text, 512)


@given(
    st.lists(st.integers(2, 90), min_size=1, max_size=40),
    st.integers(1, 4),
    st.sampled_from([12, 40, 64, 512]),
)
def test_the_chosen_lengths_have_the_least_padding(
    counts: list[int], most: int, limit: int
) -> None:
    chosen = pick_lengths(np.array(counts), limit, most)
    capped = [min(count, limit) for count in counts]
    steps = range(STEP, max(capped) + STEP, STEP)
    candidates = sorted({min(length, limit) for length in steps})
    assert len(chosen) <= most
    assert chosen[-1] == candidates[-1]

    def padded(lengths: tuple[int, ...]) -> int:
        return sum(min(n for n in lengths if n >= count) for count in capped)

    best = min(
        padded((*smaller, candidates[-1]))
        for size in range(most)
        for smaller in itertools.combinations(candidates[:-1], size)
    )
    assert padded(chosen) == best


def test_no_texts_is_an_error() -> None:
    with pytest.raises(UsageError, match="at least one text"):
        pick_lengths(np.array([], np.int32), 64, 4)
