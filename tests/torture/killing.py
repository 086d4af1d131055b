"""Runs work in a forked process that ends itself, or is ended, at a chosen moment.

The moments are calls that change files below one folder: an audit hook of Python counts them, so
the product needs no hook of its own. Between two of them, and inside of native code, the process is
ended after a random time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHANGES = {
    *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"),
    *("shutil.rmtree", "shutil.copyfile", "tempfile.mkstemp", "tempfile.mkdtemp", "os.truncate"),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class End:
    """What happened to the process.

    Attributes:
        killed: whether it was killed, so that there is neither a result nor an error.
        changes: number of calls that changed files, if it was not killed.
        error: name of the exception, and its message.
        trace: its traceback.
    """

    killed: bool = False
    changes: int = 0
    error: str = ""
    message: str = ""
    trace: str = ""


def run(
    work: Callable[[], object],
    folder: Path,
    *,
    kill_at: int = 0,
    fail_at: int = 0,
    kill_after_s: float = 0.0,
    prepare: Callable[[], object] = lambda: None,
) -> End:
    """Runs work in a forked process, and waits for it.

    Args:
        work: the work.
        folder: calls that change files below it are counted.
        kill_at: the process kills itself before this change, from 1; 0 for never.
        fail_at: this change and all later ones fail as on a full disk; 0 for never.
        kill_after_s: the process is killed after this time; 0 for never.
        prepare: called in the process before the work, for limits of the system.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_the_child(work, folder, (kill_at, fail_at), prepare, writing)
    os.close(writing)
    if kill_after_s:
        time.sleep(kill_after_s)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as file:
        said = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            return End(error=signal.Signals(number).name)
        return End(killed=True)
    if not said:  # native code ended the process, or there was no memory left to say anything
        return End(error=f"exit code {os.WEXITSTATUS(status)}")
    return pickle.loads(said)


def _be_the_child(
    work: Callable[[], object],
    folder: Path,
    at: tuple[int, int],
    prepare: Callable[[], object],
    writing: int,
) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    changes = Changes(folder, *at)
    sys.addaudithook(changes)
    end = End()
    try:
        prepare()
        work()
    except BaseException as error:
        changes.is_over = True
        trace = "".join(traceback.format_exception(error))[-6000:]
        end = End(error=type(error).__name__, message=str(error), trace=trace)
    changes.is_over = True
    try:
        data = pickle.dumps(End(False, changes.count, end.error, end.message, end.trace))
        while data:
            data = data[os.write(writing, data) :]
    finally:
        os._exit(0)  # never back into the code of the parent


class Changes:
    """Counts the changes of files below a folder, and ends the process at one of them."""

    def __init__(self, folder: Path, kill_at: int = 0, fail_at: int = 0) -> None:
        self.count, self.is_over = 0, False
        self._folder = str(folder)
        self._kill_at, self._fail_at = kill_at, fail_at

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_over or not self._is_change(event, arguments):
            return
        self.count += 1
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        is_free = event in ("os.remove", "os.rmdir", "shutil.rmtree", "os.rename")
        if self._fail_at and self.count >= self._fail_at and not is_free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    def _is_change(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "ctypes.dlsym":
            return arguments[1] in ("renameat2", "renamex_np")  # the exchange of two folders
        if event == "open":
            path, _, flags = arguments
            is_writing = bool(flags & _WRITING) if isinstance(flags, int) else False
            return is_writing and self._is_inside(path)
        return event in _CHANGES and bool(arguments) and self._is_inside(arguments[0])

    def _is_inside(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._folder)
