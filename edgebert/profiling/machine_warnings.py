"""What is wrong with a machine before anything is measured on it, each with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgebert.profiling.measurement import Device

HIGH_LOAD_PER_CORE = 0.5
BUSY_BEFORE = "The machine was busy before"

ALIKE_CORES = 1.1
"""Cores whose highest frequencies differ by no more than this factor are of one kind."""


def machine_warnings(device: Device, environment: Mapping[str, Any], threads: int) -> list[str]:
    """What makes every measurement on the machine doubtful.

    Args:
        device: the machine.
        environment: of the runner's `hello`, before any load of our own.
        threads: that the models are given.
    """
    load, cores, found = device.load_average, device.cores, []
    if load is not None and load > HIGH_LOAD_PER_CORE * cores:
        found.append(
            f"{BUSY_BEFORE}: load average {load:.1f} on {counted(cores, 'core')}. "
            "Next: wait until it is quiet and measure again."
        )
    if threads > cores:
        found.append(
            f"{counted(threads, 'thread')} share {counted(cores, 'core')}. "
            f"Next: give --threads {cores} at most."
        )
    if environment.get("energy_denied"):
        found.append(
            "Energy is unknown: this user may not read the processor's counters. Next, until the "
            "machine starts anew: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        )
    mixed = mixed_cores(environment.get("core_mhz", {}))
    return [*found, mixed] if mixed else found


def mixed_cores(core_mhz: Mapping[str, float]) -> str | None:
    """What to say where cores of different kinds were used.

    Args:
        core_mhz: the highest frequency by the core's number.
    """
    fastest = max(core_mhz.values(), default=0.0)
    big = [int(core) for core, mhz in core_mhz.items() if mhz * ALIKE_CORES >= fastest]
    slow = [mhz for core, mhz in core_mhz.items() if int(core) not in big]
    if not slow:
        return None
    mask = sum(1 << core for core in big)
    return (
        f"Its cores are of different kinds, {len(big)} up to {fastest:.0f} MHz and {len(slow)} up "
        f"to {max(slow):.0f} MHz, and the system may move the work between them. "
        f"Next: give --cpu-mask {mask:x} for the fast ones."
    )


def counted(count: int, noun: str) -> str:
    """`1 core`, `2 cores`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
