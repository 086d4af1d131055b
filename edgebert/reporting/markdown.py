"""A report as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from html import escape

from edgebert.reporting.report import Report
from edgebert.reporting.tables import (
    Table,
    latency_tables,
    provenance_tables,
    stages_table,
    summary_table,
)

_SPECIAL = re.compile(r"([\\`*\[\]#|~$]|(?<!\w)_|_(?!\w))")


def to_markdown(report: Report) -> str:
    """The whole report; what comes from file names and labels can't turn into markup."""
    parts = [f"# {_plain(report.name)}", _drawn(summary_table(report), heading=False)]
    parts += [f"- {_plain(note)}" for note in report.notes]
    if report.measurements:
        parts += map(_drawn, latency_tables(report.measurements))
    if report.stages:
        parts.append(_drawn(stages_table(report)))
    parts += [_drawn(table) for table in provenance_tables(report)]
    return re.sub(r"(?m)^(- .*)\n\n(?=- )", r"\1\n", "\n\n".join(parts)) + "\n"


def _drawn(table: Table, heading: bool = True) -> str:
    marks = [":--" if place < table.texts else "--:" for place in range(len(table.columns))]
    lines = [table.columns, marks, *table.rows]
    body = "\n".join(
        f"| {' | '.join(cells if cells is marks else map(_plain, cells))} |" for cells in lines
    )
    return f"## {_plain(table.title)}\n\n{body}" if heading else f"{_plain(table.title)}:\n\n{body}"


def _plain(text: str) -> str:
    """Text on one line, with Markdown's and HTML's special characters escaped."""
    return _SPECIAL.sub(r"\\\1", escape(" ".join(text.split()), quote=False))
