"""Spans of a long context: windows, the position of an answer in a window, and the best spans.

The method is that of BERT's SQuAD code (Devlin et al. 2019, section 4.2; `run_squad.py`). Every
window has the question and as much of the context as fits. The target is [CLS] if the window
does not contain the answer. The score of a span is the sum of its start logit and its end logit.
Scores of different windows are compared without normalization.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgebert.data.squad_files import Answer, Question
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import UsageError
from edgebert.tasks.task import Features

SHORTEST_TEXTS = 2
"""One token of the question and one of the context."""


@dataclass(frozen=True, kw_only=True)
class SpanFeatures(Features):
    """Windows over the contexts of questions. Each encoding is one window.

    Attributes:
        context_columns: First column of each window's context, int32 `[encodings]`. The context
            ends before the last [SEP].
    """

    context_columns: npt.NDArray[np.int32]

    def windows_of(self) -> Iterator[range]:
        """The indices of the windows of each example."""
        bounds = np.searchsorted(self.owners, np.arange(len(self.examples) + 1))
        for start, stop in itertools.pairwise(bounds):
            yield range(int(start), int(stop))


class Span(NamedTuple):
    """A span of a context, in characters, and its score: the sum of two logits."""

    start: int
    end: int
    score: float


def encode_questions(
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    max_length: int,
    *,
    stride: int,
    max_question_tokens: int,
) -> SpanFeatures:
    """Splits each question's context into windows.

    Args:
        tokenizer: The model's tokenizer.
        questions: Questions with their contexts.
        max_length: Maximum length of a window, in tokens.
        stride: Tokens between the starts of two windows' contexts, at most the context's length.
        max_question_tokens: Maximum length of a question. Questions are also limited to half of
            the window, so that the context has as much space.

    Returns:
        The windows. `truncated` is the number of truncated questions.

    Raises:
        UsageError: `max_length` is too short for a question with a context.
    """
    specials = tokenizer.specials(2)
    shortest = specials + SHORTEST_TEXTS
    if max_length < shortest:
        raise UsageError(
            f"Expected a max_length of at least {shortest} for a question with its context. "
            f"Received: {max_length}."
        )
    longest = min(max_question_tokens, (max_length - specials) // 2)
    encoded = tokenizer.encode_batch([question.question for question in questions])
    texts = list(dict.fromkeys(question.context for question in questions))
    contexts = dict(zip(texts, tokenizer.encode_batch(texts), strict=True))
    encodings: list[Encoding] = []
    owners: list[int] = []
    columns: list[int] = []
    for number, question in enumerate(questions):
        first, second = encoded[number].part(0, longest), contexts[question.context]
        for part in _windows(len(second) - 2, max_length - len(first) - specials + 2, stride):
            encodings.append(tokenizer.join(first, second.part(part.start, part.stop)))
            owners.append(number)
            columns.append(len(first) + specials - 3)
    return SpanFeatures(
        questions,
        encodings,
        np.array(owners, np.int32),
        sum(len(encoding) - 2 > longest for encoding in encoded),
        context_columns=np.array(columns, np.int32),
    )


def _windows(tokens: int, room: int, stride: int) -> Iterator[range]:
    """The ranges of a context's tokens; one empty range if the context has no token."""
    start = 0
    while start + room < tokens:
        yield range(start, start + room)
        start += min(stride, room)
    yield range(start, tokens)


def answer_columns(features: SpanFeatures) -> npt.NDArray[np.int32]:
    """The columns of the answer's first and last token in each window, int32 `[encodings, 2]`.

    The first answer of a question is used. Both columns are 0, [CLS], if the window does not
    contain the whole answer.
    """
    columns = np.zeros((len(features.encodings), 2), np.int32)
    for question, windows in zip(features.examples, features.windows_of(), strict=True):
        if not question.answers:
            continue
        for window in windows:
            begin = int(features.context_columns[window])
            ends = (window == windows[0], window == windows[-1])
            found = _tokens_of(question.answers[0], features.encodings[window], begin, ends)
            if found is not None:
                columns[window] = found
    return columns


def _tokens_of(
    answer: Answer, encoding: Encoding, begin: int, ends: tuple[bool, bool]
) -> tuple[int, int] | None:
    """The first and the last column of an answer; None if the window cuts it off.

    Args:
        answer: The answer, in characters of the context.
        encoding: The window.
        begin: First column of the window's context.
        ends: Whether the window has the context's first token, and its last token.
    """
    stop = answer.start + len(answer.text)
    offsets = np.array(encoding.offsets[begin:-1], np.int32).reshape(-1, 2)
    inside = np.flatnonzero((offsets[:, 1] > answer.start) & (offsets[:, 0] < stop))
    if not len(inside):
        return None
    first, last = int(inside[0]), int(inside[-1])
    is_cut_before = first == 0 and not ends[0] and offsets[0, 0] > answer.start
    is_cut_after = last == len(offsets) - 1 and not ends[1] and offsets[-1, 1] < stop
    return None if is_cut_before or is_cut_after else (begin + first, begin + last)


def best_spans(
    outputs: Sequence[np.ndarray],
    features: SpanFeatures,
    windows: range,
    *,
    max_answer_tokens: int,
    n_best: int,
) -> tuple[list[Span], float]:
    """The best spans of one question over all its windows, and the score of no answer.

    Args:
        outputs: Start and end logits of each window, `[tokens, 2]`.
        features: The windows.
        windows: Indices of the question's windows.
        max_answer_tokens: Maximum length of a span.
        n_best: Maximum number of spans.

    Returns:
        The spans, the best first, without duplicates; and the score of no answer, which is the
        smallest score of [CLS] in a window.
    """
    found: dict[tuple[int, int], float] = {}
    null_score = np.inf
    for window in windows:
        logits = outputs[window].astype(np.float64)
        null_score = min(null_score, float(logits[0].sum()))
        begin = int(features.context_columns[window])
        offsets = features.encodings[window].offsets[begin:-1]
        is_empty = [start == end for start, end in offsets]
        logits[begin:-1][is_empty, 1] = -np.inf  # no answer ends in a token without characters
        for first, last, score in _best_pairs(logits[begin:-1], max_answer_tokens, n_best):
            part = offsets[first][0], offsets[last][1]
            found[part] = max(score, found.get(part, -np.inf))
    spans = [Span(start, end, score) for (start, end), score in found.items()]
    return sorted(spans, key=lambda span: (-span.score, span.start, span.end))[:n_best], null_score


def _best_pairs(
    logits: npt.NDArray[np.float64], max_tokens: int, n_best: int
) -> Iterator[tuple[int, int, float]]:
    """The best spans as first token, last token and score.

    Entry `[i, j]` of the score matrix is the score of the span from token i to token i + j.

    Args:
        logits: Start and end logits of the context's tokens, `[tokens, 2]`.
        max_tokens: Maximum length of a span.
        n_best: Maximum number of spans.
    """
    tokens = len(logits)
    width = min(max_tokens, tokens)
    if not width:
        return
    ends = np.concatenate([logits[:, 1], np.full(width - 1, -np.inf)])
    scores = logits[:, :1] + np.lib.stride_tricks.sliding_window_view(ends, width)
    flat = scores.ravel()
    for place in [flat.argmax()] if n_best == 1 else np.argsort(-flat, kind="stable")[:n_best]:
        first, further = divmod(int(place), width)
        if np.isfinite(flat[place]):
            yield first, first + further, float(flat[place])
