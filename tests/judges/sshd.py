"""A real sshd on loopback: keys, configuration and known hosts in one temporary folder.

It is the server of a real board, so it verifies that our client is compatible. It needs no root:
the user who runs the tests logs in to the same account with a temporary key. The server ends with
the `with` block, and also if this process is killed: a shell waits for the end of a pipe.

`environment` contains the variables of the sessions, so a test sets the board's PATH, HOME and
TMPDIR.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

START_SECONDS = 10.0
HOLD = '"$@" & trap "kill $!; wait" EXIT; cat >/dev/null'


def find_sshd() -> str | None:
    """The sshd program, which is often not on PATH. None if it or the client is missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    sshd = shutil.which("sshd", path=path)
    return sshd if sshd and shutil.which("ssh") and shutil.which("ssh-keygen") else None


class Sshd:
    """A running server.

    Args:
        program: Path from `find_sshd`.
        folder: Empty folder for its files.
        environment: Additional environment variables of the sessions.

    Attributes:
        port: Port on 127.0.0.1.
        config: Client configuration in which the host `board` is this server.
        known_hosts: The client's known_hosts file.
        address: user@127.0.0.1:port.
    """

    def __init__(self, program: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self.config, self.known_hosts = folder / "config", folder / "known_hosts"
        self._process: subprocess.Popen[bytes] | None = None
        self._program, self._environment = program, environment
        for name in ("host_key", "user_key", "stranger_key"):
            make_key(folder / name)
        (folder / "authorized_keys").write_bytes((folder / "user_key.pub").read_bytes())

    def start(self) -> None:
        """Starts the server on a free port and waits until it accepts connections."""
        if os.getuid() == 0:  # sshd needs this folder, which the system service normally creates
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._write_server_config()
        self.write_client_config()
        self.known_hosts.write_text(self.known_host("host_key"))
        log = self._folder / "log"
        command = [self._program, "-D", "-f", str(self._folder / "sshd_config"), "-E", str(log)]
        self._process = subprocess.Popen(
            ["sh", "-c", HOLD, "sh", *command], stdin=subprocess.PIPE, start_new_session=True
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"sshd does not answer:\n{log.read_text() if log.exists() else ''}")

    @property
    def address(self) -> str:
        return f"{getpass.getuser()}@127.0.0.1:{self.port}"

    def known_host(self, key: str) -> str:
        """The line of known_hosts that trusts one of the generated keys."""
        kind, public = (self._folder / f"{key}.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {public}\n"

    def write_client_config(self, key: str = "user_key", more: str = "") -> None:
        """Writes a client configuration with only this server and one key."""
        self.config.write_text(
            f"Host board\n  HostName 127.0.0.1\n  Port {self.port}\nHost *\n"
            f"  User {getpass.getuser()}\n"
            f"  IdentityFile {shlex.quote(str(self._folder / key))}\n"
            "  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {shlex.quote(str(self.known_hosts))}\n"
            f"  GlobalKnownHostsFile /dev/null\n{more}"
        )

    def cut_connections(self) -> None:
        """Kills the server side of all connections, like a power loss of the board."""
        for process in self._sessions():
            os.kill(process, signal.SIGKILL)

    def stop(self) -> None:
        if self._process is not None:
            self.cut_connections()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()

    def __enter__(self) -> Sshd:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _sessions(self) -> list[int]:
        """Processes that serve a connection: the descendants of the listening sshd."""
        assert self._process is not None
        found, (listening, *_) = [], [*children(self._process.pid), 0]
        waiting = children(listening) if listening else []
        while waiting:
            process = waiting.pop()
            if _name(process).startswith("sshd"):
                found.append(process)
                waiting += children(process)
        return found

    def _write_server_config(self) -> None:
        settings = " ".join(
            '"' + f"{name}={value}".replace("\\", "\\\\").replace('"', '\\"') + '"'
            for name, value in self._environment.items()
        )
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self._folder / 'host_key'}",
            f"AuthorizedKeysFile {self._folder / 'authorized_keys'}",
            f"PidFile {self._folder / 'pid'}",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "StrictModes no",
            "UsePAM no",
            *([f"SetEnv {settings}"] if settings else []),
        ]
        (self._folder / "sshd_config").write_text("\n".join(lines) + "\n")


def make_key(path: Path) -> None:
    """A key pair without a passphrase."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def children(process: int) -> list[int]:
    """Ids of the child processes. Empty if the process is gone."""
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
        return [int(child) for child in text.split()]
    except OSError:
        return []


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text()
    except OSError:
        return ""
