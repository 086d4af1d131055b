"""Validation of the data that a page sends: it is untrusted input.

Every number must be finite and within bounds, every list and text has a maximum size, and every key
must be known. The results have the declared types.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LONGEST_TEXT = 2000
LONGEST_NAME = 200
MOST_CALLS = 1_000_000
MOST_NUMBERS = 1 << 20
MOST_MILLISECONDS = 1e8
MOST_BYTES = 1 << 40

BUILDS = ("relaxed SIMD", "no relaxed SIMD", "threaded, relaxed SIMD", "JSPI, relaxed SIMD")
"""LiteRT.js's wasm builds."""

PLACES = ("wasm", "webgpu", "webgpu and wasm")
"""The place where a model's operations run."""


class BadAnswerError(ValueError):
    """A page sent invalid data. The message states what was expected."""


@dataclass(frozen=True)
class Facts:
    """Facts about the device that a page sends when it joins.

    Attributes:
        device: Random identifier, the same for all pages of a browser.
        user_agent: User agent of the browser.
        platform: Platform in the user agent's client hints, such as "Android". Empty without client
            hints; the same for `platform_version`, `model`, `architecture`, `bitness` and
            `browser`.
        cores: Number of logical cores.
        memory_gb: Approximate memory of the device. None if the browser does not report it.
        secure: Whether the page is a secure context.
        isolated: Whether the page is cross-origin isolated.
        shared_memory: Whether threads can share memory.
        relaxed_simd: Whether WebAssembly has relaxed SIMD, which makes LiteRT.js about twice as
            fast.
        clock_ms: Smallest step of the clock.
        webgpu: Name of the WebGPU adapter. Empty if there is none.
        battery: Battery level from 0 to 1. None if the browser does not report it.
        charging: Whether the battery is charging. None if the browser does not report it.
    """

    device: str
    user_agent: str
    platform: str
    platform_version: str
    model: str
    architecture: str
    bitness: str
    browser: str
    cores: int
    memory_gb: float | None
    secure: bool
    isolated: bool
    shared_memory: bool
    relaxed_simd: bool
    clock_ms: float
    webgpu: str
    battery: float | None
    charging: bool | None

    @property
    def threads(self) -> bool:
        """Whether LiteRT.js can use threads."""
        return self.isolated and self.shared_memory and self.relaxed_simd

    @classmethod
    def parse(cls, body: Any) -> Facts:
        """Validates the facts that a page sent.

        Raises:
            BadAnswerError: The data is invalid.
        """
        table = _table(body, "facts", cls.__dataclass_fields__)
        short = (
            *("device", "platform", "platform_version", "model"),
            *("architecture", "bitness", "browser"),
        )
        return cls(
            **{name: _text(table[name], name, LONGEST_NAME) for name in short},
            user_agent=_text(table["user_agent"], "user_agent", LONGEST_TEXT),
            cores=_whole(table["cores"], "cores", 1, 4096),
            memory_gb=_optional(_number, table["memory_gb"], "memory_gb", 0, 1e6),
            secure=_flag(table["secure"], "secure"),
            isolated=_flag(table["isolated"], "isolated"),
            shared_memory=_flag(table["shared_memory"], "shared_memory"),
            relaxed_simd=_flag(table["relaxed_simd"], "relaxed_simd"),
            clock_ms=_number(table["clock_ms"], "clock_ms", 1e-6, 1e4),
            webgpu=_text(table["webgpu"], "webgpu", LONGEST_NAME),
            battery=_optional(_number, table["battery"], "battery", 0, 1),
            charging=_optional(_flag, table["charging"], "charging"),
        )


@dataclass(frozen=True)
class Answer:
    """The answer of a page to a request.

    Attributes:
        number: Number of the request. 0 for the first post, which answers no request.
        hidden: Whether the page was in the background since the last answer.
        error: Error message of the page if the request failed. Empty otherwise.
        body: The answer, not validated yet. `check_answer`, which knows the request, validates it.
    """

    number: int
    hidden: bool
    error: str
    body: Any

    @classmethod
    def parse(cls, body: Any) -> Answer:
        """Validates the answer that a page sent, without its body.

        Raises:
            BadAnswerError: The data is invalid.
        """
        table = _table(body, "answer", cls.__dataclass_fields__)
        return cls(
            number=_whole(table["number"], "number", 0, 1 << 31),
            hidden=_flag(table["hidden"], "hidden"),
            error=_text(table["error"], "error", LONGEST_TEXT),
            body=table["body"],
        )


def check_answer(op: str, body: Any) -> dict[str, Any]:
    """Validates the answer to a request of the runner's protocol.

    Args:
        op: Operation of the request.
        body: The answer's body.

    Raises:
        BadAnswerError: The answer is invalid for the request.
    """
    return _ANSWERS[op](body)


def _load(body: Any) -> dict[str, Any]:
    table = _table(body, "load", ("load_ms", "build", "runs_on", "rss_before", "rss_after"))
    return {
        "build": _choice(table["build"], "build", BUILDS),
        "runs_on": _choice(table["runs_on"], "runs_on", PLACES),
        "load_ms": _milliseconds(table["load_ms"], "load_ms"),
        "rss_before": _whole(table["rss_before"], "rss_before", 0, MOST_BYTES),
        "rss_after": _whole(table["rss_after"], "rss_after", 0, MOST_BYTES),
    }


def _first_call(body: Any) -> dict[str, Any]:
    table = _table(body, "first_call", ("first_call_ms",))
    return {"first_call_ms": _milliseconds(table["first_call_ms"], "first_call_ms")}


def _run(body: Any) -> dict[str, Any]:
    """Each call of a group that was timed together gets the mean of the group."""
    table = _table(body, "run", ("samples_ms", "calls_per_sample", "wall_ms"))
    samples = _list(table["samples_ms"], "samples_ms", MOST_NUMBERS)
    calls = _whole(table["calls_per_sample"], "calls_per_sample", 1, MOST_CALLS)
    if not 1 <= len(samples) * calls <= MOST_CALLS:
        raise BadAnswerError(f"samples_ms: expected 1 to {MOST_CALLS} calls in all")
    means = [_milliseconds(sample, "samples_ms") / calls for sample in samples]
    return {
        "latencies_ms": [mean for mean in means for _ in range(calls)],
        "calls_per_sample": calls,
        "wall_ms": _milliseconds(table["wall_ms"], "wall_ms"),
        "cpu_ms": None,
    }


def _memory(body: Any) -> dict[str, Any]:
    table = _table(body, "memory", ("rss", "peak_rss"))
    return {name: _whole(value, name, 0, MOST_BYTES) for name, value in table.items()}


def _predict(body: Any) -> dict[str, Any]:
    """Outputs by name of each call: float32 numbers in base64 become lists."""
    outputs = _list(_table(body, "predict", ("outputs",))["outputs"], "outputs", LONGEST_TEXT)
    return {"outputs": [{n: _numbers(v) for n, v in _named(each).items()} for each in outputs]}


def _numbers(text: str) -> list[float]:
    try:
        return [float(number) for number in np.frombuffer(base64.b64decode(text), "<f4")]
    except ValueError as error:
        raise BadAnswerError(f"outputs: expected float32 numbers in base64, {error}") from error


def _answer(body: Any) -> dict[str, Any]:
    table = _table(body, "answer", ("rows",))
    return {"rows": [_row(row) for row in _list(table["rows"], "rows", LONGEST_TEXT)]}


def _row(value: Any) -> dict[str, Any]:
    """Calls of the runtime for one input, and the answer; None where token ids were given."""
    row = _table(value, "row", ("calls", "answer"))
    if not isinstance(row["answer"], dict | None):
        raise BadAnswerError("answer: expected an object or null")
    calls = [_call(call) for call in _list(row["calls"], "calls", MOST_NUMBERS)]
    return {"calls": calls, "answer": row["answer"]}


def _call(value: Any) -> dict[str, Any]:
    call = _table(value, "call", ("token_ids", "outputs"))
    token_ids = _list(call["token_ids"], "token_ids", MOST_NUMBERS)
    return {
        "token_ids": [_whole(number, "token_ids", 0, 1 << 31) for number in token_ids],
        "outputs": _named(call["outputs"]),
    }


def _named(outputs: Any) -> dict[str, str]:
    if not isinstance(outputs, dict) or not all(isinstance(t, str) for t in outputs.values()):
        raise BadAnswerError("outputs: expected texts by name")
    return outputs


def _done(body: Any) -> dict[str, Any]:
    return {}


_ANSWERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "load": _load,
    "first_call": _first_call,
    "run": _run,
    "memory": _memory,
    "predict": _predict,
    "answer": _answer,
    "done": _done,
}


def _table(value: Any, name: str, keys: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise BadAnswerError(f"{name}: expected an object with {', '.join(keys)}")
    return value


def _list(value: Any, name: str, longest: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > longest:
        raise BadAnswerError(f"{name}: expected a list of at most {longest}")
    return value


def _text(value: Any, name: str, longest: int) -> str:
    """A text in one line, without terminal control characters."""
    if not isinstance(value, str) or len(value) > longest:
        raise BadAnswerError(f"{name}: expected a text of at most {longest} characters")
    return "".join(c if c.isprintable() else " " for c in value).strip()


def _choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise BadAnswerError(f"{name}: expected one of {', '.join(choices)}")
    return str(value)


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise BadAnswerError(f"{name}: expected true or false")
    return value


def _number(value: Any, name: str, low: float, high: float) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or not low <= value <= high:  # refuses infinities and NaN, too
        raise BadAnswerError(f"{name}: expected a number from {low:g} to {high:g}")
    return float(value)


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadAnswerError(f"{name}: expected a whole number from {low} to {high}")
    return value


def _milliseconds(value: Any, name: str) -> float:
    """A time above 0 in ms."""
    return _number(value, name, 1e-9, MOST_MILLISECONDS)


def _optional(read: Callable[..., Any], value: Any, *rest: Any) -> Any:
    return None if value is None else read(value, *rest)
