"""The measurement of a model, the same for every target: latency, its uncertainty, size, device.

Plain dataclasses that convert to JSON and back. Nothing here runs a model.
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

from converters.json_files import JsonFormat
from edgebert.errors import DataError

FORMAT = "edgebert-measurements"
FORMAT_VERSION = 1
_JSON = JsonFormat(
    "a measurement",
    "measure again with this version of edgebert",
    DataError,
    FORMAT,
    versions=(FORMAT_VERSION,),
)

CONFIDENCE = 0.95
FEWEST_BLOCKS = 6
"""With fewer values, even the range from smallest to largest has a lower confidence."""

EXACT_COUNT = 500
"""Up to this many values the binomial distribution is summed; above it is approximated by the
normal distribution."""

STABLE_HALF_WIDTH = 0.02
"""A median is stable if half the width of its confidence interval is at most this share of it."""

Kind = Literal["model", "end_to_end"]


@dataclass(frozen=True)
class Latency:
    """Statistics of many timed calls, in ms.

    Attributes:
        runs: Number of timed calls.
        p50_ms: Median of all calls. `p90_ms` and `p99_ms` are the other percentiles (linear
            interpolation). Both and `spread` are None if a tool reports only a summary.
        mean_ms: Mean of all calls.
        min_ms: Fastest call.
        max_ms: Slowest call.
        spread: Interquartile range of the calls, as a share of the median (variation between
            calls).
        block_spread: Interquartile range of the blocks' medians, as a share of the median
            (variation between runs). 0 for a single block.
        median_low_ms: Lower end of the median's 95 % confidence interval, from order statistics of
            the blocks' medians (of the calls for a single block).
        median_high_ms: Upper end of the interval.
        block_medians_ms: Median of each block of calls, in the order of time.
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
        """Half the width of the confidence interval, as a share of the median."""
        return ratio_or_zero((self.median_high_ms - self.median_low_ms) / 2, self.p50_ms)

    @property
    def stable(self) -> bool:
        """Whether the uncertainty of the median is at most `STABLE_HALF_WIDTH`."""
        units = len(self.block_medians_ms) if len(self.block_medians_ms) > 1 else self.runs
        return units >= FEWEST_BLOCKS and self.uncertainty <= STABLE_HALF_WIDTH


@dataclass(frozen=True)
class Device:
    """The measured machine.

    Attributes:
        name: Name of the board or phone. Empty if the system has none.
        cpu: Model of the processor, or of the system on chip.
        cores: Number of cores that the process could use. 0 if unknown.
        architecture: Architecture, as in `uname -m`.
        os: Operating system and its version.
        cpu_features: Instruction sets that decide which kernels run.
        load_average: Load average of the last minute before the measurement. None if unknown.
        governor: Frequency governor. None if unknown.
        details: Further facts by name, depending on the target.
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
    """Time of one operation of the graph, or of several of one kind.

    Attributes:
        layer: Layer of the model, such as `layers.0.attention.query`.
        operation: Kind of the operation, such as FULLY_CONNECTED.
        latency_ms: Mean time in one call of the graph.
        calls: Number of executions in one call of the graph.
    """

    layer: str
    operation: str
    latency_ms: float
    calls: int = 1


@dataclass(frozen=True)
class SustainedPoint:
    """One stretch of a sustained run.

    Attributes:
        seconds: End of the stretch, in seconds from the start of the run.
        calls: Number of calls in the stretch.
        p50_ms: Median of the calls. `p90_ms` is None if a tool does not report it.
        temperature_c: Temperature of the hottest sensor at the end, degrees Celsius. None if
            unknown.
        frequency_mhz: Frequency of the fastest core at the end. None if unknown.
        thermal_state: Thermal state in the words of the device's system, such as "light". Empty if
            unknown.
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
    """Starts in fresh processes, without and with XNNPACK's weight cache on disk; medians in ms.

    Attributes:
        load_ms: Time to create the interpreter or the compiled model.
        first_call_ms: Time of the first call.
        cached_load_ms: `load_ms` with an existing cache file.
        cached_first_call_ms: `first_call_ms` with an existing cache file.
        cache_bytes: Size of the cache file.
    """

    load_ms: float
    first_call_ms: float
    cached_load_ms: float
    cached_first_call_ms: float
    cache_bytes: int


def utc_now() -> str:
    """The current time, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Measurement:
    """The measurement of one model in one configuration on one device.

    Attributes:
        model: Path of the file.
        name: Short name, unique among the models of the job.
        sha256: SHA-256 of the file.
        size_bytes: Size of the file.
        gzip_bytes: Size of the file after gzip: approximately its download size in an app store.
        target: "cpu", or the value of --target.
        device: The machine.
        runtime: Name and version of the runtime.
        session: Identifier, equal for all measurements that were interleaved with each other.
        threads: Thread count of the runtime.
        signature: Key of the signature. None for a file without signatures and for `end_to_end`.
        length: Length in tokens. None if the inputs have none, and for `end_to_end`.
        kind: "model" times one call of the graph, "end_to_end" times text in, answer out.
        texts: Number of different texts that were timed. 0 for `model`.
        load_ms: Time to create the interpreter, or the predictor, in a fresh process (median of
            the starts).
        first_call_ms: Time of the first call in a fresh process, which plans memory and packs
            weights.
        latency: Latency in the steady state.
        peak_memory_bytes: Peak resident memory of the whole process. None if unknown.
        model_memory_bytes: The part of the peak that was allocated after the load began. None if
            unknown.
        warnings: Reasons to doubt the figures, each with the next step.
        weights_bytes: Weights packed by XNNPACK, shared by all signatures, without the rows of
            embedding tables, which stay in the file. None if unknown.
        arena_bytes: Heap memory of the first call without the weights: tensors of one call. None
            if unknown.
        energy_mj: Energy of one call in millijoules, of all processor packages, including their
            idle energy. None if unknown.
        operations: Time by operation, in the order of the graph. Empty if not requested.
        sustained: Points of the sustained run. Empty if not requested.
        cold_start: Starts with and without a weight cache. None if not requested.
        measured: Time of the measurement, ISO 8601, UTC. Empty in files from before this field
            existed. It does not count in comparisons with `==`.
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
        """Whether the median is stable. Otherwise there is a warning."""
        return self.latency.stable

    def with_details(self, **details: str) -> Measurement:
        """The measurement with additional `details` of its device."""
        device = dataclasses.replace(self.device, details={**self.device.details, **details})
        return dataclasses.replace(self, device=device)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types, with the derived values `stable` and `uncertainty`."""
        table = dataclasses.asdict(self)
        table["latency"] |= {
            "stable": self.latency.stable,
            "uncertainty": self.latency.uncertainty,
        }
        return {"format": FORMAT, "version": FORMAT_VERSION, **table}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Measurement:
        """Reads the result of `to_dict`, also from JSON.

        Raises:
            DataError: The format or version differs, or fields are missing.
        """
        _JSON.require(table)
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


def summarize(blocks: Sequence[Sequence[float]]) -> Latency:
    """Computes the statistics of timed calls.

    Args:
        blocks: Latencies in ms, one sequence for each block of successive calls. Several blocks
            from different times show the variation between runs.

    Raises:
        ValueError: There is no latency.
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
        spread=ratio_or_zero(p75 - p25, p50),
        block_spread=ratio_or_zero(float(block_p75 - block_p25), p50),
        median_low_ms=low,
        median_high_ms=high,
        block_medians_ms=tuple(medians.tolist()),
    )


def interval_ranks(count: int, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """The ranks of the order statistics that bound the median's confidence interval.

    Each value is below the median with probability 1/2, so the number of values below it is
    binomial. This needs no assumption on the shape of the distribution (Conover, Practical
    Nonparametric Statistics, 3.2).

    Returns:
        Zero-based ranks (low, high): the narrowest symmetric pair with at least the confidence.
        None if the range from smallest to largest does not reach it (fewer than 6 values at 95 %).
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
    """Confidence interval of the median; the smallest and largest value if there are too few."""
    ordered = np.sort(np.asarray(values, np.float64))
    low, high = interval_ranks(ordered.size, confidence) or (0, ordered.size - 1)
    return float(ordered[low]), float(ordered[high])


def ratio_or_zero(part: float, whole: float) -> float:
    """The quotient, or 0 for a denominator of 0."""
    return part / whole if whole else 0.0


def _fields(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    """Selects a dataclass's fields from a table; JSON lists become tuples."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in table.items()
        if name in names
    }
