"""Who is in a session: each page that joined has a page, through which it is asked and answers.

A page can't be called, so it asks for requests: it posts its answer to the last one and gets the
next. Numbers make a post that is sent twice harmless.
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
"""A page that is not busy with a request posts far more often."""


LAST_REQUEST = "done"


class PageLostError(EdgebertError):
    """The page is gone: closed, opened anew, or not heard from."""


class NotAdmittedError(EdgebertError):
    """A page is told that it has no page, or no page any more."""


class PageSession:
    """One page.

    Args:
        facts: what it said when it joined.

    Attributes:
        id: random: who knows it may answer for the page.
        facts: what it said when it joined.
        was_hidden: whether it has been in the background since it joined.
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
        """Whether nothing more comes from the page."""
        return bool(self._closed)

    def tell(self, **progress: Any) -> None:
        """Has the page show how far it is, with the next request."""
        self._progress = progress

    def request(self, op: str, seconds: float = 0.0, **fields: Any) -> dict[str, Any]:
        """Sends a request and waits for the answer, which may be `{"error", "kind"}`.

        Args:
            op: what to do, as in the runner's protocol.
            seconds: how long the page may be too busy to be heard from.
            fields: of the request.

        Raises:
            PageLostError: the page is gone, or answered what makes no sense.
        """
        with self._state:
            self._number += 1
            self._request = {"number": self._number, "op": op, **fields, "progress": self._progress}
            self._state.notify_all()
            self._heard = monotonic()
            while not self._closed and self._answered != self._number:
                left = self._heard + LOST_SECONDS + seconds - monotonic()
                if left <= 0:
                    self.close(f"it has not been heard from for {LOST_SECONDS + seconds:g} s")
                self._state.wait(left)
            if self._answered != self._number:
                raise PageLostError(self._closed)
            return self._answer

    def take(self, answer: Answer, seconds: float) -> dict[str, Any]:
        """Takes an answer in and gives the next request, `{"op": "wait"}` when there is none yet.

        Args:
            answer: from the page.
            seconds: to wait for a request at most.

        Raises:
            NotAdmittedError: the page is closed.
            BadAnswerError: the answer makes no sense; the page is closed by it.
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
            self.close(f"it answered '{op}' by what makes no sense ({error})")
            raise
        self._answered = self._number
        self._state.notify_all()

    def close(self, reason: str) -> None:
        """Ends it: whoever asks, and the page, are told the reason; the first one stands."""
        with self._state:
            self._closed = self._closed or reason
            self._state.notify_all()


class PageSessions:
    """All the pages of a session.

    Args:
        places: how many pages may measure, all in all.
        on_join: called with every new page, in the thread of the page's own request.
    """

    def __init__(self, places: int, on_join: Callable[[PageSession], None]) -> None:
        self._places, self._on_join = places, on_join
        self._lock = threading.Lock()
        self._pages: dict[str, PageSession] = {}
        self._finished: set[str] = set()

    def join(self, facts: Facts) -> PageSession:
        """A page for a page. A browser has one: the page that was opened last.

        Raises:
            NotAdmittedError: all places are taken, or this device is done.
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
                    f"{'device' if self._places == 1 else 'devices'}, and they are here already. "
                    "To measure more, start edgebert with a higher --phones."
                )
            page = PageSession(facts)
            self._pages[page.id] = page
        self._on_join(page)
        return page

    def page(self, name: str) -> PageSession:
        """The page of that id.

        Raises:
            NotAdmittedError: there is none.
        """
        with self._lock:
            if name not in self._pages:
                raise NotAdmittedError("This page has no page in the session. Load it again.")
            return self._pages[name]

    def finish(self, page: PageSession) -> None:
        """The page's results are here; its place stays taken."""
        with self._lock:
            self._finished.add(page.id)

    def busy(self) -> bool:
        """Whether some page is at work."""
        with self._lock:
            return any(not page.closed for page in self._open())

    def close(self) -> None:
        """Ends all pages."""
        with self._lock:
            for page in self._pages.values():
                page.close("the session is over")

    def _open(self) -> list[PageSession]:
        return [page for name, page in self._pages.items() if name not in self._finished]

    def _of(self, device: str) -> list[PageSession]:
        return [page for page in self._pages.values() if page.facts.device == device]
