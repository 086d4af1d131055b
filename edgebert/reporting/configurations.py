"""Devices and configurations of measurements, with the same names in all tables and plots.

A device here is a target, machine, system, runtime and setup. A phone that was measured through adb
and in its browser, or on its CPU and its GPU, counts as two devices, since other code runs there.
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
    """An object with a thread count, a kind of measurement and a token length."""

    @property
    def threads(self) -> int: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def length(self) -> int | None: ...


@dataclass(frozen=True)
class DeviceKey:
    """The identity of a device; load and temperature do not count."""

    target: str
    name: str
    cpu: str
    cores: int
    architecture: str
    os: str
    runtime: str
    setup: str

    @property
    def target_kind(self) -> str:
        """The target without its address, such as `adb`."""
        return self.target.partition(":")[0]


@dataclass(frozen=True)
class Configuration:
    """The properties that must be equal to compare latencies."""

    device: DeviceKey
    threads: int
    kind: Kind
    length: int | None


def device_of(m: Measurement) -> DeviceKey:
    """The device of a measurement."""
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


def configuration_of(m: Measurement) -> Configuration:
    """The configuration of a measurement."""
    return Configuration(device_of(m), m.threads, m.kind, m.length)


def workload_text(m: Timed) -> str:
    """What was timed: a token length, or text to answer."""
    if m.kind == "end_to_end":
        return "text to answer"
    return "model" if m.length is None else f"{m.length} tokens"


def configuration_text(m: Timed) -> str:
    """What was timed, with the thread count."""
    return f"{workload_text(m)}, {threads_text(m.threads)}"


def device_labels(measurements: Iterable[Measurement]) -> dict[DeviceKey, str]:
    """A short unique name for each device, in the order of the measurements.

    The name is that of the device or of its processor. If there are several devices, the kind of
    target and as many facts as needed to distinguish them are added.
    """
    keys = list(dict.fromkeys(map(device_of, measurements)))
    parts: dict[DeviceKey, list[str]] = {key: [] for key in keys}
    if len(keys) > 1:
        for key in keys:
            parts[key].append(key.target_kind)
    for fact in ("setup", "runtime", "os", "cores", "architecture", "cpu", "target"):
        same_label = defaultdict(list)
        for key in keys:
            same_label[_label(key, parts[key])].append(key)
        for group in same_label.values():
            if len({getattr(key, fact) for key in group}) > 1:
                for key in group:
                    parts[key].append(_fact_text(key, fact))
    texts = [_label(key, parts[key]) for key in keys]
    return dict(zip(keys, _numbered(texts), strict=True))


def _label(key: DeviceKey, parts: Sequence[str]) -> str:
    name = key.name or key.cpu or key.target or NOTHING
    facts = ", ".join(filter(None, parts))
    return f"{name} ({facts})" if facts else name


def _fact_text(key: DeviceKey, fact: str) -> str:
    return f"{key.cores} cores" if fact == "cores" else str(getattr(key, fact))


def _numbered(texts: Sequence[str]) -> list[str]:
    """Adds numbers to repeated texts."""
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
    """A name for each measurement that is unique in its configuration.

    The name is that of the model. The signature is added if several have the same length, and the
    time if a configuration was measured more than once.
    """
    signatures = defaultdict(set)
    for m in measurements:
        signatures[configuration_of(m), m.name].add(m.signature)
    plain = [
        m.name + (f":{m.signature or ''}" * (len(signatures[configuration_of(m), m.name]) > 1))
        for m in measurements
    ]
    timed = _distinguished(measurements, plain, lambda m: moment_text(m.measured) or _session(m))
    return _distinguished(measurements, timed, _session)


def _distinguished(
    measurements: Sequence[Measurement], names: Sequence[str], fact: Callable[[Measurement], str]
) -> list[str]:
    seen = Counter((configuration_of(m), name) for m, name in zip(measurements, names, strict=True))
    return [
        f"{name}, {fact(m)}" if seen[configuration_of(m), name] > 1 else name
        for m, name in zip(measurements, names, strict=True)
    ]


def _session(m: Measurement) -> str:
    return f"session {m.session[:_SESSION_DIGITS]}"


def latest(measurements: Sequence[Measurement]) -> list[Measurement]:
    """The latest measurement of each model, signature and configuration, in the given order."""
    newest: dict[tuple[object, ...], Measurement] = {}
    for m in measurements:
        key = (configuration_of(m), m.name, m.signature)
        if key not in newest or m.measured >= newest[key].measured:
            newest[key] = m
    kept = set(map(id, newest.values()))
    return [m for m in measurements if id(m) in kept]


def common_configuration(measurements: Sequence[Measurement]) -> Configuration | None:
    """The configuration in which the most models were measured; None without measurements.

    Ties are resolved in this order: text to answer before a token length, fewer threads, longer
    texts, the first device.
    """
    names: dict[Configuration, set[str]] = defaultdict(set)
    for m in measurements:
        names[configuration_of(m)].add(m.name)
    return max(
        names,
        key=lambda p: (len(names[p]), p.kind == "end_to_end", -p.threads, p.length or 0),
        default=None,
    )
