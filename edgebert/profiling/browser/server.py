"""The web server of a session: the page, its resources, and the requests and answers of pages.

All paths are below a random token of this session. A request without the token gets 404 before its
headers are read, and one with another Host than that of the printed URL before its body is read; an
invalid one gets 400. Only files that were registered when the server was created are read from the
disk.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from converters.json_files import InvalidJsonError, parse_json
from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling.browser.answers import Answer, BadAnswerError, Facts
from edgebert.profiling.browser.certificate import Certificate
from edgebert.profiling.browser.connections import (
    BODY_SECONDS,
    SENDING_SECONDS,
    Connections,
)
from edgebert.profiling.browser.page_session import NotAdmittedError, PageSession, PageSessions

TOKEN_BYTES = 16
LARGEST_BODY_BYTES = 16 << 20
SOCKET_SECONDS = 30.0
POLL_SECONDS = 15.0
LOOPBACK = "127.0.0.1"
FAR_ADDRESS = ("192.0.2.1", 9)
"""An address reserved for documentation. The socket is connected to find the route; no packet is
sent."""

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".tflite": "application/octet-stream",
    ".onnx": "application/octet-stream",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
}
PAGE_PATH = re.compile(r"pages/([A-Za-z0-9_-]+)/(next|left)")
INLINE_SCRIPT = re.compile(rb"<script[^>]*>(.+?)</script>", re.DOTALL)


@dataclass(frozen=True)
class Resource:
    """The resource under a path.

    Attributes:
        content: The bytes, or the file with the bytes.
        lasting: Whether the path identifies the content, so that a browser may cache it.
    """

    content: bytes | Path
    lasting: bool = False


class PageServer:
    """Serves a session from its creation until `close`.

    Args:
        resources: Resources by their path below the token. "" is the page.
        sessions: The client sessions of the pages.
        welcome: Returns the fields of the response to a page that joins.
        lan: Listen on this machine's address in the network instead of the loopback address.
        port: Port. 0 takes a free one.
        certificate: Creates the certificate of an address. None serves without TLS.

    Attributes:
        address: IP address of the server.
        url: URL of the page.
        certificate: The certificate, or None.

    Raises:
        UsageError: The port is in use or invalid.
        EdgebertError: This machine has no address in a network.
    """

    def __init__(
        self,
        resources: Mapping[str, Resource],
        sessions: PageSessions,
        welcome: Callable[[PageSession], dict[str, Any]],
        lan: bool = False,
        port: int = 0,
        certificate: Callable[[str], Certificate] | None = None,
    ) -> None:
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self.address = lan_address() if lan else LOOPBACK
        self.certificate = certificate(self.address) if certificate else None
        site = _Site(resources, sessions, welcome, self._token)
        try:
            self._server = _Server((self.address, port), site, self.certificate)
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"--port expects a free port, or 0. Received: {port} on {self.address} ({error}). "
                "Next: leave --port out."
            ) from error
        scheme = "https" if self.certificate else "http"
        self.port = int(self._server.server_address[1])
        site.host = f"{self.address}:{self.port}"
        self.url = f"{scheme}://{site.host}/{self._token}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    def __enter__(self) -> PageServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the server and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def lan_address() -> str:
    """This machine's IPv4 address on the interface with the default route.

    Raises:
        EdgebertError: It has none.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with suppress(OSError):
            probe.connect(FAR_ADDRESS)
        address = str(probe.getsockname()[0])
    if address.startswith(("127.", "0.")):
        raise EdgebertError(
            "--lan expects this machine to be in a network. Received: only a loopback address. "
            "Next: join the phone's network, or leave --lan out and forward the port over USB: "
            "adb reverse tcp:PORT tcp:PORT."
        )
    return address


class _Site:
    """The content that the handlers of all connections share."""

    def __init__(
        self,
        resources: Mapping[str, Resource],
        sessions: PageSessions,
        welcome: Callable[[PageSession], dict[str, Any]],
        token: str,
    ) -> None:
        self.resources, self.sessions, self.welcome, self.token = (
            resources,
            sessions,
            welcome,
            token,
        )
        self.host = ""
        self.headers = {
            "Content-Security-Policy": _content_security_policy(resources[""].content),
            # These three make the page cross-origin isolated: a finer clock and threads.
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Embedder-Policy": "require-corp",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }


def _content_security_policy(page: bytes | Path) -> str:
    """Allows only our own resources, and the page's import map (an inline script) by its hash."""
    html = page if isinstance(page, bytes) else page.read_bytes()
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in INLINE_SCRIPT.findall(html)
    ]
    scripts = " ".join(["'self'", "'wasm-unsafe-eval'", *hashes])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


class _Server(ThreadingHTTPServer):
    """One thread per connection, up to a limit. The TLS handshake runs in that thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(
        self, address: tuple[str, int], site: _Site, certificate: Certificate | None
    ) -> None:
        self.site = site
        self._context = certificate.context() if certificate else None
        self.connections = Connections()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Binds without a DNS lookup of this machine's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.connections.take_place():
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            request.settimeout(SOCKET_SECONDS)
            self.connections.begin(request)
            if self._context is not None:
                request = self._context.wrap_socket(
                    request, server_side=True, do_handshake_on_connect=False
                )
                self.connections.begin(request)
                request.do_handshake()
            super().process_request_thread(request, client_address)
        except OSError:  # no TLS, or the client disconnected
            self.shutdown_request(request)
        finally:
            self.connections.end()

    def server_close(self) -> None:
        super().server_close()
        self.connections.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores broken connections. The handlers report their own errors to the client."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = SOCKET_SECONDS
    server: _Server
    raw_requestline: bytes

    def version_string(self) -> str:
        return "edgebert"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Logs nothing: stderr shows the progress."""

    def parse_request(self) -> bool:
        """Reads the head of a request: its headers only after a first line with the token."""
        words = self.raw_requestline.decode("latin-1").split()
        self.path = "/" + words[1].lstrip("/") if len(words) > 1 else ""
        if self._inner_path() is None:
            self.command, self.requestline = words[0] if words else "", ""
            self.request_version = self.protocol_version
            self._refuse(HTTPStatus.NOT_FOUND, NOT_FOUND)
            return False
        return super().parse_request() and self._admitted()

    def handle_expect_100(self) -> bool:
        """Asks for the body only with the token."""
        return self._admitted() and super().handle_expect_100()

    def _admitted(self) -> bool:
        hosts = self.headers.get_all("Host", [])
        if self._inner_path() is None or hosts != [self.server.site.host]:
            self._refuse(HTTPStatus.NOT_FOUND, NOT_FOUND)
            return False
        self.server.connections.admit(BODY_SECONDS)
        return True

    def handle_one_request(self) -> None:
        """Handles one request; then the connection may idle for a while."""
        super().handle_one_request()
        self.server.connections.rest()

    def do_GET(self) -> None:
        path = self._inner_path()
        resource = None if path is None else self.server.site.resources.get(path)
        if resource is None:
            self._refuse(HTTPStatus.NOT_FOUND, NOT_FOUND)
            return
        kind = CONTENT_TYPES[Path(path or "index.html").suffix]
        if isinstance(resource.content, bytes):
            self._send(HTTPStatus.OK, resource.content, kind, resource.lasting)
            return
        with resource.content.open("rb") as file:
            size = resource.content.stat().st_size
            self._send_head(HTTPStatus.OK, size, kind, resource.lasting)
            shutil.copyfileobj(file, self.wfile)

    def do_POST(self) -> None:
        path = self._inner_path()
        body = self._read_body()
        if body is None:
            return
        try:
            if path == "join":
                self._send_json(self._join(body))
            elif path is not None and (found := PAGE_PATH.fullmatch(path)):
                self._send_json(self._answer(found[1], found[2], body))
            else:
                self._refuse(HTTPStatus.NOT_FOUND, NOT_FOUND)
        except BadAnswerError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"Invalid request: {error}.")
        except NotAdmittedError as error:
            self._refuse(HTTPStatus.GONE, str(error))

    def _join(self, body: bytes) -> dict[str, Any]:
        site = self.server.site
        page = site.sessions.join(Facts.parse(_json(body)))
        return {"page_id": page.id, **site.welcome(page)}

    def _answer(self, name: str, what: str, body: bytes) -> dict[str, Any]:
        page = self.server.site.sessions.page(name)
        if what == "left":
            page.close("the page was closed")
            return {}
        return page.receive(Answer.parse(_json(body)), POLL_SECONDS)

    def _inner_path(self) -> str | None:
        """The path below the token. None for a wrong token."""
        token, slash, inner = self.path.partition("?")[0].removeprefix("/").partition("/")
        right = hmac.compare_digest(token.encode(), self.server.site.token.encode())
        return inner if right and slash else None

    def _read_body(self) -> bytes | None:
        """The body. None if it was refused: too large, or without a Content-Length."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "A Content-Length is needed.")
        elif len(length) > 12 or int(length) > LARGEST_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "That is too large.")
        else:
            return self.rfile.read(int(length))
        return None

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Sends an error message and closes the connection without reading further data."""
        self.close_connection = True
        if self.command == "GET":  # a person may have typed the address
            self._send(status, message.encode(), "text/plain; charset=utf-8")
        else:
            self._send(status, json.dumps({"message": message}).encode(), CONTENT_TYPES[".json"])

    def _send_json(self, content: dict[str, Any]) -> None:
        self._send(HTTPStatus.OK, json.dumps(content).encode(), CONTENT_TYPES[".json"])

    def _send(self, status: HTTPStatus, body: bytes, kind: str, lasting: bool = False) -> None:
        self._send_head(status, len(body), kind, lasting)
        self.wfile.write(body)

    def _send_head(self, status: HTTPStatus, size: int, kind: str, lasting: bool) -> None:
        self.server.connections.extend(SENDING_SECONDS)
        self.send_response(status)
        for name, value in self.server.site.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        keep = "private, max-age=3600, immutable" if lasting else "no-store"
        self.send_header("Cache-Control", keep)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


NOT_FOUND = (
    "Not found. The address contains a token that changes with every run. Open the address that "
    "edgebert prints now."
)


def _json(body: bytes) -> Any:
    try:
        return parse_json(body)
    except InvalidJsonError as error:
        raise BadAnswerError("expected JSON") from error
