"""Progress of stages: a callback that a stage calls, shown on stderr or not at all."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, Protocol


class Progress(Protocol):
    """A callback for the progress of a stage."""

    def __call__(self, stage: str, done: int, total: int, **facts: Any) -> None:
        """Reports that `done` of `total` parts of a stage are finished.

        Args:
            stage: name of the stage.
            done: number of finished parts.
            total: number of all parts.
            facts: values to show with the progress, such as the loss.
        """


def silent(stage: str, done: int, total: int, **facts: Any) -> None:
    """A progress callback that shows nothing."""


class RichProgress:
    """Progress bars on stderr, one per stage; without a terminal one line per finished stage."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        from edgebert.system.shown_text import open_console

        self._console = open_console(stderr=True)
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
    """Progress bars for the command line."""
    with RichProgress() as progress:
        yield progress
