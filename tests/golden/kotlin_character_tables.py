"""Writes the character tables of the Kotlin tokenizer, CharacterTables.kt."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KOTLIN_OUTPUT = (
    Path(__file__).parents[2] / "android_demo/text/src/main/kotlin/org/edgebert/CharacterTables.kt"
)
_HANGUL_SYLLABLES = range(0xAC00, 0xAC00 + 11172)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_HEAD = """\
package org.edgebert

/**
 * What the `tokenizers` library ({version}) does with each character. Made by
 * tests/golden/make_character_tables.py, which says why; not to be edited.
 *
 * A set of code points is written as the gap to the last one and, after a colon, how many follow
 * each other where that is more than one; both in base 36.
 */
internal object CharacterTables {{
"""


@dataclass(frozen=True)
class Tables:
    """What a library does with each code point.

    Attributes:
        sets: of code points; each with what is done to them.
        lowercase: what is added to the code point: those for which it is.
        long_lowercase: code points whose lowercase is several.
        combining_classes: code points of each canonical combining class but 0.
        decompositions: what NFD makes of each code point that it changes.
    """

    sets: Mapping[str, tuple[str, Sequence[int]]]
    lowercase: Mapping[str, Sequence[int]]
    long_lowercase: Mapping[int, Sequence[int]]
    combining_classes: Mapping[str, Sequence[int]]
    decompositions: Mapping[int, str]


def kotlin_module(tables: Tables, version: str) -> str:
    """The text of CharacterTables.kt."""
    constants = [
        (name, f"These {meaning}.", ranges(codes)) for name, (meaning, codes) in tables.sets.items()
    ]
    marks = [code for code in range(0x110000) if unicodedata.category(chr(code)) == "Mn"]
    constants += [
        (
            "nonspacingMarks",
            f"Category Mn of Unicode {unicodedata.unidata_version}: they belong to a word before.",
            ranges(marks),
        ),
        (
            "lowercase",
            "What is added to the code point, and for which; groups end with a semicolon.",
            _groups(tables.lowercase),
        ),
        (
            "longLowercase",
            "Lowercase of more than one character, as in decompositions.",
            _sequences(tables.long_lowercase),
        ),
        (
            "combiningClasses",
            "Canonical combining class, and its code points; all others have class 0.",
            _groups(tables.combining_classes),
        ),
        (
            "decompositions",
            "Gap to the last code point, and after an equals sign what NFD makes of it; the "
            "syllables of Hangul are computed.",
            _sequences(
                {
                    code: [ord(character) for character in text]
                    for code, text in tables.decompositions.items()
                    if code not in _HANGUL_SYLLABLES
                }
            ),
        ),
    ]
    return _HEAD.format(version=version) + "\n".join(map(_constant, constants)) + "}\n"


def ranges(codes: Iterable[int]) -> str:
    """A set of code points as text: see the head of the modules."""
    parts, last = [], 0
    runs: list[tuple[int, int]] = []
    for code in sorted(codes):
        if runs and sum(runs[-1]) == code:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((code, 1))
    for start, length in runs:
        parts.append(_base_36(start - last) + (f":{_base_36(length)}" if length > 1 else ""))
        last = start + length
    return " ".join(parts)


def _constant(constant: tuple[str, str, str]) -> str:
    name, meaning, content = constant
    lines = "\n".join(textwrap.wrap(content, 100, break_on_hyphens=False))
    comment = "\n".join(
        textwrap.wrap(meaning, 90, initial_indent="    // ", subsequent_indent="    // ")
    )
    return f'{comment}\n    val {name}: String = """\n{lines}\n"""\n'


def _groups(groups: Mapping[str, Sequence[int]]) -> str:
    return " ; ".join(f"{key} {ranges(groups[key])}" for key in sorted(groups, key=int))


def _sequences(sequences: Mapping[int, Sequence[int]]) -> str:
    parts, last = [], 0
    for code in sorted(sequences):
        parts.append(f"{_base_36(code - last)}={'.'.join(map(_base_36, sequences[code]))}")
        last = code
    return " ".join(parts)


def _base_36(number: int) -> str:
    digits = _DIGITS[number % 36]
    return digits if number < 36 else _base_36(number // 36) + digits
