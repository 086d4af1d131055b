"""Smaller files of the best models: fewer tokens, and kernels in 4 bits. Nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgebert.searching.front import Budgets
from edgebert.searching.moves import INT4, INT8, Moves, Plan, Steps
from edgebert.searching.result import Candidate

LEADERS = 2
AIM = 0.99
"""The share of a size budget to aim at."""


def leaders(candidates: Sequence[Candidate], budgets: Budgets) -> list[Candidate]:
    """The best file of each of the models that are nearest to the budgets, apart from the size.

    Models that meet the allowed drop are ordered by their latency; without an allowed drop, by
    their loss.

    Args:
        candidates: All candidates.
        budgets: The budgets.
    """
    apart = replace(budgets, size_bytes=None)

    def order(one: Candidate) -> tuple[float, float, float]:
        by_loss = budgets.drop_points is None
        first, second = one.points_lost, one.latency_ratio
        return apart.distance(one), *((first, second) if by_loss else (second, first))

    best: dict[Steps, Candidate] = {}
    for one in sorted(candidates, key=order):
        best.setdefault(one.moves.steps, one)
    return list(best.values())[:LEADERS]


def smaller_files(candidates: Sequence[Candidate], plan: Plan) -> list[Moves]:
    """The trials that make smaller files of the leaders.

    Without a size budget, every share of the vocabulary is tried. With one, only the number of
    tokens that just meets it: more or fewer than those of the training texts. Kernels in 4 bits
    are tried for the first leader, unless one of its files meets the size budget.

    Args:
        candidates: All candidates.
        plan: The plan of the search.
    """
    limit, wanted = plan.budgets.size_bytes, list[Moves]()
    for place, leader in enumerate(leaders(candidates, plan.budgets)):
        files = [one for one in candidates if one.moves.steps == leader.moves.steps]
        smallest = min(files, key=lambda one: one.size_bytes)
        counts = _counts(files, smallest, plan) if True in plan.vocabularies else []
        too_large = limit is None or smallest.size_bytes > limit
        recipes = plan.recipes if place == 0 and too_large else (INT8,)
        for recipe in recipes:
            known = (0, *counts) if recipe == INT4 else counts
            wanted += [
                replace(
                    smallest.moves,
                    trimmed=bool(count) or smallest.moves.trimmed,
                    keep_tokens=count,
                    recipe=recipe,
                )
                for count in known
            ]
    return [moves for moves in dict.fromkeys(wanted) if moves not in {c.moves for c in candidates}]


def _counts(files: Sequence[Candidate], smallest: Candidate, plan: Plan) -> list[int]:
    """The numbers of tokens to try for one model.

    Args:
        files: The files of the model.
        smallest: The smallest of them.
        plan: The plan of the search.
    """
    limit, alike = plan.budgets.size_bytes, smallest.moves.embedding
    same = [one for one in files if one.moves.embedding == alike and one.moves.recipe == INT8]
    largest = max(same, key=lambda one: one.vocabulary)
    if limit is None:
        shares = [round(share * largest.vocabulary) for share in plan.token_shares]
        return [count for count in shares if count < smallest.vocabulary]
    if not plan.token_shares:
        return []
    sizes = ((one.size_bytes, one.vocabulary) for one in (largest, smallest))
    count = tokens_within(limit, *sizes)
    return [count] if count else []


def tokens_within(limit: int, largest: tuple[int, int], smallest: tuple[int, int]) -> int:
    """The number of tokens with which a file just meets a size budget; 0 if none or all do.

    Args:
        limit: The budget in bytes.
        largest: Size in bytes and number of tokens of a file.
        smallest: The same of a file that differs in its vocabulary only.
    """
    fewer = largest[1] - smallest[1]
    if fewer <= 0 or largest[0] <= limit:
        return 0
    row_bytes = (largest[0] - smallest[0]) / fewer
    count = int(smallest[1] + (AIM * limit - smallest[0]) / row_bytes)
    return count if 0 < count < largest[1] else 0
