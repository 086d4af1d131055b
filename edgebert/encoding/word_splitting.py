"""Training text whose words are split at random, as a smaller vocabulary would split them.

MaxMatch-Dropout (Hiraoka 2022, "MaxMatch-Dropout: Subword Regularization for WordPiece") drops
tokens at random while WordPiece matches the longest. Here a token that is dropped gives way to what
longest match makes of it without that token, which is how a trimmed vocabulary spells a word that
it does not have. Rare words are dropped most: text that nobody has seen is made of those.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import refuse

RARE = 20
"""A word that occurs no more often than this counts as rare."""
_AT_ONCE = 8192


def count_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Says how often texts use each token, [CLS] and [SEP] included: int64 `[vocabulary]`."""
    counts = np.zeros(tokenizer.vocabulary.size, np.int64)
    for start in range(0, len(texts), _AT_ONCE):
        encodings = tokenizer.encode_batch(texts[start : start + _AT_ONCE])
        ids = np.fromiter((i for encoding in encodings for i in encoding.token_ids), np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    return counts


def longest_match(token: str, ids: Mapping[str, int], prefix: str = "##") -> tuple[int, ...]:
    """Spells a token with other tokens, the longest first.

    Args:
        token: a word or, with the prefix, the end of one.
        ids: the tokens that may be used; `token` itself is not, where it is among them.
        prefix: the vocabulary's `continuing_prefix`.

    Returns:
        Ids of two or more pieces; none where nothing else spells the token.
    """
    mark, body = _parts(token, prefix)
    found: list[int] = []
    start = 0
    while start < len(body):
        for end in range(len(body), start, -1):
            piece = mark + body[start:end]
            if piece in ids and piece != token:
                break
        else:
            return ()
        found.append(ids[piece])
        start, mark = end, prefix
    return tuple(found)


def split_rare_words(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    counts: npt.NDArray[np.int64],
    probability: float,
    seed: int,
    max_length: int | None = None,
) -> list[Encoding]:
    """Encodes texts with some of their tokens split into pieces, by chance.

    A token that the corpus has `c` times is split with `probability` where it is rare, and with
    `probability * RARE / c` where it is not: every word is split about equally often.

    Args:
        tokenizer: of the model that is trained.
        texts: any texts.
        counts: how often the training text uses each token (`count_tokens`), `[vocabulary]`.
        probability: 0 splits nothing, 1 every rare word.
        seed: the same seed splits the same words.
        max_length: longer encodings are cut to so many tokens; [SEP] stays.

    Raises:
        UsageError: `probability` is not between 0 and 1, there are not as many counts as tokens, or
            `max_length` leaves no room for the special tokens.
    """
    vocabulary = tokenizer.vocabulary
    _check(vocabulary, counts, probability, max_length)
    ids = {token: token_id for token_id, token in enumerate(vocabulary.tokens)}
    prefix = vocabulary.continuing_prefix
    chance = probability * RARE / np.maximum(counts, RARE)
    chance[[vocabulary.id_of(token.content) for token in vocabulary.whole_tokens]] = 0
    spelt: dict[int, tuple[int, ...]] = {}
    generator = np.random.default_rng(seed)
    encodings = []
    for encoding in tokenizer.encode_batch(texts):
        dropped = generator.random(len(encoding)) < chance[list(encoding.token_ids)]
        places = np.flatnonzero(dropped).tolist()
        for place in places:
            token_id = encoding.token_ids[place]
            if token_id not in spelt:
                spelt[token_id] = longest_match(vocabulary.tokens[token_id], ids, prefix)
        if places:
            encoding = _with_pieces(encoding, places, spelt, vocabulary)
        encodings.append(_cut(encoding, max_length))
    return encodings


def _check(
    vocabulary: Vocabulary,
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
            f"{counts.shape}. Next: make them with count_tokens and the same tokenizer"
        )
    if max_length is not None and max_length < 2:
        problems.append(f"max_length: expected at least 2. Received: {max_length}")
    refuse(problems)


def _with_pieces(
    encoding: Encoding,
    places: Sequence[int],
    spelt: dict[int, tuple[int, ...]],
    vocabulary: Vocabulary,
) -> Encoding:
    ids, segments = list(encoding.token_ids), list(encoding.segment_ids)
    offsets = list(encoding.offsets)
    for place in reversed(places):
        pieces = spelt[ids[place]]
        if pieces:
            lengths = [
                len(_parts(vocabulary.tokens[piece], vocabulary.continuing_prefix)[1])
                for piece in pieces
            ]
            offsets[place : place + 1] = _piece_offsets(offsets[place], lengths)
            segments[place : place + 1] = [segments[place]] * len(pieces)
            ids[place : place + 1] = pieces
    return Encoding(tuple(ids), tuple(segments), tuple(offsets))


def _piece_offsets(offsets: tuple[int, int], lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Places of the pieces; a word whose length the text rules changed has them in its end."""
    start, end = offsets
    edges = [min(start + edge, end) for edge in np.cumsum([0, *lengths]).tolist()]
    edges[-1] = end
    return list(itertools.pairwise(edges))


def _parts(token: str, prefix: str) -> tuple[str, str]:
    """The continuing prefix, if the token has it, and the letters."""
    if len(token) > len(prefix) and token.startswith(prefix):
        return prefix, token[len(prefix) :]
    return "", token


def _cut(encoding: Encoding, max_length: int | None) -> Encoding:
    if max_length is None or len(encoding) <= max_length:
        return encoding
    parts = (encoding.token_ids, encoding.segment_ids, encoding.offsets)
    ids, segments, offsets = ((*part[: max_length - 1], part[-1]) for part in parts)
    return Encoding(ids, segments, offsets)
