"""Plots of trades: the metric over size and over latency on each device, latency over length.

A file has the same colour and mark in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgebert.profiling.measurement import Measurement
from edgebert.reporting.canvas import (
    CARD,
    COLOURS,
    FAINT,
    FONT_POINTS,
    INK,
    LINES,
    MARKS,
    SERIES,
    css_colour,
    mark_of,
    new_figure,
    to_svg,
)
from edgebert.reporting.places import DeviceKey, common_place, device_of, latest
from edgebert.reporting.report import Report, Row
from edgebert.reporting.units import capitalized, is_share, metric_words, ms_text, size_text

FEWEST_FILES = 2
"""A front of fewer is none."""
_LEAST_ROOM_POINTS = 1.0
_LARGEST_AREA = 200.0
_ROOM = _LARGEST_AREA**0.5 / 2 + 4


def series_of(report: Report) -> dict[str, tuple[str, str]]:
    """Each file's CSS colour and mark, by its row's name: the same in all plots and the legend."""
    marks = list(MARKS.values())
    return {
        row.name: (css_colour(place), marks[place % len(marks)])
        for place, row in enumerate(files_of(report))
    }


def files_of(report: Report) -> list[Row]:
    """The rows that are files, in the order of their colours."""
    return [row for row in report.rows if row.size_bytes is not None]


def size_and_accuracy(report: Report) -> str:
    """The metric over gzip'd size, the best trades joined; marks grow with latency, written too.

    Returns:
        An `<svg>` element; empty where fewer than two files have size and metric.
    """
    points: dict[int, tuple[float, float]] = {}
    latencies: dict[int, float] = {}
    place, metric, scale = report.common_place, report.metric, _scale(report)
    for series, row in enumerate(files_of(report)):
        if not row.gzip_bytes or metric not in row.metrics:
            continue
        points[series] = (row.gzip_bytes / 1e6, scale * row.metrics[metric])
        m = report.measured_at(row, place)
        if m is not None:
            latencies[series] = m.latency.p50_ms
    if len(points) < FEWEST_FILES:
        return ""
    slowest = max(latencies.values(), default=0.0) or 1.0
    areas = {
        series: 40 + (_LARGEST_AREA - 40) * latencies[series] / slowest for series in latencies
    }
    texts = {series: f"{ms_text(latency)} ms" for series, latency in latencies.items()}
    figure = _front(points, areas, texts, "gzip'd size, MB", _metric_label(report))
    return to_svg(figure, f"{metric_title(report)} over gzip'd size", "front")


def latency_and_accuracy(report: Report, device: DeviceKey, prefix: str) -> str:
    """The metric over latency on one device, the best trades joined; sizes are written.

    Returns:
        An `<svg>` element; empty where fewer than two files have both.
    """
    place = common_place([m for m in report.measurements if device_of(m) == device])
    points: dict[int, tuple[float, float]] = {}
    texts: dict[int, str] = {}
    metric, scale = report.metric, _scale(report)
    for series, row in enumerate(files_of(report)):
        m = report.measured_at(row, place)
        if m is not None and metric in row.metrics:
            points[series] = (m.latency.p50_ms, scale * row.metrics[metric])
            texts[series] = size_text(row.size_bytes)
    if len(points) < FEWEST_FILES:
        return ""
    figure = _front(points, {}, texts, "latency, ms", _metric_label(report))
    return to_svg(figure, f"{metric_title(report)} over latency", prefix)


def metric_title(report: Report) -> str:
    """The metric that models are judged by, to begin a sentence with."""
    return capitalized(metric_words(report.metric))


def latency_by_length(report: Report, device: DeviceKey, prefix: str) -> str:
    """Median latency of the model alone on a device over the token length, a band up to p90.

    Returns:
        An `<svg>` element; empty where fewer than two lengths were timed.
    """
    curves = {
        series: curve
        for series, row in enumerate(files_of(report))
        if (curve := _curve([m for m in row.measurements if device_of(m) == device]))
    }
    lengths = sorted({m.length or 0 for curve in curves.values() for m in curve})
    if len(lengths) < 2:
        return ""
    figure, axes = new_figure("tokens", "latency, ms")
    for series, curve in curves.items():
        _draw_curve(axes, series, curve)
    axes.set_ylim(bottom=0)
    axes.set_xticks(lengths)
    axes.margins(x=0.06)
    return to_svg(figure, "Latency by length", prefix)


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other beats in both, by growing x: small x and large y are good."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


def _metric_label(report: Report) -> str:
    test = "test " if report.scored_on == Report.scored_on else ""
    return f"{test}{metric_words(report.metric)}" + ", %" * is_share(report.metric)


def _scale(report: Report) -> float:
    """Shares are drawn in percent."""
    return 100.0 if is_share(report.metric) else 1.0


def _curve(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Of a file's measurements those of the model alone with the fewest threads, by length."""
    timed = [m for m in latest(measurements) if m.kind == "model" and m.length]
    fewest = min((m.threads for m in timed), default=0)
    by_length = {m.length or 0: m for m in timed if m.threads == fewest}
    return [by_length[length] for length in sorted(by_length)]


def _draw_curve(axes: Any, series: int, curve: Sequence[Measurement]) -> None:
    xs = [m.length for m in curve]
    p50 = [m.latency.p50_ms for m in curve]
    p90 = [m.latency.p90_ms or m.latency.p50_ms for m in curve]
    colour = COLOURS[series % SERIES]
    axes.fill_between(xs, p50, p90, color=colour, alpha=0.2, linewidth=0)
    axes.plot(
        xs,
        p50,
        color=colour,
        marker=mark_of(series),
        markersize=5,
        linewidth=1.6,
        linestyle=LINES[series % len(LINES)],
    )


def _front(
    points: Mapping[int, tuple[float, float]],
    areas: Mapping[int, float],
    texts: Mapping[int, str],
    x_label: str,
    y_label: str,
) -> Any:
    """A figure of points by series, with the front of the best dashed."""
    figure, axes = new_figure(x_label, y_label)
    front = pareto_front(points.values())
    axes.plot(*zip(*front, strict=True), color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for series, (x, y) in points.items():
        axes.scatter(
            [x],
            [y],
            s=areas.get(series, 60),
            color=COLOURS[series % SERIES],
            zorder=2,
            marker=mark_of(series),
            linewidths=0,
        )
    _write_beside(axes, points, texts)
    xs, ys = zip(*points.values(), strict=True)
    room = max(0.3 * (max(ys) - min(ys)), _LEAST_ROOM_POINTS)  # no ticks finer than is known
    axes.set_ylim(min(ys) - room, max(ys) + room)
    axes.set_xlim(0, 1.2 * max(xs) or 1.0)
    return figure


def _write_beside(
    axes: Any, points: Mapping[int, tuple[float, float]], texts: Mapping[int, str]
) -> None:
    """Writes each text above its point, in turn below where the one before is near."""
    xs, ys = zip(*points.values(), strict=True)
    near_x = 0.25 * max(xs)
    near_y = 0.25 * (max(ys) - min(ys) + 2 * _LEAST_ROOM_POINTS)
    written: list[tuple[float, float, bool]] = []
    for series, text in texts.items():
        x, y = points[series]
        above = not any(
            up for px, py, up in written if abs(px - x) < near_x and abs(py - y) < near_y
        )
        written.append((x, y, above))
        note = axes.annotate(
            text,
            (x, y),
            textcoords="offset points",
            xytext=(0, _ROOM if above else -_ROOM - FONT_POINTS),
            ha="center",
            color=INK,
            fontsize=FONT_POINTS,
            bbox={"facecolor": CARD, "linewidth": 0, "pad": 1},
        )
        note.set_parse_math(False)
