"""Selects the tokens that a trimmed vocabulary keeps.

Three sets are kept: the safe base that any text may need, the tokens that the corpus uses, and
further tokens up to the requested size. The further tokens are those most similar to the used ones:
a logistic regression predicts from a token's embedding and its rank in the vocabulary whether the
corpus uses it. New text of the same kind most likely uses the tokens with high predictions.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from converters.vocabulary import SubwordVocabulary, UnigramVocabulary, Vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.pruning import unigram_choice
from edgebert.pruning.unigram_choice import script_of
from edgebert.settings import VocabularySettings

_RANK_OFFSET = 100.0
_RANK_WEIGHT = 3.0
_RIDGE = 100.0
_NEWTON_STEPS = 15
_CONVERGED = 1e-3
_ANY_LETTER = "a"

Mask = npt.NDArray[np.bool_]


def reachable(tokenizer: Tokenizer) -> Mask:
    """The tokens that occur in the encoding of some text: bool `[vocabulary]`.

    Of a Unigram vocabulary they are all pieces. Of WordPiece, `[unused7]` is not reachable, since
    each bracket is a word of its own. Neither is `##!`, since punctuation is never inside a word.
    """
    vocabulary = tokenizer.vocabulary
    if isinstance(vocabulary, UnigramVocabulary):
        return unigram_choice.reachable(vocabulary)
    prefix = _prefix(vocabulary)
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


def _prefix(vocabulary: SubwordVocabulary) -> str:
    assert isinstance(vocabulary, Vocabulary), "there are two kinds of vocabularies"
    return vocabulary.continuing_prefix


def pieces(vocabulary: SubwordVocabulary) -> Mask:
    """The tokens that continue a word, such as `##ing`: bool `[vocabulary]`."""
    if isinstance(vocabulary, UnigramVocabulary):
        return vocabulary.continuing
    prefix = _prefix(vocabulary)
    whole = {token.content for token in vocabulary.whole_tokens}
    return np.array(
        [
            token.startswith(prefix) and len(token) > len(prefix) and token not in whole
            for token in vocabulary.tokens
        ]
    )


def scripts_of(texts: Iterable[str]) -> frozenset[str]:
    """The scripts of the letters in some texts by their Unicode names, such as LATIN."""
    characters = set().union(*map(set, texts))
    return frozenset(map(script_of, characters)) - {""}


def safe_base(
    vocabulary: SubwordVocabulary,
    is_reachable: Mask,
    settings: VocabularySettings,
    scripts: frozenset[str],
) -> Mask:
    """The tokens that are kept for every corpus: bool `[vocabulary]`.

    They are the special and added tokens, the single characters that start or continue a word,
    tokens with a character that has no token of its own, and the common word pieces. If every
    character has a token of its own, as in BERT's vocabularies, then no word becomes unknown by
    trimming. `unigram_choice.safe_base` has those of Unigram.

    Args:
        vocabulary: The whole vocabulary.
        is_reachable: The result of `reachable`.
        settings: Its `characters` and `common_pieces` are used.
        scripts: The scripts of the corpus, used with `characters="scripts"`.
    """
    if isinstance(vocabulary, UnigramVocabulary):
        return unigram_choice.safe_base(vocabulary, settings, scripts)
    prefix = _prefix(vocabulary)
    is_piece = pieces(vocabulary)
    known = set(vocabulary.tokens)
    base = np.zeros(vocabulary.size, bool)
    for i in np.flatnonzero(is_reachable):
        token = vocabulary.tokens[i]
        body = token[len(prefix) :] if is_piece[i] else token
        starts, continues = ([], body) if is_piece[i] else (body[:1], body[1:])
        has_no_piece = any(c not in known for c in starts) or any(
            prefix + c not in known for c in continues
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
    """Selects the tokens to keep: bool `[vocabulary]`.

    With `keep_tokens`, tokens are ranked: first the base, then the used tokens by their count, then
    the others by their score, and unreachable tokens last.

    Args:
        base: The result of `safe_base`; all of these are kept.
        counts: Occurrences of each token in the corpus.
        is_reachable: The result of `reachable`.
        scores: Rank of the unused tokens, from 0 to 1. Equal scores keep the vocabulary's order.
        settings: Its `min_count` and, if not 0, its `keep_tokens` are used.
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


def usage_probability(
    embeddings: npt.NDArray[np.float32], used: Mask, is_reachable: Mask, is_piece: Mask
) -> npt.NDArray[np.float64]:
    """The probability that text like the corpus uses a token: float64 `[vocabulary]`.

    Args:
        embeddings: The token table, `[vocabulary, hidden]`.
        used: Tokens that the corpus uses.
        is_reachable: Tokens to fit and score; the others get 0.
        is_piece: The result of `pieces`.
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
    """Ridge logistic regression by Newton's method: the fitted probabilities, `[rows]`."""
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
    return character.isascii() or script_of(character) in scripts | {""}
