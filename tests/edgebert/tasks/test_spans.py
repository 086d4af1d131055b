"""Windows, positions of answers, and best spans, compared with direct implementations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.vocabulary import Vocabulary
from edgebert.data.squad_files import Answer, Question
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import UsageError
from edgebert.tasks.spans import (
    SpanFeatures,
    _windows,
    answer_columns,
    best_spans,
    encode_questions,
)
from tests.conftest import TINY_TOKENS

WORDS = ("movie", "film", "light", "Lights", "musics", "alarm,", "(timer)", "weather?", "play.ing")
TOKENIZER = Tokenizer(Vocabulary(tokens=TINY_TOKENS, lowercase=True))
# Processes share this machine: how long one case takes says nothing.
unhurried = settings(deadline=None)


def of_run_squad(tokens: int, room: int, stride: int) -> list[tuple[int, int]]:
    """The windows' starts and lengths in BERT's run_squad.py."""
    spans, start = [], 0
    while start < tokens:
        length = min(tokens - start, room)
        spans.append((start, length))
        if start + length == tokens:
            break
        start += min(length, stride)
    return spans


@unhurried
@given(st.integers(1, 200), st.integers(1, 60), st.integers(1, 80))
def test_windows_are_those_of_run_squad(tokens: int, room: int, stride: int) -> None:
    windows = list(_windows(tokens, room, stride))
    assert [(part.start, len(part)) for part in windows] == of_run_squad(tokens, room, stride)
    assert sorted({place for part in windows for place in part}) == list(range(tokens))


def test_a_context_without_tokens_has_one_window() -> None:
    assert list(_windows(0, 5, 2)) == [range(0)]


questions = st.lists(
    st.tuples(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=6),
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=25),
        st.integers(0, 24),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=3,
)


def built(rows: Sequence[tuple[list[str], list[str], int, int]]) -> list[Question]:
    """Questions whose answers are whole words of their contexts."""
    made = []
    for asked, words, first, size in rows:
        first = min(first, len(words) - 1)
        before = "".join(f"{word} " for word in words[:first])
        text = " ".join(words[first : first + size])
        answer = Answer(text, len(before))
        made.append(Question("", " ".join(asked), " ".join(words), (answer,)))
    return made


@unhurried
@given(questions, st.integers(12, 40), st.integers(1, 40))
def test_each_window_has_the_question_and_a_part_of_the_context(
    rows: list[tuple[list[str], list[str], int, int]], max_length: int, stride: int
) -> None:
    asked = built(rows)
    features = encode_questions(TOKENIZER, asked, max_length, stride=stride, max_question_tokens=6)
    room = min(6, (max_length - 3) // 2)
    for question, windows in zip(asked, features.windows_of(), strict=True):
        alone = TOKENIZER.encode(question.question).token_ids[1:-1][:room]
        whole = TOKENIZER.encode(question.question, question.context)
        context = TOKENIZER.encode(question.context)
        seen = set()
        for window in windows:
            encoding = features.encodings[window]
            begin = int(features.context_columns[window])
            assert len(encoding) <= max_length
            assert encoding.token_ids[:begin] == (whole.token_ids[0], *alone, whole.token_ids[-1])
            assert encoding.token_ids[-1] == whole.token_ids[-1]
            assert encoding.segment_ids == (0,) * begin + (1,) * (len(encoding) - begin)
            for place in range(begin, len(encoding) - 1):
                seen.add(encoding.offsets[place])
        assert seen == set(context.offsets[1:-1])
    assert len(features.owners) == len(features.encodings)
    assert features.truncated == sum(
        len(TOKENIZER.encode(question.question)) - 2 > room for question in asked
    )


@unhurried
@given(questions, st.integers(12, 40), st.integers(1, 40))
def test_targets_are_the_whole_answer_or_cls(
    rows: list[tuple[list[str], list[str], int, int]], max_length: int, stride: int
) -> None:
    asked = built(rows)
    features = encode_questions(TOKENIZER, asked, max_length, stride=stride, max_question_tokens=6)
    columns = answer_columns(features)
    for number, encoding in enumerate(features.encodings):
        question = asked[features.owners[number]]
        (answer,) = question.answers
        begin, (first, last) = int(features.context_columns[number]), columns[number]
        offsets = encoding.offsets[begin:-1]
        end = answer.start + len(answer.text)
        has_it_all = offsets[0][0] <= answer.start and end <= offsets[-1][1]
        if has_it_all:
            assert begin <= first <= last < len(encoding) - 1
            start, stop = encoding.offsets[first][0], encoding.offsets[last][1]
            assert question.context[start:stop] == answer.text
        else:
            assert (first, last) == (0, 0)


def test_an_answer_inside_tokens_has_the_overlapping_tokens() -> None:
    context = "the movie is on."
    inside = Question("", "what", context, (Answer("ovi", 5),))
    after = Question("", "what", context, (Answer(" is", 9),))
    features = encode_questions(TOKENIZER, [inside, after], 30, stride=10, max_question_tokens=8)
    columns = answer_columns(features)
    for row, expected in zip(columns, ("movie", "is"), strict=True):
        encoding = features.encodings[0]
        start, stop = encoding.offsets[row[0]][0], encoding.offsets[row[1]][1]
        assert context[start:stop] == expected


def test_dropped_characters_at_the_end_do_not_cut_an_answer() -> None:
    context = "play it now\u200b"
    question = Question("", "when", context, (Answer("now\u200b", 8),))
    features = encode_questions(TOKENIZER, [question], 30, stride=10, max_question_tokens=8)
    assert answer_columns(features)[0].all()


@pytest.mark.parametrize(
    "question",
    [
        Question("", "who", "the movie", is_impossible=True),
        Question("", "who", "the movie"),
        Question("", "who", "\u200b movie", (Answer("\u200b", 0),)),
    ],
)
def test_no_answer_is_cls(question: Question) -> None:
    features = encode_questions(TOKENIZER, [question], 30, stride=10, max_question_tokens=8)
    assert not answer_columns(features).any()


def test_a_too_short_max_length_is_refused() -> None:
    asked = [Question("", "who is it", "the movie is on")]
    shortest = encode_questions(TOKENIZER, asked, 5, stride=3, max_question_tokens=64)
    assert [len(encoding) for encoding in shortest.encodings] == [5] * 4
    with pytest.raises(UsageError, match="at least 5"):
        encode_questions(TOKENIZER, asked, 4, stride=3, max_question_tokens=64)


def test_a_model_without_segments_has_none(tiny_vocabulary: Vocabulary) -> None:
    tokenizer = Tokenizer(tiny_vocabulary, segments=False)
    features = encode_questions(
        tokenizer, [Question("", "who", "the movie")], 30, stride=10, max_question_tokens=8
    )
    assert not any(features.encodings[0].segment_ids)


# The best spans


def stated_spans(
    outputs: Sequence[np.ndarray], features: SpanFeatures, windows: range, longest: int
) -> dict[tuple[int, int], float]:
    """The scores of all valid spans, by direct enumeration."""
    scores: dict[tuple[int, int], float] = {}
    for window in windows:
        encoding, begin = features.encodings[window], int(features.context_columns[window])
        for first in range(begin, len(encoding) - 1):
            for last in range(first, len(encoding) - 1):
                if last - first < longest:
                    part = encoding.offsets[first][0], encoding.offsets[last][1]
                    score = float(outputs[window][first, 0]) + float(outputs[window][last, 1])
                    scores[part] = max(score, scores.get(part, -np.inf))
    return scores


@unhurried
@given(questions, st.integers(12, 30), st.integers(1, 20), st.integers(1, 8), st.integers(1, 25))
def test_spans_are_the_best_valid_spans(
    rows: list[tuple[list[str], list[str], int, int]],
    max_length: int,
    stride: int,
    longest: int,
    n_best: int,
) -> None:
    features = encode_questions(
        TOKENIZER, built(rows), max_length, stride=stride, max_question_tokens=6
    )
    rng = np.random.default_rng(len(features.encodings))
    outputs = [rng.normal(0, 3, (len(e), 2)).astype(np.float32) for e in features.encodings]
    for window, output in enumerate(outputs):  # nothing outside the context may win
        output[: features.context_columns[window]] += 100
        output[-1] += 100
    for windows in features.windows_of():
        spans, null_score = best_spans(
            outputs, features, windows, max_answer_tokens=longest, n_best=n_best
        )
        expected = stated_spans(outputs, features, windows, longest)
        best = sorted(expected.values(), reverse=True)[:n_best]
        assert [span.score for span in spans] == pytest.approx(best)
        assert all(expected[span[:2]] == pytest.approx(span.score) for span in spans)
        assert len({span[:2] for span in spans}) == len(spans)
        assert null_score == pytest.approx(min(float(outputs[i][0].sum()) for i in windows))


def test_a_context_without_tokens_has_no_spans() -> None:
    features = encode_questions(
        TOKENIZER, [Question("", "who", "\u200b")], 30, stride=10, max_question_tokens=8
    )
    outputs = [np.ones((len(features.encodings[0]), 2), np.float32)]
    assert best_spans(outputs, features, range(1), max_answer_tokens=30, n_best=20) == ([], 2.0)
