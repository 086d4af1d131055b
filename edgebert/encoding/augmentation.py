"""Data augmentation for distillation: changed copies of texts, which the teacher labels.

Words are masked or replaced by similar words, or only a span of the words is kept (Tang et al.
2019, "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks", section 3.2).
Similar words are nearest neighbours in the model's token embeddings (Jiao et al. 2020, "TinyBERT",
algorithm 1, uses GloVe). Only words of the texts are candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from converters.vocabulary import SubwordVocabulary
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import UsageError

MASKED_SHARE = 0.1
"""Share of the words that are replaced by the mask token."""
REPLACED_SHARE = 0.3
"""Share of the words that are replaced by a similar word."""
CUT_SHARE = 0.25
"""Share of the copies that keep only a span of the words."""
NEIGHBOURS = 8
"""Number of nearest neighbours among which a replacement is drawn."""
_AT_ONCE = 1024

Span = tuple[int, int]
_Words = Sequence[tuple[Span, int | None]]


def augment(
    tokenizer: Tokenizer,
    embeddings: npt.NDArray[np.float32],
    texts: Sequence[str],
    *,
    copies: int,
    seed: int,
    cuts: bool = True,
) -> list[str]:
    """Makes changed copies of texts, without labels, since the meaning may change.

    Args:
        tokenizer: tokenizer of the teacher.
        embeddings: token embeddings of the teacher, float32 `[vocabulary, hidden]`.
        texts: any texts.
        copies: number of copies of each text.
        seed: the same seed makes the same copies.
        cuts: whether some copies keep only a span of the words.

    Returns:
        `copies * len(texts)` texts: one copy of every text, then the next copy of every text.

    Raises:
        UsageError: `copies` is negative.
    """
    if copies < 0:
        raise UsageError(f"augment: expected 0 copies or more. Received: {copies}.")
    if not copies or not texts:
        return []
    generator = np.random.default_rng(seed)
    encodings = tokenizer.encode_batch(texts)
    neighbours = nearest_words(tokenizer.vocabulary, embeddings, encodings)
    found = [_words(encoding, tokenizer.vocabulary) for encoding in encodings]
    return [
        _changed(text, _kept(words, cuts, generator), neighbours, tokenizer.vocabulary, generator)
        for _ in range(copies)
        for text, words in zip(texts, found, strict=True)
    ]


def nearest_words(
    vocabulary: SubwordVocabulary,
    embeddings: npt.NDArray[np.float32],
    encodings: Sequence[Encoding],
) -> dict[int, npt.NDArray[np.int64]]:
    """The nearest neighbours of each word by cosine similarity: token ids, the nearest first.

    Only whole words of letters that occur in the encodings count.

    Returns:
        For each token id the ids of its neighbours, int64 `[at most NEIGHBOURS]`.
    """
    used = {i for encoding in encodings for i in encoding.token_ids}
    starts = sorted(i for i in used if not vocabulary.continuing[i])
    ids = np.array([i for i in starts if vocabulary.text_of(i).isalpha()], np.int64)
    count = min(NEIGHBOURS, len(ids) - 1)
    if count < 1:
        return {}
    table = embeddings[ids] / np.maximum(np.linalg.norm(embeddings[ids], axis=1), 1e-9)[:, None]
    neighbours: dict[int, npt.NDArray[np.int64]] = {}
    for start in range(0, len(ids), _AT_ONCE):
        similarity = table[start : start + _AT_ONCE] @ table.T
        rows = np.arange(len(similarity))
        similarity[rows, start + rows] = -np.inf
        best = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
        neighbours.update(zip(ids[start : start + _AT_ONCE].tolist(), ids[best], strict=True))
    return neighbours


def _words(encoding: Encoding, vocabulary: SubwordVocabulary) -> list[tuple[Span, int | None]]:
    """The character span and the token id of each word; None for a word of several pieces."""
    continuing = vocabulary.continuing
    words: list[tuple[Span, int | None]] = []
    for token_id, (start, end) in zip(encoding.token_ids, encoding.offsets, strict=True):
        if start == end:
            continue
        if words and continuing[token_id] and words[-1][0][1] == start:
            words[-1] = ((words[-1][0][0], end), None)
        else:
            words.append(((start, end), token_id))
    return words


def _kept(words: _Words, cuts: bool, generator: np.random.Generator) -> _Words:
    """All words, or sometimes a span of them."""
    if not words or not cuts or generator.random() >= CUT_SHARE:
        return words
    first, last = sorted(generator.integers(0, len(words), 2).tolist())
    return words[first : last + 1]


def _changed(
    text: str,
    words: _Words,
    neighbours: dict[int, npt.NDArray[np.int64]],
    vocabulary: SubwordVocabulary,
    generator: np.random.Generator,
) -> str:
    if not words:
        return text
    parts = []
    place = words[0][0][0]
    chances = generator.random(len(words)).tolist()
    for ((start, end), token_id), chance in zip(words, chances, strict=True):
        parts.append(text[place:start])
        if chance < MASKED_SHARE:
            parts.append(vocabulary.mask_token)
        elif chance < MASKED_SHARE + REPLACED_SHARE and token_id in neighbours:
            parts.append(vocabulary.text_of(int(generator.choice(neighbours[token_id]))))
        else:
            parts.append(text[start:end])
        place = end
    return "".join(parts)
