"""The tables of a report: titles, headings and cells as text, independent of the renderer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import Measurement
from edgebert.reporting.configurations import (
    configuration_of,
    configuration_text,
    device_labels,
    device_of,
    measurement_names,
    workload_text,
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
from edgebert.system.shown_text import shown

_FIGURE = re.compile(r"\d[\d.]*")


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: title of the table.
        columns: headings of the columns.
        rows: cells; each row has one per column.
        texts: number of leading columns with text (left-aligned); the others are numbers.
        sections: indexes of rows that begin a new section.
        spare: number of trailing columns that narrow renderers can leave out.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    sections: tuple[int, ...] = ()
    spare: int = 0

    def __post_init__(self) -> None:
        """Replaces control characters of names and labels by escapes."""
        rows = tuple(tuple(map(shown, row)) for row in self.rows)
        changes = {"title": shown(self.title), "columns": tuple(map(shown, self.columns))}
        vars(self).update(changes, rows=rows)

    def without_spare(self) -> Table:
        """The table without its optional columns."""
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
    """The text of a metric's value in tables."""
    if value is None:
        return NOTHING
    return share_text(value) if is_share(name) else f"{value:.3f}"


def _latency(cell: Callable[[Report, Measurement], str]) -> Callable[[Report, Row], str]:
    def at_common_place(report: Report, row: Row) -> str:
        m = report.measured_at(row, report.common_configuration)
        return NOTHING if m is None else cell(report, m)

    return at_common_place


def _p50(report: Report, m: Measurement) -> str:
    return _with_ratio(ms_text(m.latency.p50_ms), report.latency_ratio(m))


_SHOWN_METRICS = 2
_BYTES = {None: NOTHING, True: "as expected", False: "others"}
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
    _Column("bytes", lambda report, row: _BYTES[row.as_expected]),
    _Column("p50 ms", _latency(_p50)),
    _Column("p90 ms", _latency(lambda report, m: ms_text(m.latency.p90_ms))),
    _Column("load ms", _latency(lambda report, m: ms_text(m.load_ms)), spare=True),
    _Column("first call ms", _latency(lambda report, m: ms_text(m.first_call_ms)), spare=True),
    _Column("memory", _latency(lambda report, m: memory_text(m.peak_memory_bytes)), spare=True),
)


def summary_table(report: Report) -> Table:
    """The comparison of all models; empty columns are left out."""
    pairs = {(row.model, row.recipe) for row in report.rows if row.model and row.recipe}
    is_run = len(pairs) == len(report.rows)  # stage and recipe identify the models of a run
    shown, more = metric_columns([row.metrics for row in report.rows], report.metric)
    columns = (
        *(_OF_A_RUN if is_run else _NAMED),
        *(_Column(metric_words(name), _metric(name)) for name in shown),
        *_SUMMARY,
        *(_Column(metric_words(name), _metric(name), spare=True) for name in more),
    )
    rows = [tuple(column.cell(report, row) for column in columns) for row in report.rows]
    filled = [
        index
        for index in range(len(columns))
        if index < 1 or any(row[index] != NOTHING for row in rows)
    ]
    return Table(
        _summary_title(report),
        tuple(columns[index].heading for index in filled),
        tuple(tuple(row[index] for index in filled) for row in rows),
        texts=sum(index < 2 for index in filled),
        spare=sum(columns[index].spare for index in filled),
    )


def metric_columns(
    metrics: Iterable[Mapping[str, float]], main: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The metrics of a table: the required ones with the main metric first, and the optional ones.

    The loss and metrics of parts of the data are left out.
    """
    names = dict.fromkeys((main, *(name for each in metrics for name in each)))
    listed = tuple(name for name in names if name not in ("", "loss") and not is_part(name))
    return listed[:_SHOWN_METRICS], listed[_SHOWN_METRICS:]


def _summary_title(report: Report) -> str:
    parts = []
    if any(row.metrics for row in report.rows):
        parts.append(f"{metric_words(report.metric)} on {report.scored_on}")
    configuration = report.common_configuration
    if configuration is not None:
        labels = device_labels(report.measurements)
        timed = (
            "text in, answer out"
            if configuration.kind == "end_to_end"
            else configuration_text(configuration)
        )
        where = f" on {labels[configuration.device]}" if len(labels) > 1 else ""
        parts.append(f"latency is {timed}{where}")
    return capitalized("; ".join(parts) or "models")


def files_table(measurements: Sequence[Measurement]) -> Table:
    """The sizes of the measured files, with ratios to the first."""
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
    """All measurements, one table per device."""
    labels = device_labels(measurements)
    return tuple(
        _latency_table(
            [m for m in measurements if device_of(m) == device],
            measurements,
            f" on {label}" if len(labels) > 1 else "",
        )
        for device, label in labels.items()
    )


_LATENCY_COLUMNS = ("p50", "p90", "p99", "spread", "ratio", "load", "first call", "peak memory")


def _latency_table(chosen: Sequence[Measurement], among: Sequence[Measurement], on: str) -> Table:
    """One section per thread count and length, one row per model."""
    ordered = _by_configuration(chosen, [m.name for m in among])
    threads = {m.threads for m in chosen}
    rows: list[tuple[str, ...]] = []
    sections: list[int] = []
    previous: object = None
    for m, name in zip(ordered, measurement_names(ordered), strict=True):
        heading = ""
        if configuration_of(m) != previous:
            previous = configuration_of(m)
            sections.append(len(rows))
            heading = configuration_text(m) if len(threads) > 1 else workload_text(m)
        rows.append((heading, name, *_latency_cells(m, among)))
    thread_count = f", {threads_text(ordered[0].threads)}" if len(threads) == 1 else ""
    return Table(
        f"Latency in ms{on}{thread_count}",
        ("timed", "model", *_LATENCY_COLUMNS),
        tuple(rows),
        texts=2,
        sections=tuple(sections[1:]),
    )


def _by_configuration(
    measurements: Sequence[Measurement], names: Sequence[str]
) -> list[Measurement]:
    """Sorted by thread count, kind, length, order of the model's name in `names`, and time."""
    order = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return sorted(
        measurements,
        key=lambda m: (
            m.threads,
            m.kind == "end_to_end",
            m.length is None,
            m.length or 0,
            order[m.name],
            m.measured,
        ),
    )


def _latency_cells(m: Measurement, among: Sequence[Measurement]) -> tuple[str, ...]:
    """The cells of `_LATENCY_COLUMNS`."""
    return (
        ms_text(m.latency.p50_ms),
        ms_text(m.latency.p90_ms),
        ms_text(m.latency.p99_ms),
        share_text(m.latency.block_spread),
        ratio_text(latency_ratio(m, among)),
        ms_text(m.load_ms),
        ms_text(m.first_call_ms),
        memory_text(m.peak_memory_bytes),
    )


def checks_table(checks: Sequence[DeviceCheck]) -> Table:
    """Comparisons of devices with the host on labelled data."""
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
        "Device checks",
        (
            "target",
            "device",
            "model",
            "text",
            "token ids",
            "same answer",
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
    """The duration and the facts of each stage."""
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
    """One table per group of facts."""
    return tuple(
        Table(title, ("fact", "value"), tuple(group.items()), texts=2)
        for title, group in report.provenance.items()
        if group
    )


def warnings_text(measurements: Sequence[Measurement]) -> list[str]:
    """The warnings; those that differ only in numbers are listed once, with their count."""
    about: dict[str, list[str]] = {}
    labels = device_labels(measurements)
    for m in measurements:
        for warning in m.warnings:
            on = f" on {labels[device_of(m)]}" if len(labels) > 1 else ""
            where = f"{m.name}{on}, {configuration_text(m)}"
            about.setdefault(_FIGURE.sub("#", warning), []).append(f"{where}: {warning}")
    return [
        found[0]
        if len(found) == 1
        else f"{found[0]} (Same for {len(found) - 1} more of {len(measurements)} measurements.)"
        for found in about.values()
    ]
