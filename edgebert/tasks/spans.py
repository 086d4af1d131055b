"""Spans of a long context: windows over it, where an answer stands in one, the best spans of all.

As in BERT's own SQuAD code (Devlin et al. 2019, section 4.2; `run_squad.py`): every window has the
question and as much of the context as fits, [CLS] stands for an answer that the window has not, a
span's score is the sum of its start's and its end's logits, and scores of all windows are compared
as they are.
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

SHORTEST = 5
"""[CLS], [SEP] twice, a token of the question and one of the context."""


@dataclass(frozen=True, kw_only=True)
class SpanFeatures(Features):
    """Windows over the contexts of questions: each encoding is one.

    Attributes:
        context_columns: where each window's context begins, int32 `[encodings]`; it ends before the
            last [SEP].
    """

    context_columns: npt.NDArray[np.int32]

    def windows_of(self) -> Iterator[range]:
        """The numbers of each example's windows, example by example."""
        bounds = np.searchsorted(self.owners, np.arange(len(self.examples) + 1))
        for start, stop in itertools.pairwise(bounds):
            yield range(int(start), int(stop))


class Span(NamedTuple):
    """Part of a context, in characters, and its score: the sum of two logits."""

    start: int
    end: int
    score: float


def encode_questions(
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    max_length: int,
    stride: int,
    max_question_tokens: int,
) -> SpanFeatures:
    """Lays windows over each question's context.

    Args:
        tokenizer: the model's.
        questions: with their contexts.
        max_length: of a window, in tokens.
        stride: tokens from one window's context to the next one's; less where a window is shorter.
        max_question_tokens: longer questions are cut, and such that a window has at least as much
            room for the context as for the question.

    Returns:
        The windows; `truncated` counts the questions that were cut.

    Raises:
        UsageError: windows are too short for a question with a context.
    """
    if max_length < SHORTEST:
        raise UsageError(
            f"Expected a max_length of at least {SHORTEST} for a question with its context. "
            f"Received: {max_length}."
        )
    longest = min(max_question_tokens, (max_length - 3) // 2)
    asked = tokenizer.encode_batch([question.question for question in questions])
    texts = list(dict.fromkeys(question.context for question in questions))
    contexts = dict(zip(texts, tokenizer.encode_batch(texts), strict=True))
    encodings: list[Encoding] = []
    owners: list[int] = []
    columns: list[int] = []
    for number, question in enumerate(questions):
        first, second = asked[number].part(0, longest), contexts[question.context]
        for part in _windows(len(second) - 2, max_length - len(first) - 1, stride):
            encodings.append(tokenizer.join(first, second.part(part.start, part.stop)))
            owners.append(number)
            columns.append(len(first))
    return SpanFeatures(
        questions,
        encodings,
        np.array(owners, np.int32),
        sum(len(encoding) - 2 > longest for encoding in asked),
        context_columns=np.array(columns, np.int32),
    )


def _windows(tokens: int, room: int, stride: int) -> Iterator[range]:
    """The parts of a context of so many tokens; one without any where it has none."""
    start = 0
    while start + room < tokens:
        yield range(start, start + room)
        start += min(stride, room)
    yield range(start, tokens)


def answer_columns(features: SpanFeatures) -> npt.NDArray[np.int32]:
    """The columns of each window's first and last token of the answer, int32 `[encodings, 2]`.

    The answer is the question's first. Where the window does not have it all, both are 0: [CLS].
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
    """The first and last column of an answer's tokens; None where the window cuts it off.

    Args:
        answer: in characters of the context.
        encoding: the window.
        begin: the column where its context begins.
        ends: whether it has the context's first token, and the last: nothing is cut off there.
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
    max_answer_tokens: int,
    n_best: int,
) -> tuple[list[Span], float]:
    """The best spans of one question over all its windows, and the score of none.

    Args:
        outputs: start and end logits of each window, `[tokens, 2]`.
        features: the windows.
        windows: the question's.
        max_answer_tokens: of a span.
        n_best: spans to give at most.

    Returns:
        The spans, the best one first, each part of the context once; and the smallest score that
        [CLS] has in a window, which is that of no answer.
    """
    found: dict[tuple[int, int], float] = {}
    null_score = np.inf
    for window in windows:
        logits = outputs[window].astype(np.float64)
        null_score = min(null_score, float(logits[0].sum()))
        begin = int(features.context_columns[window])
        offsets = features.encodings[window].offsets[begin:-1]
        for first, last, score in _best_pairs(logits[begin:-1], max_answer_tokens, n_best):
            part = offsets[first][0], offsets[last][1]
            found[part] = max(score, found.get(part, -np.inf))
    spans = [Span(start, end, score) for (start, end), score in found.items()]
    return sorted(spans, key=lambda span: (-span.score, span.start, span.end))[:n_best], null_score


def _best_pairs(
    logits: npt.NDArray[np.float64], max_tokens: int, n_best: int
) -> Iterator[tuple[int, int, float]]:
    """The best first and last tokens with their scores, of all spans that are not too long.

    Args:
        logits: start and end logits of the context's tokens, `[tokens, 2]`.
        max_tokens: of a span.
        n_best: how many.
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
