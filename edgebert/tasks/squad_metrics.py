"""Exact match and F1 of answers, with the rules of SQuAD's official script.

The rules are those of `evaluate-v2.0.py` (Rajpurkar et al. 2018). For answered questions they equal
v1.1, except that reference answers that normalize to an empty text are ignored.
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
    """Lower case, without ASCII punctuation, articles and repeated white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def exact_match(predicted: str, answers: Sequence[str]) -> float:
    """1 if the normalized text is one of the normalized answers; otherwise 0.

    Args:
        predicted: The predicted answer; empty for no answer.
        answers: The reference answers; empty if the question has no answer.
    """
    return float(normalized(predicted) in _normalized_answers(answers))


def f1(predicted: str, answers: Sequence[str]) -> float:
    """The largest word F1 of the text against an answer. Arguments are those of `exact_match`."""
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
    """The threshold of the null margin that maximizes the mean score.

    The search is exact: it tries every set of unanswered questions that a threshold can give. Among
    equal scores the largest threshold is chosen. It is midway between two margins.

    Args:
        null_margins: Score of no answer minus score of the best span, for each question, `[n]`.
        answered: Metric of each question with its best span, `[n]`.
        unanswered: Metric of each question with no answer, `[n]`.

    Returns:
        The threshold, and the mean score at this threshold.
    """
    order = np.argsort(null_margins, kind="stable")
    margins = null_margins[order].astype(np.float64)
    gained = np.concatenate([[0.0], np.cumsum((answered - unanswered)[order])])
    # The questions with the `count` smallest margins are answered; equal margins stay together.
    possible = np.concatenate([[True], margins[1:] > margins[:-1], [True]])
    counts = np.flatnonzero(possible)
    best = int(counts[::-1][gained[counts[::-1]].argmax()])
    below = margins[best - 1] if best else margins[0] - 2
    above = margins[best] if best < len(margins) else margins[-1] + 2
    return float((below + above) / 2), float((unanswered.sum() + gained[best]) / len(margins))
