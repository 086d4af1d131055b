"""Horizontal bar charts with the value after each bar.

Names are above their bars, so that long names fit on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgebert.reporting.canvas import (
    COLOURS,
    FAINT,
    FONT_POINTS,
    INK,
    LETTER_POINTS,
    SERIES,
    WIDTH_INCHES,
    new_figure,
    shortened,
    to_svg,
    write_text,
)

_POINTS_PER_INCH = 72.0
_NAME_INCHES, _BAR_INCHES, _GAP_INCHES = 0.24, 0.17, 0.05
_AXIS_INCHES = 0.55
_SIDES_INCHES = 0.3


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        name: text above the bar; empty for a further bar of the same name.
        segments: length and colour number of each segment, from the left.
        text: value after the bar.
        reach: end of a thin line after the bar, such as p90; None for no line.
    """

    name: str
    segments: tuple[tuple[float, int], ...]
    text: str
    reach: float | None = None

    @property
    def length(self) -> float:
        """The length of all segments."""
        return sum(length for length, _ in self.segments)


def draw_bars(bars: Sequence[Bar], x_label: str, title: str, prefix: str) -> str:
    """Draws bars as an `<svg>` element, the first on top.

    Args:
        bars: at least one bar.
        x_label: label of the axis.
        title: text for screen readers.
        prefix: prefix of all ids in the element.
    """
    names = sum(bool(bar.name) for bar in bars)
    rows_inches = names * _NAME_INCHES + len(bars) * (_BAR_INCHES + _GAP_INCHES)
    figure, axes = new_figure(x_label, height_inches=_AXIS_INCHES + rows_inches)
    longest = max(bar.length for bar in bars) or 1.0
    y = 0.0
    for bar in bars:
        if bar.name:
            y += _NAME_INCHES
            _write_name(axes, bar.name, y - 0.03)
        y += _BAR_INCHES
        _draw_bar(axes, bar, y - _BAR_INCHES / 2, longest)
        y += _GAP_INCHES
    axes.set_xlim(0, longest * _axis_factor(bars))
    axes.set_ylim(y, 0)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    return to_svg(figure, title, prefix)


def _axis_factor(bars: Sequence[Bar]) -> float:
    """The factor of the axis over the longest bar that leaves space for the values."""
    letters = max(len(bar.text) for bar in bars) + 2
    width = (WIDTH_INCHES - _SIDES_INCHES) * _POINTS_PER_INCH
    return width / max(width - letters * LETTER_POINTS, width / 2)


def _draw_bar(axes: Any, bar: Bar, y: float, longest: float) -> None:
    left = 0.0
    for length, series in bar.segments:
        axes.barh(y, length, _BAR_INCHES, left=left, color=COLOURS[series % SERIES], linewidth=0)
        left += length
    if bar.reach is not None and left < bar.reach <= longest:
        axes.plot([left, bar.reach], [y, y], color=FAINT, linewidth=1.2)
        left = bar.reach
    note = axes.annotate(
        bar.text,
        (left, y),
        textcoords="offset points",
        xytext=(4, 0),
        va="center",
        color=INK,
        fontsize=FONT_POINTS,
    )
    note.set_parse_math(False)


def _write_name(axes: Any, name: str, y: float) -> None:
    width_points = (WIDTH_INCHES - _SIDES_INCHES) * _POINTS_PER_INCH
    write_text(axes, shortened(name, width_points), 0, y, va="bottom", ha="left")
