"""The tokens that a trimmed Unigram vocabulary always keeps.

The trimmed tokenizer splits a text like the whole one if it has all pieces that the whole one
gives: the same path through the text is still there, and no new one is better. For this the piece
with the smallest score is kept, too, because the score of an unknown character depends on it.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import numpy.typing as npt

from converters.vocabulary import UnigramVocabulary
from edgebert.settings import VocabularySettings

Mask = npt.NDArray[np.bool_]
_LETTERS_AND_MARKS = ("L", "M")
_COMBINING = "COMBINING"


def reachable(vocabulary: UnigramVocabulary) -> Mask:
    """The pieces of the model, without the tokens that are matched as a whole: bool `[size]`."""
    found = np.zeros(vocabulary.size, bool)
    found[: len(vocabulary.scores)] = True
    found[[vocabulary.id_of(token.content) for token in vocabulary.whole_tokens]] = False
    return found


def safe_base(
    vocabulary: UnigramVocabulary, settings: VocabularySettings, scripts: frozenset[str]
) -> Mask:
    """The tokens that are kept for every corpus: bool `[size]`.

    They are the special and added tokens, the metaspace, the piece with the smallest score, pieces
    of one character with and without the metaspace, pieces with a character that has no piece of
    its own, and the first pieces. A text has at most one unknown token for each of its characters
    that has no piece of its own here.

    Args:
        vocabulary: The whole vocabulary.
        settings: Its `characters` and `common_pieces` are used.
        scripts: The scripts of the corpus, used with `characters="scripts"`.
    """
    known = set(vocabulary.tokens[: len(vocabulary.scores)])
    characters: dict[str, bool] = {}
    base = np.zeros(vocabulary.size, bool)
    is_reachable = reachable(vocabulary)
    for token_id in np.flatnonzero(is_reachable).tolist():
        body = vocabulary.text_of(token_id)
        if len(body) > 1 and all(character in known for character in body):
            continue
        for character in body:
            if character not in characters:
                is_of_corpus = character.isascii() or script_of(character) in scripts | {""}
                characters[character] = settings.characters == "all" or is_of_corpus
        base[token_id] = all(characters[character] for character in body)
    common = np.flatnonzero(is_reachable)[: settings.common_pieces]
    base[common] = True
    base[int(np.argmin(vocabulary.scores))] = True
    base[[vocabulary.id_of(token.content) for token in vocabulary.whole_tokens]] = True
    return base


def script_of(character: str) -> str:
    """The first word of a letter's Unicode name; empty for symbols and combining accents."""
    if unicodedata.category(character)[0] not in _LETTERS_AND_MARKS:
        return ""
    name = unicodedata.name(character, "").split(" ")[0]
    return "" if name == _COMBINING else name
