"""The choice of the masked tokens of a text, and their replacement in the model's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.vocabulary import SubwordVocabulary
from edgebert.encoding.tokenizer import Encoding
from edgebert.errors import UsageError

MASKED, REPLACED = 0.8, 0.1
"""Shares of the chosen tokens that become [MASK] and a random token. The others stay unchanged
(Devlin et al. 2019, section 3.1)."""

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class MaskedEncoding(Encoding):
    """An encoding with masked positions.

    Attributes:
        masks: The masked positions, ascending.
        hidden: The original ids at these positions; empty if they are unknown.
        follows: 1 if the second text follows the first, 0 if it is from elsewhere, -1 if there is
            no second text.
        chosen: Whether the positions were chosen, because the text has no [MASK].
    """

    masks: tuple[int, ...] = ()
    hidden: tuple[int, ...] = ()
    follows: int = -1
    chosen: bool = False


@dataclass(frozen=True)
class Masking:
    """The rules for the choice of tokens.

    Attributes:
        share: Share of a text's tokens, special tokens not counted.
        whole_words: Chooses whole words, with all their pieces, instead of tokens.
        mask_id: Id of [MASK].
        framing: Whether each id is a special token ([CLS], [SEP], [PAD], [MASK]), bool
            `[vocab_size]`.
        continuing: Whether each id continues a word, bool `[vocab_size]`.
    """

    share: float
    whole_words: bool
    mask_id: int
    framing: npt.NDArray[np.bool_]
    continuing: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, vocabulary: SubwordVocabulary, share: float, whole_words: bool) -> Masking:
        """The masking for a vocabulary.

        Raises:
            UsageError: The vocabulary has no mask token.
        """
        if not vocabulary.has_mask:
            raise UsageError(
                "Expected a vocabulary with a mask token, which a masked language model is trained "
                "with. Received: one without. Next: take a base model whose vocabulary has [MASK]."
            )
        framing = np.zeros(vocabulary.size, bool)
        framing[vocabulary.framing_ids] = True
        mask_id = vocabulary.id_of(vocabulary.mask_token)
        return cls(share, whole_words, mask_id, framing, vocabulary.continuing)

    def choose(self, ids: Ids, generator: np.random.Generator, most: int = 0) -> Ids:
        """The positions of the chosen tokens, ascending; at least one if the text has a word.

        Args:
            ids: Token ids of a text, `[tokens]`.
            generator: Source of the random choice.
            most: Maximum number of positions; 0 for no limit. The limit may cut the last of whole
                words.
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
        """A random order of the positions in which the pieces of a word stay together."""
        words = np.cumsum(self._begins(ids, places))
        shuffled = generator.permutation(words[-1] + 1)
        return np.argsort(shuffled[words], kind="stable")

    def _begins(self, ids: Ids, places: Ids) -> npt.NDArray[np.bool_]:
        """Whether a word begins at each position. Words may be in any order."""
        follows_last = np.diff(places, prepend=-2) == 1
        return ~(self.continuing[ids[places]] & follows_last)

    def _up_to_a_words_end(self, ids: Ids, places: Ids, wanted: int, most: int) -> int:
        begins = self._begins(ids, places)
        while wanted < len(places) and not begins[wanted] and wanted != most:
            wanted += 1
        return wanted

    def hide(self, ids: Ids, places: Ids, generator: np.random.Generator) -> Ids:
        """A copy of the text for training: positions are masked, replaced or kept, as in BERT."""
        hidden = ids.copy()
        chance = generator.random(len(places))
        hidden[places[chance < MASKED]] = self.mask_id
        replaced = places[(chance >= MASKED) & (chance < MASKED + REPLACED)]
        hidden[replaced] = generator.integers(0, len(self.framing), len(replaced))
        return hidden


def padded_places(masks: Sequence[Sequence[int] | Ids]) -> Ids:
    """Positions of several texts, int32 `[texts, most]`, padded with -1 to at least one column."""
    found = np.full((len(masks), max(1, *map(len, masks))), -1, np.int32)
    for row, places in zip(found, masks, strict=True):
        row[: len(places)] = np.asarray(places, np.int32)
    return found
