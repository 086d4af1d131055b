"""Groups the operation times of a graph by part and by block of the model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgebert.profiling.measurement import Measurement, OperationTime
from edgebert.reporting.configurations import device_of, latest

SMALL = 0.015
"""Parts below this share of the time are combined."""

_BLOCK = re.compile(r"(.*?\.\d+)(?:\.(.*))?")
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")


@dataclass(frozen=True)
class Part:
    """One part of the model, summed over all layers.

    Attributes:
        name: name with a star for the layer number, such as `layers.*.attention.query`.
        operations: kinds of operations, the slowest first.
        latency_ms: time in one call of the graph.
        calls: number of operations in one call of the graph.
        share: share of the graph's time.
    """

    name: str
    operations: tuple[str, ...]
    latency_ms: float
    calls: int
    share: float


def profiled(measurements: Sequence[Measurement]) -> list[Measurement]:
    """For each model and device the measurement by operation with the longest text."""
    longest: dict[object, Measurement] = {}
    for m in latest([m for m in measurements if m.operations and m.kind == "model"]):
        key = (device_of(m), m.name)
        if key not in longest or (m.length or 0) > (longest[key].length or 0):
            longest[key] = m
    return list(longest.values())


def parts_of(operations: Sequence[OperationTime]) -> list[Part]:
    """The parts, the slowest first; small parts are combined at the end."""
    total = sum(operation.latency_ms for operation in operations)
    groups: dict[str, list[OperationTime]] = {}
    for operation in operations:
        name = _NUMBER.sub("*", operation.layer) or operation.operation
        groups.setdefault(name, []).append(operation)
    large: list[Part] = []
    small: list[Part] = []
    for name, group in groups.items():
        is_small = sum(o.latency_ms for o in group) < SMALL * total
        (small if is_small else large).append(_part(name, group, total))
    large.sort(key=lambda part: -part.latency_ms)
    if len(small) > 1:
        rest = [o for name, group in groups.items() for o in group if name in _names(small)]
        large.append(_part(f"{len(small)} others", rest, total))
    else:
        large += small
    return large


def _names(parts: Sequence[Part]) -> set[str]:
    return {part.name for part in parts}


def _part(name: str, group: Sequence[OperationTime], total: float) -> Part:
    by_kind: dict[str, float] = {}
    for operation in group:
        by_kind[operation.operation] = by_kind.get(operation.operation, 0) + operation.latency_ms
    spent = sum(by_kind.values())
    return Part(
        name,
        tuple(sorted(by_kind, key=lambda kind: -by_kind[kind])),
        spent,
        sum(operation.calls for operation in group),
        spent / total if total > 0 else 0.0,
    )


def blocks_of(operations: Sequence[OperationTime]) -> dict[str, Mapping[str, float]]:
    """Times in ms by block of the model (`embeddings`, `layers.0`, ...) and part of the block.

    Blocks are in the order of the graph; small blocks are combined at the end.
    """
    blocks: dict[str, dict[str, float]] = {}
    for operation in operations:
        block, part = _split(operation)
        parts = blocks.setdefault(block, {})
        parts[part] = parts.get(part, 0.0) + operation.latency_ms
    total = sum(sum(parts.values()) for parts in blocks.values())
    small = [name for name, parts in blocks.items() if sum(parts.values()) < SMALL * total]
    if len(small) < 2:
        return dict(blocks)
    rest = sum(sum(blocks[name].values()) for name in small)
    kept: dict[str, Mapping[str, float]] = {n: p for n, p in blocks.items() if n not in small}
    return {**kept, f"{len(small)} others": {"other": rest}}


def _split(operation: OperationTime) -> tuple[str, str]:
    if not operation.layer:
        return operation.operation, "other"
    numbered = _BLOCK.fullmatch(operation.layer)
    block, rest = numbered.groups() if numbered else operation.layer.partition(".")[::2]
    return block, (rest or "other").partition(".")[0]
