"""The `cpu` target: this machine's processor, measured in fresh Python processes.

The processes run at normal priority and are pinned to cores only if `cpu_mask` is set, so the
figures are those of an ordinary program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edgebert.errors import UsageError
from edgebert.profiling import runner
from edgebert.profiling.machine import TextSupport
from edgebert.profiling.plan import ModelFile
from edgebert.profiling.process import RunnerProcess
from edgebert.profiling.session import measure
from edgebert.profiling.target import Job, Outcome, parse_cpu_mask
from edgebert.settings import TargetSettings
from edgebert.system.progress import Progress, silent

TARGET = "cpu"
PACKAGE_ROOT = Path(__file__).resolve().parents[2]

RUNNER = (sys.executable, "-P", runner.__file__)
END_TO_END = (sys.executable, "-P", "-m", "edgebert.profiling.end_to_end")


def open_target(address: str, settings: TargetSettings) -> CpuTarget:
    """Opens the target of `--target cpu`.

    Raises:
        UsageError: An address was given, or the mask names cores that this machine lacks.
    """
    if address:
        raise UsageError(f"--target cpu is this machine. Received: cpu:{address}. Next: give cpu.")
    if settings.cpu_mask:
        _refuse_missing_cores(settings.cpu_mask)
    return CpuTarget(settings.cpu_mask)


def _refuse_missing_cores(mask: str) -> None:
    cores, bits = runner.allowed_cores(), parse_cpu_mask(mask)
    wanted = [core for core in range(bits.bit_length()) if bits >> core & 1]
    if not wanted or not set(wanted) <= set(cores) or not hasattr(os, "sched_setaffinity"):
        raise UsageError(
            f"--cpu-mask expects some of this machine's cores, on Linux. Received: {mask}, cores "
            f"{wanted} of {cores}. Next: give a mask of at most {sum(1 << c for c in cores):x}."
        )


class CpuTarget:
    """This machine.

    Args:
        cpu_mask: The cores to run on, as a hexadecimal mask like taskset's. Empty means all cores.
    """

    target = TARGET

    def __init__(self, cpu_mask: str = "") -> None:
        self._cpu_mask = cpu_mask
        self._pinning = ("--cpu-mask", cpu_mask) if cpu_mask else ()

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        """Implements `Target.profile`."""
        outcome = measure(self, job, progress)
        if not self._cpu_mask:
            return outcome
        pinned = tuple(m.with_details(cpu_mask=self._cpu_mask) for m in outcome.measurements)
        return replace(outcome, measurements=pinned)

    def place(self, file: ModelFile) -> str:
        """The file's own path: the runner is on this machine."""
        return str(file.path)

    def text_support(self, file: ModelFile) -> TextSupport:
        """Every text is answered: edgebert is installed on this machine."""
        return TextSupport()

    def start_runner(self, label: str) -> RunnerProcess:
        """Starts a fresh benchmark program."""
        return RunnerProcess((*RUNNER, *self._pinning), label)

    def start_end_to_end(self, label: str) -> RunnerProcess:
        """Starts a fresh program that times text in, answer out."""
        command = (*END_TO_END, *self._pinning)
        return RunnerProcess(command, label, with_package_path(os.environ))


def with_package_path(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables, with the folder of this edgebert first on PYTHONPATH."""
    paths = [str(PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
