"""The `ssh` target: a Linux board, through the system's ssh with its configuration and keys.

The board needs a POSIX shell, Python 3.8 or newer, numpy and a TFLite runtime. It does not need
edgebert: the benchmark program is one file, which is copied to the board. With Python 3.10 or newer
it answers texts, too: `text_program` copies the part of edgebert that does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling.device_check import DeviceCheck, HostReference
from edgebert.profiling.plan import ModelFile, read_model_files
from edgebert.profiling.session import (
    check_outputs,
    facts_of_check,
    measure,
    references_of,
    refuse_bad_settings,
)
from edgebert.profiling.ssh.board import Board
from edgebert.profiling.ssh.connection import Connection
from edgebert.profiling.ssh.text_check import ask, check_texts
from edgebert.profiling.target import Job, Outcome, parse_cpu_mask
from edgebert.settings import TargetSettings
from edgebert.system.progress import Progress, silent

FORM = "ssh:user@host[:port], ssh:ALIAS of ~/.ssh/config, or ssh:user@[IPv6]:port"
LARGEST_PORT = 65535
IPV6 = re.compile(r"[0-9a-fA-F:.]+(%[\w.-]+)?", re.ASCII)
FORBIDDEN = set("'\"`$\\;&<>|(){}[]*?!#/,%=")
"""Characters with a meaning for a shell or for ssh. A user name may contain a backslash."""


@dataclass(frozen=True)
class Address:
    """The address of a board.

    Attributes:
        host: A host name, an alias of ssh's configuration, or an IP address without brackets.
        user: User name. Empty takes the user of ssh's configuration.
        port: Port. None takes the port of ssh's configuration.
    """

    host: str
    user: str = ""
    port: int | None = None

    @property
    def destination(self) -> str:
        """The destination argument of the `ssh` command."""
        return f"{self.user}@{self.host}" if self.user else self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return f"{user}{host}" + ("" if self.port is None else f":{self.port}")


def parse_address(text: str) -> Address:
    """Parses `user@host:port`.

    Raises:
        UsageError: The text is no address, or ssh could read it as an option or a command.
    """
    user, at, place = text.rpartition("@")
    bracketed = re.fullmatch(r"\[(.*)\](?::(.*))?", place, re.DOTALL)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
    else:
        host, colon, rest = place.partition(":")
        port = rest if colon else None
    problems = []
    if not bracketed and place.count(":") > 1:
        problems.append("an IPv6 address without brackets")
        port = None
    elif not host:
        problems.append("no host")
    elif bracketed and not (IPV6.fullmatch(host) and ":" in host):
        problems.append("no IPv6 address in the brackets")
    elif not bracketed and not _is_plain(host):
        problems.append("a host that is no plain name")
    if at and not _is_plain(user.replace("\\", "").replace("@", "")):
        problems.append("a user that is no plain name")
    if port is not None and not _is_port(port):
        problems.append(f"a port that is no number from 1 to {LARGEST_PORT}")
    if problems:
        raise UsageError(f"--target ssh expects {FORM}. Received: {text!r}: {', '.join(problems)}.")
    return Address(host, user, None if port is None else int(port))


def _is_plain(name: str) -> bool:
    """Whether ssh reads the text as a name only."""
    printable = name.isprintable() and not any(map(str.isspace, name))
    return bool(name) and printable and not name.startswith("-") and not FORBIDDEN & set(name)


def _is_port(text: str) -> bool:
    return bool(re.fullmatch("[0-9]{1,5}", text)) and 1 <= int(text) <= LARGEST_PORT


def open_target(address: str, settings: TargetSettings) -> SshTarget:
    """Opens the target of `--target ssh:ADDRESS`, without connecting yet.

    Raises:
        UsageError: The address or the core mask is invalid, or the ssh configuration is missing.
    """
    mask, config = settings.cpu_mask, settings.ssh_config
    if mask:
        parse_cpu_mask(mask)
    if config and config != "none" and not Path(config).is_file():
        raise UsageError(
            f"--ssh-config expects a configuration file of ssh. Received: {config!r}, which does "
            "not exist."
        )
    return SshTarget(parse_address(address), settings)


class SshTarget:
    """A board. Every job has its own connection and its own folder on the board."""

    def __init__(self, address: Address, settings: TargetSettings) -> None:
        self.target = f"ssh:{address}"
        self._address, self._settings = address, settings

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        """Implements `Target.profile`."""
        with self._board(job.models, progress) as board:
            outcome = _profile(board, job, progress)
        mask = self._settings.cpu_mask
        if not mask:
            return outcome
        pinned = tuple(m.with_details(cpu_mask=mask) for m in outcome.measurements)
        return replace(outcome, measurements=pinned)

    def answer(
        self, model: Path, examples: Sequence[Any], threads: int = 1, progress: Progress = silent
    ) -> list[dict[str, Any]]:
        """Answers texts on the board.

        Args:
            model: A `.tflite` that edgebert exported, with a task.
            examples: Texts, tuples of texts, or examples of the task.
            threads: Number of threads of the runtime.
            progress: Receives the progress.

        Returns:
            The answers of the task in plain JSON types, in the order of the examples.

        Raises:
            ModelError: The file is missing or damaged.
            EdgebertError: The board failed, or it can't answer texts. The message has the next
                step.
        """
        (file,) = read_model_files((model,))
        with self._board((model,), progress) as board:
            obstacle = board.text_support(file).obstacle
            if obstacle:
                raise EdgebertError(obstacle)
            with board.start_end_to_end(f"answer {file.name}") as process:
                process.request("load", model=board.place(file), threads=threads, texts=[])
                return ask(file, examples, process, progress)

    @contextmanager
    def _board(self, models: Sequence[Path], progress: Progress) -> Iterator[Board]:
        """The board with room for the models. A lost connection becomes the error that says so."""
        address, settings = self._address, self._settings
        files = {path.resolve() for path in models if path.is_file()}
        needed_bytes = sum(path.stat().st_size for path in files)
        with Connection(address.destination, address.port, settings.ssh_config) as connection:
            try:
                yield Board(self.target, connection, settings, needed_bytes, progress)
            except EdgebertError as error:
                lost = connection.lost()
                if lost is not None:
                    raise lost from error
                raise


def _profile(board: Board, job: Job, progress: Progress) -> Outcome:
    """Measures the models, then runs the check from the labelled texts to the answers."""
    refuse_bad_settings(job.settings, job.texts)
    files = read_model_files(job.models) if job.check else ()
    references = references_of(job, files)
    outcome = measure(board, replace(job, check=None), progress)
    pairs = zip(files, references, strict=True)
    has_texts = job.settings.end_to_end
    checks = [_check(board, *pair, has_texts, progress) for pair in pairs]
    return replace(outcome, checks=tuple(checks))


def _check(
    board: Board, file: ModelFile, reference: HostReference, has_texts: bool, progress: Progress
) -> DeviceCheck:
    """The check of one file. A board that answers no texts receives token ids."""
    with board.start_runner(f"check {file.name}") as process:
        facts = process.request("hello")
    obstacle = board.text_support(file).obstacle if has_texts else ""
    if obstacle or not has_texts:
        checked = check_outputs(board, file, reference, facts, progress)
        notes = [f"The board received token ids, not texts: {obstacle}"] if obstacle else []
        return replace(checked, notes=(*checked.notes, *notes))
    with board.start_end_to_end(f"check {file.name}") as process:
        process.request("load", model=board.place(file), texts=[])
        named = facts_of_check(board, file, facts)
        return check_texts(file, reference, process, named, progress)
