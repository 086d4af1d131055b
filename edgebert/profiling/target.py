"""Profiling targets: a target takes models, runs them on a device and returns measurements.

cpu                       this machine
ssh:user@host[:port]      a Linux board
adb[:serial]              one Android phone, or all attached phones
browser                   the browser of any phone
qemu-arm64                ARM kernels on this machine, emulated
cloud:"pixel 7"           a phone of a device cloud, through Google's LiteRT CLI
"""

from __future__ import annotations

import re
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

# The part of a target's name before the colon, and the module that defines its `open_target`.
TARGETS = {
    "cpu": "edgebert.profiling.cpu",
    "ssh": "edgebert.profiling.ssh",
    "adb": "edgebert.profiling.adb",
    "browser": "edgebert.profiling.browser",
    "qemu-arm64": "edgebert.profiling.qemu",
    "cloud": "edgebert.profiling.cloud",
}


TextInput = str | tuple[str, ...]
"""The input of one answer: one text, or several for tasks that read several."""


def as_text_input(texts: Sequence[str]) -> TextInput:
    """A single text as a string, several texts as a tuple."""
    return texts[0] if len(texts) == 1 else tuple(texts)


@dataclass(frozen=True)
class Job:
    """A profiling job for a target.

    Attributes:
        models: `.tflite` files. The first one is the baseline of the ratios.
        settings: How latency is measured. A target that does not support a setting adds a warning
            to its measurements.
        texts: Inputs to time from text to answer. None takes texts of the bundled sample set.
        check: Labelled data to run on the target and on this machine. None runs no check.
    """

    models: tuple[Path, ...]
    settings: ProfileSettings
    texts: tuple[TextInput, ...] | None = None
    check: Dataset | None = None


@dataclass(frozen=True)
class Outcome:
    """The results of a job."""

    measurements: tuple[Measurement, ...] = ()
    checks: tuple[DeviceCheck, ...] = ()


class Target(Protocol):
    """A device, or a group of devices, that runs models."""

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        """Measures the models, and runs the check if the job has one.

        Files that were created on the target are removed afterwards, also after Ctrl-C.

        Raises:
            UsageError: The settings are invalid, or this target does not support them.
            ModelError: A file is missing or damaged, or the target's runtime rejects it.
            EdgebertError: The target failed. The message has its own error and the next step.
        """
        ...


def open_target(name: str, settings: TargetSettings = TargetSettings()) -> Target:
    """Opens the target with the given name.

    Args:
        name: Name of the target, as listed in the module's docstring.
        settings: Settings that apply to some targets only.

    Raises:
        UsageError: There is no such target, or a part of the name is missing.
    """
    kind, _, address = name.partition(":")
    if kind not in TARGETS:
        raise UsageError(f"--target expects one of {', '.join(TARGETS)}. Received: {name!r}.")
    target: Target = import_module(TARGETS[kind]).open_target(address, settings)
    return target


def parse_cpu_mask(mask: str) -> int:
    """The bits of a core mask, one for each core.

    Raises:
        UsageError: The mask is no hexadecimal number above 0.
    """
    bits = int(mask, 16) if re.fullmatch("(0x)?[0-9a-fA-F]+", mask) else 0
    if not bits:
        raise UsageError(f"--cpu-mask expects cores in hex, such as f0. Received: {mask!r}.")
    return bits


def profile(
    models: Path | str | Sequence[Path | str],
    settings: ProfileSettings = ProfileSettings(),
    texts: str | Sequence[TextInput] | None = None,
    progress: Progress = silent,
    target: str = "cpu",
    target_settings: TargetSettings = TargetSettings(),
) -> tuple[Measurement, ...]:
    """Measures `.tflite` files side by side on one target: see `Target.profile`.

    Args:
        models: The files, or one file.
        settings: See `Job`.
        texts: See `Job`; one string is one text.
        progress: Receives the progress.
        target: Name of the target.
        target_settings: Settings that apply to some targets only.
    """
    models = [models] if isinstance(models, (str, Path)) else models
    texts = [texts] if isinstance(texts, str) else texts
    job = Job(tuple(map(Path, models)), settings, None if texts is None else tuple(texts))
    return open_target(target, target_settings).profile(job, progress).measurements
