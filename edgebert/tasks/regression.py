"""Regression: a number for a text or a pair of texts, such as a rating or a similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters import heads
from converters.checkpoint import Checkpoint
from converters.tflite.output_names import SCORE as SCORE_OUTPUT
from edgebert.data.columns import RowSpec
from edgebert.data.datasets import Dataset, read_table
from edgebert.data.labels import SCORE, LabelUse
from edgebert.encoding.encoded_rows import rows_of
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings, FinetuneSettings, TaskSettings
from edgebert.tasks.labelled_rows import LabelledRows
from edgebert.tasks.task import Decoding, Features, ModelFacts
from edgebert.tasks.text_task import TextTask, answer_line, input_fields, pairs_of

if TYPE_CHECKING:
    import keras

TEXTS = "texts"
MEAN, DEVIATION = "mean", "deviation"


@dataclass(frozen=True, slots=True)
class ScoredExample:
    """A text or a pair of texts, and its score; None if it has no score."""

    text: str
    score: float | None = None
    pair: str | None = None


class Regression(TextTask):
    """Predicts a number for a text or a pair of texts, in the unit of the training rows.

    A new head is trained on standardized scores, with mean 0 and standard deviation 1, so that the
    step size of an optimizer such as Adam fits any unit. After training, the unit is folded into
    the head's weights.
    """

    name = "regression"
    title = "regression"
    problem = heads.REGRESSION
    metric = "spearman"
    file_outputs = (SCORE_OUTPUT,)
    chooses_thresholds = True

    def read(self, path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
        return read_table(path, columns, RowSpec(SCORE, labels), ScoredExample, self.name)

    def label_names(self, train: Dataset) -> tuple[str, ...]:
        """No labels; checks that every row has a score."""
        self.require_known(train, ())
        return ()

    def require_known(self, data: Dataset, labels: Sequence[str]) -> None:
        missing = sum(getattr(example, "score", None) is None for example in data.examples)
        if missing:
            raise DataError(
                f"{data.name}: expected a score for every text. Received: {missing} of {len(data)} "
                "texts without one. Next: read a file that has scores, as regression."
            )

    def unlabelled(self, text: str, pair: str | None) -> ScoredExample:
        return ScoredExample(text, pair=pair)

    def is_labelled(self, example: ScoredExample) -> bool:
        return example.score is not None

    def texts_of(self, decoding: Decoding) -> int:
        return int(decoding.get(TEXTS, 1))

    def check_examples(self, texts: Sequence[str]) -> list[ScoredExample]:
        """Pairs of texts, so that the check covers both segments."""
        return pairs_of(self, texts)

    def prepare_checkpoint(self, checkpoint: Checkpoint, settings: TaskSettings) -> Checkpoint:
        """See `Task.prepare_checkpoint`; a trained score has the unit of its data."""
        return replace(super().prepare_checkpoint(checkpoint, settings), sigmoid_score=False)

    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """See `TextTask.add_head`; a CrossEncoder's score goes through a sigmoid."""
        model = super().add_head(backbone, checkpoint, num_outputs, dropout, seed)
        if not checkpoint.sigmoid_score:
            return model
        import keras

        return keras.Model(model.input, keras.ops.sigmoid(model.output), name="score_model")

    def num_outputs(self, labels: Sequence[str]) -> int:
        return 1

    def rows(
        self,
        features: Features,
        facts: ModelFacts,
        settings: FinetuneSettings,
        tokenizer: Tokenizer,
    ) -> LabelledRows:
        """Targets are float32 `[rows, 1]`, standardized by the decoding's mean and deviation."""
        if settings.class_weights != "none":
            raise UsageError(
                f"class_weights: expected none for regression, which has no classes. "
                f"Received: {settings.class_weights}."
            )
        rows = rows_of(features.encodings, tokenizer.pad_id)
        mean, deviation = _units(facts.decoding)
        targets = ((_scores(features) - mean) / deviation).astype(np.float32)[:, None]
        return LabelledRows(rows, targets, np.ones(len(rows), np.float32))

    def loss(self, labels: Sequence[str]) -> Any:
        """Mean squared error of `[batch, 1]`."""
        import keras

        return keras.losses.MeanSquaredError()

    def choose_thresholds(
        self, outputs: Sequence[np.ndarray], features: Features, facts: ModelFacts
    ) -> dict[str, Any]:
        """Chooses no threshold. Sets `texts`, the number of texts of an input."""
        is_pair = all(example.pair is not None for example in features.examples)
        return {**facts.decoding, TEXTS: 2 if is_pair else 1}

    def training_units(self, train: Dataset) -> dict[str, Any]:
        scores = [example.score for example in train.examples]
        return {MEAN: float(np.mean(scores)), DEVIATION: float(np.std(scores)) or 1.0}

    def finalize(
        self, checkpoint: Checkpoint, decoding: Decoding
    ) -> tuple[Checkpoint, dict[str, Any]]:
        mean, deviation = _units(decoding)
        weights = dict(checkpoint.weights)
        weights["classifier.kernel"] = weights["classifier.kernel"] * np.float32(deviation)
        bias = weights["classifier.bias"] * np.float32(deviation) + np.float32(mean)
        weights["classifier.bias"] = bias
        kept = {key: value for key, value in decoding.items() if key not in (MEAN, DEVIATION)}
        return checkpoint.with_weights(weights), kept

    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: Features,
        facts: ModelFacts,
    ) -> dict[str, float]:
        """Pearson's and Spearman's correlation, and the mean squared error."""
        predicted, actual = _predicted(outputs, facts.decoding), _scores(features)
        return {
            "spearman": spearman(predicted, actual),
            "pearson": pearson(predicted, actual),
            "mean_squared_error": float(np.mean((predicted - actual) ** 2)),
        }

    def answers(
        self,
        outputs: Sequence[np.ndarray],
        features: Features,
        facts: ModelFacts,
    ) -> list[dict[str, Any]]:
        """`score`, in the unit of the training rows."""
        scores = _predicted(outputs, facts.decoding)
        return [
            {**input_fields(example), "score": float(score)}
            for example, score in zip(features.examples, scores, strict=True)
        ]

    def short_answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"score": answer["score"]}

    def format_answer(self, answer: Mapping[str, Any], top: int) -> str:
        return answer_line([f"{answer['score']:.3f}"], answer)


def pearson(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Pearson's correlation; 0 if one side is constant, where it is not defined."""
    x, y = (np.asarray(each, np.float64) for each in (a, b))
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    # A constant has no spread, even if rounding in the subtraction of the mean leaves some.
    is_constant = any(np.ptp(each) == 0 for each in (a, b))
    return 0.0 if is_constant or not norm else float(np.clip(x @ y / norm, -1, 1))


def spearman(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Spearman's rank correlation. Equal values have their mean rank; 0 if one side is constant."""
    return pearson(ranks(a), ranks(b))


def ranks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The rank of each value from 1; equal values have the mean of their ranks."""
    _, places, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places.reshape(-1)], np.float64)


def _scores(features: Features) -> npt.NDArray[np.float64]:
    return np.array([example.score for example in features.examples], np.float64)


def _predicted(outputs: Sequence[np.ndarray], decoding: Decoding) -> npt.NDArray[np.float64]:
    mean, deviation = _units(decoding)
    return np.stack(outputs)[:, 0].astype(np.float64) * deviation + mean


def _units(decoding: Decoding) -> tuple[float, float]:
    """Mean and standard deviation of the training scores; 0 and 1 after `finalize`."""
    return float(decoding.get(MEAN, 0.0)), float(decoding.get(DEVIATION, 1.0))
