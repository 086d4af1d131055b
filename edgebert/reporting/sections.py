"""The sections of a report in order. Sections without data are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgebert.reporting.configurations import device_labels, latest
from edgebert.reporting.detail_tables import (
    cold_start_table,
    devices_table,
    differing_table,
    has_memory,
    memory_table,
    operations_table,
    scores_table,
    sustained_table,
)
from edgebert.reporting.figures import (
    Figure,
    Legend,
    device_figures,
    files_legend,
    length_figures,
    load_figures,
    operation_figures,
    trade_off_figures,
    under_load,
)
from edgebert.reporting.operation_tables import tokenizer_table
from edgebert.reporting.operations import profiled
from edgebert.reporting.report import Report
from edgebert.reporting.tables import (
    Table,
    checks_table,
    latency_tables,
    provenance_tables,
    stages_table,
    summary_table,
    warnings_text,
)

_MEASURED_AGAIN = (
    "Some configurations were measured more than once. These tables have all measurements; the "
    "plots and the other tables have the latest of each."
)


def _no_figures(report: Report) -> list[Figure]:
    return []


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading.

    Attributes:
        title: heading; empty for the first section, below the title of the report.
        tables: tables in order.
        lines: further facts, one per line.
        draw: makes the figures, for renderers that show figures.
        legend: common legend of the figures.
    """

    title: str
    tables: tuple[Table, ...] = ()
    lines: tuple[str, ...] = ()
    draw: Callable[[Report], list[Figure]] = _no_figures
    legend: Legend = ()


def sections_of(report: Report) -> tuple[Section, ...]:
    """All sections with content, in reading order."""
    sections = (
        _models(report),
        Section("Trade-offs", draw=trade_off_figures, legend=files_legend(report)),
        _devices(report),
        _latency(report),
        _operations(report),
        _under_load(report),
        _starts_and_memory(report),
        _checks(report),
        Section("Warnings", lines=tuple(warnings_text(report.measurements))),
        Section("Stages", (stages_table(report),) if report.stages else ()),
        Section("Provenance", provenance_tables(report)),
    )
    return tuple(s for s in sections if s.tables or s.lines or s.draw is not _no_figures)


def _models(report: Report) -> Section:
    scores = scores_table(report)
    summary = (summary_table(report).without_spare(),) if report.rows else ()
    return Section("", (*summary, *filter(None, (scores,))), report.notes)


def _devices(report: Report) -> Section:
    table = devices_table(report.measurements)
    if table is None:
        return Section("")
    return Section("Devices compared", (table,), draw=device_figures, legend=files_legend(report))


def _latency(report: Report) -> Section:
    if not report.measurements:
        return Section("")
    lines: tuple[str, ...] = ()
    if len(latest(report.measurements)) < len(report.measurements):
        lines = (_MEASURED_AGAIN,)
    return Section(
        "Latency",
        latency_tables(report.measurements),
        lines,
        draw=length_figures,
        legend=files_legend(report),
    )


def _operations(report: Report) -> Section:
    labels = device_labels(report.measurements)
    graphs = profiled(report.measurements)
    texts = [m for m in report.measurements if m.kind == "end_to_end" and m.operations]
    if not (graphs or texts):
        return Section("")
    tables = [operations_table(graphs, labels)] if graphs else []
    tables += [tokenizer_table(texts)] if texts else []
    return Section("Operations", tuple(tables), draw=operation_figures)


def _under_load(report: Report) -> Section:
    chosen = under_load(report.measurements)
    if not chosen:
        return Section("")
    table = sustained_table(chosen, device_labels(report.measurements))
    return Section("Under load", (table,), draw=load_figures)


def _starts_and_memory(report: Report) -> Section:
    labels = device_labels(report.measurements)
    started = [m for m in report.measurements if m.cold_start]
    known = [m for m in report.measurements if has_memory(m)]
    tables = [cold_start_table(started, labels)] if started else []
    tables += [memory_table(known, labels)] if known else []
    return Section("Starts, memory and energy", tuple(tables))


def _checks(report: Report) -> Section:
    if not report.checks:
        return Section("")
    differing = differing_table(report.checks)
    tables = (checks_table(report.checks), *filter(None, (differing,)))
    notes = dict.fromkeys(note for check in report.checks for note in check.notes)
    return Section("Device checks", tables, tuple(notes))
