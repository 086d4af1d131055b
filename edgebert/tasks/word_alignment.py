"""Which tokens speak for which word: the one alignment of training, evaluation and prediction.

A program that repeats it in another language needs a WordPiece tokenizer that gives each token's
place in the text, and these rules:

1. The text. Typed text is taken as it is. Words that come as a list are joined with one space
   between two. BERT splits text at white space first, so either way the tokens of a word are those
   that it has alone.
2. The parts. A token begins a part where its place is not empty (that of the framing [CLS] and
   [SEP] is) and it does not start with `##`. A part is that token and the `##` tokens behind it: it
   is what BERT's pre-tokenizer makes of text (a run without white space, each punctuation mark and
   each Chinese character by itself).
3. The words. Of typed text, each part is a word; it ends where its last token ends, and combining
   marks (Unicode category Mn) right behind that belong to it. Of a list, each entry is a word, and
   a part belongs to the word in which its first character is.
4. The answer. What the model says at the first token of a word's first part holds for the word
   (Devlin et al. 2019, section 5.3). A word without a part, such as a control character, has none.
5. Windows. Where all tokens but [CLS] and [SEP] are more than `room = max_length - 2`, they are
   read in windows of `room` tokens, each between a [CLS] and a [SEP] of its own. The next window
   begins `room - overlap` tokens after the last one, with `overlap = floor(room * window_overlap)`,
   until one reaches the end. A part is read where it is furthest from a cut: in the later of two
   windows if its first token is at least `floor(overlap / 2)` tokens behind where that one begins.

In training every part is taught, those after a word's first too: a typed `don't` is three words to
the model, so it must have seen what the parts of one are called. `labelled_parts = "first"` teaches
the first alone, which is all that words in a list are scored by.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Encoding
from edgebert.errors import UsageError

WINDOW_OVERLAP = 0.25
"""Share of a window that the next one reads again."""
_SHORTEST = 3

Places = Sequence[tuple[int, int]]
"""Start and end of each word in its text, in characters (Unicode code points)."""


@dataclass(frozen=True)
class Parts:
    """The parts that are read in one window.

    Attributes:
        tokens: the place of each part's first token in the encoding, int32 `[parts]`.
        words: the number of the word that it belongs to, int32 `[parts]`.
        first: whether it is the first of its word, bool `[parts]`.
    """

    tokens: npt.NDArray[np.int32]
    words: npt.NDArray[np.int32]
    first: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Aligned:
    """A text, encoded and aligned.

    Attributes:
        places: of its words.
        windows: what the model reads: one encoding, or several of a long text.
        parts: of each window.
    """

    places: Places
    windows: Sequence[Encoding]
    parts: Sequence[Parts]


def joined_places(words: Sequence[str]) -> list[tuple[int, int]]:
    """The places of words that are joined with a space between two."""
    places, start = [], 0
    for word in words:
        places.append((start, start + len(word)))
        start += len(word) + 1
    return places


def align(
    text: str,
    encoding: Encoding,
    vocabulary: Vocabulary,
    max_length: int,
    places: Places | None = None,
    window_overlap: float = WINDOW_OVERLAP,
) -> Aligned:
    """Finds a text's words, and the tokens that speak for them.

    Args:
        text: what was encoded.
        encoding: of the whole text, nothing cut off.
        vocabulary: of the tokenizer.
        max_length: the longest window, in tokens, [CLS] and [SEP] counted.
        places: of the words, in ascending order; None finds the words of typed text.
        window_overlap: share of a window that the next one reads again.

    Raises:
        UsageError: a window has no room for a token.
    """
    starts = part_starts(encoding, vocabulary)
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


def part_starts(encoding: Encoding, vocabulary: Vocabulary) -> list[int]:
    """The places in the encoding of the tokens that begin a part."""
    tokens, prefix = vocabulary.tokens, vocabulary.continuing_prefix
    return [
        place
        for place, (token, (start, end)) in enumerate(
            zip(encoding.token_ids, encoding.offsets, strict=True)
        )
        if start < end and not (prefix and tokens[token].startswith(prefix))
    ]


def _found_places(text: str, encoding: Encoding, starts: Sequence[int]) -> list[tuple[int, int]]:
    places = []
    for start, next_start in itertools.pairwise([*starts, len(encoding) - 1]):
        end = encoding.offsets[next_start - 1][1]
        while end < len(text) and unicodedata.category(text[end]) == "Mn":
            end += 1
        places.append((encoding.offsets[start][0], end))
    return places


def _windows(
    tokens: int, max_length: int, window_overlap: float
) -> list[tuple[int, int, int, int]]:
    """Of each window: the tokens from and to which it reaches, and those whose parts it reads.

    All are places in the encoding of the whole text, whose first token is [CLS].
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
