"""What a search shows while it runs: a table on a terminal, lines otherwise."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edgebert.reporting.units import seconds_text, size_text
from edgebert.system.progress import Progress, RichProgress
from edgebert.system.shown_text import open_console

if TYPE_CHECKING:
    from rich.console import Console, Group

    from edgebert.searching.status import FrontRow, Status

MOST_ROWS = 12


@contextlib.contextmanager
def search_progress() -> Iterator[Progress]:
    """The progress of a search: a live table if stderr is a terminal, else lines."""
    if sys.stderr.isatty():
        with SearchScreen(open_console(stderr=True)) as screen:
            yield screen
    else:
        with SearchLines() as lines:
            yield lines


class SearchLines(RichProgress):
    """One line for each finished stage, and one when the front changes."""

    _front: tuple[FrontRow, ...] = ()

    def show(self, status: Status) -> None:
        """Receives the state after each trial."""
        if status.front == self._front:
            return
        self._front = status.front
        fastest, smallest = max(status.front, key=lambda row: row.speedup), status.front[-1]
        self._console.print(
            f"front: {len(status.front)} of {status.files} files, from {_size_of(status.front[0])} "
            f"to {_size_of(smallest)}, up to {fastest.speedup:.3g}x; {time_text(status)}",
            highlight=False,
            soft_wrap=True,
        )


class SearchScreen:
    """A live table: the front so far, what runs now, and the time.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._status: Status | None = None
        self._running, self._seen = "", time.monotonic()
        self._live = Live(
            get_renderable=self.draw, console=console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> SearchScreen:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def __call__(self, stage: str, done: int, total: int, **facts: Any) -> None:
        values = [
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in facts.items()
        ]
        self._running = " ".join([f"{stage}: {done}/{total}", ", ".join(values)]).rstrip()

    def show(self, status: Status) -> None:
        """Receives the state after each trial."""
        self._status, self._seen = status, time.monotonic()

    def draw(self) -> Group:
        """The screen at this moment."""
        from rich.console import Group
        from rich.text import Text

        parts: list[Any] = [Text(f"now: {self._running}")] if self._running else []
        if self._status is not None:
            later = time.monotonic() - self._seen
            parts = [_table(self._status), *parts, Text(time_text(self._status, later))]
        return Group(*parts)


def time_text(status: Status, later_seconds: float = 0.0) -> str:
    """The time that is spent and left.

    Args:
        status: The state of the search.
        later_seconds: Time since then.
    """
    spent = status.spent_seconds + later_seconds
    if status.limit_seconds is None:
        return f"{seconds_text(spent)} spent"
    left = max(status.limit_seconds - spent, 0.0)
    return f"{seconds_text(spent)} spent, {seconds_text(left)} left"


def _table(status: Status) -> Any:
    from rich.table import Table
    from rich.text import Text

    left_out = len(status.front) - MOST_ROWS
    more = f", {left_out} of them not shown" if left_out > 0 else ""
    title = f"Front so far: {len(status.front)} of {status.files} files{more}"
    table = Table(title=Text(title), title_justify="left")
    for place, heading in enumerate(("model", "size", "points lost, so far", "encoder faster")):
        table.add_column(Text(heading), justify="right" if place else "left")
    for row in status.front[-MOST_ROWS:]:
        lost = f"{row.points_lost:+.2f} ± {row.error_points:.2f}"
        cells = (row.name, _size_of(row), lost, f"{row.speedup:.3g}x")
        table.add_row(*map(Text, cells))
    return table


def _size_of(row: FrontRow) -> str:
    return size_text(row.size_bytes)
