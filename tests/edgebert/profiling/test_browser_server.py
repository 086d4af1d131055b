"""The web server of a session: tokens, sizes, invalid data, and names of devices."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling.browser import announce_in_terminal
from edgebert.profiling.browser import certificate as browser_certificate
from edgebert.profiling.browser import connections as browser_connections
from edgebert.profiling.browser import server as browser_server
from edgebert.profiling.browser.answers import (
    LONGEST_TEXT,
    Answer,
    BadAnswerError,
    Facts,
    check_answer,
)
from edgebert.profiling.browser.certificate import find_certificate
from edgebert.profiling.browser.device import browser_name, device_name, make_device, system_name
from edgebert.profiling.browser.page_session import (
    NotAdmittedError,
    PageLostError,
    PageSession,
    PageSessions,
)
from edgebert.profiling.browser.server import LARGEST_BODY_BYTES, PageServer, Resource, lan_address
from edgebert.profiling.cpu import with_package_path
from edgebert.profiling.target import open_target
from edgebert.settings import TargetSettings
from tests.edgebert.profiling.conftest import TinyClassifier

FACTS = Facts(
    device="d1",
    user_agent="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36",
    platform="",
    platform_version="",
    model="",
    architecture="",
    bitness="",
    browser="",
    cores=8,
    memory_gb=8,
    secure=True,
    isolated=True,
    shared_memory=True,
    relaxed_simd=True,
    clock_ms=0.005,
    webgpu="",
    battery=None,
    charging=None,
)
PAGE = b'<script type="importmap">{}</script><p>the page</p>'
GOOD_ANSWERS: dict[str, Any] = {
    "load": {
        "load_ms": 3.5,
        "build": "relaxed SIMD",
        "runs_on": "wasm",
        "rss_before": 10,
        "rss_after": 20,
    },
    "first_call": {"first_call_ms": 2.0},
    "run": {"samples_ms": [2.0, 4.0], "calls_per_sample": 2, "wall_ms": 6.5},
    "memory": {"rss": 20, "peak_rss": 30},
    "answer": {
        "rows": [
            {
                "calls": [{"token_ids": [101, 102], "outputs": {"logits": "AACAPg=="}}],
                "answer": None,
            }
        ]
    },
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@pytest.fixture
def sessions() -> PageSessions:
    return PageSessions(2, lambda page: None)


@pytest.fixture
def server(sessions: PageSessions, tmp_path: Path) -> Iterator[PageServer]:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    resources = {"": Resource(PAGE), "models/abc.tflite": Resource(secret, lasting=True)}
    with PageServer(resources, sessions, lambda page: {"welcome": page.facts.device}) as started:
        yield started


def connect(server: PageServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.address, server.port, timeout=20)


def ask(
    server: PageServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    """A request for exactly this path, without normalization by a client library."""
    connection = connect(server)
    connection.putrequest(method, path, skip_host=False)
    if body is not None and "Content-Length" not in headers:
        headers["Content-Length"] = str(len(body))
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content, response.headers


def post(server: PageServer, path: str, content: Any) -> tuple[int, Any]:
    inner = urlsplit(server.url).path + path
    status, body, _ = ask(server, "POST", inner, json.dumps(content).encode())
    return status, json.loads(body)


def test_requests_need_the_token(server: PageServer) -> None:
    root = urlsplit(server.url).path
    assert ask(server, "GET", root)[:2] == (200, PAGE)
    assert ask(server, "GET", root + "models/abc.tflite")[:2] == (200, b"secret")
    wrong = "/" + "A" * len(root.strip("/")) + "/"
    for path in ("/", wrong, root.rstrip("/"), wrong + "models/abc.tflite", root[:-3] + "/"):
        status, body, _ = ask(server, "GET", path)
        assert (status, b"token that changes with every run" in body) == (404, True)
    assert ask(server, "POST", wrong + "join", b"{}")[0] == 404


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "models/../secret.txt", "%2e%2e/secret.txt", "models/abc.tflite/", "//etc"],
)
def test_only_registered_files_are_read(server: PageServer, path: str) -> None:
    assert ask(server, "GET", urlsplit(server.url).path + path)[0] == 404


def test_headers_isolate_the_page(server: PageServer) -> None:
    headers = ask(server, "GET", urlsplit(server.url).path)[2]
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'sha256-")
    assert "unsafe-inline" not in policy and "'unsafe-eval'" not in policy
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Python" not in headers["Server"]


def test_bodies_have_a_size_limit(server: PageServer) -> None:
    path = urlsplit(server.url).path + "join"
    assert ask(server, "POST", path, b"", Content_Length=str(LARGEST_BODY_BYTES + 1))[0] == 413
    assert ask(server, "POST", path, b"", Content_Length="9" * 400)[0] == 413
    assert ask(server, "POST", path, b"", Content_Length="-1")[0] == 411
    assert ask(server, "POST", path, b"", Content_Length="1", Transfer_Encoding="chunked")[0] == 411
    deep = b"[" * 100_000
    for body in (b"", b"no json", b"\xff", deep, b'{"cores": NaN}', b"1" * 5000):
        assert ask(server, "POST", path, body)[0] == 400


def test_a_page_joins_and_answers(server: PageServer, sessions: PageSessions) -> None:
    status, joined = post(server, "join", asdict(FACTS))
    assert (status, joined["welcome"]) == (200, "d1")
    page = sessions.page(joined["page_id"])
    answers: list[dict[str, Any]] = []

    def measure() -> None:
        answers.append(page.request("memory"))
        with pytest.raises(PageLostError, match="session is over"):
            page.request("memory")

    asking = threading.Thread(target=measure)
    asking.start()
    path = f"pages/{joined['page_id']}/next"
    nothing = {"number": 0, "hidden": False, "error": "", "body": None}
    request = post(server, path, nothing)[1]
    assert (request["number"], request["op"]) == (1, "memory")
    answer = {**nothing, "number": 1, "hidden": True, "body": GOOD_ANSWERS["memory"]}
    assert post(server, path, answer)[1]["number"] == 2
    assert post(server, path, answer)[1]["number"] == 2  # sent twice: nothing is lost or doubled
    sessions.close()
    assert post(server, path, {**answer, "number": 2})[0] == 410
    asking.join(timeout=10)
    assert answers == [GOOD_ANSWERS["memory"]]
    assert page.was_hidden


def test_nonsense_closes_the_seat_that_it_came_from(
    server: PageServer, sessions: PageSessions
) -> None:
    pages = [
        sessions.page(post(server, "join", {**asdict(FACTS), "device": name})[1]["page_id"])
        for name in ("d1", "d2")
    ]
    errors: list[str] = []

    def measure() -> None:
        try:
            pages[0].request("memory")
        except PageLostError as error:
            errors.append(str(error))

    asking = threading.Thread(target=measure)
    asking.start()
    nothing = {"number": 0, "hidden": False, "error": "", "body": None}
    assert post(server, f"pages/{pages[0].id}/next", nothing)[1]["op"] == "memory"
    status, response = post(
        server, f"pages/{pages[0].id}/next", {**nothing, "number": 1, "body": {"rss": -1}}
    )
    assert (status, "Invalid request" in response["message"]) == (400, True)
    asking.join(timeout=10)
    assert "is invalid" in errors[0]
    assert (pages[0].closed, pages[1].closed) == (True, False)
    assert post(server, f"pages/{pages[1].id}x/next", nothing)[0] == 410
    assert post(server, "pages/../next", nothing)[0] == 404


def test_a_session_takes_a_limited_number_of_pages(sessions: PageSessions) -> None:
    first, second = (sessions.join(replace(FACTS, device=name)) for name in "ab")
    with pytest.raises(NotAdmittedError, match=r"2 devices.*--phones"):
        sessions.join(replace(FACTS, device="c"))
    second.close("the page was closed")
    third = sessions.join(replace(FACTS, device="c"))
    again = sessions.join(replace(FACTS, device="c"))  # loaded again: the new page has the place
    assert (third.closed, again.closed) == (True, False)
    sessions.finish(first)
    with pytest.raises(NotAdmittedError, match="measured already"):
        sessions.join(replace(FACTS, device="a"))
    assert sessions.busy()
    again.close("done")
    assert not sessions.busy()


def test_a_page_that_stops_responding_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebert.profiling.browser.page_session.LOST_SECONDS", 0.05)
    page = PageSession(FACTS)
    with pytest.raises(PageLostError, match=r"not responded for 0\.15 s"):
        page.request("memory", 0.1)
    with pytest.raises(NotAdmittedError, match="not responded"):
        page.receive(Answer(0, False, "", None), 1.0)


@given(JSON)
def test_any_json_is_valid_facts_or_refused(body: Any) -> None:
    with pytest.raises(BadAnswerError):
        Facts.parse(body)
    with pytest.raises(BadAnswerError):
        Answer.parse(body)


@given(st.sampled_from(sorted(asdict(FACTS))), JSON)
def test_one_changed_fact_is_refused_or_has_its_type(name: str, value: Any) -> None:
    try:
        facts = Facts.parse({**asdict(FACTS), name: value})
    except BadAnswerError:
        return
    device = make_device(facts, device_name(facts), "relaxed SIMD")
    assert json.loads(json.dumps(asdict(device), allow_nan=False))
    assert all(c.isprintable() for c in device.name + device.os + "".join(device.details.values()))


@given(st.sampled_from(sorted(GOOD_ANSWERS)), st.data())
def test_one_changed_value_in_an_answer_is_refused_or_finite(op: str, data: st.DataObject) -> None:
    good = GOOD_ANSWERS[op]
    assert check_answer(op, good)
    name = data.draw(st.sampled_from(sorted(good)))
    odd = data.draw(JSON | st.lists(JSON, max_size=3) | st.lists(st.lists(st.floats())))
    try:
        answer = check_answer(op, {**good, name: odd})
    except BadAnswerError:
        return
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize(
    ("op", "change"),
    [
        ("run", {"samples_ms": []}),
        ("run", {"samples_ms": [0.0]}),
        ("run", {"samples_ms": [float("inf")]}),
        ("run", {"samples_ms": [1.0] * 1000, "calls_per_sample": 10_000}),
        ("load", {"load_ms": 10**400}),
        ("memory", {"rss": True}),
        ("answer", {"rows": [{"calls": [], "answer": "label"}]}),
        ("answer", {"rows": [{"calls": [{"token_ids": [1.5], "outputs": {}}], "answer": None}]}),
        ("answer", {"rows": [{"calls": [{"token_ids": [1], "outputs": {"a": 1}}], "answer": {}}]}),
        ("answer", {"more": 1}),
    ],
)
def test_answers_out_of_bounds_are_refused(op: str, change: dict[str, Any]) -> None:
    with pytest.raises(BadAnswerError):
        check_answer(op, {**GOOD_ANSWERS[op], **change})


def test_calls_timed_together_get_their_mean() -> None:
    answer = check_answer("run", GOOD_ANSWERS["run"])
    assert answer["latencies_ms"] == [1.0, 1.0, 2.0, 2.0]


def test_a_page_cannot_control_the_terminal() -> None:
    answer = Answer.parse({"number": 1, "hidden": False, "error": "\x1b[2Jboo\u202e", "body": None})
    assert answer.error == "[2Jboo"
    with pytest.raises(BadAnswerError):
        Answer.parse({"number": 1, "hidden": False, "error": "x" * (LONGEST_TEXT + 1), "body": 0})


IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
SAMSUNG = (
    "Mozilla/5.0 (Linux; Android 13; SM-G991B) AppleWebKit/537.36 (KHTML, like Gecko) "
    "SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36"
)
REDUCED = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0"
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0"
)
HINTS = {
    "platform": "Android",
    "platform_version": "14",
    "model": "Pixel 8",
    "browser": "Chrome 126",
}


@pytest.mark.parametrize(
    ("agent", "hints", "device", "browser", "system"),
    [
        (IPHONE, {}, "iPhone", "Safari 17", "iOS 17.5"),
        (IPHONE.replace("Version/17.5", "CriOS/126.0"), {}, "iPhone", "Chrome 126", "iOS 17.5"),
        (SAMSUNG, {}, "SM-G991B", "Samsung Internet 25", "Android 13"),
        (REDUCED, {}, "Android 10", "Chrome 126", "Android 10"),
        (REDUCED, HINTS, "Pixel 8", "Chrome 126", "Android 14"),
        (FIREFOX, {}, "Android 14", "Firefox 127", "Android 14"),
        (EDGE, {}, "Windows 10.0", "Edge 126", "Windows 10.0"),
        ("curl/8", {}, "unknown system", "unknown browser", "unknown system"),
    ],
)
def test_names_of_devices(
    agent: str, hints: dict[str, str], device: str, browser: str, system: str
) -> None:
    facts = replace(FACTS, user_agent=agent, **hints)
    assert (device_name(facts), browser_name(facts), system_name(facts)) == (
        device,
        browser,
        system,
    )


def test_a_certificate_is_readable_by_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "https"
    made = find_certificate("127.0.0.1", folder)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert find_certificate("127.0.0.1", folder) == made
    assert find_certificate("192.168.0.7", folder).fingerprint != made.fingerprint
    made.path.write_text("half of")
    again = find_certificate("127.0.0.1", folder)
    assert again.fingerprint != made.fingerprint
    monkeypatch.setattr(browser_certificate, "LEAST_DAYS_LEFT", browser_certificate.DAYS + 1)
    assert find_certificate("127.0.0.1", folder).fingerprint != again.fingerprint
    assert sorted(path.suffix for path in folder.iterdir()) == [".pem", ".pem"]


def test_a_client_that_trusts_the_certificate_is_served_over_tls(
    sessions: PageSessions, tmp_path: Path
) -> None:
    with PageServer(
        {"": Resource(b"hello")},
        sessions,
        lambda page: {},
        certificate=lambda address: find_certificate(address, tmp_path),
    ) as server:
        trusting = ssl.create_default_context(cafile=str(server.certificate.path))
        connection = http.client.HTTPSConnection(
            server.address, server.port, context=trusting, timeout=20
        )
        connection.request("GET", urlsplit(server.url).path)
        assert connection.getresponse().read() == b"hello"
        connection.close()
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(server, "GET", urlsplit(server.url).path)  # without TLS
    lasts = timedelta(days=browser_certificate.DAYS)
    until = browser_certificate._read(server.certificate.path).not_valid_after_utc
    assert timedelta(0) < until - datetime.now(UTC) <= lasts


def test_the_server_listens_on_loopback_unless_lan_is_given(
    server: PageServer, sessions: PageSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.url.startswith(f"http://127.0.0.1:{server.port}/")
    monkeypatch.setattr(browser_server, "lan_address", lambda: "127.0.0.9")
    with PageServer({"": Resource(b"")}, sessions, lambda page: {}, lan=True) as far:
        assert far.url.startswith(f"http://127.0.0.9:{far.port}/")
        with (
            pytest.raises(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", far.port)),
        ):
            pass
    monkeypatch.setattr(browser_server, "FAR_ADDRESS", ("127.0.0.1", 9))
    with pytest.raises(EdgebertError, match="adb reverse"):
        lan_address()


def test_invalid_settings_are_refused(server: PageServer, sessions: PageSessions) -> None:
    settings = TargetSettings(phones=0, wait_seconds=0.0, port=70000)
    with pytest.raises(UsageError, match=r"phones: .*wait_seconds: .*port: .*takes no address"):
        open_target("browser:phone", settings)
    with pytest.raises(UsageError, match="free port"):
        PageServer({"": Resource(b"")}, sessions, lambda page: {}, port=server.port)


def test_the_address_is_shown_with_a_qr_code(
    server: PageServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    announce_in_terminal(server, TargetSettings())
    plain = capsys.readouterr()
    assert (server.url in plain.err, plain.out) == (True, "")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    announce_in_terminal(server, TargetSettings())
    shown = terminal.getvalue()
    assert server.url in shown
    halves = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
    lines = re.findall("231m([ ▀▄█]+)\x1b", shown)
    read = [[halves[c][half] for c in line] for line in lines for half in (0, 1)]
    code = [list(row) for row in segno.make(server.url, error="m").matrix_iter(border=2)]
    assert read[: len(code)] == code


CLI = [sys.executable, "-m", "edgebert", "profile"]


def test_ctrl_c_ends_the_server(tiny: TinyClassifier) -> None:
    starter = "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    starter += "os.execv(sys.argv[1], sys.argv[1:])"  # a shell's background job ignores the signal
    process = subprocess.Popen(
        [sys.executable, "-c", starter, *CLI, str(tiny.path), "--target", "browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=with_package_path(os.environ),
        text=True,
    )
    with process:
        address = next(line for line in process.stderr if "http://" in line)
        port = urlsplit(address.split()[-1]).port
        socket.create_connection(("127.0.0.1", port)).close()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) not in (0, None)
        assert process.stdout.read() == ""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def head(server: PageServer, path: str, host: str = "", extra: str = "") -> bytes:
    """The head of a POST request that announces a body."""
    host = host or f"{server.address}:{server.port}"
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4000000\r\n{extra}\r\n".encode()
    )


def first_line(connection: socket.socket) -> bytes:
    connection.settimeout(5)
    return connection.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize("extra", ["", "Expect: 100-continue\r\n"])
def test_without_the_token_the_body_is_not_read(server: PageServer, extra: str) -> None:
    with socket.create_connection((server.address, server.port), timeout=5) as connection:
        connection.sendall(head(server, "/wrong/join", extra=extra))
        assert b"404" in first_line(connection)


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1", "127.0.0.1:1"])
def test_another_host_is_refused(server: PageServer, host: str) -> None:
    path = urlsplit(server.url).path
    with socket.create_connection((server.address, server.port), timeout=5) as connection:
        connection.sendall(head(server, path + "join", host))
        assert b"404" in first_line(connection)


def test_slow_connections_do_not_shut_the_page_out(server: PageServer) -> None:
    slow = [socket.create_connection((server.address, server.port), timeout=5) for _ in range(300)]
    try:
        for connection in slow:
            with suppress(OSError):
                connection.sendall(b"G")
        connection = connect(server)
        connection.request("GET", urlsplit(server.url).path)
        assert connection.getresponse().read() == PAGE
    finally:
        for each in slow:
            each.close()


HOSTILE_SERVER = """
import sys
from edgebert.profiling.browser.page_session import PageSessions
from edgebert.profiling.browser.server import PageServer, Resource

with PageServer({"": Resource(b"page")}, PageSessions(2, lambda page: None), lambda page: {}) as s:
    print(s.url, flush=True)
    sys.stdin.readline()
    with open("/proc/self/status") as status:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")), flush=True)
"""
HOSTILE = {
    "slow": [b"G"],
    "long first lines": [b"GET /" + b"a" * 60_000],
    "many headers": [b"GET / HTTP/1.1\r\n", *[b"X: " + b"a" * 60_000 + b"\r\n"] * 90],
    "bodies": [b"POST /x/join HTTP/1.1\r\nContent-Length: 16000000\r\n\r\n", b"x" * 500_000],
}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc for the peak of the memory")
def test_a_thousand_hostile_connections_take_little_memory() -> None:
    command = [sys.executable, "-c", HOSTILE_SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=with_package_path(os.environ)
    ) as process:
        url = urlsplit(process.stdout.readline().decode().strip())
        opened = []
        for number in range(1000):
            connection = socket.create_connection((url.hostname, url.port), timeout=5)
            opened.append(connection)
            with suppress(OSError):
                for part in list(HOSTILE.values())[number % len(HOSTILE)]:
                    connection.sendall(part)
        page = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        page.request("GET", url.path)
        assert page.getresponse().read() == b"page"
        process.stdin.write(b"\n")
        process.stdin.flush()
        peak_kib = int(process.stdout.readline())
        for connection in (*opened, page):
            connection.close()
    assert peak_kib < 150_000_000 / 1024


def test_a_connection_has_a_deadline(
    sessions: PageSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser_connections, "STRANGER_SECONDS", 0.5)
    with (
        PageServer({"": Resource(PAGE)}, sessions, lambda page: {}) as server,
        socket.create_connection((server.address, server.port), timeout=5) as connection,
    ):
        began = time.monotonic()
        for byte in b"GET / HTTP/1.1 and so on":
            time.sleep(0.2)
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                break
        assert time.monotonic() - began < 4.5
