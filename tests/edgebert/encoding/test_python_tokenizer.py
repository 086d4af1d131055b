"""The tokenizer in Python, for machines without `tokenizers`, against that library."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import character_tables
from converters.errors import ConversionError
from converters.normalization import _ranges, normalize
from converters.vocabulary import AddedToken, Vocabulary, wordpiece_tokenizer
from edgebert.encoding import tokenizer as tokenizer_module
from edgebert.encoding.python_tokenizer import PythonTokenizer
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import MissingExtraError, UsageError
from tests.golden import make_unigram_cases, make_wordpiece_cases

GOLDEN = Path(__file__).parents[2] / "golden"
SPECIAL = make_wordpiece_cases.SPECIAL
MARKS = [chr(code) for code in range(0x20000) if unicodedata.combining(chr(code))]
COMPOSED = [chr(code) for code in range(0x20000) if unicodedata.decomposition(chr(code))]


def python_tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """The tokenizer of a machine without the library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tokenizers", None)
        made = Tokenizer(vocabulary)
    assert isinstance(made._backend, PythonTokenizer)
    return made


def golden_file() -> dict[str, Any]:
    return dict(json.loads((GOLDEN / "wordpiece_cases.json").read_bytes()))


VOCABULARIES = {
    name: Vocabulary.from_settings(each["settings"], each["tokens"])
    for name, each in golden_file()["vocabularies"].items()
}
OURS = {name: python_tokenizer(vocabulary) for name, vocabulary in VOCABULARIES.items()}
THEIRS = {name: Tokenizer(vocabulary) for name, vocabulary in VOCABULARIES.items()}


def test_the_golden_cases() -> None:
    cases = golden_file()["cases"]
    assert len(cases) >= 600
    for case in cases:
        assert make_wordpiece_cases.made(OURS[case["vocabulary"]], case) == case


def test_cases_that_transformers_made(data_dir: Path) -> None:
    golden = json.loads((GOLDEN / "tokenizer_cases.json").read_bytes())
    tokens = (data_dir / "vocab" / "bert_uncased_vocab.txt").read_text(encoding="utf-8")
    vocabulary = Vocabulary(tuple(tokens.rstrip("\n").split("\n")), lowercase=True)
    assert vocabulary.sha256 == golden["vocabulary_sha256"]
    tokenizer = python_tokenizer(vocabulary)
    assert len(golden["cases"]) >= 60
    for case in golden["cases"]:
        ids = tokenizer.encode(case["text"], max_length=case["max_length"]).token_ids
        assert (case["name"], list(ids)) == (case["name"], case["token_ids"])


def test_a_batch_and_the_lengths() -> None:
    ours, theirs = OURS["uncased"], THEIRS["uncased"]
    texts = ["play some music", "", "Ünïcödé \ud800 [MASK]"]
    assert ours.encode_batch(texts, 5, texts[::-1]) == theirs.encode_batch(texts, 5, texts[::-1])
    assert ours.count_lengths(texts).tolist() == theirs.count_lengths(texts).tolist()
    with pytest.raises(UsageError, match="max_length: expected at least 2"):
        ours.encode("play", max_length=1)
    with pytest.raises(TypeError):
        ours.encode(3)  # type: ignore[arg-type]


def test_the_library_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokenizer_module.tokenizers_version()
    assert not isinstance(THEIRS["uncased"]._backend, PythonTokenizer)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert tokenizer_module.tokenizers_version() == ""


def test_unigram_needs_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = next(iter(make_unigram_cases.make_vocabularies().values()))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    expected = r"of the kind unigram need the library.* Next: pip install"
    with pytest.raises(MissingExtraError, match=expected):
        Tokenizer(vocabulary)


# Every kind of character


def code_points() -> list[int]:
    """Code points at the edges of all sets of the tables, and the first of the planes."""
    tables = [
        *(getattr(character_tables, name) for name in ("REMOVED", "SPACES", "PUNCTUATION")),
        *(getattr(character_tables, name) for name in ("CHINESE_CHARACTERS", "MARKS")),
        *(getattr(character_tables, name) for name in ("DECOMPOSED", "WORD_CHARACTERS")),
        *character_tables.LOWERCASE.values(),
        *character_tables.COMBINING_CLASSES.values(),
    ]
    edges = {edge for table in tables for each in _ranges(table) for edge in each}
    near = {edge + step for edge in edges for step in (-1, 0, 1)} | set(range(0x600))
    return sorted(c for c in near if 0 <= c < 0x110000 and not 0xD800 <= c < 0xE000)


CODE_POINTS = code_points()


@pytest.mark.parametrize("split_chinese", [False, True])
@pytest.mark.parametrize("strip_accents", [False, True])
@pytest.mark.parametrize("lowercase", [False, True])
def test_characters_are_normalized_alike(
    lowercase: bool, strip_accents: bool, split_chinese: bool
) -> None:
    vocabulary = Vocabulary(
        SPECIAL, lowercase, strip_accents, split_chinese_characters=split_chinese
    )
    text = "|".join(chr(code) for code in CODE_POINTS if code != ord("|"))
    theirs = wordpiece_tokenizer(vocabulary).normalizer.normalize_str(text).split("|")
    ours = normalize(text, vocabulary.text_rules).text.split("|")
    assert len(ours) == len(theirs) == len(CODE_POINTS) - 1
    assert [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b] == []


def assert_same(vocabulary: Vocabulary, texts: Iterable[str]) -> None:
    ours, theirs = python_tokenizer(vocabulary), Tokenizer(vocabulary)
    for text in texts:
        assert ours.encode(text) == theirs.encode(text), text


def test_characters_split_words_alike() -> None:
    vocabulary = Vocabulary((*SPECIAL, "a", "b", "##b"), lowercase=True)
    assert_same(vocabulary, ["".join(f"a{chr(code)}b " for code in CODE_POINTS)])


def test_characters_touch_single_words_alike() -> None:
    added = (AddedToken("x", single_word=True),)
    vocabulary = Vocabulary((*SPECIAL, "x"), lowercase=False, added_tokens=added)
    assert_same(vocabulary, ["".join(f"{chr(code)}x " for code in CODE_POINTS)])


def test_marks_change_places_alike() -> None:
    strip = wordpiece_tokenizer(Vocabulary(SPECIAL, lowercase=True)).normalizer.normalize_str
    staying = [mark for mark in MARKS if strip(f"a{mark}") == f"a{mark}"]
    assert len(staying) > 50
    pieces = ("a", *(f"##{mark}" for mark in staying))
    vocabulary = Vocabulary(SPECIAL + pieces, lowercase=True)
    assert_same(
        vocabulary,
        [
            " ".join(pattern.format(mark, stays) for mark in MARKS)
            for stays in staying[::8]
            for pattern in ("a{}{}", "{1}{0}b{1}")
        ],
    )


# Any text

GOLDEN_TEXTS = [case["text"] for case in golden_file()["cases"]]
marked = st.lists(
    st.sampled_from(["a", "É", " ", "\u0345", "\u0334"]) | st.sampled_from(MARKS + COMPOSED)
).map("".join)
texts = (
    st.text()
    | st.text(st.characters(exclude_categories=()))
    | marked
    | st.lists(st.sampled_from(GOLDEN_TEXTS), max_size=3).map("".join)
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(OURS)), texts, st.none() | texts, st.none() | st.integers(3, 40))
def test_any_text(name: str, text: str, pair: str | None, max_length: int | None) -> None:
    expected: Encoding = THEIRS[name].encode(text, pair, max_length)
    assert OURS[name].encode(text, pair, max_length) == expected


letters = st.text(st.sampled_from("abAB é你 İ\u0301-_1🎉\u200b\ufffd"), min_size=1, max_size=4)
FLAGS = ("special", "normalized", "single_word", "lstrip", "rstrip")


@settings(max_examples=200, deadline=None)
@given(data=st.data(), parts=st.lists(st.lists(letters).map("".join), max_size=4))
def test_any_vocabulary(data: st.DataObject, parts: list[str]) -> None:
    contents = data.draw(st.lists(letters.map(str.strip).filter(bool), unique=True, max_size=5))
    flags = st.fixed_dictionaries({name: st.booleans() for name in FLAGS})
    pieces = data.draw(st.lists(letters, unique=True, max_size=6))
    prefix = data.draw(st.sampled_from(["##", "a", "", "🎉"]))
    tokens = [*SPECIAL, *pieces, *(prefix + piece for piece in pieces), *contents]
    try:
        vocabulary = Vocabulary(
            tuple(dict.fromkeys(tokens)),
            lowercase=data.draw(st.booleans()),
            strip_accents=data.draw(st.none() | st.booleans()),
            split_chinese_characters=data.draw(st.booleans()),
            max_input_chars_per_word=data.draw(st.integers(1, 5)),
            continuing_prefix=prefix,
            added_tokens=tuple(AddedToken(text, **data.draw(flags)) for text in contents),
        )
    except ConversionError:
        return
    joined = " ".join(contents)
    assert_same(vocabulary, [*parts, *(joined + part + "".join(contents) for part in parts)])
