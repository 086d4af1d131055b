"""What a search shows while it runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edgebert.cli.search_screen import SearchLines, SearchScreen, time_text
from edgebert.searching.status import FrontRow, ShowsStatus, Status

ROWS = (
    FrontRow("int8 rows", 23_000_000, 0.0, 0.3, 1.0),
    FrontRow("pruned 4.5x, distilled, int4 rows", 8_700_000, 0.7, 0.4, 4.5),
)


def test_the_screen_has_the_front_what_runs_and_the_time() -> None:
    console = Console(file=io.StringIO(), width=100, record=True)
    screen = SearchScreen(console)
    assert isinstance(screen, ShowsStatus)
    screen("distill 3x, round 1: train", 3, 40, loss=0.51234)
    screen.show(Status(ROWS, 9, 61.0, 7200.0))
    console.print(screen.draw())
    said = console.export_text()
    for part in ("pruned 4.5x", "8.70 MB", "+0.70 ± 0.40", "4.5x", "2 of 9 files"):
        assert part in said
    assert "now: distill 3x, round 1: train: 3/40 loss 0.5123" in said
    assert "1 min 01 s spent, 118 min 59 s left" in said


def test_the_time_without_a_budget() -> None:
    assert time_text(Status(ROWS, 2, 5.0, None), 1.0) == "6.0 s spent"


def test_lines_have_the_front_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchLines() as lines:
        assert isinstance(lines, ShowsStatus)
        for files in (2, 3):
            lines.show(Status(ROWS, files, 5.0, None))
    said = capsys.readouterr().err
    assert said.count("front: 2 of 2 files, from 23.00 MB to 8.70 MB, up to 4.5x") == 1
    assert "of 3 files" not in said
