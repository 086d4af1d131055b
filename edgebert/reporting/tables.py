"""What the tables say: titles, columns and cells as text. How they look is up to the renderers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import Measurement
from edgebert.reporting.report import Report, Row, latency_ratio
from edgebert.reporting.units import (
    NOTHING,
    memory_text,
    moment_text,
    ms_text,
    ratio_text,
    seconds_text,
    share_text,
    size_text,
)

_FIGURE = re.compile(r"\d[\d.]*")


@dataclass(frozen=True)
class Table:
    """Text in rows and columns.

    Attributes:
        title: of the table.
        columns: their headings.
        rows: cells, as many in each row as there are columns.
        texts: how many of the first columns are text (to the left); the others are figures.
        sections: places of rows that begin a new section.
        spare: how many of the last columns may go where there is no room.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    sections: tuple[int, ...] = ()
    spare: int = 0

    def without_spare(self) -> Table:
        """The table without the columns that may go."""
        kept = len(self.columns) - self.spare
        rows = tuple(row[:kept] for row in self.rows)
        return replace(self, columns=self.columns[:kept], rows=rows, spare=0)


@dataclass(frozen=True)
class _Column:
    heading: str
    cell: Callable[[Report, Row], str]
    spare: bool = False


def _with_ratio(text: str, ratio: float | None) -> str:
    return text if ratio is None else f"{text} ({ratio_text(ratio)})"


def _size(what: str) -> Callable[[Report, Row], str]:
    def cell(report: Report, row: Row) -> str:
        size = getattr(row, what)
        return _with_ratio(size_text(size), report.size_ratio(size, what))

    return cell


def _metric(name: str) -> Callable[[Report, Row], str]:
    return lambda report, row: share_text(row.metrics.get(name))


def _latency(cell: Callable[[Report, Measurement], str]) -> Callable[[Report, Row], str]:
    return lambda report, row: cell(report, row.end_to_end) if row.end_to_end else NOTHING


def _p50(report: Report, m: Measurement) -> str:
    return _with_ratio(ms_text(m.latency.p50_ms), report.latency_ratio(m))


_SUMMARY = (
    _Column("model", lambda report, row: row.model),
    _Column("recipe", lambda report, row: row.recipe),
    _Column("accuracy", _metric("accuracy")),
    _Column("macro F1", _metric("macro_f1")),
    _Column("zeros", lambda report, row: share_text(row.sparsity)),
    _Column("size", _size("size_bytes")),
    _Column("gzip'd", _size("gzip_bytes")),
    _Column("p50 ms", _latency(_p50)),
    _Column("p90 ms", _latency(lambda report, m: ms_text(m.latency.p90_ms))),
    _Column("load ms", _latency(lambda report, m: ms_text(m.load_ms)), spare=True),
    _Column("first call ms", _latency(lambda report, m: ms_text(m.first_call_ms)), spare=True),
    _Column("memory", _latency(lambda report, m: memory_text(m.peak_memory_bytes)), spare=True),
)


def summary_table(report: Report) -> Table:
    """The comparison that a reader came for; columns with nothing in them are left out."""
    rows = [tuple(column.cell(report, row) for column in _SUMMARY) for row in report.rows]
    filled = [
        place
        for place in range(len(_SUMMARY))
        if place < 2 or any(row[place] != NOTHING for row in rows)
    ]
    return Table(
        "Test split; latency is text in, label out",
        tuple(_SUMMARY[place].heading for place in filled),
        tuple(tuple(row[place] for place in filled) for row in rows),
        texts=2,
        spare=sum(_SUMMARY[place].spare for place in filled),
    )


def files_table(measurements: Sequence[Measurement]) -> Table:
    """Sizes of the files that were measured, with ratios to the first."""
    files = list({m.name: m for m in reversed(measurements)}.values())[::-1]
    first = measurements[0]
    return Table(
        "Files",
        ("model", "size", "gzip'd"),
        tuple(
            (
                m.name,
                _with_ratio(size_text(m.size_bytes), m.size_bytes / first.size_bytes),
                _with_ratio(size_text(m.gzip_bytes), m.gzip_bytes / first.gzip_bytes),
            )
            for m in sorted(files, key=lambda m: m.name != first.name)
        ),
    )


def place_text(m: Measurement) -> str:
    """What was timed: so many tokens, or text in to label out."""
    if m.kind == "end_to_end":
        return "text to label"
    return "model" if m.length is None else f"{m.length} tokens"


def latency_table(measurements: Sequence[Measurement]) -> Table:
    """Every measurement: sections of one thread count and length, its models below each other."""
    first = measurements[0]
    targets = list(dict.fromkeys(m.target for m in measurements))
    order = {key: place for place, key in enumerate(dict.fromkeys(m.name for m in measurements))}
    ordered = sorted(
        measurements,
        key=lambda m: (
            targets.index(m.target),
            m.threads,
            m.kind == "end_to_end",
            m.length is None,
            m.length or 0,
            order[m.name],
        ),
    )
    threads = {m.threads for m in measurements}
    doubled = Counter((m.target, m.threads, m.kind, m.length, m.name) for m in measurements)
    rows: list[tuple[str, ...]] = []
    sections: list[int] = []
    group: tuple[object, ...] = ()
    for m in ordered:
        here = (m.target, m.threads, m.kind, m.length)
        if here != group:
            sections.append(len(rows))
        place = f"{m.target}, " * (len(targets) > 1) + place_text(m)
        place += f", {_threads_text(m.threads)}" * (len(threads) > 1)
        rows.append(
            (
                place if here != group else "",
                m.name + (f":{m.signature}" if doubled[(*here, m.name)] > 1 else ""),
                ms_text(m.latency.p50_ms),
                ms_text(m.latency.p90_ms),
                ms_text(m.latency.p99_ms),
                share_text(m.latency.block_spread),
                ratio_text(latency_ratio(m, measurements)),
                ms_text(m.load_ms),
                ms_text(m.first_call_ms),
                memory_text(m.peak_memory_bytes),
            )
        )
        group = here
    return Table(
        f"Latency in ms, {_threads_text(first.threads)}" if len(threads) == 1 else "Latency in ms",
        (
            "timed",
            "model",
            "p50",
            "p90",
            "p99",
            "spread",
            "ratio",
            "load",
            "first call",
            "peak memory",
        ),
        tuple(rows),
        texts=2,
        sections=tuple(sections[1:]),
    )


def checks_table(checks: Sequence[DeviceCheck]) -> Table:
    """Labelled text on devices, against the machine that asked."""
    rows = tuple(
        (
            check.target,
            check.name,
            f"{check.data}, {check.rows} rows",
            {None: "given", True: "same", False: "differ"}[check.token_ids_equal],
            share_text(check.label_agreement),
            f"{check.max_score_error:.1e}",
            share_text(check.accuracy),
            share_text(check.host_accuracy),
            "pass" if check.passed else "FAIL",
        )
        for check in checks
    )
    return Table(
        "The task on the device",
        (
            "target",
            "model",
            "text",
            "token ids",
            "same label",
            "score error",
            "accuracy",
            "accuracy here",
            "check",
        ),
        rows,
        texts=3,
    )


def stages_table(report: Report) -> Table:
    """How long each stage took and what it says of itself."""
    return Table(
        "Stages",
        ("stage", "result", "time", "finished"),
        tuple(
            (
                stage.name,
                ", ".join(f"{key} {value}" for key, value in stage.facts.items()) or NOTHING,
                seconds_text(stage.seconds) + (" (kept)" if stage.kept else ""),
                moment_text(stage.finished),
            )
            for stage in report.stages
        ),
        texts=2,
    )


def provenance_tables(report: Report) -> tuple[Table, ...]:
    """One table a group of facts."""
    return tuple(
        Table(title, ("what", "value"), tuple(group.items()), texts=2)
        for title, group in report.provenance.items()
        if group
    )


def warnings_text(measurements: Sequence[Measurement]) -> list[str]:
    """Warnings that differ in their figures only are said once, with how many there are."""
    about: dict[str, list[str]] = {}
    for m in measurements:
        for warning in m.warnings:
            where = f"{m.name}, {place_text(m)}, {_threads_text(m.threads)}"
            about.setdefault(_FIGURE.sub("#", warning), []).append(f"{where}: {warning}")
    return [
        found[0]
        if len(found) == 1
        else f"{found[0]} (The same for {len(found) - 1} more of {len(measurements)} measurements.)"
        for found in about.values()
    ]


def _threads_text(threads: int) -> str:
    return f"{threads} thread" if threads == 1 else f"{threads} threads"
