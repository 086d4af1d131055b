"""Tagging schemes of named entities: IOB2, conversion of others to IOB2, and entity spans.

edgebert trains, predicts and scores IOB2 (also called BIO): `B-X` begins an entity of type X,
`I-X` continues it, `O` is outside of entities. Files may have three other schemes:

- IOB1 (Ramshaw and Marcus 1995): `I-X` also begins an entity; `B-X` only begins one directly after
  another entity of its type;
- IOBES: `E-X` is the last word of an entity, `S-X` a single word;
- BILOU (Ratinov and Roth 2009): the same with `L-X` and `U-X`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

OUTSIDE = "O"
_IOB2_PREFIX = {"B": "B", "I": "I", "E": "I", "L": "I", "S": "B", "U": "B"}


class Span(NamedTuple):
    """An entity: its type, its first word and the word after its last word."""

    type: str
    start: int
    end: int


class Fault(NamedTuple):
    """An invalid tag: the number of its sentence and word, and the problem."""

    sentence: int
    word: int
    problem: str


def split_tag(tag: str) -> tuple[str, str]:
    """The prefix and the type of a tag; `("O", "")` for a word outside of entities."""
    prefix, _, kind = tag.partition("-")
    return (prefix, kind) if kind else (OUTSIDE, "")


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities of IOB2 tags, as in conlleval (Tjong Kim Sang and Buchholz 2000).

    Predicted tags may be invalid: an `I-X` after `O` or after another type begins an entity.
    """
    found: list[Span] = []
    start, kind = 0, ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, new_kind = split_tag(tag)
        if prefix == "I" and new_kind == kind:
            continue
        if kind:
            found.append(Span(kind, start, place))
        start, kind = place, new_kind
    return found


def inside(tag: str) -> str:
    """The tag of the second part of a word whose first part has the tag `tag`."""
    return "I-" + tag[2:] if tag.startswith("B-") else tag


def as_iob2(tag: str) -> str:
    """Converts a tag of IOBES or BILOU to IOB2; other tags are returned unchanged."""
    prefix, kind = split_tag(tag)
    return f"{_IOB2_PREFIX[prefix]}-{kind}" if prefix in _IOB2_PREFIX else tag


def to_iob2(sentences: Sequence[Sequence[str]]) -> tuple[list[tuple[str, ...]], list[Fault]]:
    """Converts the tags of a file to IOB2.

    A file has one scheme: IOBES or BILOU if it has their prefixes, otherwise IOB2 if all tags are
    valid in it, otherwise IOB1. Invalid tags are not repaired.

    Returns:
        The tags of each sentence, and the faults if the tags are valid in no scheme; the tags are
        then unchanged.
    """
    given = [tuple(tags) for tags in sentences]
    faults = _malformed(given)
    if faults:
        return given, faults
    prefixes = {split_tag(tag)[0] for tags in given for tag in tags}
    if prefixes & set("ES"):
        faults = _faults(given, _bounded("E"))
    elif prefixes & set("LU"):
        faults = _faults(given, _bounded("L"))
    else:
        faults = _faults(given, _iob2_fault)
        if faults and not _faults(given, _iob1_fault):
            return [_from_iob1(tags) for tags in given], []
    if faults:
        return given, faults
    return [tuple(map(as_iob2, tags)) for tags in given], []


_Check = Callable[[str, str], str]
"""Returns the problem of a tag after the previous tag, or ""; a sentence ends with `O`."""


def _malformed(sentences: Sequence[Sequence[str]]) -> list[Fault]:
    prefixes = {split_tag(tag)[0] for tags in sentences for tag in tags}
    mixed = bool(prefixes & set("ES")) and bool(prefixes & set("LU"))
    faults = []
    for number, tags in enumerate(sentences):
        for word, tag in enumerate(tags):
            if tag != OUTSIDE and (tag[1:2] != "-" or split_tag(tag)[0] not in _IOB2_PREFIX):
                problem = f"the tag {tag!r}: expected O, or B- or I- and a type"
                faults.append(Fault(number, word, problem))
            elif mixed and tag[0] in "LU":
                problem = f"the tag {tag!r} of BILOU in a file with tags of IOBES"
                faults.append(Fault(number, word, problem))
    return faults


def _faults(sentences: Sequence[Sequence[str]], check: _Check) -> list[Fault]:
    faults = []
    for number, tags in enumerate(sentences):
        for word, (before, tag) in enumerate(zip([OUTSIDE, *tags], [*tags, OUTSIDE], strict=True)):
            if problem := check(before, tag):
                faults.append(Fault(number, min(word, len(tags) - 1), problem))
    return faults


def _iob2_fault(before: str, tag: str) -> str:
    prefix, kind = split_tag(tag)
    if prefix != "I" or split_tag(before)[1] == kind:
        return ""
    return f"{tag} after {before}: expected B-{kind} to begin an entity"


def _iob1_fault(before: str, tag: str) -> str:
    prefix, kind = split_tag(tag)
    return "B" if prefix == "B" and split_tag(before)[1] != kind else ""


def _bounded(last: str) -> _Check:
    """The check of IOBES or BILOU, which differ in the prefix `last` of an entity's last word."""

    def fault(before: str, tag: str) -> str:
        was, was_kind = split_tag(before)
        prefix, kind = split_tag(tag)
        is_open = was in ("B", "I")
        if prefix in ("I", last):
            if is_open and kind == was_kind:
                return ""
            return f"{tag} after {before}: expected B-{kind} to begin an entity"
        return (
            f"{tag} after {before}: expected {last}-{was_kind} to end the entity" if is_open else ""
        )

    return fault


def _from_iob1(tags: Sequence[str]) -> tuple[str, ...]:
    turned = []
    for before, tag in zip([OUTSIDE, *tags], tags, strict=False):
        prefix, kind = split_tag(tag)
        begins = prefix == "I" and split_tag(before)[1] != kind
        turned.append(f"B-{kind}" if begins else tag)
    return tuple(turned)
