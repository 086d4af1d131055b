"""Aligns words and tokens. Training, evaluation and prediction use this one alignment.

An implementation in another language needs a tokenizer with the offsets of each token in the text,
and these rules:

1. Text. An input text is used unchanged. A list of words is joined with single spaces. BERT splits
   text at white space first, so in both cases a word has the tokens that it has alone.
2. Parts. A token starts a part if its offsets are not empty (those of [CLS] and [SEP] are) and it
   does not start with `##`. A part is this token and the `##` tokens after it. Parts are the output
   of BERT's pre-tokenizer: runs without white space, single punctuation marks, and single Chinese
   characters. Unigram has no `##`; `UnigramVocabulary.part_starts` has its rule for such parts.
3. Words. In an input text, each part is a word. It ends at the end of its last token, plus the
   combining marks (Unicode category Mn) that follow directly. In a list, each entry is a word. A
   part belongs to the word that contains the part's first character.
4. Answer. The output at the first token of a word's first part is the output for the word (Devlin
   et al. 2019, section 5.3). A word without a part, such as a control character, has no output.
5. Windows. If there are more than `room = max_length - 2` tokens between [CLS] and [SEP], they are
   split into windows of `room` tokens, each with its own [CLS] and [SEP]. Each window starts
   `room - overlap` tokens after the previous one, with `overlap = floor(room * window_overlap)`;
   the last window reaches the end. A part is read in the window where it is furthest from a cut: in
   the later of two windows if its first token is at least `floor(overlap / 2)` tokens after that
   window's start.

Example: with max_length 10 and window_overlap 0.25, room is 8 and overlap is 2. For 20 tokens, the
windows are tokens 0 to 7, 6 to 13 and 12 to 19, and parts are read from tokens 0 to 6, 7 to 12 and
13 to 19.

In training every part of a word has a target, since the parts of `don't` are three words of an
input text. With `labelled_parts = "first"` only the first part has a target. Words in a list are
evaluated by their first part only.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.vocabulary import SubwordVocabulary
from edgebert.encoding.tokenizer import Encoding
from edgebert.errors import UsageError

WINDOW_OVERLAP = 0.25
"""Share of a window that the next window repeats."""
_SHORTEST = 3

Places = Sequence[tuple[int, int]]
"""Start and end of each word in its text, in characters (Unicode code points)."""


@dataclass(frozen=True)
class Parts:
    """The parts that are read in one window.

    Attributes:
        tokens: Position of each part's first token in the encoding, int32 `[parts]`.
        words: Index of each part's word, int32 `[parts]`.
        first: Whether the part is the first of its word, bool `[parts]`.
    """

    tokens: npt.NDArray[np.int32]
    words: npt.NDArray[np.int32]
    first: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Aligned:
    """An encoded and aligned text.

    Attributes:
        places: The positions of its words.
        windows: The model's inputs: one encoding, or several for a long text.
        parts: The parts of each window.
    """

    places: Places
    windows: Sequence[Encoding]
    parts: Sequence[Parts]


def joined_places(words: Sequence[str]) -> list[tuple[int, int]]:
    """The positions of words that are joined with single spaces."""
    places, start = [], 0
    for word in words:
        places.append((start, start + len(word)))
        start += len(word) + 1
    return places


def align(
    text: str,
    encoding: Encoding,
    vocabulary: SubwordVocabulary,
    max_length: int,
    *,
    places: Places | None = None,
    window_overlap: float = WINDOW_OVERLAP,
) -> Aligned:
    """Aligns the words of a text with its tokens.

    Args:
        text: The text.
        encoding: The encoding of the whole text, without truncation.
        vocabulary: The tokenizer's vocabulary.
        max_length: Maximum length of a window, in tokens, with [CLS] and [SEP].
        places: Positions of the words, ascending; None finds the words of the text.
        window_overlap: Share of a window that the next window repeats.

    Raises:
        UsageError: `max_length` leaves no space for a token.
    """
    starts = vocabulary.part_starts(encoding.token_ids, encoding.offsets)
    if places is None:
        places = _found_places(text, encoding, starts)
        words = np.arange(len(starts), dtype=np.int32)
    else:
        at = np.array([encoding.offsets[start][0] for start in starts], np.int64)
        begins = np.array([start for start, _ in places], np.int64)
        words = (np.searchsorted(begins, at, side="right") - 1).astype(np.int32)
    first = np.diff(words, prepend=-1) > 0
    tokens = np.array(starts, np.int32)
    windows, parts = [], []
    for begin, end, low, high in _windows(len(encoding), max_length, window_overlap):
        read = (low <= tokens) & (tokens < high)
        windows.append(_part_of(encoding, begin, end))
        parts.append(Parts(tokens[read] - (begin - 1), words[read], first[read]))
    return Aligned(places, windows, parts)


def _found_places(text: str, encoding: Encoding, starts: Sequence[int]) -> list[tuple[int, int]]:
    places = []
    for start, next_start in itertools.pairwise([*starts, len(encoding) - 1]):
        last = next_start - 1
        while encoding.offsets[last][0] == encoding.offsets[last][1]:  # a space alone
            last -= 1
        end = encoding.offsets[last][1]
        while end < len(text) and unicodedata.category(text[end]) == "Mn":
            end += 1
        places.append((encoding.offsets[start][0], end))
    return places


def _windows(
    tokens: int, max_length: int, window_overlap: float
) -> list[tuple[int, int, int, int]]:
    """For each window its first token and end, and the range of the parts that it reads.

    All are positions in the encoding of the whole text, whose first token is [CLS].
    """
    end = tokens - 1
    if tokens <= max_length:
        return [(1, end, 1, end)]
    if max_length < _SHORTEST:
        raise UsageError(
            f"Expected a max_length of at least {_SHORTEST}, for [CLS], [SEP] and a token. "
            f"Received: {max_length}."
        )
    room = max_length - 2
    overlap = int(room * window_overlap)
    begins = [1]
    while begins[-1] + room < end:
        begins.append(begins[-1] + room - overlap)
    cuts = [1, *(begin + overlap // 2 for begin in begins[1:]), end]
    return [
        (begin, min(begin + room, end), low, high)
        for begin, low, high in zip(begins, cuts[:-1], cuts[1:], strict=True)
    ]


def _part_of(encoding: Encoding, begin: int, end: int) -> Encoding:
    """[CLS], the tokens from `begin` to `end`, and [SEP]."""
    if end - begin == len(encoding) - 2:
        return encoding
    places = [0, *range(begin, end), len(encoding) - 1]
    return Encoding(
        tuple(encoding.token_ids[place] for place in places),
        tuple(encoding.segment_ids[place] for place in places),
        tuple(encoding.offsets[place] for place in places),
    )
