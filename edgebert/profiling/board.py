"""A Linux board behind ssh, as the machine that the benchmark program runs on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from edgebert.errors import EdgebertError
from edgebert.profiling import runner
from edgebert.profiling.board_python import BoardPython, find_python
from edgebert.profiling.plan import ModelFile
from edgebert.profiling.process import RunnerProcess
from edgebert.profiling.ssh_connection import Connection
from edgebert.progress import Progress
from edgebert.settings import TargetSettings

CHUNK_BYTES = 1 << 18
SPARE_BYTES = 1 << 20
"""Room for the benchmark program beside the models."""

UPLOAD_SECONDS = 300.0
"""How long the board may take to write and read what has been sent."""

# Reads back what was written: its size and hash.
SEAL = """
import hashlib, sys
digest, size = hashlib.sha256(), 0
with open(sys.argv[1], "rb") as file:
    for chunk in iter(lambda: file.read(1 << 20), b""):
        digest.update(chunk)
        size += len(chunk)
print(size, digest.hexdigest())
"""


class Board:
    """A `Machine`. It connects when it is first needed, after all that can be checked here was.

    Args:
        target: the measurements' `target`.
        connection: to the board; not open yet.
        settings: its Python, its cores.
        needed_bytes: size of the models.
        progress: told of what is prepared.
    """

    runs_text = False

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
        """The file's path on the board; sent there unless its content already is."""
        python = self._prepared()
        if file.sha256 not in self._placed:
            path = f"{self._connection.folder}/{file.sha256[:16]}.tflite"
            self._send(python, file.path, path, file.sha256, file.size_bytes, file.name)
            self._placed[file.sha256] = path
        return self._placed[file.sha256]

    def start_runner(self, label: str) -> RunnerProcess:
        """A fresh benchmark program on the board."""
        python = self._prepared()
        mask = self._settings.cpu_mask
        pinning = ["--cpu-mask", mask] if mask else []
        words = [python.path, self._runner_path, *pinning]
        return RunnerProcess(self._connection.command(words), label)

    def start_end_to_end(self, label: str) -> RunnerProcess:
        """Text in, label out needs edgebert itself, which a board has not."""
        raise EdgebertError(
            f"{label} was asked of {self.target}, which has no edgebert. "
            "Next: give --no-end-to-end."
        )

    def _prepared(self) -> BoardPython:
        """Connects the first time: finds Python, sends the benchmark program."""
        if self._python is None:
            stage = f"connect {self.target}"
            self._progress(stage, 0, 1)
            self._connection.open(self._needed_bytes + SPARE_BYTES)
            settings = self._settings
            python = find_python(
                self._connection, settings.remote_python, settings.bootstrap, self._progress
            )
            self._runner_path = f"{self._connection.folder}/runner.py"
            source = Path(runner.__file__)
            data = source.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            self._send(python, source, self._runner_path, digest, len(data))
            self._python = python
            self._progress(stage, 1, 1, python=python.path, runtime=python.runtime)
        return self._python

    def _send(
        self,
        python: BoardPython,
        source: Path,
        path: str,
        sha256: str,
        size_bytes: int,
        name: str = "",
    ) -> None:
        """Writes a file to the board, and reads it back.

        Args:
            python: the board's.
            source: the file here.
            path: where it goes.
            sha256: what the board must read.
            size_bytes: likewise.
            name: for progress; empty tells none.

        Raises:
            EdgebertError: the board could not write it, or reads another content.
        """
        write = 'cat >"$1" && exec "$2" -c "$3" "$1"'
        words = ["sh", "-c", write, "sh", path, python.path, SEAL]
        with source.open("rb") as file:
            chunks = self._chunks(file, size_bytes, f"send {name} (kB)" if name else "")
            reply = self._connection.run(words, chunks, UPLOAD_SECONDS)
        if reply.code or reply.stdout.split() != [str(size_bytes), sha256]:
            received = reply.last_line if reply.code else f"size and sha256 {reply.stdout.strip()}"
            raise EdgebertError(
                f"The board was expected to hold {source.name}: {size_bytes} bytes, sha256 "
                f"{sha256}. Received: {received}. Next: see that {self._connection.folder} has "
                "room and the file here is not being written, and try again."
            )

    def _chunks(self, file: IO[bytes], size_bytes: int, stage: str) -> Iterator[bytes]:
        total_kb, sent = -(-size_bytes // 1000), 0
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            if stage:
                self._progress(stage, min(-(-sent // 1000), total_kb), total_kb)
