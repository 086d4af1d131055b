"""One connection to a board through the system's `ssh`, and a private folder on the board.

The first session of the connection is the keeper, a short shell program on the board. It makes the
folder, says where it is, and waits for the end of its stdin; then it ends whatever this connection
started and removes the folder. Its stdin ends when `close` says so, when this program is killed,
and when the connection breaks: nothing is left behind in any of these cases.
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
"""A unix socket's path has some 100 bytes, and ssh appends 17 while it makes one."""

FOLDER_VARIABLE = "EDGEBERT_FOLDER"
UNFINISHED = "unfinished"
VENV = "$HOME/.cache/edgebert/venv"

# Ends every process that carries the folder's name in its environment: a runner in the middle of a
# long call doesn't see its stdin end. A virtual environment that this connection began is removed.
KEEPER = f"""
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
keep() {{
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

# What ssh says, and what helps. The first that matches counts.
CAUSES = (
    (
        "HOST IDENTIFICATION HAS CHANGED",
        "if the board was set up anew, forget its old key with `ssh-keygen -R HOST` as ssh says; "
        "if not, somebody else answers in its place",
    ),
    (
        "Host key verification failed",
        "connect once by hand, compare the fingerprint with the board's, and say yes: `{ssh}`",
    ),
    (
        "Too many authentication failures",
        "name one key for this host in ~/.ssh/config: IdentityFile, and IdentitiesOnly yes",
    ),
    (
        "Permission denied",
        "see which user and key the board expects; `{copy_id}` puts your key there",
    ),
    ("Could not resolve hostname", "check the spelling, or give the board's IP address"),
    ("Connection refused", "see that an ssh server runs on the board and listens on this port"),
    ("timed out", "see that the board is on, and that this machine reaches it"),
    ("No route to host", "see that the board is on, and that this machine reaches it"),
    ("Network is unreachable", "see that this machine has a network"),
    ("Bad configuration option", "correct ssh's configuration file"),
)


@dataclass(frozen=True)
class Reply:
    """What a command on the board did."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """Of what it had to complain about."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


class Connection:
    """A board reached through ssh. Leaving the `with` block removes the folder and disconnects.

    Args:
        destination: the host, or user@host; an alias of ssh's configuration too.
        port: None leaves it to ssh's configuration.
        config: ssh's configuration file; empty takes the user's own.

    Attributes:
        folder: on the board, private, there once `open` was called.
    """

    def __init__(self, destination: str, port: int | None = None, config: str = "") -> None:
        self._options = ["-F", config] if config else []
        if port is not None:
            self._options += ["-p", str(port)]
        self._destination = destination
        self._sharing: list[str] = []
        self._keeper: subprocess.Popen[bytes] | None = None
        self.folder = ""

    @property
    def is_open(self) -> bool:
        """Whether `open` succeeded; the connection may be lost since."""
        return bool(self.folder)

    def open(self, needed_bytes: int) -> None:
        """Connects and makes the folder.

        A connection that the user shares (ControlMaster in ssh's configuration) is taken where one
        is open; it can be the only way to a board that wants a password or a token.

        Args:
            needed_bytes: room that the folder must have.

        Raises:
            EdgebertError: no ssh here, no way to the board, or no room there.
        """
        assert self._keeper is None, "a connection is opened once"
        self._sockets = tempfile.TemporaryDirectory(prefix="edgebert-", dir=_socket_base())
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `close`)
        if not self._user_shares():
            self._sharing = ["-S", os.path.join(self._sockets.name, "s")]
        # A session of its own: no terminal to prompt on, and Ctrl-C here does not cut the
        # connection before the board is cleaned.
        self._keeper = subprocess.Popen(
            self._ssh("exec sh", "-o", f"ControlMaster={'yes' if self._sharing else 'no'}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,
            env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
        )
        assert self._keeper.stdin is not None and self._keeper.stdout is not None
        overdue = threading.Timer(LOGIN_SECONDS, self._keeper.kill)
        overdue.daemon = True
        overdue.start()
        try:
            with suppress(BrokenPipeError):
                needed_kb = -(-needed_bytes // 1024)
                self._keeper.stdin.write(f"{KEEPER}\nkeep {needed_kb}; exit\n".encode())
                self._keeper.stdin.flush()
            self._read_folder(self._keeper.stdout, needed_bytes)
        finally:
            overdue.cancel()

    def command(self, words: Sequence[str]) -> tuple[str, ...]:
        """The local command that runs a program on the board, marked for the keeper.

        A program that a signal ends has 128 and the signal's number as its exit code.
        """
        variables = [f"{FOLDER_VARIABLE}={self.folder}", f"TMPDIR={self.folder}"]
        remote = ["env", *variables, "sh", "-c", '"$@"; exit $?', "sh"]
        return tuple(self._ssh("exec " + shlex.join([*remote, *words]), "-o", "ControlMaster=no"))

    def run(
        self, words: Sequence[str], chunks: Iterable[bytes] = (), seconds: float = COMMAND_SECONDS
    ) -> Reply:
        """Runs a program on the board to its end.

        Args:
            words: program and arguments.
            chunks: its stdin.
            seconds: how long it may take after that.

        Raises:
            EdgebertError: the connection was lost, or the time is over.
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
                    "s. Received: nothing. Next: see what keeps the board busy."
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
        """Runs a shell program, as `run`. The programs that it calls must not read its stdin.

        What has several lines belongs into it: as an argument csh would not take it.
        """
        return self.run(["sh", "-s", "--", *arguments], [script.encode()], seconds)

    def lost(self) -> EdgebertError | None:
        """What became of the connection, with ssh's own last words; None while it stands."""
        if self._keeper is None or not self.is_open:
            return None
        with suppress(subprocess.TimeoutExpired):
            self._keeper.wait(timeout=1.0)  # it may be about to notice
        if self._keeper.poll() is None:
            return None
        return EdgebertError(
            f"The connection to {self._destination} was lost. Received:{self._stderr_tail()}\n"
            "Next: see that the board has power and network, and measure again. The board removes "
            f"{self.folder} by itself once it notices."
        )

    def close(self) -> None:
        """Has the board cleaned, and disconnects."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None and keeper.stdout is not None
        try:
            with suppress(BrokenPipeError):
                keeper.stdin.close()
            if self.is_open:
                with suppress(subprocess.TimeoutExpired):
                    keeper.wait(CLEANING_SECONDS)
        finally:
            keeper.kill()
            keeper.wait()
            keeper.stdout.close()
            self._said.close()
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
        """Whether the user has a shared connection to the board open.

        Raises:
            EdgebertError: there is no ssh on this machine.
        """
        check = ["ssh", *self._options, "-O", "check", "--", self._destination]
        try:
            done = subprocess.run(check, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        except FileNotFoundError as error:
            self._sockets.cleanup()
            self._said.close()
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
        assert self._keeper is not None
        code = self._keeper.wait()
        words = self._stderr_tail()
        plain = ["ssh", *self._options, self._destination]
        commands = {
            "ssh": shlex.join(plain),
            "copy_id": shlex.join(["ssh-copy-id", *plain[1:]]),
        }
        fixes = [fix for said, fix in CAUSES if said in words] or ["see that `{ssh}` works"]
        expected = "answer" if code == SSH_FAILED else "make a temporary folder"
        return EdgebertError(
            f"{self._destination} was expected to {expected}. Received:{words}\n"
            f"Next: {fixes[0].format(**commands)}."
        )

    def _stderr_tail(self) -> str:
        lines = [line.strip() for line in _content(self._said).splitlines()]
        kept = [line for line in lines if line.strip("@ ")][-LAST_LINES:]
        if not kept:
            assert self._keeper is not None
            code = self._keeper.wait()
            silent = f"no answer for {LOGIN_SECONDS:g} s" if code < 0 else f"exit code {code}"
            return f" {silent}, and no word of ssh."
        return "\n".join(["", *(f"    {line}" for line in kept)])


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _socket_base() -> str:
    """A temporary folder whose name leaves room for a socket and has nothing that ssh expands."""
    base = tempfile.gettempdir()
    plain = not set(base) & set("%$")
    return base if plain and len(os.fsencode(base)) <= LONGEST_SOCKET_FOLDER else "/tmp"
