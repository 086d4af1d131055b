"""The device side of adb's protocol on loopback, behind a real adb server.

It is no phone. The real adb client and server connect to it with `adb connect`. This machine's
/bin/sh runs their commands in a folder, and scripts that print recorded text replace Android's own
commands. So the client, the protocol (CNXN, AUTH, OPEN, WRTE, CLSE; shell,v2 with exit codes; sync
with STAT, SEND and RECV), quoting and files are real, and figures are not.

    with adb_server(tmp_path) as environment, PhoneServer(tmp_path / "phone") as phone:
        phone.connect()                      # now the client lists phone.serial
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (
    int.from_bytes(name, "little")
    for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE")
)
VERSION, MAX_DATA = 0x01000001, 1 << 18
AUTH_TOKEN = 1
STDOUT, STDERR, EXIT = 1, 2, 3
DONE = object()
"""The last item in a stream's queue after the other side has closed the stream."""

PHONE_PATHS = re.compile(r"(?<![\w.])/(?=(?:data/local|sdcard|sys/devices|proc)/)")

STAND_INS = {
    "getprop": 'cat "$PHONE/getprop.txt"',
    "dumpsys": 'cat "$PHONE/dumpsys_$1.txt"',
    "settings": 'cat "$PHONE/settings_$3.txt"',
    "taskset": 'echo "$1" >> "$PHONE/taskset.log"; shift; exec "$@"',
}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def adb_server(home: Path) -> Iterator[dict[str, str]]:
    """A real adb server on its own port. Yields the environment variables for its clients."""
    port = str(free_port())
    home.mkdir(parents=True, exist_ok=True)
    own = {"ANDROID_ADB_SERVER_PORT": port, "HOME": str(home), "ANDROID_SDK_HOME": str(home)}
    with open(home / "adb_server.log", "wb") as log:
        server = subprocess.Popen(
            ["adb", "-P", port, "nodaemon", "server"],
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 20
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", int(port)), 1),
            ):
                break
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((home / "adb_server.log").read_text())
            time.sleep(0.02)
        yield own
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


class PhoneServer:
    """The device side of one phone.

    Args:
        root: Folder that represents the phone's file system.
        model: Model in `adb devices -l`.
        authorized: False answers every key with another token, like a phone whose user has not
            accepted the connection yet.

    Attributes:
        full: Whether sent files are refused because of missing space.
        unplug_at: The connection is cut after a shell command with this text has started.
        commands: All received shell commands.
        sent: All paths to which files were sent.
    """

    def __init__(self, root: Path, model: str = "Pixel_7", authorized: bool = True) -> None:
        self.root, self.model, self.authorized = root, model, authorized
        self.full = False
        self.unplug_at = ""
        self.commands: list[str] = []
        self.sent: list[str] = []
        self._connections: list[_Connection] = []
        for folder in ("data/local/tmp", "sdcard", "proc", "system/bin"):
            (root / folder).mkdir(parents=True)
        for name, script in STAND_INS.items():
            self.add_command(name, script)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def add_command(self, name: str, script: str) -> Path:
        """Adds a command to the phone's shell. `$PHONE` is the root folder on this machine."""
        path = self.root / "system" / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def local(self, remote: str) -> Path:
        """The path on this machine of a path on the phone."""
        return self.root / remote.lstrip("/")

    def connect(self) -> None:
        """Connects the adb server of the environment to this phone."""
        done = subprocess.run(
            ["adb", "connect", self.serial], capture_output=True, text=True, timeout=30, check=False
        )
        words = done.stdout + done.stderr
        if "connected to" not in words and "failed to authenticate" not in words:
            raise RuntimeError(words)

    def unplug(self) -> None:
        """Cuts all connections and accepts no new ones."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def __enter__(self) -> PhoneServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unplug()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = _Connection(self, self._listener.accept()[0])
                self._connections.append(connection)
                threading.Thread(target=connection.serve, daemon=True).start()


class _Connection:
    """One TCP connection of an adb server: messages in, streams by their numbers."""

    def __init__(self, phone: PhoneServer, sock: socket.socket) -> None:
        self._phone, self._sock = phone, sock
        self._sending = threading.Lock()
        self._streams: dict[int, _Stream] = {}
        self._next = 1

    def serve(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                command, arg0, arg1, length, _, _ = struct.unpack("<6I", self._read(24))
                self._handle(command, arg0, arg1, self._read(length))
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        for stream in list(self._streams.values()):
            stream.cut()

    def send(self, command: int, arg0: int, arg1: int, data: bytes = b"") -> None:
        header = struct.pack("<6I", command, arg0, arg1, len(data), sum(data), command ^ 0xFFFFFFFF)
        with self._sending:
            self._sock.sendall(header + data)

    def forget(self, number: int) -> None:
        self._streams.pop(number, None)

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._sock.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _handle(self, command: int, arg0: int, arg1: int, data: bytes) -> None:
        if command in (CNXN, AUTH) and not self._phone.authorized:
            self.send(AUTH, AUTH_TOKEN, 0, os.urandom(20))
        elif command == CNXN:
            model = self._phone.model
            banner = f"device::ro.product.name=p;ro.product.model={model};ro.product.device=p;"
            self.send(CNXN, VERSION, MAX_DATA, f"{banner}features=shell_v2,cmd,stat_v2".encode())
        elif command == OPEN:
            stream = _Stream(self, self._next, arg0)
            self._streams[self._next] = stream
            self._next += 1
            service = data.rstrip(b"\0").decode()
            threading.Thread(target=self._run, args=(stream, service), daemon=True).start()
        elif stream := self._streams.get(arg1):
            if command == WRTE:
                stream.incoming.put(data)
                self.send(OKAY, stream.number, stream.peer)
            elif command == OKAY:
                stream.acknowledged.set()
            elif command == CLSE:
                stream.cut()

    def _run(self, stream: _Stream, service: str) -> None:
        name, _, rest = service.partition(":")
        with contextlib.suppress(OSError, EOFError):
            if name == "shell" or name.startswith("shell,v2"):
                stream.accept()
                self._shell(stream, rest)
            elif name == "sync":
                stream.accept()
                _Sync(self._phone, stream).serve()
            stream.close()

    def _shell(self, stream: _Stream, command: str) -> None:
        phone = self._phone
        phone.commands.append(command)
        mapped = PHONE_PATHS.sub(lambda _: f"{phone.root}/", command)
        process = subprocess.Popen(
            ["/bin/sh", "-c", mapped],
            env={"PATH": f"{phone.root}/system/bin:/usr/bin:/bin", "PHONE": str(phone.root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        stream.at_cut = lambda: _kill(process)
        if phone.unplug_at and phone.unplug_at in command:
            time.sleep(0.05)
            phone.unplug()
        out, err = process.communicate()
        stream.at_cut = lambda: None  # what the command left running, as an app, goes on
        own = str(phone.root).encode()
        for kind, data in ((STDOUT, out), (STDERR, err)):
            data = data.replace(own, b"")
            for start in range(0, len(data), MAX_DATA // 2):
                part = data[start : start + MAX_DATA // 2]
                stream.write(struct.pack("<BI", kind, len(part)) + part)
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        stream.write(struct.pack("<BIB", EXIT, 1, code & 0xFF))


class _Stream:
    """One service that the client opened."""

    def __init__(self, connection: _Connection, number: int, peer: int) -> None:
        self._connection, self.number, self.peer = connection, number, peer
        self.incoming: queue.Queue[object] = queue.Queue()
        self.acknowledged = threading.Event()
        self.at_cut = lambda: None
        self._rest = b""
        self._cut = False

    def accept(self) -> None:
        self._connection.send(OKAY, self.number, self.peer)

    def write(self, data: bytes) -> None:
        if self._cut:
            raise EOFError
        self.acknowledged.clear()
        self._connection.send(WRTE, self.number, self.peer, data)
        self.acknowledged.wait(20)

    def read(self, count: int) -> bytes:
        while len(self._rest) < count:
            data = self.incoming.get(timeout=30)
            if not isinstance(data, bytes):
                raise EOFError
            self._rest += data
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def close(self) -> None:
        self._connection.send(CLSE, self.number, self.peer)
        self._connection.forget(self.number)

    def cut(self) -> None:
        self._cut = True
        self.acknowledged.set()
        self.incoming.put(DONE)
        self.at_cut()


class _Sync:
    """adb's file service."""

    def __init__(self, phone: PhoneServer, stream: _Stream) -> None:
        self._phone, self._stream = phone, stream

    def serve(self) -> None:
        while True:
            request, length = struct.unpack("<4sI", self._stream.read(8))
            if request == b"QUIT":
                return
            path = self._stream.read(length).decode()
            {b"STAT": self._stat, b"STA2": self._stat2, b"LST2": self._stat2}.get(
                request, self._receive if request == b"SEND" else self._send
            )(path)

    def _stat(self, path: str) -> None:
        mode, size, mtime = 0, 0, 0
        with contextlib.suppress(OSError):
            found = self._phone.local(path).stat()
            mode, size, mtime = found.st_mode, found.st_size, int(found.st_mtime)
        self._stream.write(struct.pack("<4s3I", b"STAT", mode, size, mtime))

    def _stat2(self, path: str) -> None:
        error, mode, size, mtime = 2, 0, 0, 0
        with contextlib.suppress(OSError):
            found = self._phone.local(path).stat()
            error, mode, size, mtime = 0, found.st_mode, found.st_size, int(found.st_mtime)
        fields = (b"STA2", error, 0, 0, mode, 1, 2000, 2000, size, mtime, mtime, mtime)
        self._stream.write(struct.pack("<4sIQQIIIIQqqq", *fields))

    def _receive(self, path_and_mode: str) -> None:
        remote, _, mode = path_and_mode.rpartition(",")
        data = bytearray()
        while True:
            kind, length = struct.unpack("<4sI", self._stream.read(8))
            if kind == b"DONE":
                break
            data += self._stream.read(length)
        local = self._phone.local(remote)
        if self._phone.full:
            self._fail("couldn't create file: No space left on device")
            return
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(data)
        local.chmod(stat.S_IMODE(int(mode)) | 0o600)
        self._phone.sent.append(remote)
        self._stream.write(struct.pack("<4sI", b"OKAY", 0))

    def _send(self, path: str) -> None:
        try:
            data = self._phone.local(path).read_bytes()
        except OSError as error:
            self._fail(str(error))
            return
        for start in range(0, len(data), 1 << 16):
            part = data[start : start + (1 << 16)]
            self._stream.write(struct.pack("<4sI", b"DATA", len(part)) + part)
        self._stream.write(struct.pack("<4sI", b"DONE", 0))

    def _fail(self, message: str) -> None:
        self._stream.write(struct.pack("<4sI", b"FAIL", len(message)) + message.encode())


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def find_adb() -> str | None:
    """The real client, where it is installed."""
    return shutil.which("adb")
