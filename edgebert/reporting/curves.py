"""Curves of latency and temperature over a run without pauses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgebert.profiling.measurement import SustainedPoint
from edgebert.reporting.canvas import COLOURS, FAINT, FONT_POINTS, INK, new_figure, to_svg

LATENCY, TEMPERATURE = 1, 2
"""Colour numbers of the two curves."""


def sustained_curve(points: Sequence[SustainedPoint], prefix: str) -> str:
    """Draws median latency with a band up to p90, and the temperature as a dashed line."""
    minutes = points[-1].seconds >= 120
    xs = [point.seconds / (60 if minutes else 1) for point in points]
    p50 = [point.p50_ms for point in points]
    p90 = [point.p90_ms or point.p50_ms for point in points]
    figure, axes = new_figure("minutes" if minutes else "seconds", "latency, ms")
    colour = COLOURS[LATENCY]
    axes.fill_between(xs, p50, p90, color=colour, alpha=0.2, linewidth=0)
    axes.plot(xs, p50, color=colour, linewidth=1.6, marker="o", markersize=3)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    _draw_temperature(axes, xs, points)
    return to_svg(figure, "Latency under load", prefix)


def _draw_temperature(axes: Any, xs: Sequence[float], points: Sequence[SustainedPoint]) -> None:
    known = [
        (x, point.temperature_c)
        for x, point in zip(xs, points, strict=True)
        if point.temperature_c is not None
    ]
    if not known:
        return
    right = axes.twinx()
    right.plot(*zip(*known, strict=True), color=COLOURS[TEMPERATURE], linewidth=1.4, linestyle="--")
    right.set_ylabel("°C", color=INK, fontsize=FONT_POINTS)
    right.tick_params(colors=FAINT, labelcolor=INK, labelsize=FONT_POINTS, length=3)
    for side, spine in right.spines.items():
        spine.set_visible(side == "right")
        spine.set_color(FAINT)
    lowest, highest = (end(celsius for _, celsius in known) for end in (min, max))
    room = max(2.0, 0.3 * (highest - lowest))
    right.set_ylim(lowest - room, highest + room)
