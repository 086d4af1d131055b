"""Client sessions of the pages: each page that joined receives requests and posts answers.

The server cannot call a page, so the page polls: it posts its answer to the last request and
receives the next one. Requests are numbered, so a repeated post has no effect.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from edgebert.errors import EdgebertError
from edgebert.profiling.browser.answers import Answer, BadAnswerError, Facts, check_answer

LOST_SECONDS = 60.0
"""A page without a request posts much more often than this."""


LAST_REQUEST = "done"


class PageLostError(EdgebertError):
    """The page is gone: it was closed or reloaded, or has not posted for too long."""


class NotAdmittedError(EdgebertError):
    """The page has no session, or its session was closed."""


class PageSession:
    """The client session of one page.

    Args:
        facts: Facts that the page sent when it joined.

    Attributes:
        id: Random identifier. A client that knows it may answer for the page.
        facts: Facts that the page sent when it joined.
        was_hidden: Whether the page has been in the background since it joined.
    """

    def __init__(self, facts: Facts) -> None:
        self.id = secrets.token_urlsafe(12)
        self.facts = facts
        self.was_hidden = False
        self._state = threading.Condition()
        self._number, self._answered = 0, 0
        self._request: dict[str, Any] = {}
        self._answer: dict[str, Any] = {}
        self._progress: dict[str, Any] = {}
        self._closed, self._heard = "", monotonic()

    @property
    def closed(self) -> bool:
        """Whether the session is closed."""
        return bool(self._closed)

    def set_progress(self, **progress: Any) -> None:
        """Sets the progress that the page shows with the next request."""
        self._progress = progress

    def request(self, op: str, seconds: float = 0.0, **fields: Any) -> dict[str, Any]:
        """Sends a request and returns the answer, which may be `{"error", "kind"}`.

        Args:
            op: Operation of the runner's protocol.
            seconds: Additional time limit for a request that keeps the page busy.
            fields: Fields of the request.

        Raises:
            PageLostError: The page is gone, or its answer is invalid.
        """
        with self._state:
            self._number += 1
            self._request = {"number": self._number, "op": op, **fields, "progress": self._progress}
            self._state.notify_all()
            self._heard = monotonic()
            while not self._closed and self._answered != self._number:
                left = self._heard + LOST_SECONDS + seconds - monotonic()
                if left <= 0:
                    self.close(f"it has not responded for {LOST_SECONDS + seconds:g} s")
                self._state.wait(left)
            if self._answered != self._number:
                raise PageLostError(self._closed)
            return self._answer

    def receive(self, answer: Answer, seconds: float) -> dict[str, Any]:
        """Receives an answer and returns the next request, or `{"op": "wait"}` if there is none.

        Args:
            answer: Answer of the page.
            seconds: Maximum time to wait for a request.

        Raises:
            NotAdmittedError: The session is closed.
            BadAnswerError: The answer is invalid. This closes the session.
        """
        with self._state:
            self._heard = monotonic()
            self.was_hidden |= answer.hidden
            if answer.number == self._number > self._answered and not self._closed:
                self._deliver(answer)
                if self._request["op"] == LAST_REQUEST:
                    return {"op": "over", "number": answer.number}
            self._state.wait_for(lambda: self._closed or self._number > answer.number, seconds)
            if self._closed:
                raise NotAdmittedError(f"This page has stopped: {self._closed.rstrip('.')}.")
            if self._number > answer.number:
                return self._request
            return {"op": "wait", "number": answer.number}

    def _deliver(self, answer: Answer) -> None:
        op = self._request["op"]
        try:
            body = {"error": answer.error, "kind": "PageError"}
            self._answer = body if answer.error else check_answer(op, answer.body)
        except BadAnswerError as error:
            self.close(f"its answer to '{op}' is invalid ({error})")
            raise
        self._answered = self._number
        self._state.notify_all()

    def close(self, reason: str) -> None:
        """Closes the session. Pending and later calls get the first reason that was given."""
        with self._state:
            self._closed = self._closed or reason
            self._state.notify_all()


class PageSessions:
    """All client sessions of a job.

    Args:
        places: Maximum number of pages that measure.
        on_join: Called with every new session, in the thread of the page's HTTP request.
    """

    def __init__(self, places: int, on_join: Callable[[PageSession], None]) -> None:
        self._places, self._on_join = places, on_join
        self._lock = threading.Lock()
        self._pages: dict[str, PageSession] = {}
        self._finished: set[str] = set()

    def join(self, facts: Facts) -> PageSession:
        """Opens a session for a page. Only the last opened page of a browser has a session.

        Raises:
            NotAdmittedError: All places are taken, or this device has finished.
        """
        with self._lock:
            for page in self._of(facts.device):
                if page.id in self._finished:
                    raise NotAdmittedError("This device has been measured already.")
                page.close("the page was opened again on the same device")
            taken = len(self._finished) + sum(not s.closed for s in self._open())
            if taken >= self._places:
                raise NotAdmittedError(
                    f"This session takes {self._places} "
                    f"{'device' if self._places == 1 else 'devices'}, which have already joined. "
                    "To measure more, start edgebert with a higher --phones."
                )
            page = PageSession(facts)
            self._pages[page.id] = page
        self._on_join(page)
        return page

    def page(self, name: str) -> PageSession:
        """The session with the given id.

        Raises:
            NotAdmittedError: There is none.
        """
        with self._lock:
            if name not in self._pages:
                raise NotAdmittedError("This page has no page in the session. Load it again.")
            return self._pages[name]

    def finish(self, page: PageSession) -> None:
        """Marks a page as finished. Its place stays taken."""
        with self._lock:
            self._finished.add(page.id)

    def busy(self) -> bool:
        """Whether at least one page is running."""
        with self._lock:
            return any(not page.closed for page in self._open())

    def close(self) -> None:
        """Closes all sessions."""
        with self._lock:
            for page in self._pages.values():
                page.close("the session is over")

    def _open(self) -> list[PageSession]:
        return [page for name, page in self._pages.items() if name not in self._finished]

    def _of(self, device: str) -> list[PageSession]:
        return [page for page in self._pages.values() if page.facts.device == device]
