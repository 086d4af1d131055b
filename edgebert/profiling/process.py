"""Client of a benchmark program in its own process: one JSON line per request and per response.

The command starts a local Python, or forwards stdin and stdout to a Python on another machine.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from edgebert.errors import EdgebertError

ANSWER_TIMEOUT_SECONDS = 600.0
STDERR_LINES = 12


class Runner(Protocol):
    """A benchmark program that takes requests. Leaving its `with` block ends it."""

    def exchange(self, op: str, **fields: Any) -> dict[str, Any]:
        """Sends a request and returns its response, which may be `{"error", "kind"}`."""
        ...

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Sends a request and returns its response. Raises for an error response."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class RunnerProcess:
    """A running benchmark program. Leaving the `with` block always ends it.

    Args:
        command: Program and arguments.
        label: Name of the program in messages, such as the model's name.
        environment: Environment variables. None takes those of this process.

    Raises:
        EdgebertError: The program cannot be started.
    """

    def __init__(
        self, command: Sequence[str], label: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.label = label
        self._overdue = False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=None if environment is None else dict(environment),
            )
        except OSError as error:
            self._stderr.close()
            raise EdgebertError(
                f"{label}: the benchmark program cannot be started. Received: {error}. "
                f"Next: check that {command[0]} can be run."
            ) from error

    def exchange(self, op: str, **fields: Any) -> dict[str, Any]:
        """Sends a request and returns its response, which may be `{"error", "kind"}`.

        Raises:
            EdgebertError: The program ended, did not respond within `ANSWER_TIMEOUT_SECONDS`, or
                its response is no JSON. The message has the last lines of its stderr.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        overdue = threading.Timer(ANSWER_TIMEOUT_SECONDS, self._give_up)
        overdue.daemon = True
        overdue.start()
        try:
            stdin.write(json.dumps({"op": op, **fields}).encode() + b"\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            overdue.cancel()
        if not line:
            raise EdgebertError(self._exit_message(op))
        try:
            return dict(json.loads(line))
        except ValueError as error:
            raise EdgebertError(
                f"{self.label}: expected one line of JSON from the benchmark program in response "
                f"to '{op}'. Received: {line[:200]!r}.{self._stderr_tail()}"
            ) from error

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Sends a request and returns its response. Raises for an error response.

        Raises:
            EdgebertError: The request failed in the program, or the program itself failed.
        """
        response = self.exchange(op, **fields)
        if "error" in response:
            raise EdgebertError(
                f"{self.label}: '{op}' failed in the benchmark program. "
                f"Received: {response['error']}"
            )
        return response

    def close(self) -> None:
        """Kills the program. It holds no state that needs a clean shutdown."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            try:
                if stream is not None:
                    stream.close()
            except BrokenPipeError:
                continue

    def __enter__(self) -> RunnerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _give_up(self) -> None:
        self._overdue = True
        self._process.kill()

    def _exit_message(self, op: str) -> str:
        code = self._process.wait()
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        if self._overdue:
            how = f"no answer for {ANSWER_TIMEOUT_SECONDS:g} s"
        return (
            f"{self.label}: the benchmark program ended during '{op}'. "
            f"Received: {how}.{self._stderr_tail()}"
        )

    def _stderr_tail(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").splitlines()[-STDERR_LINES:]
        return " Its last lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""
