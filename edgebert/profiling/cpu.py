"""The `cpu` target: this machine's processor, through fresh Python processes.

No priority is raised, and nothing is pinned unless `cpu_mask` says so: the figures are those that a
program here would get.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edgebert.errors import UsageError
from edgebert.profiling import runner
from edgebert.profiling.plan import ModelFile
from edgebert.profiling.process import RunnerProcess
from edgebert.profiling.session import measure
from edgebert.profiling.target import Job, Outcome
from edgebert.settings import TargetSettings
from edgebert.system.progress import Progress, silent

TARGET = "cpu"
PACKAGE_ROOT = Path(__file__).resolve().parents[2]

RUNNER = (sys.executable, "-P", runner.__file__)
END_TO_END = (sys.executable, "-P", "-m", "edgebert.profiling.end_to_end")


def open_target(address: str, settings: TargetSettings) -> CpuTarget:
    """The target of `--target cpu`.

    Raises:
        UsageError: an address, which this machine has none of; cores that it has not.
    """
    if address:
        raise UsageError(f"--target cpu is this machine. Received: cpu:{address}. Next: give cpu.")
    if settings.cpu_mask:
        _refuse_missing_cores(settings.cpu_mask)
    return CpuTarget(settings.cpu_mask)


def _refuse_missing_cores(mask: str) -> None:
    if not re.fullmatch("(0x)?[0-9a-fA-F]+", mask):
        raise UsageError(f"--cpu-mask expects cores in hex, such as f0. Received: {mask!r}.")
    cores, bits = runner.allowed_cores(), int(mask, 16)
    wanted = [core for core in range(bits.bit_length()) if bits >> core & 1]
    if not wanted or not set(wanted) <= set(cores) or not hasattr(os, "sched_setaffinity"):
        raise UsageError(
            f"--cpu-mask expects some of this machine's cores, on Linux. Received: {mask}, cores "
            f"{wanted} of {cores}. Next: give a mask of at most {sum(1 << c for c in cores):x}."
        )


class CpuTarget:
    """This machine.

    Args:
        cpu_mask: the cores to run on, as taskset's mask in hex; all of them when empty.
    """

    target = TARGET

    def __init__(self, cpu_mask: str = "") -> None:
        self._cpu_mask = cpu_mask
        self._pinning = ("--cpu-mask", cpu_mask) if cpu_mask else ()

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        """As `Target.profile`."""
        outcome = measure(self, job, progress)
        if not self._cpu_mask:
            return outcome
        pinned = []
        for measured in outcome.measurements:
            details = {**measured.device.details, "cpu_mask": self._cpu_mask}
            pinned.append(replace(measured, device=replace(measured.device, details=details)))
        return replace(outcome, measurements=tuple(pinned))

    def place(self, file: ModelFile) -> str:
        """Where the runner finds a file: where it is."""
        return str(file.path)

    def runs_text(self, file: ModelFile) -> bool:
        """Always: this machine has edgebert."""
        return True

    def start_runner(self, label: str) -> RunnerProcess:
        """A fresh benchmark program."""
        return RunnerProcess((*RUNNER, *self._pinning), label)

    def start_end_to_end(self, label: str) -> RunnerProcess:
        """A fresh program that times text in, answer out."""
        command = (*END_TO_END, *self._pinning)
        return RunnerProcess(command, label, with_package_path(os.environ))


def with_package_path(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables with which a fresh Python finds this very edgebert."""
    paths = [str(PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
