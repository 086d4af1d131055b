"""Pairs of texts for training and evaluation of sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebert.data.columns import RowSpec
from edgebert.data.datasets import Dataset, read_table
from edgebert.data.labels import SCORE, LabelUse
from edgebert.encoding.encoded_rows import EncodedRows, Inputs, joined_rows
from edgebert.errors import DataError
from edgebert.settings import DataSettings
from edgebert.tasks.task import Features

NEGATIVE_COLUMN = "negative"


@dataclass(frozen=True, slots=True)
class SentenceExample:
    """A text, a pair of texts, or a pair with a negative.

    Attributes:
        text: The text, or the first text of a pair.
        pair: The second text: a related one, or one with the similarity `score`.
        score: Similarity of the two texts, in the unit of the file; None if there is no score.
        negative: A text that is not related to the first one (a hard negative).
    """

    text: str
    pair: str | None = None
    score: float | None = None
    negative: str | None = None

    @classmethod
    def of(cls, texts: Sequence[str]) -> SentenceExample:
        """An example of one to three texts without a score."""
        text, pair, negative = (*texts, None, None)[:3]
        return cls(str(text), pair, None, negative)

    @property
    def texts(self) -> tuple[str, ...]:
        """All that there are."""
        return tuple(text for text in (self.text, self.pair, self.negative) if text is not None)


def read_sentences(path: Path | str, columns: DataSettings, labels: LabelUse, task: str) -> Dataset:
    """Reads texts, pairs of texts with or without a score, or pairs with a negative.

    Args:
        path: A table: see `read_table`. A column `negative` has a third text.
        columns: Names of the columns; other columns are found by their names.
        labels: `required` requires pairs, with a score in all rows or in none. `none` ignores the
            scores.
        task: Name of the task of the examples.

    Raises:
        DataError: The file is not valid, or only some rows have a score.
    """
    negative = "" if labels == "none" else NEGATIVE_COLUMN
    use: LabelUse = "none" if labels == "none" else "optional"
    spec = RowSpec(SCORE, use, labels == "required", negative)
    data = read_table(path, columns, spec, _example, task)
    if labels == "required":
        check_pairs(data)
    return data


def _example(
    text: str, score: Any, pair: str | None, negative: str | None = None
) -> SentenceExample:
    return SentenceExample(text, pair, score, negative)


def check_pairs(data: Dataset) -> None:
    """Checks that data can be used for training or evaluation.

    Raises:
        DataError: Rows have one text, only some rows have a score, or rows have a score and a
            negative.
    """
    examples = data.examples
    single = sum(example.pair is None for example in examples)
    if single:
        raise DataError(
            f"{data.name}: expected pairs of texts. Received: {single} of {len(examples)} rows "
            "with one text. Next: give a table with columns such as sentence1, sentence2 and score."
        )
    scored = sum(example.score is not None for example in examples)
    if 0 < scored < len(examples):
        raise DataError(
            f"{data.name}: expected a score in every row, or in none. Received: {scored} of "
            f"{len(examples)} rows with one. Next: score the others, or take the column out."
        )
    both = sum(example.score is not None and example.negative is not None for example in examples)
    if both:
        raise DataError(
            f"{data.name}: expected a score or a negative text. Received: both in {both} rows. "
            "Next: remove one of the two columns."
        )


@dataclass(frozen=True, kw_only=True)
class SentenceFeatures(Features):
    """One encoding per text. The encodings of an example are consecutive.

    Attributes:
        texts: Number of texts of every example.
    """

    texts: int

    def numbers(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The encodings of a batch of examples: all first texts, then all second texts, ..."""
        return numbers_of_texts(rows, self.texts)

    def columns(self, outputs: Sequence[np.ndarray]) -> npt.NDArray[np.float64]:
        """Unit vectors by the index of the text in its example: `[texts, examples, size]`."""
        vectors = unit_vectors(np.stack(outputs))
        return vectors.reshape(-1, self.texts, vectors.shape[-1]).transpose(1, 0, 2)


def numbers_of_texts(rows: npt.NDArray[np.int64], texts: int) -> npt.NDArray[np.int64]:
    """The encodings of examples of several texts: all first texts, then all second texts, ..."""
    return np.concatenate([rows * texts + place for place in range(texts)])


def unit_vectors(vectors: np.ndarray) -> npt.NDArray[np.float64]:
    """Vectors `[n, size]` normalized to length 1, float64; vectors of zeros stay zero."""
    precise = vectors.astype(np.float64)
    lengths = np.linalg.norm(precise, axis=-1, keepdims=True)
    return np.asarray(precise / np.where(lengths > 0, lengths, 1), np.float64)


@dataclass(frozen=True)
class SentenceRows:
    """Training rows of pairs, or of pairs with a negative. Each row is one example.

    Attributes:
        encoded: The encoded texts, in the order of `features`.
        texts: Number of texts of every example.
        scores: Score of each pair, float32 `[rows]`; None for pairs without scores.
        identities: Index of each text among the distinct texts, `[rows, texts]`.
        weights: Weight of each row in the loss, float32 `[rows]`.
    """

    encoded: EncodedRows
    texts: int
    scores: npt.NDArray[np.float32] | None
    identities: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of the longest text of each row, `[rows]`."""
        return np.asarray(self.encoded.lengths.reshape(-1, self.texts).max(1), np.int64)

    def __len__(self) -> int:
        return len(self.identities)

    def batch(
        self, rows: npt.NDArray[np.int64], longest: int, epoch: int
    ) -> tuple[Inputs, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """See `edgebert.tasks.task.TrainingRows.batch`; the inputs are those of all texts.

        Targets are the scores `[batch]`, or for pairs without scores the probability that each
        candidate belongs to the first text of a row, `[batch, candidates]`. Candidates are all
        texts of the batch except the first ones.
        """
        inputs = self.encoded.padded(self.texts_of(rows), longest)
        targets = self._partners(rows) if self.scores is None else self.scores[rows]
        return inputs, targets, self.weights[rows]

    def texts_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The numbers of the encoded texts of a batch, in the order of its inputs."""
        return numbers_of_texts(rows, self.texts)

    def followed_by(self, more: EncodedRows, sources: npt.NDArray[np.int64]) -> SentenceRows:
        """See `edgebert.tasks.unlabelled.RowsToExtend.followed_by`.

        A copy of a text has the identity of the text, so that it is never a negative of its
        partner.
        """
        count = len(more) // self.texts
        new = self.identities.max() + 1 + np.arange(count * self.texts).reshape(count, -1)
        identities = np.concatenate([self.identities, new])
        is_copy = sources >= 0
        identities[len(self) :][is_copy] = identities[sources[is_copy]]
        zeros = np.zeros(count, np.float32)
        return SentenceRows(
            joined_rows([self.encoded, more]),
            self.texts,
            None if self.scores is None else np.concatenate([self.scores, zeros]),
            identities,
            np.concatenate([self.weights, zeros]),
        )

    def _partners(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Target probabilities. A text that occurs in several rows belongs to all of them."""
        chosen = self.identities[rows]
        candidates = chosen[:, 1:].T.reshape(-1)
        same_first = chosen[:, None, 0] == chosen[None, :, 0]
        same_second = chosen[:, None, 1] == candidates[None, :]
        belongs = (same_first.astype(np.float32) @ same_second) > 0
        return np.asarray(belongs / belongs.sum(1, keepdims=True), np.float32)


def identities_of(examples: Sequence[SentenceExample]) -> npt.NDArray[np.int64]:
    """Index of each text among the distinct texts, `[examples, texts]`."""
    texts = [text for example in examples for text in example.texts]
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    numbers = np.fromiter((places[text] for text in texts), np.int64, len(texts))
    return numbers.reshape(len(examples), -1)
