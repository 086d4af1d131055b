"""Warnings about the state of a machine before the measurement, each with the next step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgebert.profiling.measurement import Device
from edgebert.system.plurals import counted

HIGH_LOAD_PER_CORE = 0.5
BUSY_BEFORE = "The machine was busy before"

ALIKE_CORES = 1.1
"""Cores whose highest frequencies differ by at most this factor count as one kind."""


def machine_warnings(device: Device, environment: Mapping[str, Any], threads: int) -> list[str]:
    """Reasons to doubt every measurement on the machine.

    Args:
        device: The machine.
        environment: The `environment` of the runner's `hello`, read before the measurement.
        threads: Thread count of the models.
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
            "Energy is unknown: this user may not read the processor's counters. Next: sudo chmod "
            "a+r /sys/class/powercap/intel-rapl:*/energy_uj (lasts until the next boot)."
        )
    mixed = mixed_cores(environment.get("core_mhz", {}))
    return [*found, mixed] if mixed else found


def mixed_cores(core_mhz: Mapping[str, float]) -> str | None:
    """The warning for a machine with cores of different kinds; None if all are of one kind.

    Args:
        core_mhz: Highest frequency in MHz, by the number of the core.
    """
    fastest = max(core_mhz.values(), default=0.0)
    big = [int(core) for core, mhz in core_mhz.items() if mhz * ALIKE_CORES >= fastest]
    slow = [mhz for core, mhz in core_mhz.items() if int(core) not in big]
    if not slow:
        return None
    mask = sum(1 << core for core in big)
    return (
        f"The machine has cores of different kinds, {len(big)} up to {fastest:.0f} MHz and "
        f"{len(slow)} up to {max(slow):.0f} MHz, and the system may move the work between them. "
        f"Next: give --cpu-mask {mask:x} for the fast cores."
    )
