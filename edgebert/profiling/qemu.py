"""The `qemu-arm64` target: runs a file with the real ARM kernels on an emulated processor.

The outputs are those of an ARM machine. The time of emulation is meaningless, so nothing is timed.
The emulated processor decides which kernels run: see `CPUS`.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling import runner
from edgebert.profiling.arm64_root import arm64_root, find_python
from edgebert.profiling.plan import ModelFile
from edgebert.profiling.process import RunnerProcess
from edgebert.profiling.session import check
from edgebert.profiling.target import Job, Outcome
from edgebert.settings import TargetSettings
from edgebert.system.progress import Progress, silent

TARGET = "qemu-arm64"
PROGRAMS = ("qemu-aarch64-static", "qemu-aarch64")
ARM64 = ("aarch64", "arm64")

# Processors that select the kernels of typical phones. Any name of `qemu-aarch64 -cpu help` is
# valid, with properties of qemu after it: max,sve=off.
CPUS = {
    "cortex-a53": "ARMv8.0, plain NEON: phones until about 2018, and the cheapest later",
    "cortex-a76": "int8 dot products and float16: most phones since 2019",
    "max": "int8 matrix products: phones since about 2022; SME too on qemu 10 and newer",
}
DEFAULT_CPU = "cortex-a76"

# Older versions compute matrix products of SME incorrectly (7.2: labels of int8 files are random).
RIGHT_SME = (10, 0)
FIRST_SME = (7, 1)

# LiteRT selects kernels by the processor's part number, too. qemu before 8.1 shows the host's
# /proc/cpuinfo, which ends LiteRT 2.2 and newer with a segmentation fault.
ARM_IMPLEMENTER = 0x41
PARTS = {
    "cortex-a35": 0xD04,
    "cortex-a53": 0xD03,
    "cortex-a57": 0xD07,
    "cortex-a72": 0xD08,
    "cortex-a76": 0xD0B,
}

# No byte code is written: if a file is missing in the emulated root, qemu opens the host's file.
ISOLATED = ("-I", "-B")
LOADS = "import numpy, ai_edge_litert.interpreter"
ERROR_CHARACTERS = 400

NO_LATENCY = (
    f"{TARGET}: ARM kernels on an emulated processor. No latency is given, since the time of an "
    "emulation says nothing about a phone. Next: --target adb, ssh or browser times a real one."
)


def open_target(address: str, settings: TargetSettings) -> QemuTarget:
    """Opens the target of `--target qemu-arm64[:CPU]`.

    Raises:
        UsageError: This machine is arm64 itself, or qemu does not know the processor.
        EdgebertError: qemu is missing.
    """
    machine = platform.machine().lower()
    if machine in ARM64:
        raise UsageError(
            f"--target {TARGET} is for machines that are not arm64. Received: {machine}. "
            "Next: --target cpu runs the real kernels here."
        )
    return QemuTarget(find_emulator(address or DEFAULT_CPU), settings)


@dataclass(frozen=True)
class Emulator:
    """qemu's user-mode emulator, which runs one arm64 program on this kernel.

    Attributes:
        program: Path of the emulator.
        version: Major and minor version.
        cpu: Value of its option `-cpu`.
    """

    program: str
    version: tuple[int, int]
    cpu: str

    @property
    def name(self) -> str:
        """The processor and the emulator, for tables."""
        return f"{self.cpu}, qemu {self.version[0]}.{self.version[1]}"

    @contextlib.contextmanager
    def python(self, root: Path) -> Iterator[list[str]]:
        """The command that starts the Python of a folder, valid inside the `with` block.

        The emulated root is a folder with links to the given one, and with a /proc/cpuinfo of the
        emulated processor.
        """
        python = find_python(root)
        with tempfile.TemporaryDirectory(prefix="edgebert-qemu-") as seen:
            for path in root.iterdir():
                if path.name != "proc":
                    (Path(seen) / path.name).symlink_to(path.resolve())
            (Path(seen) / "proc").mkdir()
            (Path(seen) / "proc" / "cpuinfo").write_text(_cpu_info(self.cpu), encoding="ascii")
            yield [self.program, "-cpu", self.cpu, "-L", seen, str(python)]

    def prove(self, root: Path) -> None:
        """Checks that the Python of a folder can load the runtime, and compiles it to byte code.

        Raises:
            EdgebertError: The runtime cannot be loaded.
        """
        with self.python(root) as command:
            done = subprocess.run(
                [*command, "-I", "-c", LOADS],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env={},
                check=False,
            )
        if done.returncode:
            stderr_end = done.stderr.strip()[-ERROR_CHARACTERS:]
            raise EdgebertError(
                f"An arm64 Python was made, but it can't load the runtime on {self.name}. "
                f"Received: exit code {done.returncode}. The end of its stderr: {stderr_end} "
                "Next: try a newer qemu, or real hardware: --target ssh or adb."
            )


def find_emulator(cpu: str) -> Emulator:
    """Finds the emulator of this machine.

    Raises:
        UsageError: The emulator does not know the processor.
        EdgebertError: There is no emulator.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise EdgebertError(
            f"--target {TARGET} expects {' or '.join(PROGRAMS)} on the path. Received: none. "
            "Next: apt-get install qemu-user-static (Debian, Ubuntu; other Linux systems have "
            "qemu-user), or use real hardware: --target ssh or adb."
        )
    found = re.search(r"version (\d+)\.(\d+)", _said(program, "--version"))
    if found is None:
        raise EdgebertError(
            f"Expected a version from {program} --version. Received: none. Next: check that the "
            "program can be run."
        )
    version = (int(found[1]), int(found[2]))
    model, _, properties = cpu.partition(",")
    known = {
        line.strip() for line in _said(program, "-cpu", "help").splitlines() if line[:1] == " "
    }
    if model not in known:
        raise UsageError(
            f"--target {TARGET}:CPU expects a processor of {program}: {', '.join(sorted(known))}. "
            f"Received: {cpu}. Next: {', '.join(CPUS)} cover the kernels of most phones."
        )
    if model == "max" and FIRST_SME <= version < RIGHT_SME and "sme=" not in properties:
        cpu += ",sme=off"
    return Emulator(program, version, cpu)


def _said(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, errors="replace", check=False
    )
    return done.stdout


def _cpu_info(cpu: str) -> str:
    part = PARTS.get(cpu, 0)
    facts = {
        "CPU implementer": f"{ARM_IMPLEMENTER if part else 0:#04x}",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": f"{part:#05x}",
        "CPU revision": "0",
    }
    lines = [f"{name}\t: {value}\n" for name, value in facts.items()]
    return "\n".join(f"processor\t: {i}\n" + "".join(lines) for i in range(os.cpu_count() or 1))


class QemuTarget:
    """An emulated arm64 machine."""

    def __init__(self, emulator: Emulator, settings: TargetSettings) -> None:
        self._emulator, self._settings = emulator, settings

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        """Implements `Target.profile` with checks only, without measurements.

        Raises:
            UsageError: The job has no check, or its settings are invalid.
        """
        emulator = self._emulator
        if job.check is None:
            raise UsageError(
                f"--target {TARGET} compares answers and times nothing. Received: nothing to "
                "compare. Next: give labelled texts with --check FILE."
            )
        given = self._settings.arm64_root
        root = Path(given) if given else arm64_root(emulator.prove, progress)
        target = f"{TARGET}:{emulator.cpu}"
        with emulator.python(root) as python:
            found = check(_Guest(target, python), job, progress, batch_size=1)
        return Outcome(
            checks=tuple(
                replace(one, device=emulator.name, notes=(*one.notes, NO_LATENCY)) for one in found
            )
        )


@dataclass
class _Guest:
    """The emulated machine, which sees the files of this machine."""

    target: str
    python: list[str]

    def place(self, file: ModelFile) -> str:
        return str(file.path.resolve())

    def start_runner(self, label: str) -> RunnerProcess:
        return RunnerProcess([*self.python, *ISOLATED, runner.__file__], label, environment={})
