"""Intervals of paired losses: against formulas, and on models."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from edgebert.errors import ModelError
from edgebert.evaluation.paired_loss import GroupedMetric, PairedLoss, paired_loss


def accuracy(right: np.ndarray, groups: int) -> GroupedMetric:
    """The accuracy of one model, as `grouped_metric` would give it for ordered groups."""
    places = np.array_split(np.arange(len(right)), groups)
    without = tuple(float(np.delete(right, place).mean()) for place in places)
    return GroupedMetric(len(right), float(right.mean()), without)


def test_the_error_of_an_accuracy_is_that_of_paired_differences() -> None:
    generator = np.random.default_rng(5)
    reference = generator.random(2000) < 0.9
    other = np.where(generator.random(2000) < 0.06, ~reference, reference)
    loss = paired_loss(accuracy(reference, 2000), accuracy(other, 2000))
    differences = reference.astype(float) - other
    assert loss.points == pytest.approx(100 * differences.mean())
    expected = 100 * differences.std(ddof=1) / math.sqrt(2000)
    assert loss.error == pytest.approx(expected, rel=1e-6)
    few = paired_loss(accuracy(reference, 40), accuracy(other, 40))
    assert few.error == pytest.approx(expected, rel=0.3)


def test_intervals_hold_as_often_as_they_say() -> None:
    """400 samples of models whose true loss is 1 point."""
    generator = np.random.default_rng(1)
    below, inside = 0, 0
    for _ in range(400):
        reference = generator.random(800) < 0.9
        draw = generator.random(800)
        other = np.where(reference, draw >= 0.04, draw < 0.26)  # 0.9 * 0.04 - 0.1 * 0.26 = 0.01
        loss = paired_loss(accuracy(reference, 40), accuracy(other, 40))
        below += loss.bound(0.9) >= 1.0
        low, high = loss.interval
        inside += low <= 1.0 <= high
    assert 0.85 < below / 400 < 0.95
    assert 0.92 < inside / 400 < 0.98


def test_two_models_that_agree_may_still_differ_on_unseen_text() -> None:
    same = accuracy(np.ones(50, bool), 40)
    loss = paired_loss(same, same)
    assert loss.points == 0
    assert loss.error == 2.0
    assert loss.bound(0.5) == pytest.approx(0.0)
    assert loss.bound(0.9) > 2.0 * NormalDist().inv_cdf(0.9)
    assert loss.to_dict()["low"] == -loss.to_dict()["high"]


def test_a_grouped_metric_is_read_back() -> None:
    metric = accuracy(np.array([True, False, True, True]), 4)
    assert GroupedMetric.from_dict(metric.to_dict(), "x.json") == metric
    assert PairedLoss(4, 1.0, 0.5, 4).to_dict()["points"] == 1.0


@pytest.mark.parametrize(
    "change", [{"rows": 0}, {"whole": "1"}, {"without": [[1.0]]}, {"without": {}}, {"without": [1]}]
)
def test_a_damaged_grouped_metric_is_an_error_with_its_file(change: dict[str, object]) -> None:
    content = accuracy(np.array([True, False, True, True]), 4).to_dict()
    with pytest.raises(ModelError, match=r"^x\.json: .*Next: delete it"):
        GroupedMetric.from_dict({**content, **change}, "x.json")
