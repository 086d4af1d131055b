"""Exact match and F1 of answers, as SQuAD's official script scores them.

The rules are those of `evaluate-v2.0.py` (Rajpurkar et al. 2018), which for answered questions are
those of v1.1, but for annotators' answers of which normalization leaves nothing: they don't count.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(text: str) -> str:
    """Lower case, without ASCII punctuation, articles and superfluous white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def exact_match(predicted: str, answers: Sequence[str]) -> float:
    """1 where the text is one of the answers, normalized; else 0.

    Args:
        predicted: empty for no answer.
        answers: of the annotators; none where the question has no answer.
    """
    return float(normalized(predicted) in _normalized_answers(answers))


def f1(predicted: str, answers: Sequence[str]) -> float:
    """The largest F1 of the text's words against an answer's: arguments as of `exact_match`."""
    words = normalized(predicted).split()
    return max(_word_f1(words, answer.split()) for answer in _normalized_answers(answers))


def _normalized_answers(answers: Sequence[str]) -> list[str]:
    return [text for answer in answers if (text := normalized(answer))] or [""]


def _word_f1(predicted: Sequence[str], answer: Sequence[str]) -> float:
    if not predicted or not answer:
        return float(not predicted and not answer)
    common = (Counter(predicted) & Counter(answer)).total()
    return 2 * common / (len(predicted) + len(answer))


def best_threshold(
    null_margins: np.ndarray, answered: np.ndarray, unanswered: np.ndarray
) -> tuple[float, float]:
    """The margin over which no answer is given, such that the mean score is largest.

    Exact: every set of questions that some threshold leaves unanswered is tried. Of thresholds that
    score alike the largest is taken, which answers most. It lies halfway between two margins.

    Args:
        null_margins: of each question the score of no answer less that of the best one, `[n]`.
        answered: the question's score with its best answer, `[n]`.
        unanswered: its score with none, `[n]`.

    Returns:
        The threshold, and the mean score with it.
    """
    order = np.argsort(null_margins, kind="stable")
    margins = null_margins[order].astype(np.float64)
    gained = np.concatenate([[0.0], np.cumsum((answered - unanswered)[order])])
    # So many answer, those of the smallest margins; questions of one margin go together.
    possible = np.concatenate([[True], margins[1:] > margins[:-1], [True]])
    counts = np.flatnonzero(possible)
    best = int(counts[::-1][gained[counts[::-1]].argmax()])
    below = margins[best - 1] if best else margins[0] - 2
    above = margins[best] if best < len(margins) else margins[-1] + 2
    return float((below + above) / 2), float((unanswered.sum() + gained[best]) / len(margins))
