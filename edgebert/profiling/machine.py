"""Machines that can start the benchmark program, and the facts that the program reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgebert.errors import ModelError
from edgebert.profiling.measurement import Device
from edgebert.profiling.plan import ModelFile
from edgebert.profiling.process import Runner


class RunnerMachine(Protocol):
    """A machine that can start the benchmark program.

    Attributes:
        target: The `target` of its measurements and checks.
    """

    target: str

    def place(self, file: ModelFile) -> str:
        """The file's path on the machine. Copies the file there if necessary."""
        ...

    def start_runner(self, label: str) -> Runner:
        """Starts a fresh benchmark program."""
        ...


@dataclass(frozen=True)
class TextSupport:
    """Whether a machine answers texts with a file.

    Attributes:
        obstacle: Why it does not, with the next step. Empty if it does.
        warning: A reason to doubt its figures, with the next step. Empty if there is none.
    """

    obstacle: str = ""
    warning: str = ""


class Machine(RunnerMachine, Protocol):
    """A machine on which latency can be measured."""

    def text_support(self, file: ModelFile) -> TextSupport:
        """Whether the machine can time text in, answer out with a file that answers texts.

        Raises:
            EdgebertError: The machine's answers to built-in texts are wrong.
        """
        ...

    def start_end_to_end(self, label: str) -> Runner:
        """Starts a fresh program that times text in, answer out."""
        ...


def make_device(facts: Mapping[str, Any]) -> Device:
    """The `Device` that a runner's `hello` describes."""
    device, environment = facts["device"], facts["environment"]
    return Device(
        name=device["name"],
        cpu=device["cpu"],
        cores=device["cores"],
        architecture=device["architecture"],
        os=device["os"],
        cpu_features=tuple(device["cpu_features"]),
        load_average=environment["load_average"],
        governor=environment["governor"],
        details={"python": device["python"]},
    )


def runtime_name(facts: Mapping[str, Any]) -> str:
    """Name and version of the runtime in a runner's `hello`."""
    return f"{facts['runtime']['name']} {facts['runtime']['version']}"


def inspect_files(
    machine: RunnerMachine, files: Sequence[ModelFile]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Loads every file once.

    Returns:
        The runner's `hello`, and the signatures by the file's name.

    Raises:
        ModelError: The runtime rejects files. One error lists all of them.
    """
    facts: dict[str, Any] = {}
    signatures, problems = {}, []
    for file in files:
        with machine.start_runner(file.name) as process:
            facts = facts or process.request("hello")
            loaded = process.exchange("load", model=machine.place(file))
            if "error" in loaded:
                problems.append(f"{file.path}: {loaded['error']}")
            else:
                signatures[file.name] = loaded["signatures"]
    if problems:
        raise ModelError(
            f"The runtime ({runtime_name(facts)}) expects a complete .tflite file. "
            f"Received: {'; '.join(problems)}. "
            "Next: the file is probably truncated, or made for a newer runtime; export it again."
        )
    return facts, signatures
