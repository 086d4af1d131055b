"""Writes a report as JSON, Markdown and HTML."""

from __future__ import annotations

from pathlib import Path

from edgebert.reporting.html import to_html
from edgebert.reporting.markdown import to_markdown
from edgebert.reporting.report import Report
from edgebert.system.json_text import json_text
from edgebert.system.storage import atomic_write


def write_report(report: Report, folder: Path) -> tuple[Path, Path, Path]:
    """Writes `report.json`, `report.md` and `report.html` into a folder."""
    content = json_text(report.to_dict(), indent=2) + "\n"
    return (
        atomic_write(folder / "report.json", encodable(content)),
        atomic_write(folder / "report.md", encodable(to_markdown(report))),
        atomic_write(folder / "report.html", encodable(to_html(report))),
    )


def encodable(text: str) -> str:
    """Replaces lone surrogates, which JSON can hold but UTF-8 can't, by question marks."""
    return text.encode("utf-8", "replace").decode()
