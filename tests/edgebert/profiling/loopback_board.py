"""This machine as a board: a real sshd on loopback with its own folders.

Its home, temporary folder and PATH are the test's, so that a board without Python, without room, or
with odd names is one line. Whatever happens, nothing may stay in its temporary folder.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.profiling.ssh import SshTarget, open_target
from edgebert.profiling.ssh.board import Board
from edgebert.profiling.ssh.connection import Connection
from edgebert.profiling.target import Job, Outcome
from edgebert.settings import TargetSettings
from edgebert.system.progress import silent
from tests.judges.sshd import Sshd

TOOLS = ("sh", "env", "cat", "df", "mktemp", "rm", "mkdir", "dirname", "sleep")
"""The programs that a board needs in addition to Python."""

GONE_SECONDS = 10.0
BUSY_SECONDS = 1.2
"""More CPU time than a runner uses before the first call."""


@dataclass(frozen=True)
class LoopbackBoard:
    """This machine as a board, with its own folders."""

    sshd: Sshd
    home: Path
    temporary: Path
    programs: Path

    def settings(self, **values: Any) -> TargetSettings:
        return TargetSettings(ssh_config=str(self.sshd.config), **values)

    def target(self, **values: Any) -> SshTarget:
        return open_target("board", self.settings(**values))

    def profile(self, job: Job, **values: Any) -> Outcome:
        return self.target(**values).profile(job)

    def reset(self) -> None:
        """Known and trusted, an empty home, its tools, and a Python that can run models."""
        shutil.rmtree(self.home)
        self.home.mkdir()
        self.sshd.write_client_config()
        self.sshd.known_hosts.write_text(self.sshd.known_host("host_key"))
        shutil.rmtree(self.programs, ignore_errors=True)
        self.programs.mkdir()
        for tool in TOOLS:
            (self.programs / tool).symlink_to(tool_here(tool))
        self.python()

    def program(self, name: str, script: str) -> Path:
        """A shell program on the board's PATH, in the place of what had its name."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def python(self, name: str = "python3", python: str = sys.executable) -> Path:
        """A Python on the board's PATH; a link would lose the virtual environment's packages."""
        return self.program(name, f'exec "{python}" "$@"')

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with Connection("board", config=str(self.sshd.config)) as connection:
            connection.open(1)
            yield connection

    @contextmanager
    def machine(self, **values: Any) -> Iterator[Board]:
        with Connection("board", config=str(self.sshd.config)) as connection:
            yield Board("ssh:board", connection, self.settings(**values), 0, silent)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.temporary.iterdir())

    def processes(self) -> list[int]:
        """Processes that were started from the temporary folder."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                mine = str(self.temporary).encode() in path.read_bytes()
            except OSError:
                continue
            if mine:
                found.append(int(path.parent.name))
        return found

    def wait_until_clean(self) -> None:
        deadline = time.monotonic() + GONE_SECONDS
        while time.monotonic() < deadline and (self.left() or self.processes()):
            time.sleep(0.02)
        assert (self.left(), self.processes()) == ([], [])


@contextmanager
def loopback_board(sshd_program: str, folder: Path) -> Iterator[LoopbackBoard]:
    """A board whose temporary folder has special characters of the shell in its name."""
    home, temporary = folder / "home", folder / """temp of "Bob's" $HOME \\ `here`"""
    programs = folder / "programs"
    for path in (folder / "sshd", home, temporary):
        path.mkdir()
    environment = {"HOME": str(home), "TMPDIR": str(temporary), "PATH": str(programs)}
    network = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or "_proxy" in k.lower()}
    with Sshd(sshd_program, folder / "sshd", {**network, **environment}) as sshd:
        yield LoopbackBoard(sshd, home, temporary, programs)


def tool_here(name: str) -> str:
    found = shutil.which(name)
    assert found is not None
    return found


class WhenBusy:
    """Runs a function during a long call of the benchmark program on the board."""

    def __init__(self, board: LoopbackBoard, act: Callable[[], object]) -> None:
        self._board, self._act = board, act
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while not any(cpu_seconds(p) > BUSY_SECONDS for p in self._board.processes()):
            time.sleep(0.02)
        self._act()


def cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
