"""Exact match and F1, compared with an independent implementation and known cases."""

from __future__ import annotations

import itertools
import string
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.tasks.squad_metrics import best_threshold, exact_match, f1, normalized

words = st.lists(
    st.sampled_from(["the", "The", "a", "an", "cat", "Cat,", "cats", "an-", "A.", "theory", "é"]),
    max_size=7,
).map(" ".join)
texts = words | st.text(max_size=15)


def stated_words(text: str) -> list[str]:
    """The normalization rules, applied character by character."""
    kept = [char for char in text.lower() if char not in string.punctuation]
    runs = [
        "".join(run) for _, run in itertools.groupby(kept, key=lambda c: c.isalnum() or c == "_")
    ]
    return "".join(" " if run in ("a", "an", "the") else run for run in runs).split()


def stated_f1(predicted: str, answers: Sequence[str]) -> float:
    """The harmonic mean of precision and recall, with words counted one by one."""
    scores = []
    kept = [answer for answer in answers if stated_words(answer)] or [""]
    for answer in kept:
        left, said, common = stated_words(answer), stated_words(predicted), 0
        if not left or not said:
            scores.append(1.0 if left == said else 0.0)
            continue
        size = len(left)
        for word in said:
            if word in left:
                left.remove(word)
                common += 1
        precision, recall = common / len(said), common / size
        scores.append(2 * precision * recall / (precision + recall) if common else 0.0)
    return max(scores)


@settings(deadline=None)
@given(texts)
def test_normalization_equals_the_reference(text: str) -> None:
    assert normalized(text).split() == stated_words(text)
    assert normalized(normalized(text)) == normalized(text) or "_" in text


@settings(deadline=None)
@given(texts, st.lists(texts, max_size=3))
def test_scores_equal_the_reference(predicted: str, answers: list[str]) -> None:
    assert f1(predicted, answers) == pytest.approx(stated_f1(predicted, answers))
    kept = [words for answer in answers if (words := stated_words(answer))] or [[]]
    assert exact_match(predicted, answers) == float(stated_words(predicted) in kept)


@settings(deadline=None)
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_more_answers_never_score_less(predicted: str, answers: list[str]) -> None:
    said = [answer for answer in answers if stated_words(answer)]
    for answer in said:
        assert f1(predicted, answers) >= f1(predicted, [answer]) - 1e-12
    assert f1(predicted, answers) >= exact_match(predicted, answers)


@pytest.mark.parametrize(
    ("predicted", "answers", "em", "score"),
    [
        # From the official script's rules, worked out by hand.
        ("the Eiffel Tower.", ["Eiffel tower"], 1, 1),
        ("Denver Broncos", ["The Denver Broncos!", "Broncos"], 1, 1),
        ("in the city of Paris", ["Paris", "city of Paris, France"], 0, 2 * 0.75 * 0.75 / 1.5),
        ("U.S.", ["us", "America"], 1, 1),
        ("a b b", ["b c"], 0, 0.5),
        ("state-of-the-art", ["state of the art"], 0, 0),
        ("Zürich", ["zürich"], 1, 1),
        ("Zürich", ["Zurich"], 0, 0),
        ("", [], 1, 1),
        ("the", [], 1, 1),
        ("Paris", [], 0, 0),
        ("", ["Paris"], 0, 0),
        ("", ["the", "Paris"], 0, 0),
        ("the", ["a"], 1, 1),
    ],
)
def test_known_scores(predicted: str, answers: list[str], em: float, score: float) -> None:
    assert exact_match(predicted, answers) == em
    assert f1(predicted, answers) == pytest.approx(score)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.floats(0, 1), st.sampled_from([0.0, 1.0])),
        min_size=1,
        max_size=12,
    )
)
def test_the_chosen_threshold_is_optimal(rows: list[tuple[int, float, float]]) -> None:
    margins, answered, unanswered = (
        np.array(column, np.float64) for column in zip(*rows, strict=True)
    )

    def mean_score(threshold: float) -> float:
        return float(np.where(margins > threshold, unanswered, answered).mean())

    threshold, score = best_threshold(margins, answered, unanswered)
    assert np.isfinite(threshold)
    assert mean_score(threshold) == pytest.approx(score)
    tried = [mean_score(place) for place in np.arange(-4.25, 5, 0.5)]
    assert score == pytest.approx(max(tried))
    larger = [place for place in np.arange(-4.25, 5, 0.5) if place > threshold + 0.5]
    assert all(mean_score(place) < score + 1e-12 for place in larger)
