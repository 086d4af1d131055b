"""Chooses the next trials from the results so far. Pure functions; no trial runs here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from converters.checkpoint import Checkpoint
from converters.compaction import LayerWidth, layer_widths
from edgebert.errors import QualityGateError
from edgebert.pruning.latency_table import LatencyTable
from edgebert.searching.front import Budgets, Point, dominates, point_of
from edgebert.searching.moves import BASELINE, Step, Steps, total_speedup
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
NARROWEST_SHARE = 0.7
"""Layers are dropped if the model with one head per layer and no neurons would take a larger share
of the target latency."""


def worth_training(cheap: Sequence[Candidate], budgets: Budgets) -> list[Steps]:
    """The pruned models that are to be distilled, those with the smallest loss first.

    They are near the front, exceed the allowed drop, and exceed no size or latency budget
    by more than `SLACK`. Without an allowed drop, all models near the front qualify. A size budget
    holds for the file with the smallest vocabulary and embedding rows, also where that file was
    not made.

    Args:
        cheap: The candidates that were made without training.
        budgets: The budgets.
    """
    points = [point_of(candidate) for candidate in cheap]
    of_float = [one.size_bytes for one in cheap if not one.moves.steps]
    saved = max(of_float) - min(of_float) if of_float else 0
    chosen: dict[Steps, float] = {}
    for candidate, point in zip(cheap, points, strict=True):
        lifted = Point(point.size, point.latency, point.accuracy + NEAR_POINTS)
        is_largest = replace(candidate.moves, steps=()) == BASELINE
        smallest = candidate.size_bytes - is_largest * saved
        over = budgets.over(replace(candidate, size_bytes=smallest))
        lost, steps = over.pop("points lost", None), candidate.moves.steps
        useful = lost is not None or budgets.drop_points is None
        near = not any(dominates(other, lifted) for other in points)
        if steps and near and useful and max(over.values(), default=0.0) <= SLACK:
            chosen[steps] = min(chosen.get(steps, 100.0), candidate.points_lost)
    return sorted(chosen, key=lambda steps: (chosen[steps], total_speedup(steps)))


def worth_pruning_again(candidates: Sequence[Candidate], budgets: Budgets) -> Candidate | None:
    """The distilled model that is to be pruned a second time.

    It is the fastest one within the allowed drop, or within `NEAR_POINTS` without an allowed drop;
    if there is none, the one that lost least. Of equal ones, it is the one with more rounds.
    Pruning in several steps, with distillation between them, loses less than one large step
    (docs/compression.md).

    Args:
        candidates: All candidates.
        budgets: The budgets.

    Returns:
        The best file of that model. None if no model was distilled, or if the model meets a size
        or latency budget, so that a smaller model has no use.
    """
    best: dict[Steps, Candidate] = {}
    for one in candidates:
        steps = one.moves.steps
        if len(steps) == 1 and one.moves.distilled:
            best[steps] = min(best.get(steps, one), one, key=lambda each: each.points_lost)
    if not best:
        return None
    allowed = NEAR_POINTS if budgets.drop_points is None else budgets.drop_points
    fitting = [one for one in best.values() if one.points_lost <= allowed]
    chosen = (
        max(fitting, key=lambda one: (one.moves.speedup, -one.points_lost, one.moves.rounds))
        if fitting
        else min(
            best.values(), key=lambda one: (one.points_lost, one.moves.speedup, -one.moves.rounds)
        )
    )
    limited = {budgets.size_bytes, budgets.latency_ms, budgets.latency_ratio} != {None}
    smallest = min(
        (one for one in candidates if one.moves.steps == chosen.moves.steps),
        key=lambda one: one.size_bytes,
    )
    missed = set(budgets.over(smallest)) - {"points lost"}
    return None if limited and not missed else chosen


def second_speedup(parent: Candidate, budgets: Budgets) -> float | None:
    """The speedup of a second pruning that just meets the latency budget.

    Returns:
        None without a latency budget, or if the parent meets it.
    """
    over = budgets.over(parent).get("latency")
    return None if over is None else round((1 + over) / AIM, 2)


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


def layers_to_keep(checkpoint: Checkpoint, table: LatencyTable, step: Step) -> int:
    """The number of layers that leaves time for heads and neurons; 0 keeps all layers.

    Args:
        checkpoint: The model before the step.
        table: The latencies.
        step: The pruning step.

    Raises:
        QualityGateError: The hidden size alone gives the speedup, so nothing is left to prune: all
            such speedups have the same model.
    """
    now, config = layer_widths(checkpoint), checkpoint.config
    own, narrow = table.of_model(config), table.of_model(config, step.hidden_size)
    before_ms, narrow_ms = own.model_ms(now), narrow.model_ms(now)
    goal = before_ms / step.speedup
    if narrow_ms <= goal:
        raise QualityGateError(
            f"Expected a hidden size that leaves heads and neurons to prune for {step.speedup:g}x. "
            f"Received: {step.hidden_size}, which alone is {before_ms / narrow_ms:.2f} times "
            "faster. Next: add larger --speedups or larger --hidden-sizes."
        )
    for layers in range(len(now), 0, -1):
        if narrow.model_ms([LayerWidth(1, 0)] * layers) <= NARROWEST_SHARE * goal:
            return 0 if layers == len(now) else layers
    return 1
