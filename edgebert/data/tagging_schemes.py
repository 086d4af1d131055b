"""How tags say where entities begin and end: IOB2, what else is turned into it, and the spans.

IOB2 (also called BIO) is what edgebert trains on, predicts and scores: `B-X` begins an entity of
type X, `I-X` goes on with it, `O` is outside. Three other schemes are recognised in files:

- IOB1 (Ramshaw and Marcus 1995): `I-X` begins an entity too, and `B-X` only one that follows
  another of its type at once;
- IOBES: `E-X` is an entity's last word, `S-X` its only one;
- BILOU (Ratinov and Roth 2009): the same with `L-X` and `U-X`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

OUTSIDE = "O"
_IOB2_PREFIX = {"B": "B", "I": "I", "E": "I", "L": "I", "S": "B", "U": "B"}


class Span(NamedTuple):
    """An entity: its type, its first word and the word after its last."""

    type: str
    start: int
    end: int


class Fault(NamedTuple):
    """What is wrong with a tag: which one of which sentence, and why."""

    sentence: int
    word: int
    problem: str


def parts(tag: str) -> tuple[str, str]:
    """A tag's prefix and type, `("O", "")` outside."""
    prefix, _, kind = tag.partition("-")
    return (prefix, kind) if kind else (OUTSIDE, "")


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities of IOB2 tags, as conlleval reads them (Tjong Kim Sang and Buchholz 2000).

    Tags that a model predicts need not be valid: an `I-X` after `O` or after another type begins an
    entity.
    """
    found: list[Span] = []
    start, kind = 0, ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, new_kind = parts(tag)
        if prefix == "I" and new_kind == kind:
            continue
        if kind:
            found.append(Span(kind, start, place))
        start, kind = place, new_kind
    return found


def inside(tag: str) -> str:
    """The tag of a word's second part, where the first part has `tag`."""
    return "I-" + tag[2:] if tag.startswith("B-") else tag


def as_iob2(tag: str) -> str:
    """A tag of IOBES or BILOU as one of IOB2; any other tag as it is."""
    prefix, kind = parts(tag)
    return f"{_IOB2_PREFIX[prefix]}-{kind}" if prefix in _IOB2_PREFIX else tag


def to_iob2(sentences: Sequence[Sequence[str]]) -> tuple[list[tuple[str, ...]], list[Fault]]:
    """Turns a file's tags into IOB2.

    A file is of one scheme throughout: the first of IOB2 and IOB1 that all its tags agree with, or
    IOBES or BILOU where it has their prefixes. Nothing is repaired.

    Returns:
        The tags of each sentence, and the faults where the file is of none of the schemes; the tags
        are then as they came.
    """
    given = [tuple(tags) for tags in sentences]
    faults = _malformed(given)
    if faults:
        return given, faults
    prefixes = {parts(tag)[0] for tags in given for tag in tags}
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
"""What is wrong with a tag after another one; the end of a sentence counts as `O`."""


def _malformed(sentences: Sequence[Sequence[str]]) -> list[Fault]:
    prefixes = {parts(tag)[0] for tags in sentences for tag in tags}
    mixed = bool(prefixes & set("ES")) and bool(prefixes & set("LU"))
    faults = []
    for number, tags in enumerate(sentences):
        for word, tag in enumerate(tags):
            if tag != OUTSIDE and (tag[1:2] != "-" or parts(tag)[0] not in _IOB2_PREFIX):
                problem = f"the tag {tag!r}: expected O, or B- or I- and a type"
                faults.append(Fault(number, word, problem))
            elif mixed and tag[0] in "LU":
                problem = f"the tag {tag!r} of BILOU in a file that has tags of IOBES"
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
    prefix, kind = parts(tag)
    if prefix != "I" or parts(before)[1] == kind:
        return ""
    return f"{tag} after {before}: expected B-{kind} to begin an entity"


def _iob1_fault(before: str, tag: str) -> str:
    prefix, kind = parts(tag)
    return "B" if prefix == "B" and parts(before)[1] != kind else ""


def _bounded(last: str) -> _Check:
    """The check of IOBES or BILOU, by its prefix of an entity's last word."""

    def fault(before: str, tag: str) -> str:
        was, was_kind = parts(before)
        prefix, kind = parts(tag)
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
        prefix, kind = parts(tag)
        begins = prefix == "I" and parts(before)[1] != kind
        turned.append(f"B-{kind}" if begins else tag)
    return tuple(turned)
