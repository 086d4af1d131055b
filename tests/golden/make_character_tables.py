"""Makes character_tables.py, characters.js and CharacterTables.kt: which characters WordPiece
removes, splits at, strips and lowercases.

Unicode grows, and every language's own tables are of another version. `tokenizers` itself mixes
four: its punctuation and accents are those of Unicode 8, its decompositions those of 12, its
letters and lowercase those of its Rust compiler. So the tables are not taken from a standard; they
are what the installed library answers when it is asked about each code point.

    python -m tests.golden.make_character_tables

A new release of `tokenizers` may change them: test_browser_tokenizer.py and
test_python_tokenizer.py then name the first code point that differs, and this script brings the
tables up to date.
"""

from __future__ import annotations

import json
import re
import textwrap
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from tests.golden.kotlin_character_tables import KOTLIN_OUTPUT, Tables, kotlin_module, ranges

OUTPUT = Path(__file__).parents[2] / "web" / "src" / "characters.js"
PYTHON_OUTPUT = Path(__file__).parents[2] / "converters" / "character_tables.py"
CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
_AT_ONCE = 4096
_LOWEST_MARK, _HIGHEST_MARK = "\u0334", "\u0345"  # of combining class 1 and 240
_HEAD = """\
// What the `tokenizers` library ({version}) does with each character. Made by
// tests/golden/make_character_tables.py, which says why; not to be edited.
//
// A set of code points is written as the gap to the last one and, after a colon, how many follow
// each other where that is more than one; both in base 36.
"""
_PYTHON_HEAD = '''\
"""What the `tokenizers` library ({version}) does with each character.

Made by tests/golden/make_character_tables.py, which says why; not to be edited.

A set of code points is written as the gap to the last one and, after a colon, how many follow each
other where that is more than one; both in base 36.
"""

from __future__ import annotations
'''


def main() -> None:
    """Asks the library and writes the modules."""
    tables = ask()
    OUTPUT.write_text(_javascript(tables), encoding="ascii")
    PYTHON_OUTPUT.write_text(python_module(tables), encoding="ascii")
    KOTLIN_OUTPUT.write_text(kotlin_module(tables, tokenizers.__version__), encoding="ascii")


def ask() -> Tables:
    """What the installed library does with each code point."""
    decomposed = _changed(normalizers.NFD().normalize_str)
    cleaned = _changed(_bert_normalizer(clean_text=True))
    split = _changed(_bert_normalizer(handle_chinese_chars=True))
    stripped = _changed(_bert_normalizer(strip_accents=True))
    spaces, punctuation = _separators()
    deltas, others = _lowercase()
    classes: dict[str, list[int]] = defaultdict(list)
    for code in _nonstarters(decomposed):
        classes[str(unicodedata.combining(chr(code)))].append(code)
    _check_order(classes)
    sets = {
        "removed": ("are taken out", [code for code, text in cleaned.items() if not text]),
        "spaces": ("are white space", spaces),
        "punctuation": ("are words of their own", punctuation),
        "chineseCharacters": ("are words of their own, if so set", list(split)),
        "marks": (
            "are taken off as accents",
            [code for code, text in stripped.items() if not text],
        ),
        "decomposed": ("are taken apart (NFD) before accents are taken off", list(decomposed)),
        "wordCharacters": ("belong to words, for tokens that must stand alone", _words()),
    }
    return Tables(sets, deltas, others, classes, decomposed)


def _javascript(tables: Tables) -> str:
    parts = [_HEAD.format(version=tokenizers.__version__)]
    for name, (meaning, codes) in tables.sets.items():
        parts.append(f"// These {meaning}.\nexport const {name} =\n{wrapped(codes, 2)};\n")
    parts.append("// Lowercase: what is added to the code point: those for which it is.")
    parts.append(f"export const lowercase = {_table(tables.lowercase)};\n")
    parts.append("// Lowercase of more than one character.")
    parts.append(f"export const longLowercase = {json.dumps(tables.long_lowercase)};\n")
    parts.append("// Canonical combining class: its code points. All others have class 0.")
    parts.append(f"export const combiningClasses = {_table(tables.combining_classes)};")
    return "\n".join(parts) + "\n"


def python_module(tables: Tables) -> str:
    """The text of character_tables.py."""
    parts = [_PYTHON_HEAD.format(version=tokenizers.__version__)]
    for name, (meaning, codes) in tables.sets.items():
        constant = re.sub("[A-Z]", lambda capital: "_" + capital[0], name).upper()
        parts.append(f'{constant} = {_python_set(codes, 0)}\n"""These {meaning}."""')
    parts += [
        f"LOWERCASE = {_python_table(tables.lowercase)}",
        '"""Lowercase: what is added to the code point: those for which it is."""',
        f"LONG_LOWERCASE = {json.dumps(tables.long_lowercase)}".replace('"', ""),
        '"""Lowercase of more than one character."""',
        f"COMBINING_CLASSES = {_python_table(tables.combining_classes)}",
        '"""Canonical combining class: its code points. All others have class 0."""',
    ]
    return "\n".join(parts) + "\n"


def _python_table(groups: Mapping[str, Iterable[int]]) -> str:
    rows = [f"    {key}: {_python_set(groups[key], 4)}," for key in sorted(groups, key=int)]
    return "{\n" + "\n".join(rows) + "\n}"


def _python_set(codes: Iterable[int], indent: int) -> str:
    """A set as one text, or as several in parentheses."""
    content = ranges(codes)
    if len(content) <= 80:
        return f'"{content}"'
    blanks = " " * (indent + 4)
    lines = textwrap.wrap(content, 90 - indent, break_on_hyphens=False)
    texts = [f'{blanks}"{line} "' for line in lines[:-1]] + [f'{blanks}"{lines[-1]}"']
    return "\n".join(["(", *texts, " " * indent + ")"])


def _bert_normalizer(
    clean_text: bool = False,
    handle_chinese_chars: bool = False,
    strip_accents: bool = False,
    lowercase: bool = False,
) -> Callable[[str], str]:
    backend = normalizers.BertNormalizer(clean_text, handle_chinese_chars, strip_accents, lowercase)
    return backend.normalize_str


def _changed(normalize: Callable[[str], str]) -> dict[int, str]:
    """What a normalizer makes of each code point that it changes."""
    found = {}
    for codes in _batches(code for code in CODE_POINTS if code != ord("|")):
        results = normalize("|".join(map(chr, codes))).split("|")
        for code, result in zip(codes, results, strict=True):
            if result != chr(code):
                found[code] = result
    return found


def _batches(codes: Iterable[int]) -> Iterator[list[int]]:
    codes = list(codes)
    for start in range(0, len(codes), _AT_ONCE):
        yield codes[start : start + _AT_ONCE]


def _separators() -> tuple[list[int], list[int]]:
    """The code points that split words: white space, and those that become words themselves."""
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    spaces, punctuation = [], []
    for codes in _batches(CODE_POINTS):
        inside, edges = set(), set()
        for word, (start, end) in split("".join(f"a{chr(code)}b\n" for code in codes)):
            inside.update(place // 4 for place in range(start, end) if place % 4 == 1)
            if len(word) == 1 and start % 4 == 1:
                edges.add(start // 4)
        spaces += [code for index, code in enumerate(codes) if index not in inside]
        punctuation += [codes[index] for index in sorted(edges)]
    return spaces, punctuation


def _lowercase() -> tuple[dict[str, list[int]], dict[int, list[int]]]:
    deltas: dict[str, list[int]] = defaultdict(list)
    others = {}
    for code, text in _changed(_bert_normalizer(lowercase=True)).items():
        if len(text) == 1:
            deltas[str(ord(text) - code)].append(code)
        else:
            others[code] = [ord(character) for character in text]
    return deltas, others


def _nonstarters(decomposed: Iterable[int]) -> list[int]:
    """The code points that are put in order among the marks of a letter."""
    reorder = normalizers.NFD().normalize_str
    found = []
    for codes in _batches(set(CODE_POINTS) - set(decomposed)):
        for pattern in (f"a%s{_LOWEST_MARK}", f"a{_HIGHEST_MARK}%s"):
            texts = [pattern % chr(code) for code in codes]
            results = reorder("".join(texts))
            found += [
                code
                for index, code in enumerate(codes)
                if results[3 * index : 3 * index + 3] != texts[index]
            ]
    return sorted(set(found))


def _check_order(classes: dict[str, list[int]]) -> None:
    """Checks Python's combining classes against the order that the library puts marks in."""
    reorder = normalizers.NFD().normalize_str
    for number, codes in classes.items():
        for other, (example, *_) in classes.items():
            for mark in map(chr, codes):
                for first, second in ((mark, chr(example)), (chr(example), mark)):
                    swaps = int(number if first == mark else other) > int(
                        other if first == mark else number
                    )
                    expected = "a" + (second + first if swaps else first + second)
                    if mark != chr(example) and reorder(f"a{first}{second}") != expected:
                        raise SystemExit(
                            f"The combining class of U+{ord(mark):04X} is not {number}: this "
                            "Python's Unicode is older than the library's. Next: a newer Python."
                        )


def _words() -> list[int]:
    """The code points next to which a token that must be a word of its own is not found."""
    backend = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    backend.add_tokens([AddedToken("<x>", single_word=True, normalized=False)])
    found = []
    for codes in _batches(CODE_POINTS):
        encoded = backend.encode("".join(f" {chr(code)}<x>" for code in codes))
        alone = {
            start // 5
            for token_id, (start, _) in zip(encoded.ids, encoded.offsets, strict=True)
            if token_id
        }
        found += [code for index, code in enumerate(codes) if index not in alone]
    return found


def wrapped(codes: Iterable[int], indent: int) -> str:
    """A set of code points as text in JavaScript."""
    lines = textwrap.wrap(ranges(codes), 94 - indent, break_on_hyphens=False)
    return " +\n".join(f'{" " * indent}"{line} "' for line in lines)


def _table(groups: dict[str, list[int]]) -> str:
    rows = []
    for key in sorted(groups, key=int):
        content = ranges(groups[key])
        row = f'  "{key}": "{content}",'
        if len(row) > 100:
            row = f'  "{key}":\n{wrapped(groups[key], 4)},'
        rows.append(row)
    return "{\n" + "\n".join(rows) + "\n}"


if __name__ == "__main__":
    main()
