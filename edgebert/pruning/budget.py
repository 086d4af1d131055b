"""The multiple-choice knapsack: one choice per group, least loss increase within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgebert.errors import UsageError

RESOLUTION = 4000
"""Number of equal parts into which a budget is divided."""


@dataclass(frozen=True)
class Group:
    """The choices of one sublayer.

    Attributes:
        removed: Number of removed heads or neurons, int64 `[choices]`, ascending from 0.
        loss_increases: Increase of the loss, float64 `[choices]`.
        costs: Cost of the remaining ones (latency, or their number), float64 `[choices]`.
    """

    removed: npt.NDArray[np.int64]
    loss_increases: npt.NDArray[np.float64]
    costs: npt.NDArray[np.float64]


def choose_widths(groups: Sequence[Group], budget: float) -> list[int]:
    """Solves the multiple-choice knapsack by dynamic programming.

    The budget is divided into `RESOLUTION` parts. Costs are rounded up to whole parts, so the
    budget always holds, and the solution is optimal for the rounded costs.

    Example with 3 parts. Group A: 2 parts with loss increase 0, or 0 parts with 5. Group B: 2 parts
    with 0, or 0 parts with 1. `best[p]` is the least increase with at most p parts: [5, 5, 0, 0]
    after A, and [6, 6, 1, 1] after B. The minimum is 1, first reached at p = 2. The choices are
    read backwards: at p = 2 group B has its second choice, which uses 0 parts, so A is read at
    p = 2 as well, where it has its first choice.

    Args:
        groups: The groups, with at least one choice each.
        budget: Largest sum of costs.

    Returns:
        The number of the choice of each group.

    Raises:
        UsageError: The smallest possible sum of costs is above the budget.
    """
    least = sum(float(group.costs.min()) for group in groups)
    if least > budget * (1 + 1e-9):
        raise UsageError(f"Expected a budget of at least {least:g}. Received: {budget:g}.")
    # The smallest cost of each group is always spent; the parts divide the rest of the budget.
    unit = max(budget - least, 1e-12) / RESOLUTION
    best = np.zeros(RESOLUTION + 1)
    choices = []
    for group in groups:
        parts = np.ceil((group.costs - group.costs.min()) / unit - 1e-9)
        options = np.full((len(parts), RESOLUTION + 1), np.inf)
        for number, cost in enumerate(parts):
            if cost <= RESOLUTION:
                shift = int(cost)
                options[number, shift:] = (
                    best[: RESOLUTION + 1 - shift] + group.loss_increases[number]
                )
        choices.append((options.argmin(axis=0), parts))
        best = options.min(axis=0)
    place = int(best.argmin())
    picked = []
    for chosen, parts in reversed(choices):
        number = int(chosen[place])
        picked.append(number)
        place -= int(parts[number])
    return picked[::-1]
