"""The `cpu` target: this machine's processor, through fresh Python processes.

Nothing is pinned and no priority is raised: the figures are those that a program here would get.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from edgebert.errors import UsageError
from edgebert.profiling import runner
from edgebert.profiling.plan import ModelFile
from edgebert.profiling.process import RunnerProcess
from edgebert.profiling.session import measure
from edgebert.profiling.target import Job, Outcome
from edgebert.progress import Progress, silent
from edgebert.settings import TargetSettings

TARGET = "cpu"
PACKAGE_ROOT = Path(__file__).resolve().parents[2]

RUNNER = (sys.executable, "-P", runner.__file__)
END_TO_END = (sys.executable, "-P", "-m", "edgebert.profiling.end_to_end")


def open_target(address: str, settings: TargetSettings) -> CpuTarget:
    """The target of `--target cpu`.

    Raises:
        UsageError: an address, which this machine has none of.
    """
    if address:
        raise UsageError(f"--target cpu is this machine. Received: cpu:{address}. Next: give cpu.")
    return CpuTarget()


class CpuTarget:
    """This machine."""

    target = TARGET
    runs_text = True

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        """As `Target.profile`."""
        return measure(self, job, progress)

    def place(self, file: ModelFile) -> str:
        """Where the runner finds a file: where it is."""
        return str(file.path)

    def start_runner(self, label: str) -> RunnerProcess:
        """A fresh benchmark program."""
        return RunnerProcess(RUNNER, label)

    def start_end_to_end(self, label: str) -> RunnerProcess:
        """A fresh program that times text in, label out."""
        return RunnerProcess(END_TO_END, label, with_package_path(os.environ))


def with_package_path(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables with which a fresh Python finds this very edgebert."""
    paths = [str(PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
