"""The state of a search that runs: its front so far, and the time that is spent and left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from edgebert.searching.attempts import Attempts
from edgebert.searching.front import Point, pareto_front
from edgebert.searching.moves import Moves


@dataclass(frozen=True)
class FrontRow:
    """A file of the front so far.

    Attributes:
        name: How the model was changed.
        size_bytes: Size of the file.
        points_lost: Loss against the float model on the data that chooses, in hundredths.
        error_points: Standard error of the loss.
        speedup: How many times faster than the float model its encoder is by the latency table.
    """

    name: str
    size_bytes: int
    points_lost: float
    error_points: float
    speedup: float


@dataclass(frozen=True)
class Status:
    """The state of a search.

    Attributes:
        front: The best trade-offs so far, largest file first.
        files: Number of files so far.
        spent_seconds: Time that is spent, with that of earlier runs.
        limit_seconds: Time budget; None for no limit.
    """

    front: tuple[FrontRow, ...]
    files: int
    spent_seconds: float
    limit_seconds: float | None


@runtime_checkable
class ShowsStatus(Protocol):
    """A progress callback that shows the state of a search, too."""

    def __call__(self, stage: str, done: int, total: int, **facts: Any) -> None: ...

    def show(self, status: Status) -> None:
        """Receives the state after each trial."""
        ...


def show_status(attempts: Attempts) -> None:
    """Shows the state of a search after a trial, if its progress callback can."""
    shown = attempts.clock.shown
    if isinstance(shown, ShowsStatus):
        shown.show(status_of(attempts))


def status_of(attempts: Attempts) -> Status:
    """The state of a search after a trial."""
    rows = [_row(attempts, moves) for moves in attempts.exported]
    points = [Point(row.size_bytes, -row.speedup, -row.points_lost) for row in rows]
    limit = attempts.clock.limit_seconds
    return Status(
        tuple(sorted((rows[place] for place in pareto_front(points)), key=_by_size)),
        len(rows),
        attempts.clock.spent_seconds,
        None if math.isinf(limit) else limit,
    )


def _by_size(row: FrontRow) -> float:
    return -row.size_bytes


def _row(attempts: Attempts, moves: Moves) -> FrontRow:
    record = attempts.trials.record(moves)
    assert record is not None
    return FrontRow(
        moves.text,
        record["size_bytes"],
        attempts.points_lost(moves),
        record["error_points"],
        moves.speedup,
    )
