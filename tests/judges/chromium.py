"""A real headless Chromium, controlled by its DevTools protocol through a pipe.

No driver and no package is needed: the protocol is JSON. With `--remote-debugging-pipe` the browser
reads commands from file descriptor 3 and writes answers to 4. It ends when the pipe closes.

    with Chromium(find_chromium()) as browser:
        page = browser.open("http://127.0.0.1:8000/", Viewport(390, 844, dark=True))
        page.wait_for("document.title === 'done'")
        page.screenshot(Path("page.png"))

Each page has its own profile (cookies, storage), like a separate device.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH_VARIABLE = "EDGEBERT_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-first-run", "--no-default-browser-check", "--hide-scrollbars"),
    *("--disable-extensions", "--disable-background-networking", "--disable-component-update"),
    # In a container /dev/shm is small, and root may not have the sandbox.
    *("--disable-dev-shm-usage", "--no-sandbox"),
)
SOFTWARE_GPU = (
    *("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"),
    *("--enable-features=Vulkan", "--use-vulkan=swiftshader"),
)
"""WebGPU on a software adapter: for answers, never for speed."""
# Moves the pipe's ends to the file descriptors that the browser expects, then runs the browser.
STARTER = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
ANSWER_SECONDS = 60.0
POLL_SECONDS = 0.05


def find_chromium() -> str | None:
    """The program in the environment variable, else the first one on PATH, else None."""
    if named := os.environ.get(PATH_VARIABLE):
        return named
    return next(filter(None, map(shutil.which, NAMES)), None)


class PageError(AssertionError):
    """A script in the page threw an error, or an awaited condition did not become true."""


@dataclass(frozen=True)
class Viewport:
    """The window of a page.

    Attributes:
        width: Width in CSS pixels.
        height: Height in CSS pixels.
        scale: Device pixels per CSS pixel.
        mobile: Whether to emulate a phone: viewport tag, touch, no scroll bars.
        dark: Whether the user prefers a dark color scheme.
    """

    width: int = 800
    height: int = 600
    scale: float = 1.0
    mobile: bool = False
    dark: bool = False


class Chromium:
    """A running browser. Leaving the `with` block ends it and removes its profile.

    Args:
        program: Path from `find_chromium`.
        flags: Additional command line switches.
    """

    def __init__(self, program: str, *flags: str) -> None:
        self._answers: dict[int, dict[str, Any]] = {}
        self._arrived = threading.Condition()
        self._listeners: dict[str, Callable[[str, dict[str, Any]], None]] = {}
        self._last_id, self._ended = 0, False
        to_browser, our_write = os.pipe()
        our_read, from_browser = os.pipe()
        with ExitStack() as stack:  # closed in reverse order
            profile = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
            )
            self._responses = stack.enter_context(os.fdopen(our_read, "rb", buffering=0))
            self._reader = threading.Thread(target=self._read, daemon=True)
            stack.callback(self._reader.join)
            own = ("--remote-debugging-pipe", f"--user-data-dir={profile}")
            command = [program, *FLAGS, *flags, *own]
            self._process = subprocess.Popen(
                [sys.executable, "-c", STARTER, str(to_browser), str(from_browser), *command],
                pass_fds=(to_browser, from_browser),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            os.close(to_browser)
            os.close(from_browser)
            stack.callback(self._end)
            self._requests = stack.enter_context(os.fdopen(our_write, "wb", buffering=0))
            self._reader.start()
            self.send_command("Browser.getVersion")
            self._stack = stack.pop_all()

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()  # the browser ends when the pipe closes

    def open(
        self,
        url: str,
        viewport: Viewport = Viewport(),
        *,
        before: str = "",
        same_profile_as: Page | None = None,
    ) -> Page:
        """Opens a page in a new profile.

        Args:
            url: Address of the page.
            viewport: Window of the page.
            before: JavaScript that runs before the scripts of the page.
            same_profile_as: A page whose profile is shared, like a second tab.
        """
        context = same_profile_as and same_profile_as.profile
        context = context or self.send_command("Target.createBrowserContext")["browserContextId"]
        target = self.send_command(
            "Target.createTarget", url="about:blank", browserContextId=context
        )
        target_id = target["targetId"]
        session = self.send_command("Target.attachToTarget", targetId=target_id, flatten=True)[
            "sessionId"
        ]
        page = Page(self, session, target_id, context)
        self._listeners[session] = page.hear
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.send_command(f"{domain}.enable")
        page.send_command(
            "Emulation.setDeviceMetricsOverride",
            width=viewport.width,
            height=viewport.height,
            deviceScaleFactor=viewport.scale,
            mobile=viewport.mobile,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if viewport.dark else "light"}
        page.send_command("Emulation.setEmulatedMedia", features=[scheme])
        if before:
            page.send_command("Page.addScriptToEvaluateOnNewDocument", source=before)
        page.send_command("Page.navigate", url=url)
        return page

    def send_command(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Sends a DevTools command and returns its result.

        Raises:
            RuntimeError: The browser returned an error, ended, or did not respond in time.
        """
        with self._arrived:
            self._last_id += 1
            number = self._last_id
            message = {"id": number, "method": method, "params": parameters}
            message |= {"sessionId": session} if session else {}
            try:
                self._requests.write(json.dumps(message).encode() + b"\0")
            except BrokenPipeError:
                self._ended = True
            self._arrived.wait_for(lambda: number in self._answers or self._ended, ANSWER_SECONDS)
            answer = self._answers.pop(number, None)
        if answer is None:
            how = "ended" if self._ended else f"gave no answer for {ANSWER_SECONDS:g} s"
            raise RuntimeError(f"The browser {how} during {method}.")
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    def _read(self) -> None:
        rest = b""
        while chunk := self._responses.read(1 << 16):
            *messages, rest = (rest + chunk).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    with self._arrived:
                        self._answers[message["id"]] = message
                        self._arrived.notify_all()
                elif listener := self._listeners.get(message.get("sessionId", "")):
                    listener(message["method"], message["params"])
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()

    def _end(self) -> None:
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)  # its own session has only processes of the browser
            self._process.wait()


class Page:
    """An open page.

    Attributes:
        profile: Identifier of its cookies and storage.
        requests: Addresses that it loaded, in order.
        problems: Uncaught errors, `console.error` messages, and refused loads.
    """

    def __init__(self, browser: Chromium, session: str, target: str, profile: str) -> None:
        self._browser, self._session, self._target = browser, session, target
        self.profile = profile
        self.requests: list[str] = []
        self.problems: list[str] = []

    def send_command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command to this page: see `Chromium.send_command`."""
        return self._browser.send_command(method, self._session, **parameters)

    def hear(self, method: str, event: dict[str, Any]) -> None:
        """Records an event of the page. The browser's reader thread calls it."""
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(event["request"]["url"])
            case "Runtime.exceptionThrown":
                self.problems.append(_exception_text(event["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if event["type"] == "error":
                words = (str(part.get("value", part.get("description"))) for part in event["args"])
                self.problems.append(" ".join(words))
            case "Log.entryAdded" if event["entry"]["level"] == "error":
                self.problems.append(event["entry"]["text"])

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression. A promise is awaited.

        Raises:
            PageError: The expression threw an error.
        """
        answer = self.send_command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise PageError(f"{expression}: {_exception_text(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 30.0) -> Any:
        """Waits until a JavaScript expression is truthy, and returns its value.

        Raises:
            PageError: The time limit was reached. The message has the page's text and problems.
        """
        end, value = time.monotonic() + seconds, None
        while not value and time.monotonic() < end:
            try:
                value = self.evaluate(expression)
            except (PageError, RuntimeError):  # not loaded yet, or the page is being replaced
                value = None
            time.sleep(0 if value else POLL_SECONDS)
        if not value:
            text = self.evaluate("document.body.innerText")
            raise PageError(f"Not in {seconds:g} s: {expression}\n{text}\n{self.problems}")
        return value

    def press(self, keys: str) -> None:
        """Types text into the element with the focus."""
        for key in keys:
            self.send_command("Input.dispatchKeyEvent", type="char", text=key)

    def reload(self) -> None:
        """Reloads the page."""
        self.send_command("Page.reload")

    def close(self) -> None:
        """Closes the tab, like a user."""
        self._browser.send_command("Target.closeTarget", targetId=self._target)

    def screenshot(self, path: Path, whole: bool = True) -> Path:
        """Writes a PNG of the whole page, or of the part in the window."""
        image = self.send_command(
            "Page.captureScreenshot", format="png", captureBeyondViewport=whole
        )
        path.write_bytes(base64.b64decode(image["data"]))
        return path


def _exception_text(details: dict[str, Any]) -> str:
    exception = details.get("exception", {})
    return str(exception.get("description") or exception.get("value") or details["text"])
