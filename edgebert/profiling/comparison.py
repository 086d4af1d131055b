"""Comparison of new measurements with old ones: what became slower, and with which confidence.

Two measurements are compared if they have the same place: target, threads, length, kind and model.
A median counts as slower only if the two 95 % confidence intervals do not overlap, and only on the
same machine. The gate fails only if the fastest block exceeds the limit too, since other programs
make calls slower and never faster, and only if a second measurement confirms it. A short load peak
is not enough to fail a build.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from edgebert.profiling.measurement import FEWEST_BLOCKS, Kind, Latency, Measurement
from edgebert.profiling.target import Job, Outcome, Target
from edgebert.system.progress import Progress, silent

FORMAT = "edgebert-comparison"
FORMAT_VERSION = 1

MACHINE = ("name", "cpu", "cores", "architecture")
"""Fields of a `Device` that identify the machine. Another system or runtime is only reported."""

SETUP = ("delegate", "cpu_mask", "wasm_build")
"""The `details` of a `Device` that define how it ran the model. They identify the machine, too."""

NO_SECOND_MEASUREMENT = ("browser", "cloud")
"""Targets where a second measurement needs a person, or costs money."""

Verdict = Literal["faster", "within noise", "slower", "TOO SLOW", "unsure", "other machine"]
CONCLUSIVE: tuple[Verdict, ...] = ("faster", "within noise", "slower", "TOO SLOW")


@dataclass(frozen=True)
class Change:
    """The old and the new measurement of one place.

    Attributes:
        name: Name of the new model.
        old_name: Name of the old model.
        target: Target, as in the `Measurement`; the same for `threads`, `length` and `kind`.
        old_ms: Old median.
        new_ms: New median.
        ratio: New median divided by the old one. Above 1 is slower.
        ratio_low: Smallest ratio within both confidence intervals. None if one is unknown.
        ratio_high: Largest ratio within both confidence intervals.
        best_ratio: Ratio of the fastest blocks' medians, or of the fastest calls for a single
            block. Other programs on the machine affect it least.
        size_ratio: Ratio of the file sizes. None if the old size is 0.
        memory_ratio: Ratio of the peak memories. None if unknown.
        verdict: "unsure" means too few calls. "TOO SLOW" means slower and above the limit.
        differences: Differences of the machine, its system and the runtime, in words.
        other_ratio: Ratio of the second measurement, if there was one. The faster one counts.
    """

    name: str
    old_name: str
    target: str
    threads: int
    length: int | None
    kind: Kind
    old_ms: float
    new_ms: float
    ratio: float
    ratio_low: float | None
    ratio_high: float | None
    best_ratio: float
    size_ratio: float | None
    memory_ratio: float | None
    verdict: Verdict
    differences: tuple[str, ...] = ()
    other_ratio: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The comparison of all places.

    Attributes:
        changes: Places that both have, in the order of the new measurements.
        limit: Allowed slowdown of a median, as a share. None applies no limit.
        added: New measurements of places that the old ones do not have.
        gone: Old measurements of places that were not measured again.
    """

    changes: tuple[Change, ...]
    limit: float | None
    added: tuple[Measurement, ...] = ()
    gone: tuple[Measurement, ...] = ()

    @property
    def too_slow(self) -> tuple[Change, ...]:
        """The changes that exceed the limit."""
        return tuple(change for change in self.changes if change.verdict == "TOO SLOW")

    @property
    def conclusive(self) -> bool:
        """Whether at least one place has a verdict on the same machine."""
        return any(change.verdict in CONCLUSIVE for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types. `added` and `gone` contain only the places."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "fail_above": self.limit,
            "changes": [asdict(change) for change in self.changes],
            "added": [_place_to_dict(m) for m in self.added],
            "gone": [_place_to_dict(m) for m in self.gone],
        }


def _place_to_dict(m: Measurement) -> dict[str, Any]:
    names = ("name", "target", "threads", "length", "kind")
    return {name: getattr(m, name) for name in names}


def compare(
    old: Sequence[Measurement], new: Sequence[Measurement], limit: float | None = None
) -> Comparison:
    """Compares measurements with old ones of the same target, threads, length, kind and model.

    A model is matched by its name, then by its SHA-256, and then, if equally many old and new
    models remain, by its position. Among several old measurements, one of the same machine is
    preferred, then the latest.

    Args:
        old: The old measurements.
        new: The new measurements.
        limit: Allowed slowdown: 0.1 allows a median to be 10 % slower.
    """
    was = _old_names(old, new)
    changes, added, used = [], [], []
    for m in new:
        place = _place(m)
        same = [
            o for o in old if _place(o) == place and o.name == was.get((m.target, m.name), None)
        ]
        if not same:
            added.append(m)
            continue
        used += same
        best = max(same, key=lambda o: (not _differs(o, m), o.signature == m.signature, o.measured))
        changes.append(_change(best, m, limit))
    gone = [o for o in old if all(o is not one for one in used)]
    return Comparison(tuple(changes), limit, tuple(added), tuple(gone))


def _place(m: Measurement) -> tuple[object, ...]:
    return (m.target, m.threads, m.length, m.kind)


def _old_names(
    old: Sequence[Measurement], new: Sequence[Measurement]
) -> dict[tuple[str, str], str]:
    """The old name of each model, by target and new name."""
    names: dict[tuple[str, str], str] = {}
    for target in dict.fromkeys(m.target for m in new):
        then = {m.name: m.sha256 for m in old if m.target == target}
        now = {m.name: m.sha256 for m in new if m.target == target}
        found = {name: name for name in now if name in then}
        for name, sha256 in now.items():
            alike = [o for o, theirs in then.items() if theirs == sha256]
            free = [o for o in alike if o not in found.values()]
            if name not in found and free:
                found[name] = free[0]
        left_now = [name for name in now if name not in found]
        left_then = [name for name in then if name not in found.values()]
        if len(left_now) == len(left_then):
            found |= dict(zip(left_now, left_then, strict=True))
        names |= {(target, name): found[name] for name in found}
    return names


def setup_of(m: Measurement) -> dict[str, str]:
    """How the device ran the model, by name. Empty for most targets."""
    return {name: value for name in SETUP if (value := m.device.details.get(name))}


def _machine_of(m: Measurement) -> dict[str, object]:
    return {fact: getattr(m.device, fact) for fact in MACHINE} | setup_of(m)


def _differs(old: Measurement, new: Measurement) -> bool:
    return _machine_of(old) != _machine_of(new)


def _differences(old: Measurement, new: Measurement) -> Iterable[str]:
    then, now = (
        _machine_of(m) | {"os": m.device.os, "governor": m.device.governor, "runtime": m.runtime}
        for m in (old, new)
    )
    for fact in dict.fromkeys((*then, *now)):
        if then.get(fact) != now.get(fact):
            yield f"{fact} is {now.get(fact) or 'unknown'}, was {then.get(fact) or 'unknown'}"


def _change(old: Measurement, new: Measurement, limit: float | None) -> Change:
    then, now = old.latency, new.latency
    ratio = _ratio(now.p50_ms, then.p50_ms) or 1.0
    low = high = None
    if _is_known(then) and _is_known(now):
        low = _ratio(now.median_low_ms, then.median_high_ms)
        high = _ratio(now.median_high_ms, then.median_low_ms)
    best_ratio = _ratio(_fastest(now), _fastest(then)) or 1.0
    memory = None
    if old.peak_memory_bytes and new.peak_memory_bytes:
        memory = new.peak_memory_bytes / old.peak_memory_bytes
    return Change(
        new.name,
        old.name,
        new.target,
        new.threads,
        new.length,
        new.kind,
        then.p50_ms,
        now.p50_ms,
        ratio,
        low,
        high,
        best_ratio,
        _ratio(new.size_bytes, old.size_bytes),
        memory,
        "other machine" if _differs(old, new) else _verdict(ratio, low, high, best_ratio, limit),
        tuple(_differences(old, new)),
    )


def _verdict(
    ratio: float, low: float | None, high: float | None, best_ratio: float, limit: float | None
) -> Verdict:
    if low is None or high is None:
        return "unsure"
    if high < 1:
        return "faster"
    if low <= 1:
        return "within noise"
    if limit is None or ratio <= 1 + limit:
        return "slower"
    return "TOO SLOW" if best_ratio > 1 + limit else "within noise"


def _fastest(latency: Latency) -> float:
    blocks = latency.block_medians_ms
    return min(blocks) if len(blocks) > 1 else latency.min_ms


def _is_known(latency: Latency) -> bool:
    """Whether there are enough blocks (or calls of a single block) for a confidence interval."""
    blocks = len(latency.block_medians_ms)
    return (blocks if blocks > 1 else latency.runs) >= FEWEST_BLOCKS


def _ratio(now: float, then: float) -> float | None:
    return now / then if then > 0 else None


def compare_twice(
    old: Sequence[Measurement],
    outcomes: Sequence[tuple[Target, Outcome]],
    limit: float | None,
    job: Job,
    progress: Progress = silent,
) -> tuple[Comparison, tuple[Measurement, ...]]:
    """Compares, and measures places that are too slow a second time to confirm them.

    Args:
        old: The old measurements.
        outcomes: The outcomes of the job, each with its target.
        limit: Allowed slowdown, as for `compare`.
        job: The job that was measured.
        progress: Receives the progress of the second measurement.

    Returns:
        The comparison, and the measurements of the second run.
    """
    first = compare(old, [m for _, outcome in outcomes for m in outcome.measurements], limit)
    repeated: list[Measurement] = []
    for target, outcome in outcomes:
        names = {m.target for m in outcome.measurements}
        slow = [
            change
            for change in first.too_slow
            if change.target in names
            and change.target.partition(":")[0] not in NO_SECOND_MEASUREMENT
        ]
        if slow:
            repeated += target.profile(repeated_job(job, slow), progress).measurements
    second = compare(old, repeated, limit)
    return confirm(first, second), tuple(repeated)


def repeated_job(job: Job, slow: Sequence[Change]) -> Job:
    """The job that measures only the places that were too slow a second time."""
    lengths = {change.length for change in slow if change.kind == "model"} - {None}
    threads = {change.threads for change in slow}
    settings = replace(
        job.settings,
        threads=tuple(n for n in job.settings.threads if n in threads) or job.settings.threads,
        lengths=tuple(sorted(n for n in lengths if n is not None)) or job.settings.lengths,
        end_to_end=any(change.kind == "end_to_end" for change in slow),
        operations=False,
        sustained_seconds=0.0,
        cold_start=False,
    )
    return replace(job, settings=settings, check=None)


def confirm(first: Comparison, second: Comparison) -> Comparison:
    """Keeps the verdict "TOO SLOW" only if the second comparison confirms it."""
    found = {_change_place(change): change for change in second.changes}

    def confirmed(change: Change) -> Change:
        repeated = found.get(_change_place(change))
        if change.verdict != "TOO SLOW" or repeated is None:
            return change
        counts, other = sorted((change, repeated), key=lambda c: (c.verdict == "TOO SLOW", c.ratio))
        return replace(counts, other_ratio=other.ratio)

    return replace(first, changes=tuple(map(confirmed, first.changes)))


def _change_place(change: Change) -> tuple[object, ...]:
    return (change.target, change.threads, change.length, change.kind, change.name)
