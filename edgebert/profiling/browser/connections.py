"""The open connections of the page's server, each with a deadline.

A client that sends a byte every few seconds never runs into a timeout of its socket. So each phase
of a connection has a deadline, after which it is closed. When all places are taken, the oldest
connection that hasn't shown the session's token gives its place to the next one.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

MOST_CONNECTIONS = 256
STRANGER_SECONDS = 10.0
"""From the connection to a complete request with the token."""
BODY_SECONDS = 60.0
"""For the body of a request, at most 16 MiB, and for the wait until there is an answer."""
SENDING_SECONDS = 1800.0
"""For a response: a model of 100 MB over a slow network."""
IDLE_SECONDS = 30.0
"""Between two requests."""
_CHECK_SECONDS = 0.5
_EVICTION_SECONDS = 2.0


@dataclass
class _Place:
    connection: socket.socket
    deadline: float
    is_stranger: bool = True


class Connections:
    """Connections by the thread that handles them. Thread-safe."""

    def __init__(self, most: int = MOST_CONNECTIONS) -> None:
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._places: dict[int, _Place] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._close_overdue, daemon=True).start()

    def take_place(self) -> bool:
        """Takes a place for a new connection, if need be that of the oldest stranger."""
        if self._free.acquire(blocking=False):
            return True
        with self._lock:
            strangers = [place for place in self._places.values() if place.is_stranger]
            if not strangers:
                return False
            _shut(strangers[0])
        return self._free.acquire(timeout=_EVICTION_SECONDS)

    def begin(self, connection: socket.socket) -> None:
        """Begins the deadline of this thread's connection, again after the TLS socket is made."""
        with self._lock:
            place = _Place(connection, time.monotonic() + STRANGER_SECONDS)
            self._places[threading.get_ident()] = place

    def admit(self, seconds: float) -> None:
        """Sets the deadline of this thread's connection, which has shown the token."""
        with self._lock:
            if place := self._places.get(threading.get_ident()):
                place.is_stranger = False
        self.extend(seconds)

    def extend(self, seconds: float) -> None:
        """Sets the deadline of this thread's connection, unless it is a stranger."""
        with self._lock:
            place = self._places.get(threading.get_ident())
            if place is not None and not place.is_stranger:
                place.deadline = time.monotonic() + seconds

    def rest(self) -> None:
        """Begins the wait for the next request of this thread's connection."""
        self.extend(IDLE_SECONDS)

    def end(self) -> None:
        """Frees the place of this thread's connection."""
        with self._lock:
            self._places.pop(threading.get_ident(), None)
        self._free.release()

    def close(self) -> None:
        """Ends the check of deadlines."""
        self._closed.set()

    def _close_overdue(self) -> None:
        while not self._closed.wait(_CHECK_SECONDS):
            now = time.monotonic()
            with self._lock:
                for place in self._places.values():
                    if place.deadline < now:
                        _shut(place)


def _shut(place: _Place) -> None:
    """Ends the reads and writes of another thread, which then closes the connection."""
    with suppress(OSError):
        # Not that of an SSLSocket: it also drops the state that the other thread uses.
        socket.socket.shutdown(place.connection, socket.SHUT_RDWR)
