"""What a target is: something that takes models and gives measurements, wherever it runs them.

cpu                       this machine
ssh:user@host[:port]      a Linux board
adb[:serial]              an Android phone, or all that are attached
browser                   any phone's browser
qemu-arm64                ARM kernels on this machine, emulated
cloud:"pixel 7"           a phone of a device cloud, through Google's LiteRT CLI
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from edgebert.data.datasets import Dataset
from edgebert.errors import UsageError
from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import Measurement
from edgebert.settings import ProfileSettings, TargetSettings
from edgebert.system.progress import Progress, silent

# The part of a target's name before the colon: the module that has its `open_target`.
TARGETS = {
    "cpu": "edgebert.profiling.cpu",
    "ssh": "edgebert.profiling.ssh",
    "adb": "edgebert.profiling.adb",
    "browser": "edgebert.profiling.browser",
    "qemu-arm64": "edgebert.profiling.qemu",
    "cloud": "edgebert.profiling.cloud",
}


TextInput = str | tuple[str, ...]
"""What somebody types for one answer: a text, or several where the task wants them."""


def as_text_input(texts: Sequence[str]) -> TextInput:
    """One text alone, several as they are."""
    return texts[0] if len(texts) == 1 else tuple(texts)


@dataclass(frozen=True)
class Job:
    """What a target is asked for.

    Attributes:
        models: `.tflite` files; the first is what ratios compare the others with.
        settings: how latency is measured. A target that can't do a part of it says so in the
            measurements' warnings.
        texts: what is timed from text to answer, as somebody types it; the sample set's when None.
        check: labelled data that is run on the target and here; None checks nothing.
    """

    models: tuple[Path, ...]
    settings: ProfileSettings
    texts: tuple[TextInput, ...] | None = None
    check: Dataset | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    measurements: tuple[Measurement, ...] = ()
    checks: tuple[DeviceCheck, ...] = ()


class Target(Protocol):
    """A place where models run."""

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        """Measures, and checks where the job says so.

        Raises:
            UsageError: settings that make no sense, or that this target can't do at all.
            ModelError: a file is missing, damaged, or not taken by the target's runtime.
            EdgebertError: the target failed, with its own words and what to do next. What it made
                on the target is removed, also on Ctrl-C.
        """
        ...


def open_target(name: str, settings: TargetSettings = TargetSettings()) -> Target:
    """The target of a name.

    Args:
        name: as in the list above.
        settings: what only some targets look at.

    Raises:
        UsageError: there is no such target, or its name lacks a part.
    """
    kind, _, address = name.partition(":")
    if kind not in TARGETS:
        raise UsageError(f"--target expects one of {', '.join(TARGETS)}. Received: {name!r}.")
    target: Target = import_module(TARGETS[kind]).open_target(address, settings)
    return target


def profile(
    models: Sequence[Path | str],
    settings: ProfileSettings = ProfileSettings(),
    texts: Sequence[TextInput] | None = None,
    progress: Progress = silent,
    target: str = "cpu",
    target_settings: TargetSettings = TargetSettings(),
) -> tuple[Measurement, ...]:
    """Measures `.tflite` files side by side on a target: see `Target.profile`."""
    job = Job(tuple(map(Path, models)), settings, None if texts is None else tuple(texts))
    return open_target(target, target_settings).profile(job, progress).measurements
