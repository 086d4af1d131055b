"""Prints tables on a terminal, or with full width if stdout is a file or a pipe."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgebert.reporting.detail_tables import devices_table
from edgebert.reporting.report import Report
from edgebert.reporting.tables import Table, checks_table, latency_tables, summary_table
from edgebert.system.shown_text import open_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

FILE_WIDTH = 160
_NAME_WIDTHS = (40, 22, 14, 9)
_GAP = 2


def console() -> Console:
    """A console on stdout; a file or a pipe gets wide lines, so that no cell is cut."""
    as_file = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return open_console(highlight=False, width=FILE_WIDTH if as_file else None)


def print_tables(*tables: Table) -> None:
    """Prints tables one below the other; cells are never parsed as markup."""
    out = console()
    for table in tables:
        framed = (t for t in (table, table.without_spare()) if _framed_width(t) <= out.width)
        fitting = next(framed, None)
        out.print(_framed(fitting) if fitting else _frameless(table.without_spare(), out.width))


def _framed_width(table: Table) -> int:
    return 1 + sum(3 + _longest([heading, *cells]) for heading, cells in _columns(table))


def print_report(report: Report) -> None:
    """Prints the comparison of models and devices, latency by length, and device checks."""
    devices = devices_table(report.measurements)
    checks = [checks_table(report.checks)] if report.checks else []
    print_tables(
        *([summary_table(report)] if report.rows else []),
        *([devices] if devices else []),
        *latency_tables(report.measurements),
        *checks,
    )


def _framed(table: Table) -> RichTable:
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(title=Text(table.title), title_justify="left")
    for index, heading in enumerate(table.columns):
        drawn.add_column(Text(heading), justify="left" if index < table.texts else "right")
    return _filled(drawn, table)


def _frameless(table: Table, width: int) -> RichTable:
    """A table for narrow terminals: wrapped names, ratios below their numbers, no frame.

    Names get the largest of a few widths with which the table fits.
    """
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    for names in _NAME_WIDTHS:
        rows = tuple(_broken(row, table.texts, names) for row in table.rows)
        broken = replace(table, rows=rows)
        widths = [
            _longest([*heading.split(), *(line for cell in cells for line in cell.split("\n"))])
            for heading, cells in _columns(broken)
        ]
        if sum(widths) + _GAP * (len(widths) - 1) <= width:
            break
    drawn = RichTable(
        title=Text(table.title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0, 0, _GAP - 1),
    )
    for index, (heading, column_width) in enumerate(zip(table.columns, widths, strict=True)):
        drawn.add_column(
            Text(heading),
            justify="left" if index < table.texts else "right",
            width=column_width,
            overflow="fold",
        )
    return _filled(drawn, broken)


def _filled(drawn: RichTable, table: Table) -> RichTable:
    from rich.text import Text

    for index, row in enumerate(table.rows):
        if index in table.sections:
            drawn.add_section()
        drawn.add_row(*map(Text, row))
    return drawn


def _columns(table: Table) -> list[tuple[str, list[str]]]:
    return [
        (heading, [row[index] for row in table.rows]) for index, heading in enumerate(table.columns)
    ]


def _broken(row: Sequence[str], texts: int, width: int) -> tuple[str, ...]:
    names = [textwrap.fill(cell, width, break_long_words=False) for cell in row[:texts]]
    return (*names, *(cell.replace(" (", "\n(") for cell in row[texts:]))


def _longest(texts: Sequence[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, texts))
