"""One connection to a board through the system's `ssh`, and a private folder on the board.

The first session of the connection runs the cleanup script, a short shell program on the board. It
creates the folder, prints its path, and waits for the end of its stdin. Then it kills all processes
that this connection started and removes the folder. Its stdin ends in `close`, when this program is
killed, and when the connection breaks, so nothing is left behind in any of these cases.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO

from edgebert.errors import EdgebertError

OPTIONS = (
    *("-T", "-x", "-a"),
    *("-o", "BatchMode=yes"),
    *("-o", "StrictHostKeyChecking=yes"),
    *("-o", "ConnectTimeout=15"),
    *("-o", "ServerAliveInterval=10"),
    *("-o", "ServerAliveCountMax=3"),
    *("-o", "ControlPersist=no"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none"),
    *("-o", "LogLevel=INFO"),
)
LOGIN_SECONDS = 90.0
COMMAND_SECONDS = 120.0
CLEANING_SECONDS = 20.0
SSH_FAILED = 255
LAST_LINES = 16
LONGEST_SOCKET_FOLDER = 55
"""The path of a unix socket is limited to about 100 bytes, and ssh appends 17 temporarily."""

FOLDER_VARIABLE = "EDGEBERT_FOLDER"
UNFINISHED = "unfinished"
VENV = "$HOME/.cache/edgebert/venv"

# Kills every process with the folder's name in its environment: a runner in a long call does not
# notice the end of its stdin. An unfinished virtual environment of this connection is removed.
CLEANUP_SCRIPT = f"""
clean() {{
  for environment in /proc/[0-9]*/environ; do
    while IFS= read -r line || [ -n "$line" ]; do
      case $line in
        *"{FOLDER_VARIABLE}=$1"*)
          process=${{environment%/environ}}
          kill -9 "${{process#/proc/}}" 2>/dev/null
          break ;;
      esac
    done 2>/dev/null <"$environment"
  done
  if [ "$(cat "{VENV}/{UNFINISHED}" 2>/dev/null)" = "$1" ]; then rm -rf "{VENV}"; fi
  rm -rf "$1"
}}
run() {{
  umask 077
  trap '' HUP INT TERM
  echo
  for base in "$TMPDIR" /tmp "$HOME"; do
    case $base in /*) ;; *) continue ;; esac
    free=$(df -Pk "$base" 2>/dev/null | {{ read -r _; read -r _ _ _ free _; echo "$free"; }})
    case $free in '' | *[!0-9]*) free=$1 ;; esac
    if [ "$free" -lt "$1" ]; then
      echo "edgebert-full $base has $((free / 1024)) MB"
    elif folder=$(mktemp -d "$base/edgebert.XXXXXX"); then
      echo "edgebert-folder $folder"
      cat >/dev/null
      clean "$folder"
      return
    fi
  done
  return 1
}}
"""

# Messages of ssh, each with the next step. The first match counts.
CAUSES = (
    (
        "HOST IDENTIFICATION HAS CHANGED",
        "if the board was reinstalled, remove its old key with `ssh-keygen -R HOST`; if not, "
        "another machine may be using its address",
    ),
    (
        "Host key verification failed",
        "connect once by hand, compare the fingerprint with the board's, and accept it: `{ssh}`",
    ),
    (
        "Too many authentication failures",
        "name one key for this host in ~/.ssh/config: IdentityFile, and IdentitiesOnly yes",
    ),
    (
        "Permission denied",
        "check which user and key the board expects; `{copy_id}` installs your key there",
    ),
    ("Could not resolve hostname", "check the spelling, or give the board's IP address"),
    ("Connection refused", "check that an ssh server runs on the board and listens on this port"),
    ("timed out", "check that the board is on and can be reached from this machine"),
    ("No route to host", "check that the board is on and can be reached from this machine"),
    ("Network is unreachable", "check that this machine has a network"),
    ("Bad configuration option", "correct ssh's configuration file"),
)


@dataclass(frozen=True)
class Reply:
    """The result of a command on the board."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """The last line of its stderr, or of its stdout if stderr is empty."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


class Connection:
    """A connection to a board. Leaving the `with` block removes the folder and disconnects.

    Args:
        destination: The host, user@host, or an alias of ssh's configuration.
        port: Port. None takes the port of ssh's configuration.
        config: Configuration file of ssh. Empty takes the user's own file.

    Attributes:
        folder: Private folder on the board. It exists after `open`.
    """

    def __init__(self, destination: str, port: int | None = None, config: str = "") -> None:
        self._options = ["-F", config] if config else []
        if port is not None:
            self._options += ["-p", str(port)]
        self._destination = destination
        self._sharing: list[str] = []
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self._stderr: IO[bytes] | None = None
        self._cleanup: subprocess.Popen[bytes] | None = None
        self.folder = ""

    @property
    def is_open(self) -> bool:
        """Whether `open` succeeded. The connection may have been lost since."""
        return bool(self.folder)

    def open(self, needed_bytes: int) -> None:
        """Connects and creates the folder.

        An open shared connection of the user (ControlMaster in ssh's configuration) is reused. It
        can be the only way to a board that requires a password or a token.

        Args:
            needed_bytes: Free space that the folder needs.

        Raises:
            EdgebertError: ssh is missing, the connection fails, or the board has no free space.
        """
        assert self._cleanup is None, "a connection is opened once"
        if not self._user_shares():
            self._sockets = tempfile.TemporaryDirectory(prefix="edgebert-", dir=_socket_base())
            self._sharing = ["-S", os.path.join(self._sockets.name, "s")]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `close`)
        # A new session has no terminal for prompts, and Ctrl-C does not end the connection before
        # the board is cleaned up.
        self._cleanup = subprocess.Popen(
            self._ssh("exec sh", "-o", f"ControlMaster={'yes' if self._sharing else 'no'}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
            env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
        )
        assert self._cleanup.stdin is not None and self._cleanup.stdout is not None
        overdue = threading.Timer(LOGIN_SECONDS, self._cleanup.kill)
        overdue.daemon = True
        overdue.start()
        try:
            with suppress(BrokenPipeError):
                needed_kb = -(-needed_bytes // 1024)
                self._cleanup.stdin.write(f"{CLEANUP_SCRIPT}\nrun {needed_kb}; exit\n".encode())
                self._cleanup.stdin.flush()
            self._read_folder(self._cleanup.stdout, needed_bytes)
        finally:
            overdue.cancel()

    def command(self, words: Sequence[str]) -> tuple[str, ...]:
        """The local command that runs a program on the board.

        The environment of the program contains the folder's name, so that the cleanup script finds
        it. The exit code of a program that a signal ended is 128 plus the signal's number.
        """
        variables = [f"{FOLDER_VARIABLE}={self.folder}", f"TMPDIR={self.folder}"]
        remote = ["env", *variables, "sh", "-c", '"$@"; exit $?', "sh"]
        return tuple(self._ssh("exec " + shlex.join([*remote, *words]), "-o", "ControlMaster=no"))

    def run(
        self, words: Sequence[str], chunks: Iterable[bytes] = (), seconds: float = COMMAND_SECONDS
    ) -> Reply:
        """Runs a program on the board to its end.

        Args:
            words: Program and arguments.
            chunks: Content of its stdin.
            seconds: Time limit after the stdin was sent.

        Raises:
            EdgebertError: The connection was lost, or the time limit was reached.
        """
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(
                self.command(words), stdin=subprocess.PIPE, stdout=stdout, stderr=stderr
            )
            assert process.stdin is not None
            try:
                with suppress(BrokenPipeError):  # the program ended before it read everything
                    for chunk in chunks:
                        process.stdin.write(chunk)
                    process.stdin.close()
                process.wait(seconds)
            except subprocess.TimeoutExpired as error:
                raise EdgebertError(
                    f"{self._destination} was expected to finish `{words[0]}` within {seconds:g} "
                    "s. Received: no result. Next: check what keeps the board busy."
                ) from error
            finally:
                process.kill()
                process.wait()
                with suppress(OSError):
                    process.stdin.close()
            reply = Reply(process.returncode, _content(stdout), _content(stderr))
        lost = self.lost() if reply.code == SSH_FAILED else None
        if lost is not None:
            raise lost
        return reply

    def run_script(self, script: str, *arguments: str, seconds: float = COMMAND_SECONDS) -> Reply:
        """Runs a shell script, as `run` does. Programs in the script must not read stdin.

        The script is sent through stdin, since csh does not accept arguments with several lines.
        """
        return self.run(["sh", "-s", "--", *arguments], [script.encode()], seconds)

    def lost(self) -> EdgebertError | None:
        """The error of a lost connection, with the last lines of ssh; None if it is intact."""
        if self._cleanup is None or not self.is_open:
            return None
        with suppress(subprocess.TimeoutExpired):
            self._cleanup.wait(timeout=1.0)  # it may be about to notice
        if self._cleanup.poll() is None:
            return None
        return EdgebertError(
            f"The connection to {self._destination} was lost. Received:{self._stderr_tail()}\n"
            "Next: check the board's power and network, and measure again. The board removes "
            f"{self.folder} when it notices the lost connection."
        )

    def close(self) -> None:
        """Cleans up the board and disconnects."""
        cleanup, self._cleanup = self._cleanup, None
        if cleanup is None:
            return
        assert cleanup.stdin is not None and cleanup.stdout is not None
        try:
            with suppress(BrokenPipeError):
                cleanup.stdin.close()
            if self.is_open:
                with suppress(subprocess.TimeoutExpired):
                    cleanup.wait(CLEANING_SECONDS)
        finally:
            cleanup.kill()
            cleanup.wait()
            cleanup.stdout.close()
            if self._stderr is not None:
                self._stderr.close()
            if self._sockets is not None:
                self._sockets.cleanup()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ssh(self, remote: str, *options: str) -> list[str]:
        own = [*self._options, *OPTIONS, *self._sharing, *options]
        return ["ssh", *own, "--", self._destination, remote]

    def _user_shares(self) -> bool:
        """Whether the user has an open shared connection to the board.

        Raises:
            EdgebertError: This machine has no ssh.
        """
        check = ["ssh", *self._options, "-O", "check", "--", self._destination]
        try:
            done = subprocess.run(check, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        except FileNotFoundError as error:
            raise EdgebertError(
                "--target ssh expects OpenSSH's client on this machine. Received: no `ssh` on PATH."
                " Next: install it, on Debian by `sudo apt install openssh-client`."
            ) from error
        return done.returncode == 0

    def _read_folder(self, lines: IO[bytes], needed_bytes: int) -> None:
        full, noise, folder = [], [], ""
        for line in lines:
            text = line.decode("utf-8", "surrogateescape").rstrip("\n")
            word, _, rest = text.partition(" ")
            if word == "edgebert-folder":
                folder = rest
                break
            if word == "edgebert-full":
                full.append(rest)
            elif text.strip():
                noise.append(text.strip())
        if folder and not noise:
            self.folder = folder
            return
        if full:
            raise EdgebertError(
                f"{self._destination} was expected to have {needed_bytes / 2**20:.0f} MB free for "
                f"the models. Received: {'; '.join(full)}. Next: make room, or set TMPDIR there."
            )
        if noise:
            raise EdgebertError(
                f"{self._destination} was expected to run a program and print nothing else. "
                f"Received: {noise[0]!r}. Next: let its shell's start files (such as ~/.bashrc) "
                "print only on a terminal."
            )
        raise self._refused()

    def _refused(self) -> EdgebertError:
        assert self._cleanup is not None
        code = self._cleanup.wait()
        words = self._stderr_tail()
        plain = ["ssh", *self._options, self._destination]
        commands = {
            "ssh": shlex.join(plain),
            "copy_id": shlex.join(["ssh-copy-id", *plain[1:]]),
        }
        fixes = [fix for cause, fix in CAUSES if cause in words] or ["check that `{ssh}` works"]
        expected = "answer" if code == SSH_FAILED else "make a temporary folder"
        return EdgebertError(
            f"{self._destination} was expected to {expected}. Received:{words}\n"
            f"Next: {fixes[0].format(**commands)}."
        )

    def _stderr_tail(self) -> str:
        assert self._stderr is not None
        lines = [line.strip() for line in _content(self._stderr).splitlines()]
        kept = [line for line in lines if line.strip("@ ")][-LAST_LINES:]
        if not kept:
            assert self._cleanup is not None
            code = self._cleanup.wait()
            silent = f"no answer for {LOGIN_SECONDS:g} s" if code < 0 else f"exit code {code}"
            return f" {silent}, and no message from ssh."
        return "\n".join(["", *(f"    {line}" for line in kept)])


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _socket_base() -> str:
    """A temporary folder with a path short enough for a socket and without characters that ssh
    expands.
    """
    base = tempfile.gettempdir()
    plain = not set(base) & set("%$")
    return base if plain and len(os.fsencode(base)) <= LONGEST_SOCKET_FOLDER else "/tmp"
