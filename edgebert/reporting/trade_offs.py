"""A PNG plot of accuracy loss over size and over latency, with the Pareto front."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgebert.errors import MissingExtraError
from edgebert.reporting.plots import pareto_front

_FAINT, _INK = "#9aa0aa", "#1d1f23"
_COLOURS = ("#4a5568", "#0b6bcb", "#c2410c", "#15803d", "#7c3aed", "#b45309", "#be185d", "#0e7490")

_TICKS = (-2, -1, 0, 0.5, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class Trade:
    """One model in the plot.

    Attributes:
        family: group of models with the same colour.
        size_bytes: size of the file.
        latency_ratio: ratio of its latency to the baseline.
        points_lost: loss of accuracy against the float model, in points.
        is_best: whether it is on the Pareto front.
        is_winner: whether it is marked by a ring.
    """

    family: str
    size_bytes: int
    latency_ratio: float
    points_lost: float
    is_best: bool = False
    is_winner: bool = False


def draw_trades(trades: Sequence[Trade], max_points_lost: float | None = None) -> bytes:
    """Draws a PNG with two panels, and a line at the maximum loss if there is one.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "The plot of a search needs matplotlib. Next: pip install matplotlib"
        ) from error
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, trades, [trade.size_bytes / 1e6 for trade in trades], max_points_lost)
    _panel(right, trades, [trade.latency_ratio for trade in trades], max_points_lost)
    left.set_xlabel("size, MB")
    left.set_ylabel("points of dev accuracy lost against the float model")
    right.set_xlabel("text to answer, share of the unpruned dynamic-int8 file")
    left.invert_yaxis()
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def _panel(axes: Any, trades: Sequence[Trade], xs: Sequence[float], limit: float | None) -> None:
    families = list(dict.fromkeys(trade.family for trade in trades))
    for index, family in enumerate(families):
        for best in (False, True):
            chosen = [
                (x, trade.points_lost)
                for x, trade in zip(xs, trades, strict=True)
                if trade.family == family and trade.is_best == best
            ]
            axes.scatter(
                *(zip(*chosen, strict=True) if chosen else ([], [])),
                s=52 if best else 22,
                alpha=1 if best else 0.45,
                color=_COLOURS[index % len(_COLOURS)],
                label=family if best else None,
                zorder=3,
            )
    best_of_two = pareto_front(
        [(x, -trade.points_lost) for x, trade in zip(xs, trades, strict=True)]
    )
    axes.plot(
        [x for x, _ in best_of_two], [-y for _, y in best_of_two], "--", color=_FAINT, linewidth=1
    )
    for x, trade in zip(xs, trades, strict=True):
        if trade.is_winner:
            ring = {"facecolors": "none", "edgecolors": _INK, "linewidths": 1.6, "zorder": 4}
            axes.scatter([x], [trade.points_lost], s=170, label="winner", **ring)
    if limit is not None:
        axes.axhline(limit, color=_INK, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 1.06 * max(xs))
    axes.set_yscale("symlog", linthresh=2, linscale=1.5)
    worst, least = (choose(trade.points_lost for trade in trades) for choose in (max, min))
    ticks = [tick for tick in _TICKS if least - 1 <= tick <= 1.3 * max(worst, 1)]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.grid(color="#e3e4e8", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
