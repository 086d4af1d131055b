"""Which tokens a trimmed vocabulary keeps.

Three layers: what any text may need (the safe base), what the corpus uses, and what fills the rest
of the room up. For that the embedding table itself says which tokens of the vocabulary are like
those that the corpus uses: a logistic regression from a token's embedding and its place in the
vocabulary to whether the corpus uses it. What that finds likely is what new text of the same kind
uses next.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.settings import VocabularySettings

_LETTERS_AND_MARKS = ("L", "M")
_COMBINING = "COMBINING"
_RANK_OFFSET = 100.0
_RANK_WEIGHT = 3.0
_RIDGE = 100.0
_NEWTON_STEPS = 15
_CONVERGED = 1e-3
_ANY_LETTER = "a"

Mask = npt.NDArray[np.bool_]


def reachable(tokenizer: Tokenizer) -> Mask:
    """Says which tokens some text can give: bool `[vocabulary]`.

    `[unused7]` is none, because brackets are words of their own; nor is `##!`.
    """
    vocabulary = tokenizer.vocabulary
    prefix = vocabulary.continuing_prefix
    is_piece = pieces(vocabulary)
    texts = [
        _ANY_LETTER + token[len(prefix) :] if is_piece[i] else token
        for i, token in enumerate(vocabulary.tokens)
    ]
    found = np.zeros(vocabulary.size, bool)
    for i, encoding in enumerate(tokenizer.encode_batch(texts)):
        ids = encoding.token_ids[1:-1]
        found[i] = all(is_piece[j] for j in ids[1:]) if is_piece[i] else ids == (i,)
    return found


def pieces(vocabulary: Vocabulary) -> Mask:
    """Says which tokens go on a word that another one started: bool `[vocabulary]`."""
    prefix = vocabulary.continuing_prefix
    whole = {token.content for token in vocabulary.whole_tokens}
    return np.array(
        [
            token.startswith(prefix) and len(token) > len(prefix) and token not in whole
            for token in vocabulary.tokens
        ]
    )


def scripts_of(texts: Iterable[str]) -> frozenset[str]:
    """The scripts of the letters in texts, such as LATIN, by their names in Unicode."""
    characters = set().union(*map(set, texts))
    return frozenset(map(_script, characters)) - {""}


def safe_base(
    vocabulary: Vocabulary,
    is_reachable: Mask,
    settings: VocabularySettings,
    scripts: frozenset[str],
) -> Mask:
    """The tokens that stay whatever the corpus uses: bool `[vocabulary]`.

    They are the special and added tokens, the single characters that can start or go on a word,
    tokens that have a character with no piece of its own, and the common pieces. Where all
    characters have pieces of their own, as in BERT's vocabularies, no word of theirs becomes
    unknown that was not.

    Args:
        vocabulary: the whole one.
        is_reachable: of `reachable`.
        settings: `characters` and `common_pieces` are looked at.
        scripts: of the corpus; only with `characters="scripts"` are they looked at.
    """
    prefix = vocabulary.continuing_prefix
    is_piece = pieces(vocabulary)
    known = set(vocabulary.tokens)
    base = np.zeros(vocabulary.size, bool)
    for i in np.flatnonzero(is_reachable):
        token = vocabulary.tokens[i]
        body = token[len(prefix) :] if is_piece[i] else token
        starts, goes_on = ([], body) if is_piece[i] else (body[:1], body[1:])
        has_no_piece = any(c not in known for c in starts) or any(
            prefix + c not in known for c in goes_on
        )
        is_wanted = settings.characters == "all" or all(_is_kept(c, scripts) for c in body)
        base[i] = is_wanted and (len(body) == 1 or has_no_piece)
    base[np.flatnonzero(is_piece & is_reachable)[: settings.common_pieces]] = True
    base[[vocabulary.id_of(token.content) for token in vocabulary.whole_tokens]] = True
    return base


def choose(
    base: Mask,
    counts: npt.NDArray[np.int64],
    is_reachable: Mask,
    scores: npt.NDArray[np.float64],
    settings: VocabularySettings,
) -> Mask:
    """Which tokens stay: bool `[vocabulary]`.

    Args:
        base: of `safe_base`; all of them stay.
        counts: how often the corpus uses each token.
        is_reachable: of `reachable`; other tokens are the last that fill the room up.
        scores: what fills the room up, between 0 and 1; the highest first, then the vocabulary's
            order.
        settings: `min_count`, and `keep_tokens` if it is not 0.
    """
    used = counts >= settings.min_count
    if not settings.keep_tokens:
        return base | used
    worth = np.where(used, counts, 0) + scores
    worth = np.where(is_reachable, worth, -1.0)
    worth[base] = np.inf
    kept = np.zeros(len(base), bool)
    kept[np.argsort(-worth, kind="stable")[: settings.keep_tokens]] = True
    return kept


def likeness(
    embeddings: npt.NDArray[np.float32], used: Mask, is_reachable: Mask, is_piece: Mask
) -> npt.NDArray[np.float64]:
    """How likely each token is one of the used ones, by its embedding: float64 `[vocabulary]`.

    Args:
        embeddings: the token table, `[vocabulary, hidden]`.
        used: the tokens that the corpus uses.
        is_reachable: the others are no part of it and get 0.
        is_piece: of `pieces`.
    """
    rows = np.flatnonzero(is_reachable)
    scores = np.zeros(len(used), np.float64)
    if used[rows].all() or not used[rows].any():
        return scores
    rank = np.log(rows + _RANK_OFFSET)
    rank = (rank - rank.mean()) / (rank.std() or 1.0)
    table = embeddings[rows].astype(np.float64)
    spread = table.std(axis=0)
    table = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    others = np.stack([rank, rank**2, is_piece[rows].astype(np.float64)], axis=1)
    features = np.concatenate([table, _RANK_WEIGHT * others, np.ones((len(rows), 1))], axis=1)
    scores[rows] = _logistic(features, used[rows].astype(np.float64))
    return scores


def _logistic(
    features: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Ridge logistic regression by Newton's method; gives the fitted probabilities `[rows]`."""
    weights = np.zeros(features.shape[1])
    ridge = _RIDGE * np.eye(features.shape[1])
    for _ in range(_NEWTON_STEPS):
        chances = _sigmoid(features @ weights)
        slopes = features.T @ (chances - targets) + _RIDGE * weights
        curvature = (features.T * (chances * (1 - chances))) @ features + ridge
        step = np.linalg.solve(curvature, slopes)
        weights -= step
        if np.abs(step).max() < _CONVERGED:
            break
    return _sigmoid(features @ weights)


def _sigmoid(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(values, -50, 50)))


def _is_kept(character: str, scripts: frozenset[str]) -> bool:
    return character.isascii() or _script(character) in scripts | {""}


def _script(character: str) -> str:
    """The first word of a letter's name in Unicode; empty for signs and combining accents."""
    if unicodedata.category(character)[0] not in _LETTERS_AND_MARKS:
        return ""
    name = unicodedata.name(character, "").split(" ")[0]
    return "" if name == _COMBINING else name
