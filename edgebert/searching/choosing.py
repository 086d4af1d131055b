"""Chooses the next trials from the results so far. Pure functions; no trial runs here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from edgebert.searching.front import Budgets, Point, dominates, point_of
from edgebert.searching.result import Candidate

NEAR_POINTS = 1.0
"""A pruned model is near the front if this many more points of accuracy would bring it there."""
HOPELESS_POINTS = 5.0
"""If a distilled model still exceeds the allowed drop by this many points, the pruned models that
had lost more are not distilled."""
SLACK = 0.1
"""A model that exceeds a size or latency budget by a larger share is not worth training. A speedup
within this share below a latency budget is close enough."""
AIM = 0.97
"""The share of a latency budget to aim at."""


def worth_training(cheap: Sequence[Candidate], budgets: Budgets) -> list[float]:
    """The speedups whose pruned model is to be distilled, those with the smallest loss first.

    Their models are near the front, exceed the allowed drop, and exceed no size or latency budget
    by more than `SLACK`. Without an allowed drop, all models near the front qualify.

    Args:
        cheap: The candidates that were made without training.
        budgets: The budgets.
    """
    points = [point_of(candidate) for candidate in cheap]
    chosen: dict[float, float] = {}
    for candidate, point in zip(cheap, points, strict=True):
        lifted = Point(point.size, point.latency, point.accuracy + NEAR_POINTS)
        over = budgets.over(candidate)
        lost, speedup = over.pop("points lost", None), candidate.moves.speedup
        useful = lost is not None or budgets.drop_points is None
        near = not any(dominates(other, lifted) for other in points)
        if speedup > 1 and near and useful and max(over.values(), default=0.0) <= SLACK:
            chosen[speedup] = min(chosen.get(speedup, 100.0), candidate.points_lost)
    return sorted(chosen, key=lambda speedup: (chosen[speedup], speedup))


def aimed_speedup(cheap: Sequence[Candidate], budgets: Budgets) -> float | None:
    """The speedup that just meets the latency budget, interpolated from the measured latencies.

    Args:
        cheap: The candidates that were made without training, the baseline first.
        budgets: The budgets.

    Returns:
        None without a latency budget, if a measured speedup is close enough below it, or if the
        budget is outside of the measured range.
    """
    goal = budgets.latency_ratio
    if budgets.latency_ms is not None:
        goal = budgets.latency_ms / cheap[0].latency_ms * cheap[0].latency_ratio
    by_speedup: dict[float, list[float]] = {}
    for candidate in cheap:
        by_speedup.setdefault(candidate.moves.speedup, []).append(candidate.latency_ratio)
    speedups = sorted(by_speedup)
    ratios = np.minimum.accumulate([float(np.median(by_speedup[one])) for one in speedups])
    if goal is None or not ratios[-1] < AIM * goal < ratios[0]:
        return None
    if any((1 - SLACK) * goal <= ratio <= goal for ratio in ratios):
        return None
    found = np.interp(-math.log(AIM * goal), -np.log(ratios), np.log(speedups))
    return round(float(np.exp(found)), 2)


def speedup_between(lost: Mapping[float, float], allowed: float) -> float | None:
    """The geometric mean of the largest speedup within the allowed drop and the next larger one.

    Args:
        lost: Points lost by the best model of each speedup.
        allowed: Allowed drop in points.

    Returns:
        None if there is no such pair, or if its speedups are within `SLACK` of each other.
    """
    fitting = [speedup for speedup, points in lost.items() if points <= allowed]
    above = [speedup for speedup in lost if fitting and speedup > max(fitting)]
    if not above or min(above) <= (1 + SLACK) * max(fitting):
        return None
    return round(math.sqrt(max(fitting) * min(above)), 2)
