"""Makes grapheme_tables.js and GraphemeTables.kt: how code points join to grapheme clusters.

`tokenizers` applies a SentencePiece character map to grapheme clusters (Unicode Standard Annex
29). Browsers and phones have the clusters of other Unicode versions, so the classes are what the
installed library answers when it is asked about each code point. It replaces a cluster of less
than 6 bytes as a whole, and a longer one character by character. So what follows a code point
tells whether a cluster begins there.

    python -m tests.golden.make_grapheme_tables

Regional indicators (GB12, GB13) need no class: a pair of them has 8 bytes, so no answer tells
whether it is one cluster. The classes of Hangul (GB6 to GB8) are ranges.
"""

from __future__ import annotations

import textwrap

import tokenizers
from tokenizers import normalizers

from tests.golden.character_maps import compile_map
from tests.golden.kotlin_character_tables import KOTLIN_OUTPUT, ranges
from tests.golden.make_character_tables import OUTPUT, wrapped

JAVASCRIPT = OUTPUT.with_name("grapheme_tables.js")
KOTLIN = KOTLIN_OUTPUT.with_name("GraphemeTables.kt")
LINE_ENDS = (ord("\n"), ord("\r"))
CODE_POINTS = [
    code
    for code in (*range(0x32400), *range(0xE0000, 0xE1000))
    if not 0xD800 <= code < 0xE000 and code not in LINE_ENDS
]
"""Those that may be of a class: the planes of the others have no assigned characters."""
_AT_ONCE = 512
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_PICTOGRAPH, _MARK, _CONSONANT, _LINKER = "\u00a9", "\u0301", "\u0915", "\u094d"
_WHOLE = "!"
MEANINGS = {
    "controls": "Control, but the line ends (GB4, GB5)",
    "extenders": "Extend (GB9)",
    "spacingMarks": "SpacingMark (GB9a)",
    "prepended": "Prepend (GB9b)",
    "consonants": "Indic_Conjunct_Break=Consonant (GB9c)",
    "linkers": "Indic_Conjunct_Break=Linker (GB9c), which are extenders, too",
    "pictographs": "Extended_Pictographic (GB11)",
}
_HEAD = (
    "Which code points join others to a grapheme cluster (Unicode Standard Annex 29) in the",
    "library `tokenizers` ({version}). Made by tests/golden/make_grapheme_tables.py, which says",
    "why; not to be edited. A set is written as in {like}.",
)


def main() -> None:
    """Asks the library and writes the modules."""
    tables = ask()
    JAVASCRIPT.write_text(javascript_module(tables), encoding="ascii")
    KOTLIN.write_text(kotlin_module(tables), encoding="ascii")


def ask() -> dict[str, list[int]]:
    """The code points of each class, as the installed library has them."""
    tail, linked = _PICTOGRAPH + _MARK, _CONSONANT + _MARK
    prepended = _joining("{}" + tail, _PICTOGRAPH)
    pictographs = _joining("{}" + _ZWJ + tail, _PICTOGRAPH)
    consonants = _joining("{}" + _LINKER + linked, _CONSONANT)
    extenders = _joining(_PICTOGRAPH + "{}" + _ZWJ + tail, _PICTOGRAPH) - pictographs
    linkers = _joining(_CONSONANT + "{}" + linked, _CONSONANT) - prepended
    extending = _joining(_CONSONANT + "{}" + _LINKER + linked, _CONSONANT) - consonants
    if extending != extenders - {ord(_ZWNJ)} | {ord(_ZWJ)}:
        raise SystemExit("Indic_Conjunct_Break=Extend is not as graphemes.js and Graphemes.kt say.")
    joined = {code for code, text in _answers("a{}", "a") if text == _WHOLE}
    marked = {code for code, text in _answers("{}" + 2 * _MARK, _MARK) if text[-2:] == 2 * _WHOLE}
    tables = {
        "controls": set(CODE_POINTS) - marked,
        "extenders": extenders,
        "spacingMarks": joined - extenders - {ord(_ZWJ)},
        "prepended": prepended,
        "consonants": consonants,
        "linkers": linkers,
        "pictographs": pictographs,
    }
    return {name: sorted(codes) for name, codes in tables.items()}


def javascript_module(tables: dict[str, list[int]]) -> str:
    """The text of grapheme_tables.js."""
    head = "\n".join(f"// {line}" for line in _HEAD)
    parts = [head.format(version=tokenizers.__version__, like="characters.js")]
    for name, meaning in MEANINGS.items():
        parts.append(f"// {meaning}.\nexport const {name} =\n{wrapped(tables[name], 2)};")
    return "\n\n".join(parts) + "\n"


def kotlin_module(tables: dict[str, list[int]]) -> str:
    """The text of GraphemeTables.kt."""
    head = "\n".join(f" * {line}" for line in _HEAD)
    head = head.format(version=tokenizers.__version__, like="[CharacterTables]")
    parts = []
    for name, meaning in MEANINGS.items():
        content = "\n".join(textwrap.wrap(ranges(tables[name]), 100, break_on_hyphens=False))
        parts.append(f'    // {meaning}.\n    val {name}: String = """\n{content}\n"""\n')
    body = "\n".join(parts)
    return (
        f"package org.edgebert\n\n/**\n{head}\n */\ninternal object GraphemeTables {{\n{body}}}\n"
    )


def _joining(pattern: str, key: str) -> set[int]:
    """The code points after which no cluster begins at the `key` before the pattern's last mark.

    A cluster of the key and the mark alone is replaced as a whole: the mark is gone.
    """
    return {code for code, text in _answers(pattern, key) if text.endswith(_MARK)}


def _answers(pattern: str, key: str) -> list[tuple[int, str]]:
    """What becomes of the pattern with each code point in it if `key` is replaced."""
    normalize = normalizers.Precompiled(compile_map({key: _WHOLE})).normalize_str
    found: list[tuple[int, str]] = []
    for start in range(0, len(CODE_POINTS), _AT_ONCE):
        codes = CODE_POINTS[start : start + _AT_ONCE]
        texts = "\n".join(pattern.format(chr(code)) for code in codes)
        found += zip(codes, normalize(texts).split("\n"), strict=True)
    return found


if __name__ == "__main__":
    main()
