"""The time of a search: what is spent and left, and what the next step is expected to take.

The time of earlier runs of the same search counts. Expectations come from the steps before, per
unit of their work: a slower step than expected counts at once, a faster one by half, since the
first step of each kind also loads libraries.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from edgebert.errors import EdgebertError
from edgebert.searching.records import SearchFolder
from edgebert.system.progress import Progress

CLOCK = "clock.json"
SAVE_SECONDS = 20.0
"""The time that a killed search forgets at most."""


class OutOfTimeError(EdgebertError):
    """A step was stopped, since the time that is left is reserved for the end of the search."""


class Clock:
    """The time of one search.

    Args:
        folder: The folder of the search. `clock.json` in it has the time of earlier runs.
        limit_seconds: Time budget of the whole search; infinite for no limit.
        progress: Receives the progress reports of the search.

    Attributes:
        shown: Receives progress reports of steps that always run to their end.
        reserved_seconds: Time for the end of the search: final measurements, confirmation, test.
        stops_trials: Whether a trial that takes too long is stopped. The baseline is not.
    """

    def __init__(self, folder: SearchFolder, limit_seconds: float, progress: Progress) -> None:
        self._folder, self.limit_seconds, self.shown = folder, limit_seconds, progress
        self._before, self._rates = folder.times(CLOCK)
        self._began = self._saved = time.monotonic()
        self.reserved_seconds, self.shared_from, self.stops_trials = 0.0, 0.0, False

    @property
    def spent_seconds(self) -> float:
        """Time since the start of the search, without the time between its runs."""
        return self._before + time.monotonic() - self._began

    def left(self, share: float = 1.0) -> float:
        """The seconds that are left of a share of the budget, without the reserve for the end.

        The budget counts from `shared_from`.
        """
        whole = self.limit_seconds - self.reserved_seconds - self.shared_from
        return self.shared_from + share * whole - self.spent_seconds

    def part(self, share: float, parts: int) -> float:
        """The share of the budget at which the first of equal parts of the time from now on ends.

        Args:
            share: The share at which the last part ends.
            parts: The number of parts.
        """
        whole = max(self.limit_seconds - self.reserved_seconds - self.shared_from, 1e-9)
        now = (self.spent_seconds - self.shared_from) / whole
        return min(share, now + (share - now) / parts)

    def allows(self, seconds: float, share: float = 1.0) -> bool:
        """Whether a step of this duration ends in time.

        Args:
            seconds: Expected duration of the step.
            share: The share of the budget, without the reserve for the end of the search, in which
                the step has to end.
        """
        return seconds < self.left(share)

    @contextlib.contextmanager
    def timed(self, kind: str, units: float = 1.0) -> Iterator[None]:
        """Times a step, for the expectation of later ones, and saves the time that is spent.

        Args:
            kind: Kind of the step.
            units: Amount of its work.
        """
        began = time.monotonic()
        yield
        rate = (time.monotonic() - began) / max(units, 1e-9)
        self._rates[kind] = max(rate, (rate + self._rates.get(kind, rate)) / 2)
        self.save()

    def expected(self, kind: str, units: float = 1.0) -> float:
        """The expected duration of a step in seconds; 0 before the first step of its kind."""
        return self._rates.get(kind, 0.0) * units

    def save(self) -> None:
        """Writes the time that is spent."""
        self._saved = time.monotonic()
        spent = round(self.spent_seconds, 1)
        self._folder.write(CLOCK, {"seconds": spent, "rates": self._rates})

    def progress(self, stage: str, done: int, total: int, **facts: Any) -> None:
        """Passes on a progress report of a trial, and saves the time that is spent.

        Raises:
            OutOfTimeError: Only the reserve is left. The trial stops here.
        """
        self.shown(stage, done, total, **facts)
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()
        if self.stops_trials and not self.allows(0.0):
            raise OutOfTimeError(f"{stage} was stopped: --max-time is reached.")
