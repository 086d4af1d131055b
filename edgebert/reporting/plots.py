"""Plots as SVG that stands in a page: no ids that clash, no addresses, the page's own colours.

matplotlib draws with stand-in colours; each becomes a CSS variable of the page, so one drawing is
right on a light and on a dark page. Text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from edgebert.errors import MissingExtraError
from edgebert.reporting.report import Report, Row
from edgebert.reporting.units import ms_text

SERIES = 8
"""Colours before they come round again."""
MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "*": "★"}
"""matplotlib's markers, and the characters that stand for them in a legend."""

_STAND_INS = {
    "#010101": "var(--ink)",
    "#020202": "var(--faint)",
    "#030303": "var(--rule)",
    "#040404": "var(--card)",
    **{f"#0000{place + 16:02x}": f"var(--series-{place})" for place in range(SERIES)},
}
_INK, _FAINT, _RULE, _CARD, *_COLOURS = _STAND_INS
_WIDTH_INCHES, _HEIGHT_INCHES = 4.3, 3.2
_FONT_POINTS = 10.0
_LEAST_ROOM_POINTS = 1.0
_LARGEST_AREA = 200.0
_ROOM = _LARGEST_AREA**0.5 / 2 + 4
_LINES: tuple[Any, ...] = ("-", "-", (0, (4, 3)), (0, (1, 1.5)))


def series_of(report: Report) -> dict[str, tuple[str, str]]:
    """Each file's CSS colour and mark, by its row's name: the same in all plots and the legend."""
    marks = list(MARKS.values())
    names = [row.name for row in report.rows if row.size_bytes is not None]
    return {
        name: (f"var(--series-{place % SERIES})", marks[place % len(marks)])
        for place, name in enumerate(names)
    }


def size_and_accuracy(report: Report) -> str:
    """Accuracy over gzip'd size, the best trades joined; marks grow with latency, which is written.

    Returns:
        An `<svg>` element; empty where no row has size and accuracy.
    """
    rows = [
        (row, place)
        for place, row in enumerate(_files(report))
        if row.gzip_bytes and "accuracy" in row.metrics
    ]
    if not rows:
        return ""
    figure, axes = _figure("gzip'd size, MB", "test accuracy, %")
    points = [(row.gzip_bytes / 1e6, 100 * row.metrics["accuracy"]) for row, _ in rows]  # type: ignore[operator]
    front = pareto_front(points)
    axes.plot(*zip(*front, strict=True), color=_FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    latencies = {row.name: row.end_to_end.latency.p50_ms for row, _ in rows if row.end_to_end}
    slowest = max(latencies.values(), default=1.0)
    for (row, place), (x, y) in zip(rows, points, strict=True):
        latency = latencies.get(row.name)
        area = 60 if latency is None else 40 + (_LARGEST_AREA - 40) * latency / slowest
        axes.scatter(
            [x],
            [y],
            s=area,
            color=_COLOURS[place % SERIES],
            zorder=2,
            marker=list(MARKS)[place % len(MARKS)],
            linewidths=0,
        )
    _write_latencies(axes, rows, points, latencies)
    _frame(axes, points)
    return _svg(figure, "Accuracy over gzip'd size", "front")


def latency_by_length(report: Report) -> str:
    """Median latency of the model alone over the token length, a band up to p90.

    Returns:
        An `<svg>` element; empty where no length was timed.
    """
    figure, axes = _figure("tokens", "latency, ms")
    lengths: set[int] = set()
    for place, row in enumerate(_files(report)):
        timed = [m for m in row.measurements if m.kind == "model" and m.length]
        fewest = min((m.threads for m in timed), default=0)
        timed = sorted((m for m in timed if m.threads == fewest), key=lambda m: m.length or 0)
        if not timed:
            continue
        xs = [m.length or 0 for m in timed]
        lengths.update(xs)
        colour = _COLOURS[place % SERIES]
        p50 = [m.latency.p50_ms for m in timed]
        p90 = [m.latency.p90_ms or m.latency.p50_ms for m in timed]
        axes.fill_between(xs, p50, p90, color=colour, alpha=0.2, linewidth=0)
        axes.plot(
            xs,
            p50,
            color=colour,
            marker=list(MARKS)[place % len(MARKS)],
            markersize=5,
            linewidth=1.6,
            linestyle=_LINES[place % len(_LINES)],
        )
    if not lengths:
        return ""
    axes.set_ylim(bottom=0)
    axes.set_xticks(sorted(lengths))
    axes.margins(x=0.06)
    return _svg(figure, "Latency by length", "lengths")


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other beats in both, by growing x: small x and large y are good."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


def _files(report: Report) -> list[Row]:
    return [row for row in report.rows if row.size_bytes is not None]


def _frame(axes: Any, points: Sequence[tuple[float, float]]) -> None:
    """Limits with room for what is written, and no ticks finer than accuracy is known."""
    xs, ys = zip(*points, strict=True)
    room = max(0.3 * (max(ys) - min(ys)), _LEAST_ROOM_POINTS)
    axes.set_ylim(min(ys) - room, max(ys) + room)
    axes.set_xlim(0, 1.2 * max(xs))


def _write_latencies(
    axes: Any,
    rows: Sequence[tuple[Row, int]],
    points: Sequence[tuple[float, float]],
    latencies: dict[str, float],
) -> None:
    """Writes each latency above its point, in turn below where the one before is near."""
    xs, ys = zip(*points, strict=True)
    near_x = 0.25 * max(xs)
    near_y = 0.25 * (max(ys) - min(ys) + 2 * _LEAST_ROOM_POINTS)
    written: list[tuple[float, float, bool]] = []
    for (row, _), (x, y) in zip(rows, points, strict=True):
        if row.name not in latencies:
            continue
        above = not any(
            up for px, py, up in written if abs(px - x) < near_x and abs(py - y) < near_y
        )
        written.append((x, y, above))
        text = axes.annotate(
            f"{ms_text(latencies[row.name])} ms",
            (x, y),
            textcoords="offset points",
            xytext=(0, _ROOM if above else -_ROOM - _FONT_POINTS),
            ha="center",
            color=_INK,
            fontsize=_FONT_POINTS,
            bbox={"facecolor": _CARD, "linewidth": 0, "pad": 1},
        )
        text.set_parse_math(False)


def _figure(x_label: str, y_label: str) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "The plots of report.html need matplotlib. Next: pip install matplotlib"
        ) from error
    figure = Figure(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.set_xlabel(x_label, color=_INK, fontsize=_FONT_POINTS)
    axes.set_ylabel(y_label, color=_INK, fontsize=_FONT_POINTS)
    axes.tick_params(colors=_FAINT, labelcolor=_INK, labelsize=_FONT_POINTS, length=3)
    axes.grid(color=_RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_FAINT)
    return figure, axes


def _svg(figure: Any, title: str, prefix: str) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.S)
    drawn = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", drawn)
    drawn = re.sub(r'\bid="([^"]*)"', rf'id="{prefix}-\1"', drawn)
    drawn = re.sub(r'xlink:href="#', f'href="#{prefix}-', drawn)
    drawn = re.sub(r"url\(#", f"url(#{prefix}-", drawn)
    drawn = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", drawn)
    drawn = re.sub(
        r'<svg[^>]*?(viewBox="[^"]*")[^>]*>',
        rf'<svg \1 role="img" aria-label="{title}">',
        drawn,
        count=1,
    )
    for stand_in, variable in _STAND_INS.items():
        drawn = drawn.replace(stand_in, variable)
    return drawn
