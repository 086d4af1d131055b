"""Which tokens of a text a masked language model is asked for, and what it sees in their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Encoding

MASKED, REPLACED = 0.8, 0.1
"""Of the chosen tokens, the shares that become [MASK] and a random token; the rest stay as they are
(Devlin et al. 2019, section 3.1)."""

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class MaskedEncoding(Encoding):
    """A text some of whose tokens are asked for.

    Attributes:
        masks: the places of these tokens, ascending.
        hidden: the ids that stood there; empty where nobody knows them.
        follows: 1 where the second text follows the first, 0 where it is of elsewhere, -1 where
            there is no second text.
        chosen: whether the places were chosen, since a typed text has no [MASK] among its tokens.
    """

    masks: tuple[int, ...] = ()
    hidden: tuple[int, ...] = ()
    follows: int = -1
    chosen: bool = False


@dataclass(frozen=True)
class Masking:
    """How tokens are chosen.

    Attributes:
        share: of a text's tokens, those that frame it left out.
        whole_words: chooses words, with all their pieces, instead of tokens.
        mask_id: of [MASK].
        framing: whether each id of the vocabulary is no word ([CLS], [SEP], [PAD], [MASK]), bool
            `[vocab_size]`.
        continuing: whether it continues a word, bool `[vocab_size]`.
    """

    share: float
    whole_words: bool
    mask_id: int
    framing: npt.NDArray[np.bool_]
    continuing: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, vocabulary: Vocabulary, share: float, whole_words: bool) -> Masking:
        """The masking of a vocabulary's texts."""
        framing = np.zeros(vocabulary.size, bool)
        for token in (
            vocabulary.cls_token,
            vocabulary.sep_token,
            vocabulary.pad_token,
            vocabulary.mask_token,
        ):
            framing[vocabulary.id_of(token)] = True
        prefix = vocabulary.continuing_prefix
        continuing = [token.startswith(prefix) and token != prefix for token in vocabulary.tokens]
        mask_id = vocabulary.id_of(vocabulary.mask_token)
        return cls(share, whole_words, mask_id, framing, np.array(continuing))

    def choose(self, ids: Ids, generator: np.random.Generator, most: int = 0) -> Ids:
        """Places of the tokens that are asked for, ascending: at least one where there are words.

        Args:
            ids: of a text, `[tokens]`.
            generator: of the chance.
            most: so many at most; 0 is no limit. Of whole words the last one may be cut by it.
        """
        places = np.flatnonzero(~self.framing[ids]).astype(np.int32)
        if not len(places):
            return places
        wanted = max(1, round(self.share * len(places)))
        wanted = min(wanted, most) if most else wanted
        order = generator.permutation(len(places))
        if self.whole_words:
            order = self._by_word(ids, places, generator)
            wanted = self._up_to_a_words_end(ids, places[order], wanted, most)
        return np.sort(places[order[:wanted]])

    def _by_word(
        self, ids: Ids, places: Ids, generator: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """The order of the places when words are shuffled and their pieces stay together."""
        words = np.cumsum(self._begins(ids, places))
        shuffled = generator.permutation(words[-1] + 1)
        return np.argsort(shuffled[words], kind="stable")

    def _begins(self, ids: Ids, places: Ids) -> npt.NDArray[np.bool_]:
        """Whether a word begins at each place; ascending places, but words in any order."""
        follows_last = np.diff(places, prepend=-2) == 1
        return ~(self.continuing[ids[places]] & follows_last)

    def _up_to_a_words_end(self, ids: Ids, places: Ids, wanted: int, most: int) -> int:
        begins = self._begins(ids, places)
        while wanted < len(places) and not begins[wanted] and wanted != most:
            wanted += 1
        return wanted

    def hide(self, ids: Ids, places: Ids, generator: np.random.Generator) -> Ids:
        """The text as it is learnt from: a copy with most of the places masked, as BERT does it."""
        hidden = ids.copy()
        chance = generator.random(len(places))
        hidden[places[chance < MASKED]] = self.mask_id
        replaced = places[(chance >= MASKED) & (chance < MASKED + REPLACED)]
        hidden[replaced] = generator.integers(0, len(self.framing), len(replaced))
        return hidden


def padded_places(masks: Sequence[Sequence[int] | Ids]) -> Ids:
    """Places of several texts, int32 `[texts, most]`, at least one column; -1 fills rows up."""
    found = np.full((len(masks), max(1, *map(len, masks))), -1, np.int32)
    for row, places in zip(found, masks, strict=True):
        row[: len(places)] = np.asarray(places, np.int32)
    return found
