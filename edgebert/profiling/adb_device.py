"""One phone behind the real `adb` client: its shell, its files, what it is and how hot it is."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgebert.errors import EdgebertError
from edgebert.profiling.benchmark_output import last_lines
from edgebert.profiling.measurement import Device
from edgebert.profiling.runner import CPU_FEATURES

SHELL_TIMEOUT_SECONDS = 60.0
PUSH_TIMEOUT_SECONDS = 600.0
LOW_BATTERY_PERCENT = 20
THERMAL_STATES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
INSTALL_ADB = (
    "Next: apt-get install adb (macOS: brew install android-platform-tools), or put the "
    "platform-tools of the Android SDK on PATH."
)

_EXIT_MARK = "edgebert-exit:"
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
"""Types of sensors that tell heat: processor, GPU, battery, skin, NPU, the whole chip. Others of
the same list are currents, voltages and percentages."""
_HOTTEST_SENSIBLE = 150.0


@dataclass(frozen=True)
class Attached:
    """A line of `adb devices -l`."""

    serial: str
    state: str
    model: str


@dataclass(frozen=True)
class Thermal:
    """How hot a phone was at a moment; None where it doesn't tell.

    Attributes:
        level: Android's thermal status, 0 (none) to 6 (shutdown).
        temperature_c: of the hottest sensor, degrees Celsius.
        frequency_mhz: of the core that ran fastest.
    """

    level: int | None
    temperature_c: float | None
    frequency_mhz: float | None

    @property
    def state(self) -> str:
        """The level's name, empty where unknown."""
        return "" if self.level is None else THERMAL_STATES[self.level]

    def __str__(self) -> str:
        heat = "" if self.temperature_c is None else f"{self.temperature_c:.1f} °C"
        return ", ".join(filter(None, (self.state, heat))) or "unknown"


@dataclass(frozen=True)
class PhoneState:
    """What a phone is, and what about its state makes its figures doubtful.

    Attributes:
        device: for measurements.
        abi: of native programs, such as arm64-v8a.
        warnings: each with what to do.
    """

    device: Device
    abi: str
    warnings: tuple[str, ...]


def run_adb(*arguments: str, timeout: float = SHELL_TIMEOUT_SECONDS) -> str:
    """Output of an adb command that is for no phone in particular.

    Raises:
        EdgebertError: adb is missing, or it failed; with its own words.
    """
    try:
        done = subprocess.run(
            ["adb", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise EdgebertError(f"The adb client was expected on PATH. {INSTALL_ADB}") from error
    except subprocess.TimeoutExpired as error:
        raise EdgebertError(
            f"'adb {arguments[0]}' gave no answer for {timeout:g} s. Next: adb kill-server, plug "
            "the phone in again, and try once more."
        ) from error
    if done.returncode:
        raise EdgebertError(
            f"'adb {arguments[0]}' failed.{last_lines(done.stderr.decode('utf-8', 'replace'))} "
            "Next: adb kill-server, then adb devices."
        )
    return done.stdout.decode("utf-8", "replace")


def attached_devices() -> tuple[Attached, ...]:
    """What adb sees, in its order, whatever state it is in.

    Raises:
        EdgebertError: adb is missing or its server can't be started.
    """
    found = []
    for line in run_adb("devices", "-l").splitlines()[1:]:
        serial, _, rest = line.partition(" ")
        if rest.strip() and not serial.startswith("*"):
            model = re.search(r"\bmodel:(\S+)", rest)
            name = model[1].replace("_", " ") if model else ""
            found.append(Attached(serial, rest.split()[0], name))
    return tuple(found)


class Adb:
    """The adb client for one phone.

    Args:
        serial: as `adb devices` names it.
    """

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._interrupted = False

    def shell(self, command: str, timeout: float = SHELL_TIMEOUT_SECONDS) -> tuple[int, str]:
        """Runs a command of the phone's shell.

        Returns:
            Its exit code, and what it wrote to stdout and stderr together.

        Raises:
            EdgebertError: the phone is gone, or did not answer in time.
        """
        _, output = self._call(["shell", f"({command}) 2>&1; echo {_EXIT_MARK}$?"], timeout)
        text, marked, code = output.rpartition(_EXIT_MARK)
        if not marked or not code.strip().isdigit():
            raise EdgebertError(self._lost(output))
        return int(code), text

    def ask(self, commands: Mapping[str, str]) -> dict[str, str]:
        """Outputs of several commands by name, in one call; empty where a command failed."""
        parts = [f"echo '#{name}'; ({command}) 2>/dev/null" for name, command in commands.items()]
        _, output = self.shell("; ".join(parts))
        answers = dict.fromkeys(commands, "")
        name = ""
        for line in output.splitlines(keepends=True):
            if line.startswith("#") and line[1:].strip() in commands:
                name = line[1:].strip()
            elif name:
                answers[name] += line
        return answers

    def push(self, local: Path, remote: str) -> None:
        """Copies a file to the phone.

        Raises:
            EdgebertError: the phone is gone or full.
        """
        code, output = self._call(["push", str(local), remote], PUSH_TIMEOUT_SECONDS)
        if code:
            if self.state() != "device":
                raise EdgebertError(self._lost(output))
            raise EdgebertError(
                f"{local} can't be copied to {self.serial}:{remote}.{last_lines(output)} "
                "Next: see that the phone has room (adb shell df -h /data/local/tmp)."
            )

    def state(self) -> str:
        """As `adb get-state` says, "missing" where it knows no such phone."""
        code, output = self._call(["get-state"], SHELL_TIMEOUT_SECONDS)
        return "missing" if code else output.strip()

    def interrupt(self) -> None:
        """Ends the call that is under way; later ones fail too, until `resume`."""
        with self._lock:
            self._interrupted = True
            if self._running is not None:
                self._running.kill()

    def resume(self) -> None:
        """Lets calls through again, to clean up."""
        with self._lock:
            self._interrupted = False

    def _call(self, arguments: list[str], timeout: float) -> tuple[int, str]:
        with self._lock:
            if self._interrupted:
                raise EdgebertError(f"{self.serial}: stopped.")
            try:
                process = subprocess.Popen(
                    ["adb", "-s", self.serial, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            except FileNotFoundError as error:
                raise EdgebertError(
                    f"The adb client was expected on PATH. {INSTALL_ADB}"
                ) from error
            self._running = process
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise EdgebertError(
                f"{self.serial} gave no answer to 'adb {arguments[0]}' for {timeout:g} s. "
                "Next: unlock the phone, plug it in again, and measure again."
            ) from error
        finally:
            with self._lock:
                self._running = None
            if process.poll() is None:
                process.kill()
                process.communicate()
        return process.returncode, output.decode("utf-8", "replace")

    def _lost(self, output: str) -> str:
        return (
            f"The connection to {self.serial} was lost: it was unplugged, or its USB debugging was "
            f"switched off.{last_lines(output)} Next: plug it in again and measure again."
        )


def read_thermal(adb: Adb) -> Thermal:
    """How hot the phone is now.

    Raises:
        EdgebertError: the phone is gone.
    """
    heat = adb.ask(_HEAT)
    level = re.search(r"^Thermal Status: ([0-6])\s*$", heat["thermal"], re.MULTILINE)
    frequencies = [int(khz) for khz in re.findall(r"^\d+$", heat["frequencies"], re.MULTILINE)]
    return Thermal(
        level=int(level[1]) if level else None,
        temperature_c=_hottest(heat["thermal"], heat["battery"]),
        frequency_mhz=max(frequencies) / 1000 if frequencies else None,
    )


def _hottest(thermal: str, battery: str) -> float | None:
    """Of the sensors as they are now, else as they were last kept, else of the battery alone."""
    now = thermal.partition("Current temperatures from HAL:")[2] or thermal
    found = [float(value) for value, kind in _TEMPERATURE.findall(now) if kind in _HEAT_SENSORS]
    found = [value for value in found if 0 < value < _HOTTEST_SENSIBLE]
    if not found and (tenths := _field(battery, "temperature")).isdigit():
        found = [int(tenths) / 10]
    return max(found, default=None)


def read_phone(adb: Adb, cpu_mask: str = "") -> PhoneState:
    """What the phone is, and what of its state makes figures doubtful.

    Args:
        adb: the phone.
        cpu_mask: the cores that programs will run on, in hex; all when empty.

    Raises:
        EdgebertError: the phone is gone.
    """
    facts = adb.ask(_FACTS)
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
    return PhoneState(device, abi, tuple(_doubts(level, saver, wakefulness)))


def _doubts(level: str, saver: str, wakefulness: str) -> list[str]:
    found = []
    if saver == "1":
        found.append(
            "Battery saver was on, which slows the processor. Next: switch it off (adb shell "
            "settings put global low_power 0) and measure again."
        )
    if level.isdigit() and int(level) < LOW_BATTERY_PERCENT:
        found.append(
            f"The battery was at {level} %, where phones save power. Next: charge it to "
            f"{LOW_BATTERY_PERCENT} % at least and measure again."
        )
    if wakefulness and wakefulness != "Awake":
        found.append(
            "The screen was off, and phones may then keep to their slow cores. Next: adb shell "
            "input keyevent WAKEUP, adb shell svc power stayon usb, and measure again."
        )
    return found


def _field(text: str, name: str) -> str:
    """A field of `dumpsys battery`, empty where there is none."""
    found = re.search(rf"^\s*{re.escape(name)}: (\S+)", text, re.MULTILINE)
    return found[1] if found else ""

