"""Changed copies of texts, for a teacher to label: what a small training set lacks is variety.

Words are masked, replaced by like ones, or all but a run of them is dropped (Tang et al. 2019,
"Distilling Task-Specific Knowledge from BERT into Simple Neural Networks", section 3.2). Like words
are the nearest ones in the model's own embedding table (Jiao et al. 2020, "TinyBERT", algorithm 1,
takes GloVe's), and only words that the texts use are put in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import UsageError

MASKED = 0.1
"""Share of the words that become the mask token."""
REPLACED = 0.3
"""Share of the words that become a like one."""
CUT = 0.25
"""Share of the copies of which only a run of words is kept."""
NEIGHBOURS = 8
"""So many of the likest words may take a word's place."""
_AT_ONCE = 1024

Span = tuple[int, int]


def augment(
    tokenizer: Tokenizer,
    embeddings: npt.NDArray[np.float32],
    texts: Sequence[str],
    copies: int,
    seed: int,
) -> list[str]:
    """Changed copies of texts; their meaning may change too, so they have no labels.

    Args:
        tokenizer: of the model that will label them.
        embeddings: that model's token table, `[vocabulary, hidden]`.
        texts: any texts.
        copies: of each text.
        seed: the same seed makes the same copies.

    Returns:
        `copies` texts for each: first one copy of every text, then another.

    Raises:
        UsageError: `copies` is negative.
    """
    if copies < 0:
        raise UsageError(f"augment: expected 0 copies or more. Received: {copies}.")
    if not copies or not texts:
        return []
    generator = np.random.default_rng(seed)
    encodings = tokenizer.encode_batch(texts)
    near = like_words(tokenizer.vocabulary, embeddings, encodings)
    found = [_words(encoding, tokenizer.vocabulary) for encoding in encodings]
    return [
        _changed(text, words, near, tokenizer.vocabulary, generator)
        for _ in range(copies)
        for text, words in zip(texts, found, strict=True)
    ]


def like_words(
    vocabulary: Vocabulary, embeddings: npt.NDArray[np.float32], encodings: Sequence[Encoding]
) -> dict[int, npt.NDArray[np.int64]]:
    """The likest words of each word: ids of tokens by the id of a token, the likest first.

    Only whole words of letters that the encodings use are looked at.
    """
    used = {i for encoding in encodings for i in encoding.token_ids}
    ids = np.array(sorted(i for i in used if vocabulary.tokens[i].isalpha()), np.int64)
    count = min(NEIGHBOURS, len(ids) - 1)
    if count < 1:
        return {}
    table = embeddings[ids] / np.maximum(np.linalg.norm(embeddings[ids], axis=1), 1e-9)[:, None]
    near: dict[int, npt.NDArray[np.int64]] = {}
    for start in range(0, len(ids), _AT_ONCE):
        likeness = table[start : start + _AT_ONCE] @ table.T
        rows = np.arange(len(likeness))
        likeness[rows, start + rows] = -np.inf
        best = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
        near.update(zip(ids[start : start + _AT_ONCE].tolist(), ids[best], strict=True))
    return near


def _words(encoding: Encoding, vocabulary: Vocabulary) -> list[tuple[Span, int | None]]:
    """Each word's place in the text and its token id, None where it has several pieces."""
    prefix = vocabulary.continuing_prefix
    words: list[tuple[Span, int | None]] = []
    for token_id, (start, end) in zip(encoding.token_ids, encoding.offsets, strict=True):
        if start == end:
            continue
        if words and vocabulary.tokens[token_id].startswith(prefix) and words[-1][0][1] == start:
            words[-1] = ((words[-1][0][0], end), None)
        else:
            words.append(((start, end), token_id))
    return words


def _changed(
    text: str,
    words: Sequence[tuple[Span, int | None]],
    near: dict[int, npt.NDArray[np.int64]],
    vocabulary: Vocabulary,
    generator: np.random.Generator,
) -> str:
    if not words:
        return text
    kept = range(len(words))
    if generator.random() < CUT:
        first, last = sorted(generator.integers(0, len(words), 2).tolist())
        kept = range(first, last + 1)
    chances = generator.random(len(words))
    parts = []
    place = words[kept[0]][0][0]
    for i in kept:
        (start, end), token_id = words[i]
        parts.append(text[place:start])
        if chances[i] < MASKED:
            parts.append(vocabulary.mask_token)
        elif chances[i] < MASKED + REPLACED and token_id in near:
            parts.append(vocabulary.tokens[generator.choice(near[token_id])])
        else:
            parts.append(text[start:end])
        place = end
    return "".join(parts)
