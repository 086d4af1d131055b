"""What a measurement is, on every target: how fast, how sure, how large, where, and with what.

Plain objects that go to JSON and back. Nothing here runs a model.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from edgebert.errors import DataError

FORMAT = "edgebert-measurements"
FORMAT_VERSION = 1

CONFIDENCE = 0.95
FEWEST_BLOCKS = 6
"""With fewer values, not even the smallest and the largest enclose the median that surely."""

EXACT_COUNT = 500
"""Up to so many values the binomial is summed up; beyond, the normal distribution is as good."""

STABLE_HALF_WIDTH = 0.02
"""A median is stable when its confidence interval reaches no further than this share of it."""

Kind = Literal["model", "end_to_end"]


@dataclass(frozen=True)
class Latency:
    """Times of many calls, in ms.

    Attributes:
        runs: timed calls in all.
        p50_ms: median of all calls; `p90_ms`, `p99_ms` likewise (linear interpolation). The last
            two and `spread` are None where a tool gives a summary and not each call.
        mean_ms: mean of all calls.
        min_ms: the fastest call.
        max_ms: the slowest call.
        spread: call to call: interquartile range of the calls, as a share of the median.
        block_spread: run to run: interquartile range of the blocks' medians, as a share of the
            median; 0 where there is one block.
        median_low_ms: the median's 95 % confidence interval, from order statistics of the blocks'
            medians (of the calls where there is one block).
        median_high_ms: its upper end.
        block_medians_ms: the median of each block of calls, in the order they were made.
    """

    runs: int
    p50_ms: float
    p90_ms: float | None
    p99_ms: float | None
    mean_ms: float
    min_ms: float
    max_ms: float
    spread: float | None
    block_spread: float
    median_low_ms: float
    median_high_ms: float
    block_medians_ms: tuple[float, ...]

    @property
    def uncertainty(self) -> float:
        """Half the confidence interval's width, as a share of the median."""
        return _share((self.median_high_ms - self.median_low_ms) / 2, self.p50_ms)

    @property
    def stable(self) -> bool:
        """Whether enough calls were made to know the median within `STABLE_HALF_WIDTH`."""
        units = len(self.block_medians_ms) if len(self.block_medians_ms) > 1 else self.runs
        return units >= FEWEST_BLOCKS and self.uncertainty <= STABLE_HALF_WIDTH


@dataclass(frozen=True)
class Device:
    """The machine that was measured.

    Attributes:
        name: of the board or phone; empty where the system has none.
        cpu: model of the processor, or the system on chip.
        cores: cores that the process could use; 0 where unknown.
        architecture: as `uname -m` names it.
        os: operating system with its version.
        cpu_features: instruction sets that decide which kernels run.
        load_average: over the last minute before the measurement; None where unknown.
        governor: frequency governor; None where the system doesn't tell.
        details: further facts of a target, by name.
    """

    name: str
    cpu: str
    cores: int
    architecture: str
    os: str
    cpu_features: tuple[str, ...] = ()
    load_average: float | None = None
    governor: str | None = None
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class OperationTime:
    """One operation of the graph, or several of a kind together.

    Attributes:
        layer: the part of the model that it belongs to, such as `layers.0.attention.query`.
        operation: kind of the operation, such as FULLY_CONNECTED.
        latency_ms: of one call of the graph, mean.
        calls: how often one call of the graph runs it.
    """

    layer: str
    operation: str
    latency_ms: float
    calls: int = 1


@dataclass(frozen=True)
class SustainedPoint:
    """A stretch of a run without a pause.

    Attributes:
        seconds: at which it ended, from the start.
        calls: made in it.
        p50_ms: median of them; `p90_ms` likewise, None where a tool doesn't give it.
        temperature_c: at its end, degrees Celsius, of the hottest sensor; None where unknown.
        frequency_mhz: at its end, of the fastest core; None where unknown.
        thermal_state: as the device's system names it, such as "light"; empty where unknown.
    """

    seconds: float
    calls: int
    p50_ms: float
    p90_ms: float | None
    temperature_c: float | None = None
    frequency_mhz: float | None = None
    thermal_state: str = ""


@dataclass(frozen=True)
class ColdStart:
    """Starts in fresh processes, medians in ms; `cached` is with XNNPACK's weight cache on disk.

    Attributes:
        load_ms: making the interpreter or the compiled model.
        first_call_ms: the first call.
        cached_load_ms: the same with the cache written before.
        cached_first_call_ms: the same with the cache written before.
        cache_bytes: size of the cache's file.
    """

    load_ms: float
    first_call_ms: float
    cached_load_ms: float
    cached_first_call_ms: float
    cache_bytes: int


def utc_now() -> str:
    """The moment, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Measurement:
    """One model in one configuration on one device.

    Attributes:
        model: path of the file.
        name: short name, unique among the models measured together.
        sha256: of the file.
        size_bytes: of the file.
        gzip_bytes: of the file, gzip'd: about what an app store ships.
        target: "cpu", or what was given to --target.
        device: the machine.
        runtime: name and version of the runtime.
        session: the same for all measurements that were interleaved with each other.
        threads: of the runtime.
        signature: its key; None for a file without, and for `end_to_end`.
        length: in tokens; None where there is none, and for `end_to_end`.
        kind: "model" times one call of the graph, "end_to_end" text in to label out.
        texts: different texts that were timed; 0 for `model`.
        load_ms: making the interpreter, or the predictor, in a fresh process (median of starts).
        first_call_ms: the first call in a fresh process, which plans memory and packs weights.
        latency: steady state.
        peak_memory_bytes: largest resident memory of the whole process; None where unknown.
        model_memory_bytes: how much of it came with the model.
        warnings: what makes the figures doubtful, each with what to do.
        weights_bytes: weights as XNNPACK packs them, once for all signatures; rows of embedding
            tables stay in the file. None where unknown.
        arena_bytes: what the first call took of the heap beside weights: tensors of one call. None
            where unknown.
        energy_mj: energy of one call in millijoules, of all processor packages, with what they use
            when idle; None where unknown.
        operations: time by operation, in the order of the graph; empty where it was not asked for.
        sustained: the curve of a run without a pause; empty where it was not asked for.
        cold_start: starts with and without a weight cache; None where it was not asked for.
        measured: when, ISO 8601, UTC: now. Empty in files of before there was such a field.
            Measurements that differ in nothing else are equal.
    """

    model: str
    name: str
    sha256: str
    size_bytes: int
    gzip_bytes: int
    target: str
    device: Device
    runtime: str
    session: str
    threads: int
    signature: str | None
    length: int | None
    kind: Kind
    texts: int
    load_ms: float
    first_call_ms: float
    latency: Latency
    peak_memory_bytes: int | None
    model_memory_bytes: int | None
    warnings: tuple[str, ...] = ()
    weights_bytes: int | None = None
    arena_bytes: int | None = None
    energy_mj: float | None = None
    operations: tuple[OperationTime, ...] = ()
    sustained: tuple[SustainedPoint, ...] = ()
    cold_start: ColdStart | None = None
    measured: str = dataclasses.field(default_factory=utc_now, compare=False)

    @property
    def stable(self) -> bool:
        """Whether the median is known well enough; a warning says so when it is not."""
        return self.latency.stable

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with `stable` and `uncertainty` for readers that don't compute."""
        table = dataclasses.asdict(self)
        table["latency"] |= {
            "stable": self.latency.stable,
            "uncertainty": self.latency.uncertainty,
        }
        return {"format": FORMAT, "version": FORMAT_VERSION, **table}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Measurement:
        """Reads what `to_dict` gave, also after a trip through JSON.

        Raises:
            DataError: another format or a newer version; fields are missing.
        """
        kind, version = table.get("format"), table.get("version")
        if kind != FORMAT or version != FORMAT_VERSION:
            raise DataError(
                f"A measurement ({FORMAT}, version {FORMAT_VERSION}) was expected. Received: "
                f"{kind!r}, version {version!r}. Next: measure again with this version of edgebert."
            )
        try:
            values = {"measured": "", **_fields(cls, table)}
            values["device"] = Device(**_fields(Device, table["device"]))
            values["latency"] = Latency(**_fields(Latency, table["latency"]))
            for name, part in (("operations", OperationTime), ("sustained", SustainedPoint)):
                values[name] = tuple(part(**_fields(part, row)) for row in table.get(name, ()))
            if table.get("cold_start"):
                values["cold_start"] = ColdStart(**_fields(ColdStart, table["cold_start"]))
            return cls(**values)
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(
                f"A measurement has the fields of {FORMAT} version {FORMAT_VERSION}. "
                f"Received: a table that lacks some: {error}. Next: measure again."
            ) from error


@dataclass(frozen=True)
class Ratio:
    """A model against the first one, for the same target, threads, length and kind.

    Attributes:
        name: the model.
        baseline: the first model.
        latency: ratio of the medians; under 1 is faster than the baseline.
        latency_low: its 95 % confidence interval; with `latency_high` None when `paired` is False.
        size: ratio of the sizes on disk.
        gzip: ratio of the gzip'd sizes.
        memory: ratio of the peak memories; None where unknown.
        paired: the median of block against block, both measured in turn; otherwise (measured
            apart) the ratio of the two medians.
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


def summarize(blocks: Sequence[Sequence[float]]) -> Latency:
    """Sums up timed calls.

    Args:
        blocks: latencies in ms, a sequence for each block of calls made in a row. One block is
            fine; several, made at different moments, tell how far runs differ.

    Raises:
        ValueError: there is no latency at all.
    """
    filled = [np.asarray(block, np.float64) for block in blocks if len(block)]
    if not filled:
        raise ValueError("summarize expects at least one latency. Received: none.")
    calls = np.concatenate(filled)
    p25, p50, p75, p90, p99 = (float(p) for p in np.percentile(calls, [25, 50, 75, 90, 99]))
    medians = np.array([np.median(block) for block in filled])
    block_p25, block_p75 = np.percentile(medians, [25, 75])
    low, high = median_interval(medians if len(medians) > 1 else calls)
    return Latency(
        runs=calls.size,
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        mean_ms=float(calls.mean()),
        min_ms=float(calls.min()),
        max_ms=float(calls.max()),
        spread=_share(p75 - p25, p50),
        block_spread=_share(float(block_p75 - block_p25), p50),
        median_low_ms=low,
        median_high_ms=high,
        block_medians_ms=tuple(medians.tolist()),
    )


def interval_ranks(count: int, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Which order statistics of `count` values enclose their distribution's median.

    Each value lies below the median with probability 1/2, so the number that do is binomial: no
    assumption on the distribution's shape (Conover, Practical Nonparametric Statistics, 3.2).

    Returns:
        Zero-based ranks (low, high), the narrowest symmetric pair with at least the confidence;
        None when even the smallest and the largest value don't reach it (fewer than 6 at 95 %).
    """
    if count > EXACT_COUNT:
        reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(count)
        low = math.floor((count - reach) / 2) - 1
        return low, count - 1 - low
    outside, best = 0, None
    for low in range(count // 2):
        outside += 2 * math.comb(count, low)
        if outside > (1 - confidence) * 2**count:
            break
        best = (low, count - 1 - low)
    return best


def median_interval(
    values: Sequence[float] | np.ndarray, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Confidence interval of the median; smallest and largest value when there are too few."""
    ordered = np.sort(np.asarray(values, np.float64))
    low, high = interval_ranks(ordered.size, confidence) or (0, ordered.size - 1)
    return float(ordered[low]), float(ordered[high])


def ratios(measurements: Sequence[Measurement]) -> tuple[Ratio, ...]:
    """Each model against the first one, for each target, threads, length and kind both have.

    Blocks of measurements that were made in turn (one `session`) are compared pair by pair, so a
    machine that slows down in between slows both sides of a pair; the ratio is the pairs' median.
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
        else _share(m.latency.p50_ms, baseline.latency.p50_ms),
        latency_low=low,
        latency_high=high,
        size=_share(m.size_bytes, baseline.size_bytes),
        gzip=_share(m.gzip_bytes, baseline.gzip_bytes),
        memory=memory,
        paired=paired,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _fields(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    """A dataclass's fields out of a table; JSON's lists become tuples."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in table.items()
        if name in names
    }
