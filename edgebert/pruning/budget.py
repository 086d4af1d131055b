"""Picks one choice of each group so that all together are within a budget at the least price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgebert.errors import UsageError

RESOLUTION = 4000
"""Parts that a budget is divided into."""


@dataclass(frozen=True)
class Group:
    """The choices of one sublayer.

    Attributes:
        removed: heads or neurons that go: int64 `[choices]`, ascending from 0.
        prices: what the loss rises by: float64 `[choices]`.
        costs: what is left costs, in any unit: float64 `[choices]`.
    """

    removed: npt.NDArray[np.int64]
    prices: npt.NDArray[np.float64]
    costs: npt.NDArray[np.float64]


def cheapest(groups: Sequence[Group], budget: float) -> list[int]:
    """The multiple-choice knapsack, by dynamic programming over `RESOLUTION` parts of the budget.

    Costs are rounded up to whole parts, so the budget holds; what is chosen is the best one for
    costs so rounded.

    Args:
        groups: at least one choice each.
        budget: the largest sum of costs.

    Returns:
        the number of the choice of each group.

    Raises:
        UsageError: even the cheapest choices cost more than the budget.
    """
    least = sum(float(group.costs.min()) for group in groups)
    if least > budget * (1 + 1e-9):
        raise UsageError(f"Expected a budget of at least {least:g}. Received: {budget:g}.")
    # What the least choices cost is spent in any case: the parts divide what is left.
    unit = max(budget - least, 1e-12) / RESOLUTION
    best = np.zeros(RESOLUTION + 1)
    choices = []
    for group in groups:
        parts = np.ceil((group.costs - group.costs.min()) / unit - 1e-9)
        options = np.full((len(parts), RESOLUTION + 1), np.inf)
        for number, cost in enumerate(parts):
            if cost <= RESOLUTION:
                shift = int(cost)
                options[number, shift:] = best[: RESOLUTION + 1 - shift] + group.prices[number]
        choices.append((options.argmin(axis=0), parts))
        best = options.min(axis=0)
    place = int(best.argmin())
    picked = []
    for chosen, parts in reversed(choices):
        number = int(chosen[place])
        picked.append(number)
        place -= int(parts[number])
    return picked[::-1]
