"""The alignment of words and tokens in lists, texts and windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.vocabulary import Vocabulary, read_vocabulary
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import UsageError
from edgebert.tasks.word_alignment import Aligned, align, joined_places


@pytest.fixture(scope="module")
def minilm_vocabulary(minilm_dir: Path) -> Vocabulary:
    return read_vocabulary(minilm_dir)


def typed(text: str, vocabulary: Vocabulary, max_length: int = 512) -> list[str]:
    """The words of an input text."""
    encoding = Tokenizer(vocabulary).encode(text)
    return [text[a:b] for a, b in align(text, encoding, vocabulary, max_length).places]


def listed(words: list[str], vocabulary: Vocabulary, max_length: int = 512) -> Aligned:
    text = " ".join(words)
    encoding = Tokenizer(vocabulary).encode(text)
    return align(text, encoding, vocabulary, max_length, places=joined_places(words))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Unaffable people", ["Unaffable", "people"]),
        ("don't, O'Neill!", ["don", "'", "t", ",", "O", "'", "Neill", "!"]),
        ("7:30pm", ["7", ":", "30pm"]),
        ("  two\t\nlines\u00a0on ", ["two", "lines", "on"]),
        ("cafe\u0301 Zürich", ["cafe\u0301", "Zürich"]),
        ("日本 한국어", ["日", "本", "한국어"]),
        ("a\u200bb \u200b c", ["a\u200bb", "c"]),
        ("😀 emoji", ["😀", "emoji"]),
        ("", []),
        ("\u0000 \u200b", []),
    ],
)
def test_words_of_an_input_text(text: str, words: list[str], minilm_vocabulary: Vocabulary) -> None:
    assert typed(text, minilm_vocabulary) == words


def test_words_of_a_list(minilm_vocabulary: Vocabulary) -> None:
    """A word with several parts, one with a space, and two without any token."""
    words = ["\u0000", "unaffable", "don't", "New York", "\u200b", "."]
    aligned = listed(words, minilm_vocabulary)
    (parts,), (encoding,) = aligned.parts, aligned.windows
    tokens = [minilm_vocabulary.tokens[encoding.token_ids[place]] for place in parts.tokens]
    assert tokens == ["una", "don", "'", "t", "new", "york", "."]
    assert parts.words.tolist() == [1, 2, 2, 2, 3, 3, 5]
    assert parts.first.tolist() == [True, True, False, False, True, False, True]
    text = " ".join(words)
    assert [text[start:end] for start, end in aligned.places] == words


@given(words=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=8))
def test_a_word_has_the_tokens_that_it_has_alone(
    words: list[str], tiny_vocabulary: Vocabulary
) -> None:
    """Joining words with spaces equals encoding each word alone."""
    tokenizer = Tokenizer(tiny_vocabulary)
    alone = [tokenizer.encode(word) for word in words]
    joined = tokenizer.encode(" ".join(words))
    assert list(joined.token_ids[1:-1]) == [i for each in alone for i in each.token_ids[1:-1]]
    parts = listed(words, tiny_vocabulary).parts[0]
    expected = [n for n, each in enumerate(alone) for _ in _starts(each, tiny_vocabulary)]
    assert parts.words.tolist() == expected
    heard = [n for n, each in enumerate(alone) if _starts(each, tiny_vocabulary)]
    assert parts.words[parts.first].tolist() == heard


@given(
    words=st.lists(st.sampled_from(["the", "movie", "xyz", "don't", "\u200b"]), max_size=40),
    max_length=st.integers(3, 20),
    overlap=st.floats(0, 0.9),
)
def test_windows_read_every_part_once(
    words: list[str], max_length: int, overlap: float, tiny_vocabulary: Vocabulary
) -> None:
    whole = listed(words, tiny_vocabulary)
    text = " ".join(words)
    encoding = Tokenizer(tiny_vocabulary).encode(text)
    cut = align(
        text,
        encoding,
        tiny_vocabulary,
        max_length,
        places=joined_places(words),
        window_overlap=overlap,
    )
    assert all(len(window) <= max_length for window in cut.windows)
    assert [len(window) for window in cut.windows[:-1]] == [max_length] * (len(cut.windows) - 1)
    for name in ("words", "first"):
        parts = np.concatenate([getattr(each, name) for each in cut.parts])
        np.testing.assert_array_equal(parts, getattr(whole.parts[0], name))
    read = [
        (window.token_ids[place], window.offsets[place])
        for window, each in zip(cut.windows, cut.parts, strict=True)
        for place in each.tokens
    ]
    assert read == [
        (encoding.token_ids[place], encoding.offsets[place]) for place in whole.parts[0].tokens
    ]
    for window in cut.windows:
        assert (window.token_ids[0], window.token_ids[-1]) == (
            tiny_vocabulary.id_of("[CLS]"),
            tiny_vocabulary.id_of("[SEP]"),
        )


def test_a_part_is_read_far_from_cuts(tiny_vocabulary: Vocabulary) -> None:
    """12 tokens, windows of 8 that share 4: the cut is 2 tokens into the second."""
    text = "the movie is on today play music now turn it off please"
    encoding = Tokenizer(tiny_vocabulary).encode(text)
    aligned = align(text, encoding, tiny_vocabulary, 10, window_overlap=0.5)
    assert [window.offsets[1][0] for window in aligned.windows] == [0, text.index("today")]
    assert [each.words.tolist() for each in aligned.parts] == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10, 11],
    ]
    assert aligned.parts[1].tokens.tolist() == [3, 4, 5, 6, 7, 8]


def test_a_max_length_without_space_for_a_token(tiny_vocabulary: Vocabulary) -> None:
    with pytest.raises(UsageError, match="at least 3"):
        listed(["the", "movie"], tiny_vocabulary, 2)


def _starts(encoding: Encoding, vocabulary: Vocabulary) -> list[int]:
    return vocabulary.part_starts(encoding.token_ids, encoding.offsets)
