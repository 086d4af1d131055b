"""The `adb` client: the attached phones, the shell of a phone, and a folder on it for a job."""

from __future__ import annotations

import re
import secrets
import shlex
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from edgebert.errors import EdgebertError
from edgebert.profiling.adb.output import last_lines

SHELL_TIMEOUT_SECONDS = 60.0
PUSH_TIMEOUT_SECONDS = 600.0
PHONE_TEMPORARY = "/data/local/tmp"
INSTALL_ADB = (
    "Next: apt-get install adb (macOS: brew install android-platform-tools), or put the "
    "platform-tools of the Android SDK on PATH."
)

_ANSWER_MARK = "edgebert-answer:"
_EXIT_MARK = "edgebert-exit:"
"""Mark before the exit code of a command, which is printed after its output. If it is missing, the
phone is gone: adb's own exit code is 0 if a phone is unplugged during a command."""


@dataclass(frozen=True)
class Attached:
    """A device in the list of `adb devices -l`."""

    serial: str
    state: str
    model: str


def run_adb(*arguments: str, timeout: float = SHELL_TIMEOUT_SECONDS) -> str:
    """The output of an adb command that addresses no specific phone.

    Raises:
        EdgebertError: adb is missing or failed. The message has its own error.
    """
    try:
        done = subprocess.run(
            ["adb", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise EdgebertError(f"The adb client was expected on PATH. {INSTALL_ADB}") from error
    except subprocess.TimeoutExpired as error:
        raise EdgebertError(
            f"'adb {arguments[0]}' gave no answer for {timeout:g} s. Next: adb kill-server, plug "
            "the phone in again, and try once more."
        ) from error
    if done.returncode:
        raise EdgebertError(
            f"'adb {arguments[0]}' failed.{last_lines(done.stderr.decode('utf-8', 'replace'))} "
            "Next: adb kill-server, then adb devices."
        )
    return done.stdout.decode("utf-8", "replace")


def attached_devices() -> tuple[Attached, ...]:
    """All attached devices in any state, in the order of adb.

    Raises:
        EdgebertError: adb is missing, or its server cannot be started.
    """
    found = []
    for line in run_adb("devices", "-l").splitlines()[1:]:
        serial, _, rest = line.partition(" ")
        if rest.strip() and not serial.startswith("*"):
            model = re.search(r"\bmodel:(\S+)", rest)
            name = model[1].replace("_", " ") if model else ""
            found.append(Attached(serial, rest.split()[0], name))
    return tuple(found)


class Adb:
    """The adb client for one phone.

    Args:
        serial: Serial in `adb devices`.
    """

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._interrupted = False

    def shell(self, command: str, timeout: float = SHELL_TIMEOUT_SECONDS) -> tuple[int, str]:
        """Runs a command in the phone's shell.

        Returns:
            Its exit code, and its stdout and stderr in one text.

        Raises:
            EdgebertError: The phone is gone, or did not respond in time.
        """
        _, output = self._call(["shell", f"({command}) 2>&1; echo {_EXIT_MARK}$?"], timeout)
        text, marked, code = output.rpartition(_EXIT_MARK)
        if not marked or not code.strip().isdigit():
            raise EdgebertError(self._lost(output))
        return int(code), text

    def query(self, commands: Mapping[str, str]) -> dict[str, str]:
        """Runs several commands in one call. The output of a command that fails is empty."""
        parts = [
            f"echo; echo {_ANSWER_MARK}{name}; ({command}) 2>/dev/null"
            for name, command in commands.items()
        ]
        _, output = self.shell("; ".join(parts))
        answers = dict.fromkeys(commands, "")
        name = ""
        for line in output.splitlines(keepends=True):
            if line.startswith(_ANSWER_MARK):
                name = line.removeprefix(_ANSWER_MARK).strip()
            elif name in answers:
                answers[name] += line
        return answers

    def push(self, local: Path, remote: str) -> None:
        """Copies a file to the phone.

        Raises:
            EdgebertError: The phone is gone or has no free space.
        """
        code, output = self._call(["push", str(local), remote], PUSH_TIMEOUT_SECONDS)
        if code:
            if self.state() != "device":
                raise EdgebertError(self._lost(output))
            raise EdgebertError(
                f"{local} can't be copied to {self.serial}:{remote}.{last_lines(output)} "
                "Next: check that the phone has free space (adb shell df -h /data/local/tmp)."
            )

    def state(self) -> str:
        """The state in `adb get-state`; "missing" if adb does not know the phone."""
        code, output = self._call(["get-state"], SHELL_TIMEOUT_SECONDS)
        return "missing" if code else output.strip()

    def interrupt(self) -> None:
        """Ends the current call. Later calls fail, too, until `resume`."""
        with self._lock:
            self._interrupted = True
            if self._running is not None:
                self._running.kill()

    def resume(self) -> None:
        """Allows calls again, for the cleanup."""
        with self._lock:
            self._interrupted = False

    def _call(self, arguments: list[str], timeout: float) -> tuple[int, str]:
        with self._lock:
            if self._interrupted:
                raise EdgebertError(f"{self.serial}: stopped.")
            try:
                process = subprocess.Popen(
                    ["adb", "-s", self.serial, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches only us; `interrupt` ends adb
                )
            except FileNotFoundError as error:
                raise EdgebertError(
                    f"The adb client was expected on PATH. {INSTALL_ADB}"
                ) from error
            self._running = process
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise EdgebertError(
                f"{self.serial} gave no answer to 'adb {arguments[0]}' for {timeout:g} s. "
                "Next: unlock the phone, plug it in again, and measure again."
            ) from error
        finally:
            with self._lock:
                self._running = None
            if process.poll() is None:
                process.kill()
                process.communicate()
        return process.returncode, output.decode("utf-8", "replace")

    def _lost(self, output: str) -> str:
        return (
            f"The connection to {self.serial} was lost: it was unplugged, or its USB debugging was "
            f"switched off.{last_lines(output)} Next: plug it in again and measure again."
        )


class PhoneFolder:
    """A folder on the phone for one job. Leaving the `with` block always removes it.

    If the phone was unplugged, the folder stays. A job at least one day later removes it.

    Args:
        adb: The phone.
        readable: Whether apps may read the folder, not only the shell's user.
    """

    def __init__(self, adb: Adb, readable: bool = False) -> None:
        self._adb, self._mode = adb, "755" if readable else "700"
        self.path = f"{PHONE_TEMPORARY}/edgebert-{secrets.token_hex(4)}"
        self._placed: dict[str, str] = {}

    def place(self, local: Path, sha256: str, mode: str = "644") -> str:
        """The path of a file on the phone. Each content is copied once.

        Raises:
            EdgebertError: The phone is gone or has no free space.
        """
        if sha256 not in self._placed:
            remote = f"{self.path}/{len(self._placed)}-{_plain_name(local.name)}"
            self._adb.push(local, remote)
            self._adb.shell(shlex.join(["chmod", mode, remote]))
            self._placed[sha256] = remote
        return self._placed[sha256]

    def __enter__(self) -> PhoneFolder:
        stale = f"find {PHONE_TEMPORARY} -maxdepth 1 -name 'edgebert-*' -mtime +0"
        code, output = self._adb.shell(
            f"{stale} -exec rm -rf {{}} +; mkdir -m {self._mode} {self.path}"
        )
        if code:
            raise EdgebertError(
                f"{self._adb.serial}: {self.path} can't be made.{last_lines(output)} "
                "Next: check that the phone has free space (adb shell df -h /data/local/tmp)."
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._adb.resume()
        with suppress(EdgebertError):
            self._adb.shell(f"rm -rf {self.path}")


def _plain_name(name: str) -> str:
    """A file name without `,` and `:`, at which the tools on the phone split lists."""
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
