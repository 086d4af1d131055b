"""A Linux board, reached through ssh, as the machine that runs the benchmark program."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from edgebert.errors import EdgebertError
from edgebert.profiling import runner
from edgebert.profiling.plan import ModelFile, read_model_files
from edgebert.profiling.process import RunnerProcess
from edgebert.profiling.ssh.board_python import BoardPython, find_python
from edgebert.profiling.ssh.connection import Connection
from edgebert.settings import TargetSettings
from edgebert.system.progress import Progress

CHUNK_BYTES = 1 << 18
SPARE_BYTES = 1 << 20
"""Disk space for the benchmark program, in addition to the models."""

UPLOAD_SECONDS = 300.0
"""Time limit for the board to write a file and read it back."""

# Reads a written file back and prints its size and SHA-256.
SEAL = """
import hashlib, sys
digest, size = hashlib.sha256(), 0
with open(sys.argv[1], "rb") as file:
    for chunk in iter(lambda: file.read(1 << 20), b""):
        digest.update(chunk)
        size += len(chunk)
print(size, digest.hexdigest())
"""
SEAL_SCRIPT = f'"$1" -c {shlex.quote(SEAL)} "$2" </dev/null'


class Board:
    """A `Machine`. It connects on first use, after all local checks.

    Args:
        target: The `target` of the measurements.
        connection: Connection to the board, not open yet.
        settings: Python and cores of the board.
        needed_bytes: Size of the models.
        progress: Receives the progress of the preparation.
    """

    def __init__(
        self,
        target: str,
        connection: Connection,
        settings: TargetSettings,
        needed_bytes: int,
        progress: Progress,
    ) -> None:
        self.target = target
        self._connection, self._settings, self._progress = connection, settings, progress
        self._needed_bytes = needed_bytes
        self._python: BoardPython | None = None
        self._runner_path = ""
        self._placed: dict[str, str] = {}

    def place(self, file: ModelFile) -> str:
        """The file's path on the board. Copies the file if its content is not there yet."""
        python = self._prepared()
        if file.sha256 not in self._placed:
            self._placed[file.sha256] = self._send(python, file)
        return self._placed[file.sha256]

    def runs_text(self, file: ModelFile) -> bool:
        """Always False: the board has only the benchmark program."""
        return False

    def start_runner(self, label: str) -> RunnerProcess:
        """Starts a fresh benchmark program on the board."""
        python = self._prepared()
        mask = self._settings.cpu_mask
        pinning = ["--cpu-mask", mask] if mask else []
        words = [python.path, self._runner_path, *pinning]
        return RunnerProcess(self._connection.command(words), label)

    def start_end_to_end(self, label: str) -> RunnerProcess:
        """Always raises: text in, answer out needs edgebert, which is not on the board."""
        raise EdgebertError(
            f"{label} needs edgebert on {self.target}. Received: a board without it. "
            "Next: give --no-end-to-end."
        )

    def _prepared(self) -> BoardPython:
        """Connects on the first call: finds Python and copies the benchmark program."""
        if self._python is None:
            stage = f"connect {self.target}"
            self._progress(stage, 0, 1)
            self._connection.open(self._needed_bytes + SPARE_BYTES)
            settings = self._settings
            python = find_python(
                self._connection, settings.remote_python, settings.bootstrap, self._progress
            )
            (program,) = read_model_files((Path(runner.__file__),))
            self._runner_path = self._send(python, program)
            self._python = python
            self._progress(stage, 1, 1, python=python.path, runtime=python.runtime)
        return self._python

    def _send(self, python: BoardPython, file: ModelFile) -> str:
        """Writes a file to the board under a name from its SHA-256, and reads it back.

        Returns:
            The path on the board.

        Raises:
            EdgebertError: The board cannot write the file, or its content differs.
        """
        connection = self._connection
        path = f"{connection.folder}/{file.sha256[:16]}{file.path.suffix}"
        with file.path.open("rb") as source:
            chunks = self._chunks(source, file)
            reply = connection.run(["sh", "-c", 'cat >"$1"', "sh", path], chunks, UPLOAD_SECONDS)
        if not reply.code:
            reply = connection.run_script(SEAL_SCRIPT, python.path, path, seconds=UPLOAD_SECONDS)
        expected = f"{file.size_bytes} {file.sha256}"
        if reply.code or reply.stdout.strip() != expected:
            raise EdgebertError(
                f"The board was expected to hold {file.path.name}, size and sha256 {expected}. "
                f"Received: {reply.last_line}. Next: check that {connection.folder} has free space "
                "and that no program changes the local file, and try again."
            )
        return path

    def _chunks(self, source: IO[bytes], file: ModelFile) -> Iterator[bytes]:
        stage, total_kb, sent = f"send {file.name} (kB)", -(-file.size_bytes // 1000), 0
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            self._progress(stage, min(-(-sent // 1000), total_kb), total_kb)
