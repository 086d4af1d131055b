"""Rows of running text for training and for evaluation of a masked language model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from converters.tflite.output_names import LOGITS
from edgebert.encoding.encoded_rows import Inputs
from edgebert.encoding.tokenizer import Encoding
from edgebert.tasks.corpus_rows import CorpusRows
from edgebert.tasks.masking import Ids, MaskedEncoding, Masking, padded_places
from edgebert.tasks.task import EVALUATION

NEXT_SENTENCE = "next_sentence"
PLACES = "mask_places"
EVALUATION_SEED = 20181011
_UNSEEN = 0.1
"""Count that is added to every token's frequency."""
_COUNTED_AT_ONCE = 1 << 24


class EvaluationTexts(Sequence[Encoding]):
    """The rows of a corpus for evaluation: fixed positions, all replaced by [MASK].

    Args:
        corpus: The rows.
        masking: The rules for the choice of positions.
        most: Maximum number of positions in a row.
    """

    def __init__(self, corpus: CorpusRows, masking: Masking, most: int) -> None:
        self._corpus, self._masking, self._most = corpus, masking, most

    def __len__(self) -> int:
        return len(self._corpus)

    @overload
    def __getitem__(self, index: int) -> MaskedEncoding: ...

    @overload
    def __getitem__(self, index: slice) -> list[Encoding]: ...

    def __getitem__(self, index: int | slice) -> MaskedEncoding | list[Encoding]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        ids, segments = self._corpus.tokens(index)
        generator = np.random.default_rng([EVALUATION_SEED, index])
        follows = int(self._corpus.follows[index])
        return masked_encoding(
            ids, segments, self._masking, generator, most=self._most, follows=follows
        )

    def __iter__(self) -> Iterator[Encoding]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True)
class MaskedRows:
    """Training rows of a corpus, with new random positions in each epoch.

    Attributes:
        corpus: The rows without masks.
        masking: The rules for the choice of positions.
        evaluation: The same rows for evaluation.
        seed: Seed of the random choices.
        in_pairs: Whether next-sentence prediction is trained, too.
    """

    corpus: CorpusRows
    masking: Masking
    evaluation: Sequence[Encoding]
    seed: int
    in_pairs: bool

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, `[rows]`."""
        return self.corpus.rows.lengths

    def __len__(self) -> int:
        return len(self.corpus)

    def batch(
        self, rows: npt.NDArray[np.int64], longest: int, epoch: int
    ) -> tuple[Inputs, Any, npt.NDArray[np.float32]]:
        """See `edgebert.tasks.task.TrainingRows.batch`.

        The targets are `logits`, int32 `[batch, positions]`, padded with -1, and for pairs
        `next_sentence`, int32 `[batch]`: BERT's 0 if the second text follows the first, else 1.
        """
        inputs = self.corpus.rows.padded(rows, longest)
        drawn = [self._drawn(int(row), epoch) for row in rows]
        for line, (seen, _, _) in zip(inputs["token_ids"], drawn, strict=True):
            line[: len(seen)] = seen
        places = padded_places([each for _, each, _ in drawn])
        originals = np.full_like(places, -1)
        for line, (_, _, hidden) in zip(originals, drawn, strict=True):
            line[: len(hidden)] = hidden
        targets = {LOGITS: originals}
        if self.in_pairs:
            targets[NEXT_SENTENCE] = 1 - self.corpus.follows[rows]
            targets[NEXT_SENTENCE][self.corpus.follows[rows] < 0] = -1
        return {**inputs, PLACES: places}, targets, np.ones(len(rows), np.float32)

    def log_frequencies(self) -> npt.NDArray[np.float32]:
        """The logarithm of each token's smoothed frequency in the corpus, `[vocab_size]`."""
        ids, size = self.corpus.rows.token_ids, len(self.masking.framing)
        counts = np.full(size, _UNSEEN)
        for start in range(0, len(ids), _COUNTED_AT_ONCE):
            counts += np.bincount(ids[start : start + _COUNTED_AT_ONCE], minlength=size)
        counts[self.masking.framing] = _UNSEEN
        return np.log(counts / counts.sum()).astype(np.float32)

    def _drawn(self, row: int, epoch: int) -> tuple[Ids, Ids, Ids]:
        """The model's token ids of a row, the positions, and the original ids there."""
        ids, _ = self.corpus.tokens(row)
        if epoch == EVALUATION:
            fixed = self.evaluation[row]
            assert isinstance(fixed, MaskedEncoding)
            places = np.array(fixed.masks, np.int32)
            return np.array(fixed.token_ids, np.int32), places, ids[places]
        generator = np.random.default_rng([self.seed, epoch, row])
        places = self.masking.choose(ids, generator)
        return self.masking.hide(ids, places, generator), places, ids[places]


def masked_encoding(
    ids: Ids,
    segments: Ids,
    masking: Masking,
    generator: np.random.Generator,
    *,
    most: int,
    follows: int = -1,
) -> MaskedEncoding:
    """A text with [MASK] at randomly chosen positions."""
    places = masking.choose(ids, generator, most)
    seen = ids.copy()
    seen[places] = masking.mask_id
    return MaskedEncoding(
        tuple(seen.tolist()),
        tuple(segments.tolist()),
        ((0, 0),) * len(ids),
        tuple(places.tolist()),
        tuple(ids[places].tolist()),
        follows,
    )
