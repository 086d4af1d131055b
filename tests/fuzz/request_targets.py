"""Targets of data that other machines send: requests of browsers, results of phones and tools."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from converters.json_files import parse_json
from edgebert.profiling.adb.app_results import checked_result, parse_result
from edgebert.profiling.adb.output import parse_report
from edgebert.profiling.browser import server
from edgebert.profiling.browser.answers import Answer, BadAnswerError, Facts, check_answer
from edgebert.profiling.browser.device import browser_name, device_name, make_device
from edgebert.profiling.browser.page_session import PageSessions
from edgebert.profiling.browser.server import Resource, _Handler, _Site
from tests.edgebert.profiling.test_benchmark_output import GOLDEN, TIMED
from tests.edgebert.profiling.test_browser_server import FACTS, GOOD_ANSWERS, PAGE
from tests.fuzz.mutations import mutate_bytes, mutate_json
from tests.fuzz.targets import Case, Target

TOKEN = "AAAAAAAAAAAAAAAAAAAAAA"
HOST = "127.0.0.1:8000"


def _bodies(folder: Path) -> list[Case]:
    def facts(data: bytes) -> object:
        try:
            found = Facts.parse(server._json(data))
        except BadAnswerError:
            return None
        browser_name(found)
        made = make_device(found, device_name(found), "relaxed SIMD")
        return json.dumps(asdict(made), allow_nan=False)

    def answer(data: bytes) -> object:
        try:
            return Answer.parse(server._json(data))
        except BadAnswerError:
            return None

    def check(op: str) -> Case:
        def read(data: bytes) -> object:
            try:
                return check_answer(op, server._json(data))
            except BadAnswerError:
                return None

        return Case(op, [json.dumps(GOOD_ANSWERS[op]).encode()], mutate_json, read)

    first = {"number": 1, "hidden": False, "error": "", "body": GOOD_ANSWERS["run"]}
    return [
        Case("facts", [json.dumps(asdict(FACTS)).encode()], mutate_json, facts),
        Case("answer", [json.dumps(first).encode()], mutate_json, answer),
        *map(check, sorted(GOOD_ANSWERS)),
    ]


class _FakeServer:
    """What a handler needs of its server."""

    def __init__(self) -> None:
        sessions = PageSessions(2, lambda page: None)
        resources = {"": Resource(PAGE), "a.js": Resource(b"1")}
        self.site = _Site(resources, sessions, lambda page: {"device": "x"}, TOKEN)
        self.site.host = HOST
        self.connections = _NoLimits()


class _NoLimits:
    """Connections without deadlines."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: True


def _requests(folder: Path) -> list[Case]:
    """Whole requests, as bytes on a socket."""
    server.POLL_SECONDS = 0.001
    made = _FakeServer()
    facts = json.dumps(asdict(FACTS)).encode()
    page = made.site.sessions.join(FACTS)
    first = json.dumps({"number": 0, "hidden": False, "error": "", "body": None}).encode()
    seeds = [
        _request("GET", ""),
        _request("GET", "a.js"),
        _request("POST", "join", facts),
        _request("POST", f"pages/{page.id}/next", first),
        _request("POST", f"pages/{page.id}/left", b"{}"),
    ]

    def read(data: bytes) -> object:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            sender = threading.Thread(target=_send, args=(theirs, data), daemon=True)
            sender.start()
            try:
                _Handler(ours, ("127.0.0.1", 1), made)  # type: ignore[arg-type]
            except OSError:  # the client is gone
                return None
            finally:
                ours.close()
                sender.join()
        return None

    return [Case("request", seeds, mutate_bytes, read)]


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    except OSError:
        return


def _request(method: str, path: str, body: bytes | None = None) -> bytes:
    length = "" if body is None else f"Content-Length: {len(body)}\r\n"
    head = f"{method} /{TOKEN}/{path} HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\n"
    return head.encode() + (body or b"")


def _tools(folder: Path) -> list[Case]:
    texts = [(GOLDEN / name).read_bytes()[:6000] for name in TIMED]
    result = {
        "format": "edgebert-app-result",
        "version": 2,
        "id": "k",
        "state": "done",
        "sha256": "00",
        "app_version": "1",
        "delegate": "xnnpack",
        "runtime": {"name": "LiteRT", "version": "2"},
        "load_ms": 1.5,
        "first_call_ms": 2.5,
        "peak_memory_bytes": None,
        "blocks_ms": [[1.0, 2.0], [1.5]],
        "check": [{"calls": [{"token_ids": [1], "outputs": {"logits": "AACAPg=="}}], "answer": {}}],
    }

    def app(data: bytes) -> object:
        parsed = parse_result(data.decode("utf-8", "replace"), "k", "step")
        request = {"check": ["a text"], "sha256": "00", "time": {"runs": 1}}
        return checked_result(parsed, request, "step")

    def tool(data: bytes) -> object:
        return parse_report(data.decode("utf-8", "replace"))

    return [
        Case("tool", texts, mutate_bytes, tool),
        Case("app", [json.dumps(result).encode()], mutate_json, app),
    ]


def _json(folder: Path) -> list[Case]:
    from converters.json_files import InvalidJsonError, short_repr

    def read(data: bytes) -> object:
        try:
            return short_repr(parse_json(data))
        except InvalidJsonError:
            return None

    return [Case("json", [json.dumps(GOOD_ANSWERS).encode()], mutate_json, read)]


TARGETS = (
    Target("browser-bodies", _bodies),
    Target("browser-requests", _requests),
    Target("phone-results", _tools),
    Target("json", _json),
)
