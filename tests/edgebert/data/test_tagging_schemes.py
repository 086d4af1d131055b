"""Conversion of tags to IOB2 with faults, and spans as in conlleval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from edgebert.data.tagging_schemes import Span, as_iob2, inside, spans, to_iob2

TYPES = st.sampled_from(["PER", "LOC"])
TAGS = st.one_of(st.just("O"), st.builds(lambda p, t: f"{p}-{t}", st.sampled_from("BI"), TYPES))


@st.composite
def sentences(draw: st.DrawFn) -> list[tuple[int, list[Span]]]:
    """Lengths of sentences, and entities in them."""
    made = []
    for _ in range(draw(st.integers(1, 4))):
        found, place = [], 0
        for _ in range(draw(st.integers(0, 4))):
            start = place + draw(st.integers(0, 2))
            place = start + draw(st.integers(1, 3))
            found.append(Span(draw(TYPES), start, place))
        made.append((max(place, 1) + draw(st.integers(0, 2)), found))
    return made


def written(length: int, found: list[Span], scheme: str) -> list[str]:
    """The tags of entities in a scheme."""
    tags = ["O"] * length
    for before, span in zip([None, *found], found, strict=False):
        tags[span.start : span.end] = [f"I-{span.type}"] * (span.end - span.start)
        touches = before is not None and before.end == span.start and before.type == span.type
        if scheme != "IOB1" or touches:
            tags[span.start] = f"B-{span.type}"
        if scheme in ("IOBES", "BILOU"):
            last, single = ("E", "S") if scheme == "IOBES" else ("L", "U")
            tags[span.end - 1] = f"{last}-{span.type}"
            if span.end - span.start == 1:
                tags[span.start] = f"{single}-{span.type}"
    return tags


@pytest.mark.parametrize("scheme", ["IOB2", "IOB1", "IOBES", "BILOU"])
@given(made=sentences())
def test_every_scheme_becomes_iob2(scheme: str, made: list[tuple[int, list[Span]]]) -> None:
    tags, faults = to_iob2([written(length, found, scheme) for length, found in made])
    assert faults == []
    assert tags == [tuple(written(length, found, "IOB2")) for length, found in made]
    assert [spans(each) for each in tags] == [found for _, found in made]


@given(tags=st.lists(TAGS, max_size=12))
def test_spans_of_any_tags_are_those_of_seqeval(tags: list[str]) -> None:
    expected = [(kind, start, end + 1) for kind, start, end in get_entities(tags)]
    assert [tuple(span) for span in spans(tags)] == expected


@pytest.mark.parametrize(
    ("tags", "word", "problem"),
    [
        (["B-PER", "O", "I-LOC"], 2, "I-LOC after O: expected B-LOC"),
        (["B-PER", "I-LOC", "O"], 1, "I-LOC after B-PER: expected B-LOC"),
        (["B-PER", "E-PER", "E-PER", "O"], 2, "E-PER after E-PER: expected B-PER"),
        (["S-PER", "B-PER", "O"], 2, "O after B-PER: expected E-PER to end"),
        (["U-PER", "O", "B-PER"], 2, "O after B-PER: expected L-PER to end"),
        (["B-PER", "X-PER"], 1, "'X-PER': expected O, or B-"),
        (["B-PER", "o"], 1, "'o': expected O, or B-"),
        (["B-", "O"], 0, "'B-': expected O, or B-"),
        (["I", "O"], 0, "'I': expected O, or B-"),
        (["S-PER", "O", "U-LOC"], 2, "'U-LOC' of BILOU in a file with tags of IOBES"),
    ],
)
def test_faults_name_the_word(tags: list[str], word: int, problem: str) -> None:
    same, faults = to_iob2([["O"], tags])
    assert same == [("O",), tuple(tags)]
    assert [(fault.sentence, fault.word) for fault in faults] == [(1, word)]
    assert problem in faults[0].problem


def test_one_sentence_of_another_scheme_is_a_fault() -> None:
    """IOB1's I after O, in a file whose other sentence can only be IOB2."""
    _, faults = to_iob2([["I-PER", "O"], ["O", "B-PER"]])
    assert [(fault.sentence, fault.word) for fault in faults] == [(0, 0)]


def test_tags_of_the_second_part_of_a_word() -> None:
    assert [inside(tag) for tag in ("O", "B-PER", "I-PER")] == ["O", "I-PER", "I-PER"]


def test_tags_of_other_schemes_are_converted_to_iob2() -> None:
    tags = ["S-PER", "B-LOC", "E-LOC", "U-PER", "L-PER", "O", "NOUN", "LABEL_0"]
    assert [as_iob2(tag) for tag in tags] == [
        "B-PER",
        "B-LOC",
        "I-LOC",
        "B-PER",
        "I-PER",
        "O",
        "NOUN",
        "LABEL_0",
    ]
