"""Tables of optional results: device comparison, operations, sustained runs, starts, memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import Measurement, SustainedPoint
from edgebert.reporting.configurations import (
    DeviceKey,
    configuration_text,
    device_labels,
    device_of,
    latest,
    workload_text,
)
from edgebert.reporting.operations import parts_of
from edgebert.reporting.report import Report
from edgebert.reporting.tables import Table, metric_cell, metric_columns
from edgebert.reporting.units import (
    NOTHING,
    capitalized,
    memory_text,
    metric_words,
    ms_text,
    ratio_text,
    seconds_text,
    share_text,
    size_text,
)

Group = tuple[str, str | None, int, str, int | None]


def on_several_devices(measurements: Sequence[Measurement]) -> dict[Group, list[Measurement]]:
    """The latest measurements of each model and length that were made on several devices."""
    groups: dict[Group, list[Measurement]] = defaultdict(list)
    for m in latest(measurements):
        groups[m.name, m.signature, m.threads, m.kind, m.length].append(m)
    return {key: group for key, group in groups.items() if len({device_of(m) for m in group}) > 1}


def devices_table(measurements: Sequence[Measurement]) -> Table | None:
    """Compares each model over devices; None if no model was measured on two devices."""
    labels = device_labels(measurements)
    order = {device: index for index, device in enumerate(labels)}
    names = list(dict.fromkeys(m.name for m in measurements))
    groups = sorted(
        on_several_devices(measurements).values(),
        key=lambda group: (
            names.index(group[0].name),
            group[0].threads,
            group[0].kind == "end_to_end",
            group[0].length or 0,
        ),
    )
    several_threads = len({group[0].threads for group in groups}) > 1
    rows: list[tuple[str, ...]] = []
    sections: list[int] = []
    for group in groups:
        group.sort(key=lambda m: order[device_of(m)])
        first = group[0]
        timed = configuration_text(first) if several_threads else workload_text(first)
        sections.append(len(rows))
        for m in group:
            rows.append(
                (
                    f"{m.name}, {timed}" if m is first else "",
                    labels[device_of(m)],
                    ms_text(m.latency.p50_ms),
                    ratio_text(_ratio(m.latency.p50_ms, first.latency.p50_ms)),
                    ms_text(m.latency.p90_ms),
                    share_text(m.latency.block_spread),
                    ms_text(m.load_ms),
                    ms_text(m.first_call_ms),
                    memory_text(m.peak_memory_bytes),
                )
            )
    if not rows:
        return None
    columns = ("p50", "ratio", "p90", "spread", "load", "first call", "peak memory")
    return Table(
        "Latency in ms; ratios to the first device",
        ("model", "device", *columns),
        tuple(rows),
        texts=2,
        sections=tuple(sections[1:]),
    )


def where_texts(chosen: Sequence[Measurement], labels: dict[DeviceKey, str]) -> list[str]:
    """What was timed in each measurement, with the device if there are several."""
    threads = {m.threads for m in chosen}
    timed = [configuration_text(m) if len(threads) > 1 else workload_text(m) for m in chosen]
    if len(labels) < 2:
        return timed
    return [f"{labels[device_of(m)]}, {text}" for m, text in zip(chosen, timed, strict=True)]


def operations_table(chosen: Sequence[Measurement], labels: dict[DeviceKey, str]) -> Table:
    """The time of a call by part of the model, over all layers, the slowest part first."""
    rows: list[tuple[str, ...]] = []
    sections: list[int] = []
    for m, where in zip(chosen, where_texts(chosen, labels), strict=True):
        sections.append(len(rows))
        for index, part in enumerate(parts_of(m.operations)):
            rows.append(
                (
                    "" if index else f"{m.name}, {where}",
                    part.name,
                    ms_text(part.latency_ms),
                    share_text(part.share),
                    str(part.calls),
                    ", ".join(part.operations[:2]) + ", ..." * (len(part.operations) > 2),
                )
            )
    return Table(
        "Parts, summed over all layers",
        ("model", "part", "ms", "share", "calls", "operation"),
        tuple(rows),
        texts=2,
        sections=tuple(sections[1:]),
    )


def sustained_table(chosen: Sequence[Measurement], labels: dict[DeviceKey, str]) -> Table:
    """The first and the last interval of each run without pauses."""
    rows = []
    for m, where in zip(chosen, where_texts(chosen, labels), strict=True):
        first, last = m.sustained[0], m.sustained[-1]
        rows.append(
            (
                m.name,
                where,
                seconds_text(last.seconds),
                ms_text(first.p50_ms),
                ms_text(last.p50_ms),
                ratio_text(_ratio(last.p50_ms, first.p50_ms)),
                _from_to(m.sustained, lambda p: p.temperature_c, "°C"),
                _from_to(m.sustained, lambda p: p.frequency_mhz, "MHz"),
                ", ".join(dict.fromkeys(p.thermal_state for p in m.sustained if p.thermal_state))
                or NOTHING,
            )
        )
    return Table(
        "From the first interval to the last",
        (
            "model",
            "timed",
            "run",
            "first p50",
            "last p50",
            "ratio",
            "temperature",
            "clock",
            "thermal state",
        ),
        tuple(rows),
        texts=2,
    )


def _from_to(
    points: Sequence[SustainedPoint], value: Callable[[SustainedPoint], float | None], unit: str
) -> str:
    known = [found for point in points if (found := value(point)) is not None]
    return f"{known[0]:.0f} to {known[-1]:.0f} {unit}" if known else NOTHING


def cold_start_table(chosen: Sequence[Measurement], labels: dict[DeviceKey, str]) -> Table:
    """Starts in new processes without and with a weight cache; one section per model."""
    names, sections = _names_and_sections(chosen)
    rows = []
    for m, name, where in zip(chosen, names, where_texts(chosen, labels), strict=True):
        start = m.cold_start
        assert start is not None
        plain = start.load_ms + start.first_call_ms
        cached = start.cached_load_ms + start.cached_first_call_ms
        rows.append(
            (
                name,
                where,
                ms_text(start.load_ms),
                ms_text(start.first_call_ms),
                ms_text(start.cached_load_ms),
                ms_text(start.cached_first_call_ms),
                ratio_text(_ratio(cached, plain)),
                size_text(start.cache_bytes),
            )
        )
    columns = ("load", "first call", "load, cached", "first call, cached", "ratio", "cache")
    return Table(
        "New processes, ms",
        ("model", "timed", *columns),
        tuple(rows),
        texts=2,
        sections=sections,
    )


def _names_and_sections(chosen: Sequence[Measurement]) -> tuple[list[str], tuple[int, ...]]:
    """The name of each model in its first row, and the first rows of further models."""
    names = [m.name for m in chosen]
    starts = [p for p, name in enumerate(names) if p == 0 or name != names[p - 1]]
    return [name if p in starts else "" for p, name in enumerate(names)], tuple(starts[1:])


def has_memory(m: Measurement) -> bool:
    """Whether a measurement has more about memory than the peak, or energy."""
    return any(known is not None for known in (m.weights_bytes, m.arena_bytes, m.energy_mj))


def memory_table(chosen: Sequence[Measurement], labels: dict[DeviceKey, str]) -> Table:
    """The memory by use, and the energy of a call; one section per model."""
    names, sections = _names_and_sections(chosen)
    rows = [
        (
            name,
            where,
            memory_text(m.weights_bytes),
            size_text(m.arena_bytes),
            memory_text(m.model_memory_bytes),
            memory_text(m.peak_memory_bytes),
            NOTHING if m.energy_mj is None else f"{m.energy_mj:.3g} mJ",
        )
        for m, name, where in zip(chosen, names, where_texts(chosen, labels), strict=True)
    ]
    return Table(
        "Memory, and energy per call",
        ("model", "timed", "weights", "arenas", "by the model", "peak, whole process", "energy"),
        tuple(rows),
        texts=2,
        sections=sections,
    )


def differing_table(checks: Sequence[DeviceCheck]) -> Table | None:
    """Texts with other answers on a device than here; None if there are none."""
    rows = tuple(
        (f"{check.name} on {check.device or check.target}", text, theirs, ours)
        for check in checks
        for text, theirs, ours in check.differing
    )
    if not rows:
        return None
    return Table("Different answers", ("where", "text", "on the device", "here"), rows, texts=4)


def scores_table(report: Report) -> Table | None:
    """All scores; None if the summary shows them all."""
    scores = [(row.name, score) for row in report.rows for score in row.scores]
    main = next((score.main for _, score in scores if score.main), "")
    shown, more = metric_columns([score.metrics for _, score in scores], main)
    rows = tuple(
        (
            name,
            score.data,
            str(score.rows) if score.rows else NOTHING,
            *(metric_cell(metric, score.metrics.get(metric)) for metric in (*shown, *more)),
        )
        for name, score in scores
    )
    texts = {(s.data, s.rows) for row in report.rows for s in row.scores}
    if len(texts) < 2 and all(len(row.scores) < 2 for row in report.rows):
        return None
    headings = tuple(map(metric_words, (*shown, *more)))
    title = f"{capitalized(metric_words(main))}, on all data sets"
    columns = ("model", "text", "rows", *headings)
    return Table(title, columns, rows, texts=2, spare=len(more))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
