"""`DeferredInterrupt`: Ctrl-C that stops a training run between two steps."""

from __future__ import annotations

import signal
import threading
from typing import Any


class DeferredInterrupt:
    """Defers the first SIGINT to the end of the step; a second one interrupts at once.

    A context manager. Python handles signals in the main thread only, so in any other thread it
    changes nothing and `requested` stays False.

    Attributes:
        requested: Whether a SIGINT arrived since the context was entered.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> DeferredInterrupt:
        self.requested = False
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.getsignal(signal.SIGINT) or signal.default_int_handler
            signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _request(self, number: int, frame: Any) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, self._previous)
