"""Ratios of measurements to the baseline, the first model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebert.profiling.measurement import Kind, Measurement, median_interval, ratio_or_zero


@dataclass(frozen=True)
class Ratio:
    """A model compared with the baseline, for the same target, threads, length and kind.

    Attributes:
        name: Name of the model.
        baseline: Name of the baseline, the first model.
        latency: Ratio of the medians. Below 1 is faster than the baseline.
        latency_low: Lower end of the ratio's 95 % confidence interval; `latency_high` is the upper
            end. Both are None if `paired` is False.
        size: Ratio of the file sizes.
        gzip: Ratio of the file sizes after gzip.
        memory: Ratio of the peak memories. None if unknown.
        paired: Whether both were interleaved, so that `latency` is the median of the ratios of
            block pairs. Otherwise it is the ratio of the two medians.
    """

    name: str
    baseline: str
    target: str
    threads: int
    length: int | None
    kind: Kind
    latency: float
    latency_low: float | None
    latency_high: float | None
    size: float
    gzip: float
    memory: float | None
    paired: bool


def ratios(measurements: Sequence[Measurement]) -> tuple[Ratio, ...]:
    """Compares each model with the first one, for each target, threads, length and kind of both.

    Interleaved measurements (of one `session`) are compared block by block: a machine that slows
    down affects both blocks of a pair. The ratio is the median of the pairs.
    """
    baselines: dict[tuple[Any, ...], Measurement] = {}
    for m in measurements:
        if m.name == measurements[0].name:
            baselines.setdefault(_group(m), m)
    return tuple(
        _ratio(m, baselines[_group(m)])
        for m in measurements
        if _group(m) in baselines and m is not baselines[_group(m)]
    )


def _group(m: Measurement) -> tuple[Any, ...]:
    return (m.target, m.threads, m.length, m.kind)


def _ratio(m: Measurement, baseline: Measurement) -> Ratio:
    pairs = list(zip(m.latency.block_medians_ms, baseline.latency.block_medians_ms, strict=False))
    paired = m.session == baseline.session and all(theirs > 0 for _, theirs in pairs)
    quotients = [ours / theirs for ours, theirs in pairs] if paired else []
    low, high = median_interval(quotients) if quotients else (None, None)
    memory = None
    if m.peak_memory_bytes and baseline.peak_memory_bytes:
        memory = m.peak_memory_bytes / baseline.peak_memory_bytes
    return Ratio(
        name=m.name,
        baseline=baseline.name,
        target=m.target,
        threads=m.threads,
        length=m.length,
        kind=m.kind,
        latency=float(np.median(quotients))
        if quotients
        else ratio_or_zero(m.latency.p50_ms, baseline.latency.p50_ms),
        latency_low=low,
        latency_high=high,
        size=ratio_or_zero(m.size_bytes, baseline.size_bytes),
        gzip=ratio_or_zero(m.gzip_bytes, baseline.gzip_bytes),
        memory=memory,
        paired=paired,
    )
