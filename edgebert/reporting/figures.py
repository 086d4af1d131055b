"""The figures of a report with their captions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgebert.profiling.measurement import Measurement
from edgebert.reporting import curves, plots
from edgebert.reporting.bars import Bar, draw_bars
from edgebert.reporting.canvas import css_colour
from edgebert.reporting.configurations import (
    configuration_of,
    device_labels,
    device_of,
    latest,
    workload_text,
)
from edgebert.reporting.detail_tables import on_several_devices, where_texts
from edgebert.reporting.operations import SMALL, blocks_of, parts_of, profiled
from edgebert.reporting.report import Report
from edgebert.reporting.units import capitalized, metric_words, ms_text, share_text

MOST_PARTS = 7
"""Maximum number of parts with a separate colour."""

Legend = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        svg: an `<svg>` element.
        caption: text below the figure.
        legend: CSS colour, mark and text of each entry; empty without a separate legend.
    """

    svg: str
    caption: str
    legend: Legend = ()


def files_legend(report: Report) -> Legend:
    """The colour and mark of each file, the same in all figures."""
    series = plots.series_of(report)
    return tuple((colour, mark, name) for name, (colour, mark) in series.items())


def trade_off_figures(report: Report) -> list[Figure]:
    """The metric over file size, and over latency on each device."""
    metric = plots.metric_title(report)
    labels = device_labels(report.measurements)
    several, configuration = len(labels) > 1, report.common_configuration
    timed = ""
    if configuration is not None:
        where = f" on {labels[configuration.device]}" if several else ""
        text = workload_text(configuration)
        timed = f" Label and area of a mark: median latency of {text}{where}."
    figures = [
        Figure(
            plots.size_and_accuracy(report),
            f"{metric} over gzip'd size.{timed} Dashed: Pareto front.",
        )
    ]
    for number, (device, label) in enumerate(labels.items()):
        svg = plots.latency_and_accuracy(report, device, f"speed{number}")
        what = f"{metric_words(report.metric)} over median latency. Label: size. "
        what += "Dashed: Pareto front."
        figures.append(Figure(svg, f"{label}: {what}" if several else capitalized(what)))
    return [figure for figure in figures if figure.svg]


def length_figures(report: Report) -> list[Figure]:
    """Latency over token length on each device."""
    labels = device_labels(report.measurements)
    figures = []
    for number, (device, label) in enumerate(labels.items()):
        svg = plots.latency_by_length(report, device, f"lengths{number}")
        what = "latency of the model without the tokenizer by length: median to 90th percentile."
        figures.append(Figure(svg, f"{label}: {what}" if len(labels) > 1 else capitalized(what)))
    return [figure for figure in figures if figure.svg]


def device_figures(report: Report) -> list[Figure]:
    """Bars of the configuration that most devices have: text to answer, or the longest length."""
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
    series = {row.name: index for index, row in enumerate(plots.files_of(report))}
    rows: list[Bar] = []
    for device, label in device_labels(report.measurements).items():
        wanted = (device, best.threads, best.kind, best.length)
        timed = [m for m in latest(report.measurements) if _configuration_tuple(m) == wanted]
        rows += [
            Bar(
                label if index == 0 else "",
                ((m.latency.p50_ms, series.get(m.name, 0)),),
                ms_text(m.latency.p50_ms),
                m.latency.p90_ms,
            )
            for index, m in enumerate(timed)
        ]
    svg = draw_bars(rows, "latency, ms", "Devices compared", "devices")
    caption = f"Median latency of {workload_text(best)} on each device; the line ends at p90."
    return [Figure(svg, caption)]


def _configuration_tuple(m: Measurement) -> tuple[object, ...]:
    configuration = configuration_of(m)
    return (
        configuration.device,
        configuration.threads,
        configuration.kind,
        configuration.length,
    )


def operation_figures(report: Report) -> list[Figure]:
    """For each model and device the time by block, and by part over all blocks."""
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
    colour_of = {part: min(rank, len(named)) for rank, part in enumerate(ranked)}
    rows = [
        Bar(
            name,
            tuple((spent, colour_of[part]) for part, spent in parts.items()),
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
        f"{m.name}, {where}: time of each part, summed over all layers.",
    )


def load_figures(report: Report) -> list[Figure]:
    """A curve for each run without pauses."""
    chosen = under_load(report.measurements)
    wheres = where_texts(chosen, device_labels(report.measurements))
    return [
        Figure(
            curves.sustained_curve(m.sustained, f"load{number}"),
            f"{m.name}, {where}: latency without pauses, median to 90th percentile.",
            tuple(_curve_legend(any(p.temperature_c is not None for p in m.sustained))),
        )
        for number, (m, where) in enumerate(zip(chosen, wheres, strict=True))
    ]


def under_load(measurements: Sequence[Measurement]) -> list[Measurement]:
    """The measurements with a run without pauses."""
    return [m for m in measurements if m.sustained]


def _curve_legend(with_temperature: bool) -> Iterable[tuple[str, str, str]]:
    yield (css_colour(curves.LATENCY), "━", "latency")
    if with_temperature:
        yield (css_colour(curves.TEMPERATURE), "╍", "temperature")
