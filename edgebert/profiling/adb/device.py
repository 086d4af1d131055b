"""Facts of a phone, its thermal state, and warnings about both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from edgebert.profiling.adb.client import Adb
from edgebert.profiling.measurement import Device
from edgebert.profiling.runner import CPU_FEATURES

LOW_BATTERY_PERCENT = 20
HOTTER_C, SLOWER_SHARE = 3.0, 0.1
"""Both together indicate throttling if the phone has no thermal status."""

THERMAL_STATES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")

_CPU = "/sys/devices/system/cpu"
_FACTS = {
    "properties": "getprop",
    "cores": f"ls -d {_CPU}/cpu[0-9]*",
    "governors": f"cat {_CPU}/cpu[0-9]*/cpufreq/scaling_governor",
    "load": "cat /proc/loadavg",
    "features": "grep -m 1 Features /proc/cpuinfo",
    "battery": "dumpsys battery",
    "saver": "settings get global low_power",
    "wakefulness": "dumpsys power | grep mWakefulness=",
}
_HEAT = {
    "thermal": "dumpsys thermalservice",
    "battery": "dumpsys battery",
    "frequencies": f"cat {_CPU}/cpu[0-9]*/cpufreq/scaling_cur_freq",
}
_TEMPERATURE = re.compile(r"Temperature\{mValue=(-?\d+(?:\.\d+)?), mType=(\d+),")
_HEAT_SENSORS = {"0", "1", "2", "3", "9", "13"}
"""Types of temperature sensors: CPU, GPU, battery, skin, NPU, SoC. Other entries of the list are
currents, voltages and percentages."""
_HOTTEST_SENSIBLE = 150.0


@dataclass(frozen=True)
class Thermal:
    """The thermal state of a phone at one time. Unknown values are None.

    Attributes:
        level: Android's thermal status, 0 (none) to 6 (shutdown).
        temperature_c: Temperature of the hottest sensor, degrees Celsius.
        frequency_mhz: Frequency of the fastest core.
    """

    level: int | None
    temperature_c: float | None
    frequency_mhz: float | None

    @property
    def state(self) -> str:
        """The name of the level. Empty if unknown."""
        return "" if self.level is None else THERMAL_STATES[self.level]

    def __str__(self) -> str:
        heat = "" if self.temperature_c is None else f"{self.temperature_c:.1f} °C"
        return ", ".join(filter(None, (self.state, heat))) or "unknown"


@dataclass(frozen=True)
class PhoneState:
    """Facts of a phone and warnings about its state.

    Attributes:
        device: The `Device` of its measurements.
        abi: ABI of native programs, such as arm64-v8a.
        warnings: Reasons to doubt its figures, each with the next step.
    """

    device: Device
    abi: str
    warnings: tuple[str, ...]


def read_thermal(adb: Adb) -> Thermal:
    """Reads the current thermal state.

    Raises:
        EdgebertError: The phone is gone.
    """
    heat = adb.query(_HEAT)
    level = re.search(r"^Thermal Status: ([0-6])\s*$", heat["thermal"], re.MULTILINE)
    frequencies = [int(khz) for khz in re.findall(r"^\d+$", heat["frequencies"], re.MULTILINE)]
    return Thermal(
        level=int(level[1]) if level else None,
        temperature_c=_hottest(heat["thermal"], heat["battery"]),
        frequency_mhz=max(frequencies) / 1000 if frequencies else None,
    )


def _hottest(thermal: str, battery: str) -> float | None:
    """The hottest sensor: of the current values, else of the cached ones, else of the battery."""
    now = thermal.partition("Current temperatures from HAL:")[2] or thermal
    found = [float(value) for value, kind in _TEMPERATURE.findall(now) if kind in _HEAT_SENSORS]
    found = [value for value in found if 0 < value < _HOTTEST_SENSIBLE]
    if not found and (tenths := _field(battery, "temperature")).isdigit():
        found = [int(tenths) / 10]
    return max(found, default=None)


def heat_notes(heat: Sequence[Thermal], medians_ms: Sequence[float]) -> list[str]:
    """Warnings if the phone slowed down because of heat.

    Args:
        heat: Thermal states before the first block of calls, and after each block.
        medians_ms: Medians of the blocks.
    """
    first, levels = heat[0], [moment.level or 0 for moment in heat]
    again = "Next: take off its case, let it cool, and measure again."
    if max(levels) > levels[0]:
        hottest = max(heat, key=lambda moment: moment.level or 0)
        return [
            f"Thermal throttling: the phone's thermal state rose from {first} to {hottest} while "
            f"it was measured. {again}"
        ]
    if levels[0] > 0:
        return [f"The phone was hot before ({first}) and may have been slowed down. {again}"]
    third = len(medians_ms) // 3
    before, after = first.temperature_c, heat[-1].temperature_c
    if third and before is not None and after is not None and after - before >= HOTTER_C:
        slower = median(medians_ms[-third:]) / median(medians_ms[:third]) - 1
        if slower > SLOWER_SHARE:
            return [
                f"Thermal throttling: the last calls took {slower:.0%} longer than the first, and "
                f"the phone went from {before:.0f} to {after:.0f} °C. {again}"
            ]
    return []


def read_phone(adb: Adb, cpu_mask: str = "") -> PhoneState:
    """Reads the facts of a phone and checks its state.

    Args:
        adb: The phone.
        cpu_mask: The cores that programs will run on, in hex. Empty means all.

    Raises:
        EdgebertError: The phone is gone.
    """
    facts = adb.query(_FACTS)
    properties = dict(re.findall(r"^\[([^\]]+)\]: \[(.*)\]\r?$", facts["properties"], re.MULTILINE))
    maker, model = (properties.get(f"ro.product.{key}", "") for key in ("manufacturer", "model"))
    chip = [properties.get(f"ro.soc.{key}", "") for key in ("manufacturer", "model")]
    board = properties.get("ro.board.platform", "")
    abi = properties.get("ro.product.cpu.abi", "")
    release, sdk = (properties.get(f"ro.build.version.{key}", "") for key in ("release", "sdk"))
    level, saver = _field(facts["battery"], "level"), facts["saver"].strip()
    wakefulness = facts["wakefulness"].partition("=")[2].strip()
    load = re.match(r"\d+\.\d+", facts["load"])
    features = facts["features"].partition(":")[2].split()
    cores = bin(int(cpu_mask, 16)).count("1") if cpu_mask else len(facts["cores"].split())
    device = Device(
        name=model if model.lower().startswith(maker.lower()) else f"{maker.title()} {model}",
        cpu=" ".join(filter(None, chip)) or board or "unknown",
        cores=max(cores, 1),
        architecture=abi,
        os=f"Android {release}".strip(),
        cpu_features=tuple(feature for feature in CPU_FEATURES if feature in features),
        load_average=float(load[0]) if load else None,
        governor=", ".join(dict.fromkeys(facts["governors"].split())) or None,
        details={
            name: value
            for name, value in (
                ("serial", adb.serial),
                ("android_sdk", sdk),
                ("android_build", properties.get("ro.build.id", "")),
                ("board", board),
                ("battery_percent", level),
                ("battery_saver", {"1": "on", "0": "off"}.get(saver, "")),
                ("screen", wakefulness.lower()),
                ("cpu_mask", cpu_mask),
            )
            if value
        },
    )
    return PhoneState(device, abi, tuple(_state_warnings(level, saver, wakefulness)))


def _state_warnings(level: str, saver: str, wakefulness: str) -> list[str]:
    found = []
    if saver == "1":
        found.append(
            "Battery saver was on, which slows the processor. Next: switch it off (adb shell "
            "settings put global low_power 0) and measure again."
        )
    if level.isdigit() and int(level) < LOW_BATTERY_PERCENT:
        found.append(
            f"The battery was at {level} %, a level at which phones save power. Next: charge it to "
            f"at least {LOW_BATTERY_PERCENT} % and measure again."
        )
    if wakefulness and wakefulness != "Awake":
        found.append(
            "The screen was off, and phones may then use only their slow cores. Next: adb shell "
            "input keyevent WAKEUP, adb shell svc power stayon usb, and measure again."
        )
    return found


def _field(text: str, name: str) -> str:
    """A field of `dumpsys battery`. Empty if there is none."""
    found = re.search(rf"^\s*{re.escape(name)}: (\S+)", text, re.MULTILINE)
    return found[1] if found else ""
