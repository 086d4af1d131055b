"""The drawings of a report, each with what it shows in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgebert.profiling.measurement import Measurement
from edgebert.reporting import curves, plots
from edgebert.reporting.bars import Bar, draw_bars
from edgebert.reporting.canvas import css_colour
from edgebert.reporting.detail_tables import on_several_devices, where_texts
from edgebert.reporting.operations import SMALL, blocks_of, parts_of, profiled
from edgebert.reporting.places import device_labels, device_of, latest, place_of, place_text
from edgebert.reporting.report import Report
from edgebert.reporting.units import capitalized, metric_words, ms_text, share_text

MOST_PARTS = 7
"""Parts of a block with a colour of their own."""

Legend = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Attributes:
        svg: an `<svg>` element.
        caption: what it shows.
        legend: CSS colour, mark and text of each entry, where it has one of its own.
    """

    svg: str
    caption: str
    legend: Legend = ()


def files_legend(report: Report) -> Legend:
    """Colour and mark of each file, the same in all figures."""
    series = plots.series_of(report)
    return tuple((colour, mark, name) for name, (colour, mark) in series.items())


def trade_off_figures(report: Report) -> list[Figure]:
    """The metric over size, and on each device over latency."""
    metric = plots.metric_title(report)
    labels = device_labels(report.measurements)
    several, place = len(labels) > 1, report.common_place
    timed = ""
    if place is not None:
        where = f" on {labels[place.device]}" if several else ""
        timed = f" Written and as the marks' size: median time of {place_text(place)}{where}."
    drawn = [
        Figure(
            plots.size_and_accuracy(report),
            f"{metric} over gzip'd size.{timed} Dashed: the best trades.",
        )
    ]
    for number, (device, label) in enumerate(labels.items()):
        svg = plots.latency_and_accuracy(report, device, f"speed{number}")
        what = f"{metric_words(report.metric)} over median latency. Written: size. "
        what += "Dashed: the best trades."
        drawn.append(Figure(svg, f"{label}: {what}" if several else capitalized(what)))
    return [figure for figure in drawn if figure.svg]


def length_figures(report: Report) -> list[Figure]:
    """On each device latency over length."""
    labels = device_labels(report.measurements)
    drawn = []
    for number, (device, label) in enumerate(labels.items()):
        svg = plots.latency_by_length(report, device, f"lengths{number}")
        what = "time of the model alone by length: median, and up to the 90th percentile."
        drawn.append(Figure(svg, f"{label}: {what}" if len(labels) > 1 else capitalized(what)))
    return [figure for figure in drawn if figure.svg]


def device_figures(report: Report) -> list[Figure]:
    """Bars of what most devices were measured in: text to answer, or else the longest text."""
    groups = on_several_devices(report.measurements).values()
    if not groups:
        return []
    best = max(
        groups,
        key=lambda group: (
            len(set(map(device_of, group))),
            group[0].kind == "end_to_end",
            group[0].length or 0,
        ),
    )[0]
    series = {row.name: place for place, row in enumerate(plots.files_of(report))}
    rows: list[Bar] = []
    for device, label in device_labels(report.measurements).items():
        wanted = (device, best.threads, best.kind, best.length)
        timed = [m for m in latest(report.measurements) if _place_tuple(m) == wanted]
        rows += [
            Bar(
                label if place == 0 else "",
                ((m.latency.p50_ms, series.get(m.name, 0)),),
                ms_text(m.latency.p50_ms),
                m.latency.p90_ms,
            )
            for place, m in enumerate(timed)
        ]
    svg = draw_bars(rows, "latency, ms", "Devices compared", "devices")
    caption = f"Median time of {place_text(best)} on each device; the line goes to p90."
    return [Figure(svg, caption)]


def _place_tuple(m: Measurement) -> tuple[object, ...]:
    place = place_of(m)
    return (place.device, place.threads, place.kind, place.length)


def operation_figures(report: Report) -> list[Figure]:
    """For each model on each device the time of its blocks, and of the parts of all blocks."""
    chosen = profiled(report.measurements)
    wheres = where_texts(chosen, device_labels(report.measurements))
    return [
        figure
        for number, (m, where) in enumerate(zip(chosen, wheres, strict=True))
        for figure in (_blocks_figure(m, where, number), _parts_figure(m, where, number))
    ]


def _blocks_figure(m: Measurement, where: str, number: int) -> Figure:
    blocks = blocks_of(m.operations)
    total: dict[str, float] = {}
    for parts in blocks.values():
        for part, spent in parts.items():
            total[part] = total.get(part, 0.0) + spent
    ranked = sorted(total, key=lambda part: -total[part])
    least = SMALL * sum(total.values())
    named = [part for part in ranked[:MOST_PARTS] if total[part] >= least]
    place = {part: min(rank, len(named)) for rank, part in enumerate(ranked)}
    rows = [
        Bar(
            name,
            tuple((spent, place[part]) for part, spent in parts.items()),
            ms_text(sum(parts.values())),
        )
        for name, parts in blocks.items()
    ]
    named += ["others"] if len(ranked) > len(named) else []
    return Figure(
        draw_bars(rows, "ms", "Time by block", f"blocks{number}"),
        f"{m.name}, {where}: time of each block of the model.",
        tuple((css_colour(rank), "■", part) for rank, part in enumerate(named)),
    )


def _parts_figure(m: Measurement, where: str, number: int) -> Figure:
    rows = [
        Bar(
            part.name,
            ((part.latency_ms, 1),),
            f"{ms_text(part.latency_ms)} ({share_text(part.share, 0)})",
        )
        for part in parts_of(m.operations)
    ]
    return Figure(
        draw_bars(rows, "ms", "Time by part", f"parts{number}"),
        f"{m.name}, {where}: time of each part, all layers together.",
    )


def load_figures(report: Report) -> list[Figure]:
    """A curve for each run without a pause."""
    chosen = under_load(report.measurements)
    wheres = where_texts(chosen, device_labels(report.measurements))
    return [
        Figure(
            curves.sustained_curve(m.sustained, f"load{number}"),
            f"{m.name}, {where}: median without a pause, and up to the 90th percentile.",
            tuple(_curve_legend(any(p.temperature_c is not None for p in m.sustained))),
        )
        for number, (m, where) in enumerate(zip(chosen, wheres, strict=True))
    ]


def under_load(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Those that ran without a pause."""
    return [m for m in measurements if m.sustained]


def _curve_legend(with_temperature: bool) -> Iterable[tuple[str, str, str]]:
    yield (css_colour(curves.LATENCY), "━", "latency")
    if with_temperature:
        yield (css_colour(curves.TEMPERATURE), "╍", "temperature")
