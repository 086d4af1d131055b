"""What to try next, by what was tried. Pure; no trial is run here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from edgebert.search.front import Budgets, Point, dominates, point_of
from edgebert.search.result import Candidate

NEAR_POINTS = 1.0
"""A pruned model that so many points would bring onto the front is near it."""
HOPELESS_POINTS = 5.0
"""Where training leaves so many points too much lost, those that had lost more are left out."""
SLACK = 0.1
"""Models that are over a size or latency budget by more are not worth training, and one that is
under it by less needs no other between."""
AIM = 0.97
"""Share of a latency budget that is aimed at."""


def worth_training(cheap: Sequence[Candidate], budgets: Budgets) -> list[float]:
    """Speedups whose pruned model is to learn from the float model, those that lost least first.

    Those are near the front, lose more than allowed as they are, and are not so much over a size or
    latency budget that training is no use. Without an allowed drop all near the front are.
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
    """The speedup that just meets the latency budget, by the latencies of those tried.

    Returns:
        None where there is no such budget, where one that was tried is close enough below it, or
        where it is out of the range of those tried.
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
    """The speedup halfway between the largest that loses no more than allowed and the next.

    Args:
        lost: least points lost of the models of each speedup.
        allowed: points.

    Returns:
        None where there is no such pair, or where its speedups are close to each other.
    """
    fitting = [speedup for speedup, points in lost.items() if points <= allowed]
    above = [speedup for speedup in lost if fitting and speedup > max(fitting)]
    if not above or min(above) <= (1 + SLACK) * max(fitting):
        return None
    return round(math.sqrt(max(fitting) * min(above)), 2)
