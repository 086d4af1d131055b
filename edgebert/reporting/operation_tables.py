"""Terminal tables of a profile in addition to latency: layers, tokenizer, starts, memory, load."""

from __future__ import annotations

from collections.abc import Sequence

from edgebert.profiling.measurement import Measurement
from edgebert.reporting.configurations import configuration_text, device_labels, device_of
from edgebert.reporting.detail_tables import (
    cold_start_table,
    has_memory,
    memory_table,
    operations_table,
    sustained_table,
)
from edgebert.reporting.operations import SMALL, blocks_of, profiled
from edgebert.reporting.tables import Table
from edgebert.reporting.units import NOTHING, ms_text, share_text


def closer_tables(measurements: Sequence[Measurement]) -> list[Table]:
    """The tables of all optional results of the measurements."""
    labels = device_labels(measurements)
    graphs = [m for m in profiled(measurements) if m.kind == "model"]
    texts = [m for m in measurements if m.kind == "end_to_end" and m.operations]
    long_runs = [m for m in measurements if m.sustained]
    started = [m for m in measurements if m.cold_start]
    known = [m for m in measurements if has_memory(m)]
    tables = [layers_table(m, labels[device_of(m)] if len(labels) > 1 else "") for m in graphs]
    tables += [operations_table(graphs, labels)] if graphs else []
    tables += [tokenizer_table(texts)] if texts else []
    tables += [cold_start_table(started, labels)] if started else []
    tables += [memory_table(known, labels)] if known else []
    tables += [sustained_table(long_runs, labels)] if long_runs else []
    return tables


def layers_table(measurement: Measurement, device: str = "") -> Table:
    """The time of a call by layer, in the order of the graph.

    Args:
        measurement: a measurement with operations.
        device: device in the title; empty if there is only one.
    """
    blocks = blocks_of(measurement.operations)
    by_part: dict[str, float] = {}
    for name, block in blocks.items():
        for part, ms in block.items() if "." in name else ():
            by_part[part] = by_part.get(part, 0.0) + ms
    total = sum(sum(block.values()) for block in blocks.values())
    parts = [part for part, ms in by_part.items() if ms >= SMALL * total]
    rows = []
    for name, block in blocks.items():
        spent = sum(block.values())
        shown = [ms_text(block[part]) if part in block else NOTHING for part in parts]
        rows.append((name, ms_text(spent), _share(spent, total), *shown))
    whole, blanks = measurement.latency.p50_ms, [NOTHING] * len(parts)
    ends = [("total", total), ("a call, p50", whole)]
    index = ", ".join(filter(None, (measurement.name, configuration_text(measurement), device)))
    return Table(
        f"Layers of {index}",
        ("layer", "ms", "share", *parts),
        (*rows, *((name, ms_text(ms), _share(ms, total), *blanks) for name, ms in ends)),
        sections=(len(rows),),
    )


def tokenizer_table(measurements: Sequence[Measurement]) -> Table:
    """The share of the tokenizer in the latency from text to answer."""
    names = list(dict.fromkeys(o.layer for m in measurements for o in m.operations))
    rows = []
    for m in measurements:
        by_layer = {operation.layer: operation.latency_ms for operation in m.operations}
        total = sum(by_layer.values())
        shown = [
            f"{ms_text(by_layer[name])} ({_share(by_layer[name], total)})"
            if name in by_layer
            else NOTHING
            for name in names
        ]
        rows.append((m.name, configuration_text(m), ms_text(total), *shown))
    return Table(
        "From text to answer, ms: mean over the texts",
        ("model", "timed", "all", *names),
        tuple(rows),
        texts=2,
    )


def _share(part: float, whole: float) -> str:
    return share_text(part / whole if whole > 0 else None)
