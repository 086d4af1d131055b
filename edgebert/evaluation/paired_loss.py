"""The loss of one model against another on the same examples, with its uncertainty.

Two models that are scored on the same examples agree on most of them, so the difference of their
metrics is known better than each metric. The delete-a-group jackknife (Kott 2001) estimates its
standard error for any metric: the examples are divided into groups at random, and the metric is
calculated again without each group.

Example with 4 groups: the losses without one group are 1.0, 2.0, 1.0 and 2.0 points. Their mean is
1.5 and the sum of the squared deviations is 1.0, so the standard error is sqrt(3/4 * 1.0) = 0.87.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from converters.json_fields import Fields
from edgebert.data.datasets import Dataset
from edgebert.data.label_numbers import with_label_names
from edgebert.errors import ModelError
from edgebert.evaluation.predictors import Predictor, checked_outputs
from edgebert.tasks.examples import task_with_answers
from edgebert.tasks.task import Features

GROUPS = 40
_SEED = 0
_INTERVAL = 0.95


@dataclass(frozen=True)
class GroupedMetric:
    """A metric of one model on all examples, and without each group of them.

    Attributes:
        rows: Number of examples.
        whole: The metric on all examples, a share.
        without: The metric without each group, shares.
        metrics: All metrics of the task on all examples.
    """

    rows: int
    whole: float
    without: tuple[float, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The values that `paired_loss` needs."""
        return {
            "rows": self.rows,
            "whole": self.whole,
            "without": [[value] for value in self.without],
            "metrics": dict(self.metrics),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str) -> GroupedMetric:
        """Reads what `to_dict` made.

        Args:
            content: the values.
            where: the file, for errors.

        Raises:
            ModelError: values are missing or have other types.
        """
        fields = Fields(content)
        rows, whole = fields.whole("rows", least=2), fields.number("whole")
        without = fields.arrays("without", (float,))
        table = fields.table("metrics", {})
        metrics = Fields(table)
        values = {name: metrics.number(name) for name in table}
        fields.problems += [f"metrics: {problem}" for problem in metrics.problems]
        if not fields.problems and len(without) < 2:
            fields.problems.append("without: expected two groups or more")
        if fields.problems:
            raise ModelError(
                f"{where}: expected a metric of groups of examples. Received: "
                f"{'; '.join(fields.problems)}. Next: delete it; its step then runs again."
            )
        return cls(rows, whole, tuple(value for (value,) in without), values)


@dataclass(frozen=True)
class PairedLoss:
    """The loss of a metric against a reference model, in points (hundredths).

    Attributes:
        rows: Number of examples.
        points: The loss on these examples; negative if the model is better.
        error: Its standard error.
        groups: Number of groups of the jackknife.
    """

    rows: int
    points: float
    error: float
    groups: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the loss on unseen text like these examples."""
        reach = self.error * _quantile((1 + _INTERVAL) / 2, self.groups - 1)
        return self.points - reach, self.points + reach

    def bound(self, confidence: float) -> float:
        """The loss on unseen text is below this with the given probability.

        Args:
            confidence: From 0.5, which gives the loss itself, to below 1.
        """
        return self.points + self.error * _quantile(confidence, self.groups - 1)

    def to_dict(self) -> dict[str, Any]:
        low, high = self.interval
        return {**asdict(self), "low": low, "high": high}


def grouped_metric(predictor: Predictor, dataset: Dataset) -> GroupedMetric:
    """The task's metric on labelled data, and again without each of at most `GROUPS` groups.

    Args:
        predictor: The model. It runs once for each example.
        dataset: At least two labelled examples. The same data is always divided in the same way.

    Raises:
        UsageError: The model is a bare encoder.
        ModelError: Outputs are NaN or infinite.
    """
    task, facts = task_with_answers(predictor), predictor.facts
    dataset = with_label_names(dataset, facts.labels)

    def features_of(examples: Sequence[Any]) -> Any:
        return task.features(predictor.tokenizer, examples, predictor.max_length, facts.decoding)

    features = features_of(dataset.examples)
    outputs = checked_outputs(predictor, features)

    def metric_without(left_out: np.ndarray) -> float:
        kept = np.setdiff1d(np.arange(len(dataset)), left_out)
        mine = [outputs[place] for place in np.flatnonzero(np.isin(features.owners, kept))]
        part = _part(features, kept)
        if part is None:
            part = features_of([dataset.examples[place] for place in kept])
        return float(task.metrics(mine, part, facts)[task.metric])

    order = np.random.default_rng(_SEED).permutation(len(dataset))
    groups = np.array_split(order, min(GROUPS, len(dataset)))
    metrics = task.metrics(outputs, features, facts)
    without = tuple(map(metric_without, groups))
    return GroupedMetric(len(dataset), float(metrics[task.metric]), without, metrics)


def _part(features: Features, kept: np.ndarray) -> Features | None:
    """The features of some of the examples; None for a task with fields of its own.

    Args:
        features: The features of all examples.
        kept: Places of the examples to keep, ascending, int `[kept]`.
    """
    if type(features) is not Features:
        return None
    places = np.flatnonzero(np.isin(features.owners, kept))
    owners = np.searchsorted(kept, features.owners[places]).astype(np.int32)
    encodings = [features.encodings[int(place)] for place in places]
    return Features([features.examples[int(place)] for place in kept], encodings, owners)


def paired_loss(reference: GroupedMetric, other: GroupedMetric) -> PairedLoss:
    """The loss of a model against a reference on the same data.

    The standard error is at least the effect of one example: with few examples, two models may
    agree on all of them by chance.
    """
    groups = len(reference.without)
    losses = 100 * (np.array(reference.without) - np.array(other.without))
    squares = float(np.square(losses - losses.mean()).sum())
    error = math.sqrt((groups - 1) / groups * squares)
    points = 100 * (reference.whole - other.whole)
    return PairedLoss(reference.rows, points, max(error, 100 / reference.rows), groups)


def _quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t, by the first term of the Cornish-Fisher expansion.

    The error is below 0.01 from 20 degrees of freedom.
    """
    z = NormalDist().inv_cdf(probability)
    return z + (z**3 + z) / (4 * max(degrees, 1))
