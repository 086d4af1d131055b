"""The result of a search in sentences: what the winner gives, and what kept a file from winning."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgebert.searching.front import Budgets, closest
from edgebert.searching.result import Candidate, SearchResult

_MOST_TIMES_MORE_ROWS = 100


def describe_winner(result: SearchResult) -> str:
    """What the winner gives, in one sentence for a reader who knows no metric.

    Returns:
        Such as "8.6 MB instead of 91.0 MB, 4.3 times faster than the int8 file, 0.7 points lost on
        1,456 test texts (95 % interval: 0.1 to 1.3).". Empty without a winner.
    """
    winner = result.winner
    if winner is None:
        return ""
    faster = 1 / winner.latency_ratio
    parts = [
        f"{winner.size_bytes / 1e6:.1f} MB instead of {result.float_bytes / 1e6:.1f} MB",
        f"{faster:.1f} times faster than the int8 file"
        if faster >= 1
        else f"{winner.latency_ratio:.2f} times the latency of the int8 file",
        _describe_points(result, winner),
    ]
    return ", ".join(parts) + "."


def _describe_points(result: SearchResult, winner: Candidate) -> str:
    loss = winner.confirmed.to_dict() if winner.confirmed else None
    texts = "dev texts on which no choice was made"
    if result.test is not None:
        loss, texts = result.test["loss"], "test texts"
    if loss is None:
        return f"{_lost(winner.points_lost)} on the dev texts that chose it"
    return (
        f"{_lost(loss['points'])} on {loss['rows']:,} {texts} "
        f"(95 % interval: {loss['low']:.1f} to {loss['high']:.1f})"
    )


def _lost(points: float) -> str:
    return f"{points:.1f} points lost" if points > -0.05 else f"{-points:.1f} points gained"


def describe_closest(candidates: Sequence[Candidate], budgets: Budgets) -> str:
    """Describes the candidate closest to the budgets, and by how much it misses each of them."""
    near = candidates[closest(candidates, budgets)]
    over = budgets.over(near)
    size, drop = budgets.size_bytes, budgets.drop_points
    parts = {
        "size": f"{near.size_bytes / 1e6:.3f} MB against {(size or 0) / 1e6:.3f} MB",
        "latency": f"{near.latency_ratio:.3f}x of the baseline against {budgets.latency_ratio:g}x"
        if budgets.latency_ratio is not None
        else f"{near.latency_ms:.3f} ms against {budgets.latency_ms or 0:.3f} ms",
        "points lost": f"{_describe_bound(near)} against {drop or 0:.2f}",
    }
    misses = "; ".join(parts[name] for name in over)
    rows = None if drop is None else rows_needed(near, drop)
    more = "" if rows is None else f"give about {2 * rows:,} dev examples, "
    return (
        f"No candidate meets every budget. Closest: {near.moves.text} "
        f"({near.path}). Received: {misses}. Next: relax that budget, {more}distill longer with "
        "--distill-epochs, or add --speedups between those tried; --resume keeps what is done."
    )


def _describe_bound(near: Candidate) -> str:
    if near.confirmed is None:
        return f"{near.points_lost:.2f} points lost"
    return (
        f"{near.confirmed.points:.2f} points lost on {near.confirmed.rows} confirming examples, "
        f"upper bound {near.budget_points:.2f},"
    )


def rows_needed(candidate: Candidate, allowed: float) -> int | None:
    """About how many confirming examples would show that a candidate meets the allowed drop.

    The reach of the bound shrinks with the square root of the number of examples. Example: 400
    examples give a loss of 0.4 with the bound 1.6, and 1.0 is allowed. The reach of 1.2 has to
    shrink to 0.6, which takes four times as many examples.

    Returns:
        None if the loss itself exceeds the allowed drop, if nothing was confirmed, if the bound is
        met, or if more than 100 times as many examples are needed.
    """
    loss, bound = candidate.confirmed, candidate.bound_points
    if loss is None or bound is None or loss.points >= allowed or bound <= allowed:
        return None
    factor = ((bound - loss.points) / (allowed - loss.points)) ** 2
    return math.ceil(loss.rows * factor - 1e-6) if factor <= _MOST_TIMES_MORE_ROWS else None
