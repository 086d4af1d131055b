"""Rows of running text, as they are learnt from and as a model is judged on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from converters.tflite.graph_heads import LOGITS
from edgebert.encoding.encoded_rows import Inputs
from edgebert.encoding.tokenizer import Encoding
from edgebert.tasks.corpus_rows import CorpusRows
from edgebert.tasks.masking import Ids, MaskedEncoding, Masking, padded_places
from edgebert.tasks.task import EVALUATION

NEXT_SENTENCE = "next_sentence"
PLACES = "mask_places"
JUDGE_SEED = 20181011
_UNSEEN = 0.1
"""Times that a token counts beside those that it is seen."""
_COUNTED_AT_ONCE = 1 << 24


class EvaluationTexts(Sequence[Encoding]):
    """The rows of a corpus as a model is judged on them: fixed places, all [MASK].

    Args:
        corpus: the rows.
        masking: how places are chosen.
        most: places of a row.
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
        generator = np.random.default_rng([JUDGE_SEED, index])
        follows = int(self._corpus.follows[index])
        return asked(ids, segments, self._masking, generator, self._most, follows)

    def __iter__(self) -> Iterator[Encoding]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True)
class MaskedRows:
    """Rows of a corpus as they are learnt: places drawn anew in each epoch.

    Attributes:
        corpus: the rows, nothing hidden.
        masking: how places are chosen.
        judged: the same rows as a model is judged on them.
        seed: of the chance.
        in_pairs: whether next sentences are learnt too.
    """

    corpus: CorpusRows
    masking: Masking
    judged: Sequence[Encoding]
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
        """As `edgebert.tasks.task.TrainingRows` says it.

        The targets are `logits`, int32 `[batch, places]`, -1 where a row has no more places, and,
        of pairs, `next_sentence`, int32 `[batch]`: 0 where the second text follows the first and 1
        where it does not, which are BERT's numbers for it.
        """
        inputs = self.corpus.rows.padded(rows, longest)
        drawn = [self._drawn(int(row), epoch) for row in rows]
        for line, (seen, _, _) in zip(inputs["token_ids"], drawn, strict=True):
            line[: len(seen)] = seen
        places = padded_places([each for _, each, _ in drawn])
        wanted = np.full_like(places, -1)
        for line, (_, _, hidden) in zip(wanted, drawn, strict=True):
            line[: len(hidden)] = hidden
        targets = {LOGITS: wanted}
        if self.in_pairs:
            targets[NEXT_SENTENCE] = 1 - self.corpus.follows[rows]
            targets[NEXT_SENTENCE][self.corpus.follows[rows] < 0] = -1
        return {**inputs, PLACES: places}, targets, np.ones(len(rows), np.float32)

    def log_frequencies(self) -> npt.NDArray[np.float32]:
        """The logarithm of each token's share of the text, `[vocab_size]`; none is 0 times seen."""
        ids, size = self.corpus.rows.token_ids, len(self.masking.framing)
        counts = np.full(size, _UNSEEN)
        for start in range(0, len(ids), _COUNTED_AT_ONCE):
            counts += np.bincount(ids[start : start + _COUNTED_AT_ONCE], minlength=size)
        counts[self.masking.framing] = _UNSEEN
        return np.log(counts / counts.sum()).astype(np.float32)

    def _drawn(self, row: int, epoch: int) -> tuple[Ids, Ids, Ids]:
        """What the model sees of a row, the places, and what stood there."""
        ids, _ = self.corpus.tokens(row)
        if epoch == EVALUATION:
            judged = self.judged[row]
            assert isinstance(judged, MaskedEncoding)
            places = np.array(judged.masks, np.int32)
            return np.array(judged.token_ids, np.int32), places, ids[places]
        generator = np.random.default_rng([self.seed, epoch, row])
        places = self.masking.choose(ids, generator)
        return self.masking.hide(ids, places, generator), places, ids[places]


def asked(
    ids: Ids,
    segments: Ids,
    masking: Masking,
    generator: np.random.Generator,
    most: int,
    follows: int = -1,
) -> MaskedEncoding:
    """A text with chosen places masked."""
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
