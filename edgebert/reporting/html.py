"""Renders a report as one HTML file without scripts or external addresses.

The page has a light and a dark colour scheme and fits a phone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgebert.reporting.canvas import can_draw
from edgebert.reporting.configurations import device_labels
from edgebert.reporting.escaping import escape
from edgebert.reporting.figures import Figure, Legend
from edgebert.reporting.report import Report
from edgebert.reporting.sections import Section, sections_of
from edgebert.reporting.tables import Table
from edgebert.reporting.units import NOTHING, counted, moment_text

NO_PLOTS = (
    "The plots are left out, because matplotlib is not installed. "
    "Next: pip install 'matplotlib>=3.8,<4'"
)
_FEWEST_LINKS = 4
"""Number of sections from which a table of contents is shown."""
_CELL_CLASSES = {
    NOTHING: "nothing",
    "": "nothing",
    "pass": "good",
    "pass, rounding": "good",
    "FAIL": "bad",
}
"""CSS classes of cells by their text."""

_STYLE = """
:root { color-scheme: light dark;
  --paper: #fdfdfc; --card: #ffffff; --ink: #1d1f23; --faint: #6b7078; --rule: #e3e4e8;
  --series-0: #4a5568; --series-1: #0b6bcb; --series-2: #c2410c; --series-3: #15803d;
  --series-4: #7c3aed; --series-5: #b45309; --series-6: #be185d; --series-7: #0e7490;
  --good: #15803d; --bad: #c81e1e; --shade: rgb(0 0 0 / .14); }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14161a; --card: #1b1e24; --ink: #e8e9ec; --faint: #9aa0aa; --rule: #30343c;
  --series-0: #aab4c5; --series-1: #5eb0ff; --series-2: #ff9061; --series-3: #5dd28a;
  --series-4: #b79bff; --series-5: #f2b445; --series-6: #ff86bd; --series-7: #4fd0e6;
  --good: #5dd28a; --bad: #ff7b72; --shade: rgb(0 0 0 / .55); } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 24px 16px 48px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 36px 0 8px; }
h3 { font-size: .95rem; font-weight: 600; margin: 18px 0 6px; overflow-wrap: anywhere; }
p, ul { margin: 8px 0; } ul { padding-left: 20px; } .faint { color: var(--faint); }
li { overflow-wrap: anywhere; }
a { color: var(--series-1); text-decoration: none; }
nav { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 12px 0; }
nav a { padding: 4px 0; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.scroll { overflow-x: auto; border: 1px solid var(--rule); border-radius: 8px;
  background: linear-gradient(90deg, var(--card) 30%, transparent) 0 0 / 40px 100% no-repeat local,
    linear-gradient(270deg, var(--card) 30%, transparent) 100% 0 / 40px 100% no-repeat local,
    linear-gradient(90deg, var(--shade), transparent) 0 0 / 12px 100% no-repeat scroll,
    linear-gradient(270deg, var(--shade), transparent) 100% 0 / 12px 100% no-repeat scroll,
    var(--card); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px; text-align: right; white-space: nowrap; vertical-align: top; }
th { color: var(--faint); font-weight: 500; font-size: .85em; }
tbody tr { border-top: 1px solid var(--rule); }
tbody tr.inner { border-top: 0; }
tr.group th { text-align: left; font-size: 1em; font-weight: 600; color: var(--ink);
  padding-bottom: 0; }
tr.group span { position: sticky; left: 12px; }
table:not(.cards, .facts) :is(tr.inner td, tbody tr:not(.inner, .group) td, thead th):first-child {
  position: sticky; left: 0; background: var(--card); }
th.text, td.text { text-align: left; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 12em; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr));
  gap: 16px; align-items: start; margin-bottom: 16px; }
.beside { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(420px, 100%), 1fr));
  gap: 0 16px; } .beside > div { min-width: 0; }
figure { margin: 0; padding: 12px; border: 1px solid var(--rule); border-radius: 8px;
  background: var(--card); min-width: 0; }
figure svg { display: block; width: 100%; height: auto; font-family: inherit; }
figcaption { color: var(--faint); font-size: .9em; overflow-wrap: anywhere; }
.legend { list-style: none; padding: 0; margin: 8px 0 12px; display: flex; flex-wrap: wrap;
  gap: 2px 18px; overflow-wrap: anywhere; }
.facts td:first-child { width: 11em; color: var(--faint); }
@media (max-width: 640px) {
  .facts td:first-child { width: auto; }
  .cards thead { display: none; }
  .cards tr { display: block; padding: 8px 0; }
  .cards td { display: flex; justify-content: space-between; gap: 16px; padding: 2px 12px;
    white-space: normal; text-align: right; overflow-wrap: anywhere; }
  .cards td.nothing { display: none; }
  .cards td::before { content: attr(data-of); color: var(--faint); text-align: left;
    white-space: nowrap; }
  .cards td.text { min-width: 0; text-align: right; }
  .cards td:first-child { font-weight: 600; }
  th, td { padding: 5px 8px; }
  td.text { white-space: normal; overflow-wrap: anywhere; min-width: 10em; }
  .facts td.text:first-child { min-width: 8em; }
  tr.group th { white-space: normal; overflow-wrap: anywhere; }
  tr.group span { left: 8px; display: inline-block; max-width: calc(100vw - 50px); }
}
"""


def to_html(report: Report) -> str:
    """The report as one page. All text is escaped. Without matplotlib it has no plots."""
    name = escape(report.name)
    rendered = [
        (section, body) for section in sections_of(report) if (body := _section(section, report))
    ]
    titles = [section.title for section, _ in rendered if section.title]
    body = "\n".join(
        [f"<h1>{name}</h1>", _lead(report), _contents(titles), *(part for _, part in rendered)]
    )
    return page_html(report.name, body)


def page_html(title: str, body: str, style: str = "") -> str:
    """A whole page without scripts or external addresses.

    Args:
        title: Title of the page, plain text.
        body: Content of the page, HTML.
        style: CSS rules of the page beside the common ones.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _lead(report: Report) -> str:
    """The numbers of files, devices and measurements, and their dates."""
    measurements = report.measurements
    files = sum(row.size_bytes is not None for row in report.rows)
    devices = len(device_labels(measurements))
    counts = (
        (files, "file"),
        (devices, "device"),
        (len(measurements), "measurement"),
        (len(report.checks), "device check"),
    )
    texts = [counted(count, noun) for count, noun in counts if count]
    moments = sorted(m.measured for m in measurements if m.measured)
    if moments:
        texts.append(" to ".join(dict.fromkeys(map(moment_text, (moments[0], moments[-1])))))
    lines = [", ".join(texts)] if can_draw() else [", ".join(texts), NO_PLOTS]
    return "".join(f'<p class="faint">{escape(line)}</p>' for line in lines)


def _contents(titles: Sequence[str]) -> str:
    links = "".join(f'<a href="#{_anchor(title)}">{escape(title)}</a>' for title in titles)
    return f"<nav>{links}</nav>" if len(titles) >= _FEWEST_LINKS else ""


def _anchor(title: str) -> str:
    return "-".join(re.findall(r"[a-z]+", title.lower()))


def _section(section: Section, report: Report) -> str:
    """The section as HTML; empty if it has no content."""
    figures = section.draw(report) if can_draw() else []
    if not (figures or section.tables or section.lines):
        return ""
    parts = []
    if section.title:
        parts.append(f'<h2 id="{_anchor(section.title)}">{escape(section.title)}</h2>')
    if figures:
        parts.append(_legend(section.legend))
        parts.append(f'<div class="plots">{"".join(map(_figure, figures))}</div>')
    parts += _tables(section)
    if section.lines:
        lines = "".join(f"<li>{escape(line)}</li>" for line in section.lines)
        parts.append(f"<ul>{lines}</ul>")
    return "\n".join(filter(None, parts))


def _tables(section: Section) -> list[str]:
    """Tables one below the other; tables of facts next to each other where they fit."""
    rendered = [
        (f"<h3>{escape(table.title)}</h3>\n" if table.title != section.title else "")
        + table_html(table)
        for table in section.tables
    ]
    if len(rendered) > 1 and all(map(_is_plain, section.tables)):
        return ['<div class="beside">', *(f"<div>{table}</div>" for table in rendered), "</div>"]
    return rendered


def _legend(legend: Legend) -> str:
    entries = "".join(
        f'<li><span style="color: {colour}">{mark}</span> {escape(text)}</li>'
        for colour, mark, text in legend
    )
    return f'<ul class="legend">{entries}</ul>' if entries else ""


def _figure(figure: Figure) -> str:
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>"
    return f"<figure>{figure.svg}{_legend(figure.legend)}{caption}</figure>"


def table_html(table: Table) -> str:
    """A table; on a phone one card per row, unless rows are grouped."""
    if _is_plain(table):
        kind, head, rows = "facts", "", [_row(table, row) for row in table.rows]
    else:
        skipped = int(_has_groups(table))
        heads = "".join(
            f'<th scope="col"{_class("text" if index < table.texts else "")}>{escape(heading)}</th>'
            for index, heading in enumerate(table.columns)
            if index >= skipped
        )
        head, rows = f"<thead><tr>{heads}</tr></thead>", _rows(table)
        kind = "" if table.sections or skipped else "cards"
    return (
        f'<div class="scroll"><table{_class(kind)}>{head}<tbody>{"".join(rows)}</tbody></table>'
        "</div>"
    )


def _is_plain(table: Table) -> bool:
    return len(table.columns) == table.texts == 2


def _has_groups(table: Table) -> bool:
    """Whether rows have an empty first cell, so that the group gets a heading row."""
    return any(not row[0] for row in table.rows[1:])


def _rows(table: Table) -> list[str]:
    if not _has_groups(table):
        return [_row(table, row) for row in table.rows]
    rows = []
    for index, row in enumerate(table.rows):
        if row[0] or index == 0:
            rows.append(
                f'<tr class="group"><th colspan="{len(row) - 1}" scope="rowgroup">'
                f"<span>{_breakable(row[0])}</span></th></tr>"
            )
        rows.append(_row(table, row, start=1))
    return rows


def _row(table: Table, row: Sequence[str], start: int = 0) -> str:
    cells = "".join(
        f'<td{_class(_classes(table, index, text))} data-of="{escape(table.columns[index])}">'
        f"{_breakable(text) if index < table.texts else escape(text)}</td>"
        for index, text in enumerate(row)
        if index >= start
    )
    return f"<tr{_class('inner' if start else '')}>{cells}</tr>"


def _breakable(text: str) -> str:
    """Escaped text with line break opportunities between the parts of file and layer names."""
    return re.sub(r"(?<=\S)([_./:])(?=[^\W\d])", r"\1<wbr>", escape(text))


def _classes(table: Table, index: int, text: str) -> str:
    names = ["text"] if index < table.texts else []
    if index == table.texts - 1 and index and (_is_plain(table) or len(text) > 40):
        names.append("long")
    if text in _CELL_CLASSES:
        names.append(_CELL_CLASSES[text])
    return " ".join(names)


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""
