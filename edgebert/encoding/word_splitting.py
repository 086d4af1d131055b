"""Subword regularization: splits random words of training texts as a smaller vocabulary would.

MaxMatch-Dropout (Hiraoka 2022, "MaxMatch-Dropout: Subword Regularization for WordPiece") drops
random tokens during the longest match of WordPiece. Here a dropped token is replaced by the pieces
that spell it without that token, which is how a trimmed vocabulary spells a word that it does not
have. Rare words are dropped most often, since unseen texts contain more of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from converters.vocabulary import SubwordVocabulary
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import refuse

RARE = 20
"""Maximum number of occurrences of a rare word."""
_AT_ONCE = 8192


def count_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Counts the occurrences of each token, with [CLS] and [SEP]: int64 `[vocabulary]`."""
    counts = np.zeros(tokenizer.vocabulary.size, np.int64)
    for start in range(0, len(texts), _AT_ONCE):
        encodings = tokenizer.encode_batch(texts[start : start + _AT_ONCE])
        ids = np.fromiter((i for encoding in encodings for i in encoding.token_ids), np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    return counts


def split_rare_words(
    tokenizer: Tokenizer,
    encodings: Sequence[Encoding],
    counts: npt.NDArray[np.int64],
    *,
    probability: float,
    seed: int,
    max_length: int | None = None,
) -> list[Encoding]:
    """Splits random tokens of encoded texts into pieces.

    A token with `c` occurrences in the corpus is split with probability
    `probability * RARE / max(c, RARE)`, so every word is split about equally often.

    Args:
        tokenizer: tokenizer of the student.
        encodings: any texts or pairs, encoded with this tokenizer.
        counts: occurrences of each token in the training texts (`count_tokens`), `[vocabulary]`.
        probability: from 0, which splits nothing, to 1, which splits every rare word.
        seed: the same seed splits the same words.
        max_length: maximum number of tokens; longer encodings are cut before [SEP].

    Raises:
        UsageError: `probability` is not between 0 and 1, `counts` does not fit the vocabulary, or
            `max_length` is less than the number of special tokens.
    """
    vocabulary = tokenizer.vocabulary
    _check(vocabulary, counts, probability, max_length)
    chance = probability * RARE / np.maximum(counts, RARE)
    chance[[vocabulary.id_of(token.content) for token in vocabulary.whole_tokens]] = 0
    spellings: dict[int, tuple[int, ...]] = {}
    generator = np.random.default_rng(seed)
    found = []
    for encoding in encodings:
        dropped = generator.random(len(encoding)) < chance[list(encoding.token_ids)]
        places = np.flatnonzero(dropped).tolist()
        for place in places:
            token_id = encoding.token_ids[place]
            if token_id not in spellings:
                spellings[token_id] = vocabulary.respell(token_id)
        if places:
            encoding = _with_pieces(encoding, places, spellings, vocabulary)
        found.append(_cut(encoding, max_length))
    return found


def _check(
    vocabulary: SubwordVocabulary,
    counts: npt.NDArray[np.int64],
    probability: float,
    max_length: int | None,
) -> None:
    problems = []
    if not 0 <= probability <= 1:
        problems.append(f"probability: expected between 0 and 1. Received: {probability}")
    if counts.shape != (vocabulary.size,):
        problems.append(
            f"counts: expected one for each of {vocabulary.size} tokens. Received: shape "
            f"{counts.shape}. Next: count with count_tokens and the same tokenizer"
        )
    if max_length is not None and max_length < 2:
        problems.append(f"max_length: expected at least 2. Received: {max_length}")
    refuse(problems)


def _with_pieces(
    encoding: Encoding,
    places: Sequence[int],
    spellings: dict[int, tuple[int, ...]],
    vocabulary: SubwordVocabulary,
) -> Encoding:
    ids, segments = list(encoding.token_ids), list(encoding.segment_ids)
    offsets = list(encoding.offsets)
    for place in reversed(places):
        pieces = spellings[ids[place]]
        if pieces:
            lengths = [len(vocabulary.text_of(piece)) for piece in pieces]
            offsets[place : place + 1] = _piece_offsets(offsets[place], lengths)
            segments[place : place + 1] = [segments[place]] * len(pieces)
            ids[place : place + 1] = pieces
    return Encoding(tuple(ids), tuple(segments), tuple(offsets))


def _piece_offsets(offsets: tuple[int, int], lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Character offsets of the pieces, cut at the end of the word.

    The text rules can change the length of a word, so the pieces may not fit its characters.
    """
    start, end = offsets
    edges = [min(start + edge, end) for edge in np.cumsum([0, *lengths]).tolist()]
    edges[-1] = end
    return list(itertools.pairwise(edges))


def _cut(encoding: Encoding, max_length: int | None) -> Encoding:
    if max_length is None or len(encoding) <= max_length:
        return encoding
    parts = (encoding.token_ids, encoding.segment_ids, encoding.offsets)
    ids, segments, offsets = ((*part[: max_length - 1], part[-1]) for part in parts)
    return Encoding(ids, segments, offsets)
