"""How a stage tells how far it is: one function that it calls, drawn on stderr or not at all."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, Protocol


class Progress(Protocol):
    """Called by a stage as it goes on."""

    def __call__(self, stage: str, done: int, total: int, **facts: Any) -> None:
        """Tells that `done` of `total` parts of `stage` are finished; facts are shown beside it."""


def silent(stage: str, done: int, total: int, **facts: Any) -> None:
    """Shows nothing."""


class RichProgress:
    """Bars on stderr, one a stage; a line a finished stage where stderr is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[facts]}"),
            console=self._console,
            disable=not sys.stderr.isatty(),
        )
        self._tasks: dict[str, Any] = {}
        self._finished: set[str] = set()

    def __enter__(self) -> RichProgress:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int, **facts: Any) -> None:
        text = ", ".join(f"{name} {_short(value)}" for name, value in facts.items())
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, facts=text)
        self._bars.update(self._tasks[stage], completed=done, total=total, facts=text)
        if done == total and self._bars.disable and stage not in self._finished:
            self._finished.add(stage)
            self._console.print(f"{stage}: {done}/{total} {text}".rstrip(), highlight=False)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@contextlib.contextmanager
def terminal_progress() -> Iterator[Progress]:
    """Progress as a person at a terminal expects it."""
    with RichProgress() as progress:
        yield progress
