"""Texts that belong together, more or less: what models of embeddings learn and are judged by."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.json_files import InvalidJsonError, parse_json
from edgebert.data.columns import RowSpec
from edgebert.data.datasets import Dataset, read_table
from edgebert.data.files import STANDARD_INPUT, first_lines
from edgebert.data.labels import SCORE, LabelUse
from edgebert.encoding.encoded_rows import EncodedRows, Inputs
from edgebert.errors import DataError
from edgebert.settings import DataSettings
from edgebert.tasks.task import Features

NEGATIVE_COLUMN = "negative"


@dataclass(frozen=True, slots=True)
class SentenceExample:
    """A text, or texts that belong together.

    Attributes:
        text: the text, or the first one.
        pair: one that belongs to it, or that is so like it as the score says.
        score: how alike the two are, in the unit of the file; None where that is not said.
        negative: one that does not belong to it, though it may look like it.
    """

    text: str
    pair: str | None = None
    score: float | None = None
    negative: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All that there are."""
        return tuple(text for text in (self.text, self.pair, self.negative) if text is not None)


def read_sentences(path: Path | str, columns: DataSettings, labels: LabelUse, task: str) -> Dataset:
    """Reads texts, pairs of texts with or without a score, or pairs with a negative.

    Args:
        path: a table as of `read_table`. Where one of its columns is called `negative`, it has a
            third text.
        columns: which columns have what; the others are found by their names.
        labels: `required` wants pairs; scores are all there or none. `none` does not look at them.
        task: whose examples they are.

    Raises:
        DataError: it can't be read as that, or some rows have a score and others have none.
    """
    wanted = RowSpec(SCORE, "none" if labels == "none" else "optional", labels == "required")
    data = read_table(path, columns, wanted, _example, task)
    if labels != "none" and NEGATIVE_COLUMN in _column_names(Path(path)):
        named = replace(columns, pair_column=NEGATIVE_COLUMN)
        negatives = read_table(path, named, replace(wanted, labels="none"), _example, task)
        examples = tuple(
            replace(example, negative=other.pair)
            for example, other in zip(data.examples, negatives.examples, strict=True)
        )
        data = replace(data, examples=examples)
    if labels == "required":
        check_pairs(data)
    return data


def _example(text: str, score: Any, pair: str | None) -> SentenceExample:
    return SentenceExample(text, pair, score)


def _column_names(path: Path) -> list[str]:
    """The names of a table's columns as far as its first line shows them."""
    if path == STANDARD_INPUT:
        return []
    line = "".join(first_lines(path, 1))
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    if ending == ".jsonl":
        try:
            row = parse_json(line)
        except InvalidJsonError:
            return []
        return list(row) if isinstance(row, dict) else []
    fields = next(csv.reader([line]), []) if ending == ".csv" else line.split("\t")
    return [field.strip() for field in fields]


def check_pairs(data: Dataset) -> None:
    """Holds data against what can be learnt or judged of it.

    Raises:
        DataError: rows have one text, or some have a score and others have none.
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
            "Next: take one of the two columns out."
        )


@dataclass(frozen=True, kw_only=True)
class SentenceFeatures(Features):
    """One encoding a text: those of an example stand side by side.

    Attributes:
        texts: of each example: as many for all of them.
    """

    texts: int

    def numbers(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The encodings of some examples: the first texts of all, then the second ones, ..."""
        return np.concatenate([rows * self.texts + place for place in range(self.texts)])

    def columns(self, outputs: Sequence[np.ndarray]) -> npt.NDArray[np.float64]:
        """Vectors of length 1, by the text's place in its example: `[texts, examples, size]`."""
        vectors = unit_vectors(np.stack(outputs))
        return vectors.reshape(-1, self.texts, vectors.shape[-1]).transpose(1, 0, 2)


def unit_vectors(vectors: np.ndarray) -> npt.NDArray[np.float64]:
    """Vectors `[n, size]` made 1 long, float64; a vector of zeros stays as it is."""
    precise = vectors.astype(np.float64)
    lengths = np.linalg.norm(precise, axis=-1, keepdims=True)
    return np.asarray(precise / np.where(lengths > 0, lengths, 1), np.float64)


@dataclass(frozen=True)
class SentenceRows:
    """Pairs, or pairs with a negative: a row is an example, a batch has all of its texts.

    Attributes:
        encoded: the texts, as in `features`.
        features: of the examples.
        scores: of each pair, float32 `[rows]`; None where pairs have none.
        identities: the same number for the same text, `[rows, texts]`.
    """

    encoded: EncodedRows
    features: SentenceFeatures
    scores: npt.NDArray[np.float32] | None
    identities: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of the longest text of each row, `[rows]`."""
        return np.asarray(self.encoded.lengths.reshape(-1, self.features.texts).max(1), np.int64)

    def __len__(self) -> int:
        return len(self.identities)

    def batch(
        self, rows: npt.NDArray[np.int64], longest: int, epoch: int
    ) -> tuple[Inputs, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """As `edgebert.tasks.task.TrainingRows` says it; the inputs are those of all texts.

        Targets: the scores `[batch]`, or for pairs without one the probability that each text
        `[batch, candidates]` belongs to the first one of a row. Candidates are all texts of the
        batch but the first ones.
        """
        inputs = self.encoded.padded(self.features.numbers(rows), longest)
        weights = np.ones(len(rows), np.float32)
        targets = self._partners(rows) if self.scores is None else self.scores[rows]
        return inputs, targets, weights

    def _partners(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The same text in several rows, as first or as second one, is a partner in all of them."""
        chosen = self.identities[rows]
        candidates = chosen[:, 1:].T.reshape(-1)
        same_first = chosen[:, None, 0] == chosen[None, :, 0]
        same_second = chosen[:, None, 1] == candidates[None, :]
        belongs = (same_first.astype(np.float32) @ same_second) > 0
        return np.asarray(belongs / belongs.sum(1, keepdims=True), np.float32)


def identities_of(examples: Sequence[SentenceExample]) -> npt.NDArray[np.int64]:
    """The same number for the same text, `[examples, texts]`."""
    texts = [text for example in examples for text in example.texts]
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    numbers = np.fromiter((places[text] for text in texts), np.int64, len(texts))
    return numbers.reshape(len(examples), -1)
