"""A Linux board, reached through ssh, as the machine that runs the benchmark program."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgebert.errors import EdgebertError
from edgebert.profiling import runner, text_program
from edgebert.profiling.machine import TextSupport
from edgebert.profiling.plan import ModelFile, read_model_files
from edgebert.profiling.process import RunnerProcess
from edgebert.profiling.ssh.board_python import BoardPython, find_python
from edgebert.profiling.ssh.connection import Connection
from edgebert.profiling.ssh.text_check import check_built_in_texts
from edgebert.settings import TargetSettings
from edgebert.system.progress import Progress

CHUNK_BYTES = 1 << 18
SPARE_BYTES = (1 << 20) + text_program.SPARE_BYTES
"""Disk space for the programs, in addition to the models."""

UPLOAD_SECONDS = 300.0
"""Time limit for the board to write a file and read it back."""

# Reads a written file back and prints its size and SHA-256. As expected, it gets its final name.
SEAL = """
import hashlib, os, sys
path, expected = sys.argv[1:]
digest, size = hashlib.sha256(), 0
with open(path + ".part", "rb") as file:
    for chunk in iter(lambda: file.read(1 << 20), b""):
        digest.update(chunk)
        size += len(chunk)
found = "%d %s" % (size, digest.hexdigest())
if found == expected:
    os.rename(path + ".part", path)
print(found)
"""
SEAL_SCRIPT = f'"$1" -c {shlex.quote(SEAL)} "$2" "$3" </dev/null'

# Unpacks the archive with the text program, so that Python can store byte code beside its files.
UNPACK = """
import os, sys, zipfile
archive, folder = sys.argv[1:]
with zipfile.ZipFile(archive) as packed:
    packed.extractall(folder + ".part")
os.rename(folder + ".part", folder)
os.remove(archive)
"""
UNPACK_SCRIPT = f'"$1" -c {shlex.quote(UNPACK)} "$2" "$3" </dev/null'


@dataclass(frozen=True)
class _TextProgram:
    """The program for texts on a board.

    Attributes:
        folder: Its folder there. Empty if it can't run there.
        obstacle: Why it can't, with the next step. Empty if it can.
        tokenizers: Version of the `tokenizers` there. Empty if there are none.
    """

    folder: str = ""
    obstacle: str = ""
    tokenizers: str = ""


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
        self._text_program: _TextProgram | None = None
        self._text_support: dict[str, TextSupport] = {}

    def place(self, file: ModelFile) -> str:
        """The file's path on the board. Copies the file if its content is not there yet."""
        python = self._prepared()
        if file.sha256 not in self._placed:
            self._placed[file.sha256] = self._send(python, file)
        return self._placed[file.sha256]

    def text_support(self, file: ModelFile) -> TextSupport:
        """Whether the board answers texts with a file: see `Machine.text_support`.

        The first call sends the program for texts. The answers to built-in texts are checked.
        """
        if file.sha256 not in self._text_support:
            self._text_support[file.sha256] = self._tried_texts(file)
        return self._text_support[file.sha256]

    def start_runner(self, label: str) -> RunnerProcess:
        """Starts a fresh benchmark program on the board."""
        self._prepared()
        return self._start(self._runner_path, label)

    def start_end_to_end(self, label: str) -> RunnerProcess:
        """Starts a fresh program for texts.

        Raises:
            EdgebertError: The board can't run it.
        """
        program = self._with_text_program()
        if program.obstacle:
            raise EdgebertError(f"{label} on {self.target}: {program.obstacle}")
        return self._start(program.folder, label)

    def _start(self, program: str, label: str) -> RunnerProcess:
        mask = self._settings.cpu_mask
        pinning = ["--cpu-mask", mask] if mask else []
        words = [self._prepared().path, program, *pinning]
        return RunnerProcess(self._connection.command(words), label)

    def _tried_texts(self, file: ModelFile) -> TextSupport:
        program = self._with_text_program()
        if program.obstacle:
            return TextSupport(program.obstacle)
        stage = f"check texts of {file.name}"
        self._progress(stage, 0, 1)
        with self._start(program.folder, stage) as process:
            loaded = process.exchange("load", model=self.place(file), texts=[])
            if "error" in loaded:
                return TextSupport(
                    f"{file.name} was expected to answer texts on {self.target}. "
                    f"Received: {_with_next_step(loaded['error'])}"
                )
            check_built_in_texts(self.target, file, process)
        self._progress(stage, 1, 1)
        return TextSupport(warning="" if program.tokenizers else self._no_tokenizers())

    def _no_tokenizers(self) -> str:
        return (
            f"{self.target} has no `tokenizers`: WordPiece in Python was timed. It gives the same "
            "tokens, in other times. Next: for the times of the library, run "
            f"`{self._prepared().path} -m pip install tokenizers` there."
        )

    def _with_text_program(self) -> _TextProgram:
        """Sends the program for texts on the first call, and starts it once."""
        if self._text_program is None:
            self._text_program = self._send_text_program(self._prepared())
        return self._text_program

    def _send_text_program(self, python: BoardPython) -> _TextProgram:
        needed, found = (
            ".".join(map(str, version)) for version in (text_program.OLDEST_PYTHON, python.version)
        )
        if python.version < text_program.OLDEST_PYTHON:
            return _TextProgram(
                obstacle=f"expected Python {needed} or newer on {self.target}. Received: {found}. "
                f"Next: install a newer Python there and name it by --remote-python, or give "
                "--no-end-to-end."
            )
        with tempfile.TemporaryDirectory(prefix="edgebert-text-") as folder:
            archive = Path(folder) / "edgebert.zip"
            text_program.write_archive(archive)
            sent = self._send(python, read_model_files((archive,))[0])
        unpacked = sent.removesuffix(".zip")
        reply = self._connection.run_script(UNPACK_SCRIPT, python.path, sent, unpacked)
        if reply.code:
            raise EdgebertError(
                f"{self.target} was expected to unpack edgebert's program for texts. Received: "
                f"{reply.last_line}. Next: check that {self._connection.folder} has free space, or "
                "give --no-end-to-end."
            )
        with self._start(unpacked, "edgebert") as process:
            ready = process.exchange("ready")
        if "error" in ready:
            return _TextProgram(
                obstacle=f"expected that {python.path} on {self.target} loads edgebert's program "
                f"for texts. Received: {_with_next_step(ready['error'])}"
            )
        return _TextProgram(unpacked, tokenizers=ready["tokenizers"])

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
            write = ["sh", "-c", 'cat >"$1.part"', "sh", path]
            reply = connection.run(write, chunks, UPLOAD_SECONDS)
        expected = f"{file.size_bytes} {file.sha256}"
        if not reply.code:
            seal = (SEAL_SCRIPT, python.path, path, expected)
            reply = connection.run_script(*seal, seconds=UPLOAD_SECONDS)
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


def _with_next_step(error: str) -> str:
    if "Next:" in error:
        return error
    return f"{error.rstrip('.')}. Next: update the packages there, or give --no-end-to-end."
