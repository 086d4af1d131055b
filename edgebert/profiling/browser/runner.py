"""A page that implements the benchmark program's protocol.

So the session that measures other machines measures a browser, too. Values that a page does not
know (CPU time, load average) are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from edgebert.errors import EdgebertError
from edgebert.profiling.browser.answers import Facts
from edgebert.profiling.browser.device import system_name
from edgebert.profiling.browser.page_session import PageSession
from edgebert.profiling.machine import TextSupport
from edgebert.profiling.measurement import Kind
from edgebert.profiling.plan import ModelFile

RUNTIME = "LiteRT.js"
START_SECONDS = 120.0
"""Time limit for a slow phone to compile a large model, or its WebGPU shaders."""

CallKey = tuple[str, int, Kind, str | None]
"""SHA-256 of the file, threads, kind, signature (None for `end_to_end`)."""


class PageRunner:
    """The page as a `Runner` for one benchmark case. It starts and ends no process.

    Args:
        page: The page.
        machine: The machine of the page.
        kind: Kind of its calls.
    """

    def __init__(self, page: PageSession, machine: PageMachine, kind: Kind) -> None:
        self._page, self._machine, self._kind = page, machine, kind
        self._loaded: dict[str, Any] = {}

    def exchange(self, op: str, **fields: Any) -> dict[str, Any]:
        """Implements `Runner.exchange`.

        Raises:
            PageLostError: The page is gone.
        """
        if op == "hello":
            return self._machine.hello()
        if op == "load":
            self._loaded = {
                "model": fields["model"],
                "threads": fields.get("threads", 1),
                "kind": self._kind,
            }
        seconds = 2 * float(fields.get("max_seconds", 0.0))  # warm-up and timed calls
        seconds += START_SECONDS if op in ("load", "first_call", "predict") else 0.0
        answer = self._page.request(op, seconds, **{**self._loaded, **fields})
        if op == "load" and "error" not in answer:
            key = (fields["model"], self._loaded["threads"])
            self._machine.loaded[key] = (answer["build"], answer["runs_on"])
            answer = {**answer, "signatures": self._machine.signatures[fields["model"]]}
        if op == "run" and "error" not in answer:
            loaded, signature = self._loaded, fields.get("signature") or None
            call = (loaded["model"], loaded["threads"], self._kind, signature)
            self._machine.note(call, answer["calls_per_sample"])
        return answer

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Implements `Runner.request`.

        Raises:
            EdgebertError: The page failed. The message has its own error.
        """
        answer = self.exchange(op, **fields)
        if "error" in answer:
            raise EdgebertError(
                f"{self._machine.name}: '{op}' failed in the page. Received: {answer['error']}. "
                "Next: try another browser, or export the model for it again."
            )
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Does nothing: the next case can use the loaded model."""


class PageMachine:
    """A page as a `Machine`.

    Args:
        page: The page.
        name: Name of the device.
        target: The `target` of the measurements.
        version: Version of LiteRT.js.
        signatures: Signatures by the SHA-256 of the file, read with this machine's runtime.

    Attributes:
        loaded: The wasm build and the place where the operations run, by SHA-256 and threads.
        calls_per_sample: For each kind of call, the largest number of calls timed together.
    """

    def __init__(
        self,
        page: PageSession,
        name: str,
        target: str,
        version: str,
        signatures: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.name, self.target, self.signatures = name, target, signatures
        self.loaded: dict[tuple[str, int], tuple[str, str]] = {}
        self.calls_per_sample: dict[CallKey, int] = {}
        self._page, self._version = page, version

    def place(self, file: ModelFile) -> str:
        """The name of a file in the page: its SHA-256."""
        return file.sha256

    def text_support(self, file: ModelFile) -> TextSupport:
        """The page answers texts of every task."""
        return TextSupport()

    def start_runner(self, label: str) -> PageRunner:
        """The page, for calls of the graph."""
        return PageRunner(self._page, self, "model")

    def start_end_to_end(self, label: str) -> PageRunner:
        """The page, for text in, answer out."""
        return PageRunner(self._page, self, "end_to_end")

    def note(self, key: CallKey, calls: int) -> None:
        """Stores the number of calls that were timed together."""
        self.calls_per_sample[key] = max(calls, self.calls_per_sample.get(key, 1))

    def hello(self) -> dict[str, Any]:
        """The response to the runner's `hello`."""
        facts: Facts = self._page.facts
        return {
            "device": {
                "name": self.name,
                "cpu": "",
                "cores": facts.cores,
                "architecture": facts.architecture,
                "os": system_name(facts),
                "cpu_features": [],
                "python": "",
            },
            "environment": {"load_average": None, "governor": None},
            "runtime": {"name": RUNTIME, "version": self._version},
        }
