"""Judges the files of a search against the float model, on the data that chooses.

A small dev split gives a noisy loss. Two figures help. The loss is measured example by example
against the float model, so that its standard error is known. And the answers of both models are
compared on text without labels: the dev texts and changed copies of them, of which there are many.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from edgebert.data.datasets import Dataset, take
from edgebert.encoding.augmentation import augment
from edgebert.evaluation.paired_loss import GroupedMetric, grouped_metric, paired_loss
from edgebert.evaluation.predictors import KerasPredictor, Predictor
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel
from edgebert.quantization.recipes import agreement as agreement_of
from edgebert.searching.clock import Clock
from edgebert.searching.records import SearchFolder
from edgebert.tasks.examples import encodings_of

COPIES = 2
MOST_TEXTS = 600
TIMED_TEXTS = 128
TEXT, FILE = "float texts", "file rows"
"""Kinds of steps of the clock: the float model per text, and the evaluation of a file per row."""
Name = TypeVar("Name")


class Judge:
    """Scores files against the float model.

    Args:
        model: The float model.
        dev: The data that chooses.
        seed: Seed of the changed copies.
        folder: The folder of the search.
        clock: The time of the search.
    """

    def __init__(
        self, model: TaskModel, dev: Dataset, seed: int, folder: SearchFolder, clock: Clock
    ) -> None:
        self._model, self._dev, self._seed = model, dev, seed
        self._folder, self._clock = folder, clock

    @functools.cached_property
    def float_metric(self) -> GroupedMetric:
        """The metric of the float model on the data that chooses."""

        def measure() -> dict[str, Any]:
            metric, progress = self._model.task.metric, self._clock.progress
            progress("float model", 0, 1)
            found = grouped_metric(self._predictor, self._dev)
            some = take(self._dev, TIMED_TEXTS, self._seed).examples
            encodings = encodings_of(self._predictor, some, self._predictor.max_length)
            with self._clock.timed(TEXT, len(encodings)):
                self._predictor.outputs(encodings)
            progress("float model", 1, 1, **{metric: found.whole})
            return found.to_dict()

        content = self._folder.once("float", measure)
        where = f"{self._folder.path}/float.json"
        return GroupedMetric.from_dict(content, where)

    def score(self, file: LiteRtModel, agreement: bool) -> dict[str, Any]:
        """Metrics of a file, the standard error of its loss, and its disagreement.

        Args:
            file: The file.
            agreement: Whether to compare the answers with the float model's on unlabelled text.

        Returns:
            `dev`, the task's metrics; `error_points`; and, if it was measured, `disagreement`: the
            mean difference of a probability, in points.
        """
        with self._clock.timed(FILE, len(self._dev)):
            found = grouped_metric(file, self._dev)
        loss = paired_loss(self.float_metric, found)
        scores: dict[str, Any] = {"dev": dict(found.metrics), "error_points": loss.error}
        if agreement and self._model.task.answers_with_label and self._reference:
            reference, other = self._reference, self._log_probabilities(file)
            scores["disagreement"] = 100 * agreement_of(reference, other).mean_probability_error
        return scores

    @functools.cached_property
    def _predictor(self) -> KerasPredictor:
        return KerasPredictor(self._model)

    @functools.cached_property
    def _texts(self) -> tuple[str, ...]:
        """Dev texts and changed copies of them."""
        texts = take(self._dev, MOST_TEXTS, self._seed).texts
        table = self._model.checkpoint.weights["embeddings.token"]
        copies = augment(
            self._model.tokenizer, table, texts, copies=COPIES, seed=self._seed + 1_000_003
        )
        return (*texts, *copies)

    @functools.cached_property
    def _reference(self) -> list[np.ndarray]:
        return self._log_probabilities(self._predictor)

    def _log_probabilities(self, predictor: Predictor) -> list[np.ndarray]:
        encodings = encodings_of(predictor, self._texts, predictor.max_length)
        found = map(self._model.task.log_probabilities, predictor.outputs(encodings))
        return [each for each in found if each is not None]


@dataclass(frozen=True)
class Standing:
    """What is known of the loss of a model.

    Attributes:
        points_lost: The loss on the data that chooses.
        error_points: Its standard error.
        disagreement: Mean difference of a probability to the float model's, in points; None if
            it was not measured.
    """

    points_lost: float
    error_points: float
    disagreement: float | None = None


def judged_points(standings: Mapping[Name, Standing]) -> dict[Name, float]:
    """The losses by which models are compared: within their noise, agreement decides.

    The losses of all models together say how many points a unit of disagreement costs. That gives
    a second estimate of each loss, which is held within one standard error of the measured one.
    So a difference beyond the noise counts as measured, and a smaller one as the agreement says.

    Example: losses of 1.0 and 3.0 points, disagreements of 2 and 6: each unit costs 0.5 points.
    A model with a loss of 1.2, an error of 0.4 and a disagreement of 1 is judged at 0.8.

    Args:
        standings: The models that are compared.
    """
    known = [one for one in standings.values() if one.disagreement is not None]
    total = sum(one.disagreement or 0.0 for one in known)
    price = sum(max(one.points_lost, 0.0) for one in known) / total if total else 0.0

    def judged(one: Standing) -> float:
        if one.disagreement is None or not total:
            return one.points_lost
        low, high = one.points_lost - one.error_points, one.points_lost + one.error_points
        return min(max(price * one.disagreement, low), high)

    return {name: judged(one) for name, one in standings.items()}
