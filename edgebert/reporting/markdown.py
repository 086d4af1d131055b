"""Renders a report as GitHub-flavoured Markdown, without figures."""

from __future__ import annotations

import re

from edgebert.reporting.escaping import escape
from edgebert.reporting.report import Report
from edgebert.reporting.sections import Section, sections_of
from edgebert.reporting.tables import Table

_SPECIAL = re.compile(r"([\\`*\[\]#|~$]|(?<!\w)_|_(?!\w))")


def to_markdown(report: Report) -> str:
    """The report as Markdown; all text is escaped, so file names and labels can't become markup."""
    parts = [f"# {_plain(report.name)}"]
    for section in sections_of(report):
        if section.tables or section.lines:
            parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    parts = [f"## {_plain(section.title)}"] if section.title else []
    for table in section.tables:
        named = table.title != section.title
        parts += [f"{_plain(table.title)}:"] if named else []
        parts.append(_rendered(table))
    if section.lines:
        parts.append("\n".join(f"- {_plain(line)}" for line in section.lines))
    return parts


def _rendered(table: Table) -> str:
    marks = " | ".join(
        ":--" if index < table.texts else "--:" for index in range(len(table.columns))
    )
    rows = (" | ".join(map(_plain, cells)) for cells in (table.columns, *table.rows))
    heading, *body = (f"| {row} |" for row in rows)
    return "\n".join((heading, f"| {marks} |", *body))


def _plain(text: str) -> str:
    """Text on one line with the special characters of Markdown and HTML escaped."""
    return _SPECIAL.sub(r"\\\1", escape(" ".join(text.split()), quote=False))
