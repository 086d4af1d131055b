"""Text as WordPiece sees it: cleaned, without accents, in lower case.

This does what the `tokenizers` library does (`BertNormalizer`), for machines without that library.
The tables are the library's own: Python's tables of characters are of another Unicode version.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from converters import character_tables

_REMOVED, _SPACE, _CHINESE, _MARK, _DECOMPOSED, _CASED, _REORDERED = (1 << i for i in range(7))
_CODE_POINTS = 0x110000


@dataclass(frozen=True)
class TextRules:
    """The text rules of a vocabulary.

    Attributes:
        lowercase: whether letters become lower-case.
        strip_accents: whether accents are taken off.
        split_chinese_characters: whether a CJK ideograph is a word of its own.
    """

    lowercase: bool
    strip_accents: bool
    split_chinese_characters: bool


@dataclass(frozen=True)
class PlacedText:
    """A normalized text, and where each of its characters comes from.

    Attributes:
        text: the normalized text.
        places: for each character, the place in the original text, in Unicode code points.
    """

    text: str
    places: Sequence[int]


def normalize(text: str, rules: TextRules, start: int = 0, end: int | None = None) -> PlacedText:
    """Applies the text rules to a part of a text.

    Args:
        text: any text without lone surrogates.
        rules: the text rules.
        start: first character of the part.
        end: character after the part; None takes the end of the text.
    """
    end = len(text) if end is None else end
    part = text[start:end]
    if part.isascii() and part.isprintable():  # most texts: nothing else happens to them
        return PlacedText(part.lower() if rules.lowercase else part, range(start, end))
    characters, places, seen = _cleaned(part, start, rules.split_chinese_characters)
    if rules.strip_accents and seen & (_DECOMPOSED | _REORDERED | _MARK):
        characters, places = _without_accents(characters, places)
    if rules.lowercase and seen & (_DECOMPOSED | _CASED):
        characters, places = _lowercased(characters, places)
    return PlacedText("".join(characters), places)


def is_space(character: str) -> bool:
    """Whether a character is white space."""
    return _is_in(_spaces(), character)


def is_word_character(character: str) -> bool:
    """Whether a token that must stand alone is not found next to a character."""
    return _is_in(_word_characters(), character)


@functools.cache
def word_pattern() -> re.Pattern[str]:
    """Finds the words of a normalized text: punctuation characters, and what is between them."""
    spaces, marks = map(_character_class, (character_tables.SPACES, character_tables.PUNCTUATION))
    return re.compile(f"[{marks}]|[^{spaces}{marks}]+")


def _cleaned(part: str, start: int, split_chinese: bool) -> tuple[list[str], list[int], int]:
    """Characters, their places, and all of their flags."""
    flags, seen = _flags(), 0
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(part, start):
        flag = flags[ord(character)]
        if flag & _REMOVED:
            continue
        seen |= flag
        if flag & _CHINESE and split_chinese:
            characters += (" ", character, " ")
            places += (place, place, place)
        else:
            characters.append(" " if flag & _SPACE else character)
            places.append(place)
    return characters, places, seen


def _without_accents(
    characters: Sequence[str], places: Sequence[int]
) -> tuple[list[str], list[int]]:
    """Takes letters and accents apart (NFD), and leaves out the accents.

    As in the library, each of several marks that change places has the place where it comes to
    stand.
    """
    flags, classes = _flags(), _combining_classes()
    kept: list[str] = []
    kept_places: list[int] = []
    run: list[tuple[int, str, bool]] = []  # class, character, whether it begins one of the text
    used = 0

    def finish_run() -> None:
        nonlocal used
        if len(run) > 1:
            run.sort(key=lambda entry: entry[0])
        for _, character, is_first in run:
            used += is_first
            if not flags[ord(character)] & _MARK:
                kept.append(character)
                kept_places.append(places[used - 1])
        run.clear()

    for character in characters:
        flag = flags[ord(character)]
        parts = unicodedata.normalize("NFD", character) if flag & _DECOMPOSED else character
        for index, part in enumerate(parts):
            order = classes.get(part, 0)
            if not order:
                finish_run()
            run.append((order, part, index == 0))
    finish_run()
    return kept, kept_places


def _lowercased(characters: Sequence[str], places: Sequence[int]) -> tuple[list[str], list[int]]:
    lower = _lowercase()
    found: list[str] = []
    found_places: list[int] = []
    for character, place in zip(characters, places, strict=True):
        letters = lower.get(character, character)
        found += letters
        found_places += [place] * len(letters)
    return found, found_places


def _ranges(table: str) -> Iterator[tuple[int, int]]:
    """The ranges of a set of `character_tables`: first code point, and the one after the last."""
    end = 0
    for each in table.split():
        gap, _, length = each.partition(":")
        start = end + int(gap, 36)
        end = start + int(length or "1", 36)
        yield start, end


def _codes(table: str) -> Iterator[int]:
    return (code for start, end in _ranges(table) for code in range(start, end))


@functools.cache
def _flags() -> bytearray:
    """What each code point is: a sum of the flags above."""
    flags = bytearray(_CODE_POINTS)
    for flag, table in (
        (_REMOVED, character_tables.REMOVED),
        (_SPACE, character_tables.SPACES),
        (_CHINESE, character_tables.CHINESE_CHARACTERS),
        (_MARK, character_tables.MARKS),
        (_DECOMPOSED, character_tables.DECOMPOSED),
    ):
        with_flag = bytes(value | flag for value in range(256))
        for start, end in _ranges(table):
            flags[start:end] = flags[start:end].translate(with_flag)
    for flag, characters in ((_CASED, _lowercase()), (_REORDERED, _combining_classes())):
        for character in characters:
            flags[ord(character)] |= flag
    return flags


@functools.cache
def _lowercase() -> dict[str, str]:
    by_delta = character_tables.LOWERCASE
    pairs = {chr(c): chr(c + delta) for delta, table in by_delta.items() for c in _codes(table)}
    longer = character_tables.LONG_LOWERCASE
    return pairs | {chr(code): "".join(map(chr, codes)) for code, codes in longer.items()}


@functools.cache
def _combining_classes() -> dict[str, int]:
    by_class = character_tables.COMBINING_CLASSES
    return {chr(code): order for order, table in by_class.items() for code in _codes(table)}


@functools.cache
def _spaces() -> list[int]:
    return _edges(character_tables.SPACES)


@functools.cache
def _word_characters() -> list[int]:
    return _edges(character_tables.WORD_CHARACTERS)


def _edges(table: str) -> list[int]:
    """Starts and ends of the ranges: a number of edges that is odd is inside a range."""
    return [edge for each in _ranges(table) for edge in each]


def _is_in(edges: list[int], character: str) -> bool:
    return bisect_right(edges, ord(character)) % 2 == 1


def _character_class(table: str) -> str:
    """The inner part of a character class of a regular expression."""
    return "".join(f"\\U{start:08x}-\\U{end - 1:08x}" for start, end in _ranges(table))
