"""Where measurements were made: devices told apart and named, the same in every table and plot.

One device is one target, machine, system, runtime and setup: a phone that was measured through adb
and in its browser, or on its CPU and its GPU, is two devices here, since what runs there differs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgebert.profiling.comparison import setup_of
from edgebert.profiling.measurement import Kind, Measurement
from edgebert.reporting.units import NOTHING, moment_text, threads_text

_SESSION_DIGITS = 6


class Timed(Protocol):
    """Anything that says what was timed."""

    @property
    def threads(self) -> int: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def length(self) -> int | None: ...


@dataclass(frozen=True)
class DeviceKey:
    """What makes two measurements ones of the same device. Loads and temperatures don't."""

    target: str
    name: str
    cpu: str
    cores: int
    architecture: str
    os: str
    runtime: str
    setup: str

    @property
    def way(self) -> str:
        """How it is reached: the target without its address."""
        return self.target.partition(":")[0]


@dataclass(frozen=True)
class Place:
    """What latencies must have in common to be compared."""

    device: DeviceKey
    threads: int
    kind: Kind
    length: int | None


def device_of(m: Measurement) -> DeviceKey:
    """The device that was measured."""
    device = m.device
    return DeviceKey(
        m.target,
        device.name,
        device.cpu,
        device.cores,
        device.architecture,
        device.os,
        m.runtime,
        ", ".join(f"{name} {value}" for name, value in setup_of(m).items()),
    )


def place_of(m: Measurement) -> Place:
    """What was measured where."""
    return Place(device_of(m), m.threads, m.kind, m.length)


def place_text(m: Timed) -> str:
    """What was timed: so many tokens, or text in to label out."""
    if m.kind == "end_to_end":
        return "text to answer"
    return "model" if m.length is None else f"{m.length} tokens"


def timed_text(m: Timed) -> str:
    """What was timed, and with how many threads."""
    return f"{place_text(m)}, {threads_text(m.threads)}"


def device_labels(measurements: Iterable[Measurement]) -> dict[DeviceKey, str]:
    """A short name for each device, unique among those measured, in the order of the measurements.

    It is the device's name or processor; with several devices also how each is reached, and then as
    many further facts as tell them apart.
    """
    keys = list(dict.fromkeys(map(device_of, measurements)))
    parts: dict[DeviceKey, list[str]] = {key: [] for key in keys}
    if len(keys) > 1:
        for key in keys:
            parts[key].append(key.way)
    for fact in ("setup", "runtime", "os", "cores", "architecture", "cpu", "target"):
        alike = defaultdict(list)
        for key in keys:
            alike[_label(key, parts[key])].append(key)
        for group in alike.values():
            if len({getattr(key, fact) for key in group}) > 1:
                for key in group:
                    parts[key].append(_fact_text(key, fact))
    texts = [_label(key, parts[key]) for key in keys]
    return dict(zip(keys, _numbered(texts), strict=True))


def _label(key: DeviceKey, parts: Sequence[str]) -> str:
    name = key.name or key.cpu or key.target or NOTHING
    told = ", ".join(filter(None, parts))
    return f"{name} ({told})" if told else name


def _fact_text(key: DeviceKey, fact: str) -> str:
    return f"{key.cores} cores" if fact == "cores" else str(getattr(key, fact))


def _numbered(texts: Sequence[str]) -> list[str]:
    """The texts, with a number behind those that were there before."""
    taken: set[str] = set()
    unique = []
    for text in texts:
        number, candidate = 1, text
        while candidate in taken:
            number += 1
            candidate = f"{text} #{number}"
        taken.add(candidate)
        unique.append(candidate)
    return unique


def measurement_names(measurements: Sequence[Measurement]) -> list[str]:
    """Each measurement's model, told from others in the same place.

    Signatures of one length are named where there are several, and so is the moment where a place
    was measured more than once.
    """
    signatures = defaultdict(set)
    for m in measurements:
        signatures[place_of(m), m.name].add(m.signature)
    plain = [
        m.name + (f":{m.signature or ''}" * (len(signatures[place_of(m), m.name]) > 1))
        for m in measurements
    ]
    timed = _told_apart(measurements, plain, lambda m: moment_text(m.measured) or _session(m))
    return _told_apart(measurements, timed, _session)


def _told_apart(
    measurements: Sequence[Measurement], names: Sequence[str], fact: Callable[[Measurement], str]
) -> list[str]:
    seen = Counter((place_of(m), name) for m, name in zip(measurements, names, strict=True))
    return [
        f"{name}, {fact(m)}" if seen[place_of(m), name] > 1 else name
        for m, name in zip(measurements, names, strict=True)
    ]


def _session(m: Measurement) -> str:
    return f"session {m.session[:_SESSION_DIGITS]}"


def latest(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Of each model and signature in each place what was measured last; the order stays."""
    newest: dict[tuple[object, ...], Measurement] = {}
    for m in measurements:
        key = (place_of(m), m.name, m.signature)
        if key not in newest or m.measured >= newest[key].measured:
            newest[key] = m
    kept = set(map(id, newest.values()))
    return [m for m in measurements if id(m) in kept]


def common_place(measurements: Sequence[Measurement]) -> Place | None:
    """Where the most models were measured; None where nothing was.

    Of several such places: text to answer before a length, few threads before many, long texts
    before short ones, and the first device before others.
    """
    names: dict[Place, set[str]] = defaultdict(set)
    for m in measurements:
        names[place_of(m)].add(m.name)
    return max(
        names,
        key=lambda p: (len(names[p]), p.kind == "end_to_end", -p.threads, p.length or 0),
        default=None,
    )
