"""A page in the place of the benchmark program: it answers the runner's requests.

So a browser is measured by the very session that measures other machines. What it can't know (CPU
time, load average) is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from edgebert.errors import EdgebertError
from edgebert.profiling.browser.answers import Facts
from edgebert.profiling.browser.device import system_name
from edgebert.profiling.browser.page_session import PageSession
from edgebert.profiling.measurement import Kind
from edgebert.profiling.plan import ModelFile

RUNTIME = "LiteRT.js"
START_SECONDS = 120.0
"""A slow phone may take so long to compile a large model, or its WebGPU shaders."""

CallKey = tuple[str, int, Kind, str | None]
"""What a call is of: hash of the file, threads, kind, signature; None for `end_to_end`."""


class PageRunner:
    """One case's view of a page. Nothing is started or ended: the page stays as it is.

    Args:
        page: the page.
        machine: to which it belongs.
        kind: of its calls.
    """

    def __init__(self, page: PageSession, machine: PageMachine, kind: Kind) -> None:
        self._page, self._machine, self._kind = page, machine, kind
        self._loaded: dict[str, Any] = {}

    def exchange(self, op: str, **fields: Any) -> dict[str, Any]:
        """As `Runner.exchange`.

        Raises:
            PageLostError: the page is gone.
        """
        if op == "hello":
            return self._machine.hello()
        if op == "load":
            self._loaded = {
                "model": fields["model"],
                "threads": fields.get("threads", 1),
                "kind": self._kind,
            }
        seconds = 2 * float(fields.get("max_seconds", 0.0))  # warming up, and timed
        seconds += START_SECONDS if op in ("load", "first_call") else 0.0
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
        """As `Runner.ask`.

        Raises:
            EdgebertError: the page failed; with its own words.
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
        """Nothing: what a page has loaded serves the next case too."""


class PageMachine:
    """A page as a `Machine`.

    Args:
        page: the page.
        name: of the device.
        target: the measurements' `target`.
        version: of LiteRT.js.
        signatures: by file hash, what this machine's runtime says of the file's signatures.

    Attributes:
        loaded: by file hash and threads, the wasm build and where the operations run.
        calls_per_sample: for each kind of call, how many were timed together at most.
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
        """How the page names a file: by its hash."""
        return file.sha256

    def runs_text(self, file: ModelFile) -> bool:
        """The page answers as a text classifier does; other heads run without their text."""
        return file.task.answered_in_browser

    def start_runner(self, label: str) -> PageRunner:
        """The page, for calls of the graph."""
        return PageRunner(self._page, self, "model")

    def start_end_to_end(self, label: str) -> PageRunner:
        """The page, for text in, answer out."""
        return PageRunner(self._page, self, "end_to_end")

    def note(self, key: CallKey, calls: int) -> None:
        """Remembers how many calls were timed together."""
        self.calls_per_sample[key] = max(calls, self.calls_per_sample.get(key, 1))

    def hello(self) -> dict[str, Any]:
        """As the runner's `hello`."""
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
