"""Plots of the metric over size, of the metric over latency, and of latency over length.

A file has the same colour and mark in all plots.
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
from edgebert.reporting.configurations import DeviceKey, common_configuration, device_of, latest
from edgebert.reporting.report import Report, Row
from edgebert.reporting.units import capitalized, is_share, metric_words, ms_text, size_text

FEWEST_FILES = 2
"""Minimum number of files for a Pareto front."""
_MIN_MARGIN = 1.0
_MAX_AREA = 200.0
_LABEL_OFFSET_POINTS = _MAX_AREA**0.5 / 2 + 4


def series_of(report: Report) -> dict[str, tuple[str, str]]:
    """The CSS colour and mark of each file by its name, the same in all plots and the legend."""
    marks = list(MARKS.values())
    return {
        row.name: (css_colour(index), marks[index % len(marks)])
        for index, row in enumerate(files_of(report))
    }


def files_of(report: Report) -> list[Row]:
    """The rows of files, in the order of their colours."""
    return [row for row in report.rows if row.size_bytes is not None]


def size_and_accuracy(report: Report) -> str:
    """Plots the metric over gzip'd size with the Pareto front; marks show the latency.

    Returns:
        An `<svg>` element; empty if fewer than two files have size and metric.
    """
    points: dict[int, tuple[float, float]] = {}
    latencies: dict[int, float] = {}
    configuration, metric, scale = report.common_configuration, report.metric, _scale(report)
    for series, row in enumerate(files_of(report)):
        if not row.gzip_bytes or metric not in row.metrics:
            continue
        points[series] = (row.gzip_bytes / 1e6, scale * row.metrics[metric])
        m = report.measured_at(row, configuration)
        if m is not None:
            latencies[series] = m.latency.p50_ms
    if len(points) < FEWEST_FILES:
        return ""
    slowest = max(latencies.values(), default=0.0) or 1.0
    areas = {series: 40 + (_MAX_AREA - 40) * latencies[series] / slowest for series in latencies}
    texts = {series: f"{ms_text(latency)} ms" for series, latency in latencies.items()}
    figure = _front(points, areas, texts, "gzip'd size, MB", _metric_label(report))
    return to_svg(figure, f"{metric_title(report)} over gzip'd size", "front")


def latency_and_accuracy(report: Report, device: DeviceKey, prefix: str) -> str:
    """Plots the metric over latency on one device with the Pareto front; labels show the size.

    Returns:
        An `<svg>` element; empty if fewer than two files have both.
    """
    configuration = common_configuration([m for m in report.measurements if device_of(m) == device])
    points: dict[int, tuple[float, float]] = {}
    texts: dict[int, str] = {}
    metric, scale = report.metric, _scale(report)
    for series, row in enumerate(files_of(report)):
        m = report.measured_at(row, configuration)
        if m is not None and metric in row.metrics:
            points[series] = (m.latency.p50_ms, scale * row.metrics[metric])
            texts[series] = size_text(row.size_bytes)
    if len(points) < FEWEST_FILES:
        return ""
    figure = _front(points, {}, texts, "latency, ms", _metric_label(report))
    return to_svg(figure, f"{metric_title(report)} over latency", prefix)


def metric_title(report: Report) -> str:
    """The main metric in words, with an upper-case first letter."""
    return capitalized(metric_words(report.metric))


def latency_by_length(report: Report, device: DeviceKey, prefix: str) -> str:
    """Plots median latency of the model on a device over token length, with a band up to p90.

    Returns:
        An `<svg>` element; empty if fewer than two lengths were measured.
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
    """The Pareto front of points by increasing x; small x and large y are better."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


def _metric_label(report: Report) -> str:
    test = "test " if report.scored_on == Report.scored_on else ""
    return f"{test}{metric_words(report.metric)}" + ", %" * is_share(report.metric)


def _scale(report: Report) -> float:
    """The factor of the axis: shares are plotted in percent."""
    return 100.0 if is_share(report.metric) else 1.0


def _curve(measurements: Sequence[Measurement]) -> list[Measurement]:
    """A file's latest measurements of the model by length, with the fewest threads."""
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
    """A figure of points by series with a dashed Pareto front."""
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
    _write_labels(axes, points, texts)
    xs, ys = zip(*points.values(), strict=True)
    margin = max(0.3 * (max(ys) - min(ys)), _MIN_MARGIN)  # avoids ticks finer than the accuracy
    axes.set_ylim(min(ys) - margin, max(ys) + margin)
    axes.set_xlim(0, 1.2 * max(xs) or 1.0)
    return figure


def _write_labels(
    axes: Any, points: Mapping[int, tuple[float, float]], texts: Mapping[int, str]
) -> None:
    """Writes each text above its point, or below it if a text above a near point is there."""
    xs, ys = zip(*points.values(), strict=True)
    near_x = 0.25 * max(xs)
    near_y = 0.25 * (max(ys) - min(ys) + 2 * _MIN_MARGIN)
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
            xytext=(0, _LABEL_OFFSET_POINTS if above else -_LABEL_OFFSET_POINTS - FONT_POINTS),
            ha="center",
            color=INK,
            fontsize=FONT_POINTS,
            bbox={"facecolor": CARD, "linewidth": 0, "pad": 1},
        )
        note.set_parse_math(False)
