"""How a stage of the pipeline runs: output folder, resuming, progress reports and devices."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

from edgebert.errors import UsageError
from edgebert.settings import DeviceSettings
from edgebert.system.progress import Progress, silent
from edgebert.training.kept_states import SharedStates


@dataclass(frozen=True)
class StageRun:
    """One call of `finetune`, `prune`, `distill` or `search`, apart from its model and data.

    Attributes:
        out: Output folder. A training stage keeps the state of an unfinished run in `.training/`
            inside it.
        resume: Continues an interrupted run. A finished run returns its result at once.
        overwrite: Replaces a model of another run in the output folder, which is an error
            otherwise. A search never replaces another one.
        progress: Called after every step.
        where: Devices and hosts of the training. With several hosts, every host makes the same
            call and gets the same result; only the coordinator (worker 0) writes files.
        states: The last states of a teacher. Distillations of one teacher share them if their texts
            are the same.
    """

    out: Path | str
    _: KW_ONLY
    resume: bool = False
    overwrite: bool = False
    progress: Progress = silent
    where: DeviceSettings = field(default_factory=DeviceSettings)
    states: SharedStates = field(default_factory=SharedStates)

    def require_one_device(self) -> None:
        """Checks a stage that trains on one device only.

        Raises:
            UsageError: `where` selects several devices.
        """
        if self.where.strategy != "none":
            raise UsageError(
                "strategy: expected none, since this stage runs on one device. "
                f"Received: {self.where.strategy}. Next: leave `where` out."
            )
