"""What the tables say: titles, columns and cells as text. How they look is up to the renderers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import Measurement
from edgebert.reporting.places import (
    device_labels,
    device_of,
    measurement_names,
    place_of,
    place_text,
    timed_text,
)
from edgebert.reporting.report import Report, Row, latency_ratio
from edgebert.reporting.units import (
    NOTHING,
    capitalized,
    is_part,
    is_share,
    memory_text,
    metric_words,
    moment_text,
    ms_text,
    ratio_text,
    seconds_text,
    share_text,
    size_text,
    threads_text,
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


def _ratio(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _size(what: str) -> Callable[[Report, Row], str]:
    def cell(report: Report, row: Row) -> str:
        size = getattr(row, what)
        return _with_ratio(size_text(size), report.size_ratio(size, what))

    return cell


def _metric(name: str) -> Callable[[Report, Row], str]:
    return lambda report, row: metric_cell(name, row.metrics.get(name))


def metric_cell(name: str, value: float | None) -> str:
    """A metric's value as tables show it."""
    if value is None:
        return NOTHING
    return share_text(value) if is_share(name) else f"{value:.3f}"


def _latency(cell: Callable[[Report, Measurement], str]) -> Callable[[Report, Row], str]:
    def at_common_place(report: Report, row: Row) -> str:
        m = report.measured_at(row, report.common_place)
        return NOTHING if m is None else cell(report, m)

    return at_common_place


def _p50(report: Report, m: Measurement) -> str:
    return _with_ratio(ms_text(m.latency.p50_ms), report.latency_ratio(m))


_SHOWN_METRICS = 2
_NAMED = (
    _Column("model", lambda report, row: row.name),
    _Column("recipe", lambda report, row: row.recipe or NOTHING),
)
_OF_A_RUN = (
    _Column("model", lambda report, row: row.model),
    _Column("recipe", lambda report, row: row.recipe),
)
_SUMMARY = (
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
    pairs = {(row.model, row.recipe) for row in report.rows if row.model and row.recipe}
    told_apart = len(pairs) == len(report.rows)  # by stage and recipe, as a run's models are
    shown, more = metric_columns([row.metrics for row in report.rows], report.metric)
    columns = (
        *(_OF_A_RUN if told_apart else _NAMED),
        *(_Column(metric_words(name), _metric(name)) for name in shown),
        *_SUMMARY,
        *(_Column(metric_words(name), _metric(name), spare=True) for name in more),
    )
    rows = [tuple(column.cell(report, row) for column in columns) for row in report.rows]
    filled = [
        place
        for place in range(len(columns))
        if place < 1 or any(row[place] != NOTHING for row in rows)
    ]
    return Table(
        _summary_title(report),
        tuple(columns[place].heading for place in filled),
        tuple(tuple(row[place] for place in filled) for row in rows),
        texts=sum(place < 2 for place in filled),
        spare=sum(columns[place].spare for place in filled),
    )


def metric_columns(
    metrics: Iterable[Mapping[str, float]], main: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The metrics that a table shows in any case, the main one first, and those it may leave out.

    The loss is what training looked at, not what a reader does; parts of the data are too many.
    """
    names = dict.fromkeys((main, *(name for each in metrics for name in each)))
    listed = tuple(name for name in names if name not in ("", "loss") and not is_part(name))
    return listed[:_SHOWN_METRICS], listed[_SHOWN_METRICS:]


def _summary_title(report: Report) -> str:
    told = []
    if any(row.metrics for row in report.rows):
        told.append(f"{metric_words(report.metric)} on {report.scored_on}")
    place = report.common_place
    if place is not None:
        labels = device_labels(report.measurements)
        timed = "text in, answer out" if place.kind == "end_to_end" else timed_text(place)
        where = f" on {labels[place.device]}" if len(labels) > 1 else ""
        told.append(f"latency is {timed}{where}")
    return capitalized("; ".join(told) or "models")


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
                _with_ratio(size_text(m.size_bytes), _ratio(m.size_bytes, first.size_bytes)),
                _with_ratio(size_text(m.gzip_bytes), _ratio(m.gzip_bytes, first.gzip_bytes)),
            )
            for m in sorted(files, key=lambda m: m.name != first.name)
        ),
    )


def latency_tables(measurements: Sequence[Measurement]) -> tuple[Table, ...]:
    """Every measurement: a table a device."""
    labels = device_labels(measurements)
    return tuple(
        _latency_table(
            [m for m in measurements if device_of(m) == device],
            measurements,
            f" on {label}" if len(labels) > 1 else "",
        )
        for device, label in labels.items()
    )


def _latency_table(chosen: Sequence[Measurement], among: Sequence[Measurement], on: str) -> Table:
    """Sections of one thread count and length, with models below each other."""
    order = {name: place for place, name in enumerate(dict.fromkeys(m.name for m in among))}
    ordered = sorted(
        chosen,
        key=lambda m: (
            m.threads,
            m.kind == "end_to_end",
            m.length is None,
            m.length or 0,
            order[m.name],
            m.measured,
        ),
    )
    threads = {m.threads for m in chosen}
    rows: list[tuple[str, ...]] = []
    sections: list[int] = []
    group: object = None
    for m, name in zip(ordered, measurement_names(ordered), strict=True):
        here = place_of(m)
        if here != group:
            sections.append(len(rows))
        rows.append(
            (
                (timed_text(m) if len(threads) > 1 else place_text(m)) if here != group else "",
                name,
                ms_text(m.latency.p50_ms),
                ms_text(m.latency.p90_ms),
                ms_text(m.latency.p99_ms),
                share_text(m.latency.block_spread),
                ratio_text(latency_ratio(m, among)),
                ms_text(m.load_ms),
                ms_text(m.first_call_ms),
                memory_text(m.peak_memory_bytes),
            )
        )
        group = here
    counted = f", {threads_text(ordered[0].threads)}" if len(threads) == 1 else ""
    return Table(
        f"Latency in ms{on}{counted}",
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
    metric = " or ".join(dict.fromkeys(metric_words(check.metric) for check in checks))
    rows = tuple(
        (
            check.target,
            check.device or NOTHING,
            check.name,
            f"{check.data}, {check.rows} rows",
            {None: "given", True: "same", False: "differ"}[check.token_ids_equal],
            share_text(check.label_agreement),
            f"{check.max_score_error:.1e}",
            metric_cell(check.metric, check.value),
            metric_cell(check.metric, check.host_value),
            _verdict(check),
        )
        for check in checks
    )
    return Table(
        "The task on the device",
        (
            "target",
            "device",
            "model",
            "text",
            "token ids",
            "same choice",
            "score error",
            metric,
            f"{metric} here",
            "check",
        ),
        rows,
        texts=4,
    )


def _verdict(check: DeviceCheck) -> str:
    if not check.passed:
        return "FAIL"
    return "pass" if check.same_scores else "pass, rounding"


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
    labels = device_labels(measurements)
    for m in measurements:
        for warning in m.warnings:
            on = f" on {labels[device_of(m)]}" if len(labels) > 1 else ""
            where = f"{m.name}{on}, {timed_text(m)}"
            about.setdefault(_FIGURE.sub("#", warning), []).append(f"{where}: {warning}")
    return [
        found[0]
        if len(found) == 1
        else f"{found[0]} (The same for {len(found) - 1} more of {len(measurements)} measurements.)"
        for found in about.values()
    ]
