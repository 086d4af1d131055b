"""A report as one HTML file: no script, no address, light and dark, readable on a phone."""

from __future__ import annotations

from html import escape

from edgebert.reporting import plots
from edgebert.reporting.report import Report
from edgebert.reporting.tables import (
    Table,
    latency_tables,
    provenance_tables,
    stages_table,
    summary_table,
)

_STYLE = """
:root { color-scheme: light dark;
  --paper: #fdfdfc; --card: #ffffff; --ink: #1d1f23; --faint: #6b7078; --rule: #e3e4e8;
  --series-0: #4a5568; --series-1: #0b6bcb; --series-2: #c2410c; --series-3: #15803d;
  --series-4: #7c3aed; --series-5: #b45309; --series-6: #be185d; --series-7: #0e7490; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14161a; --card: #1b1e24; --ink: #e8e9ec; --faint: #9aa0aa; --rule: #30343c;
  --series-0: #aab4c5; --series-1: #5eb0ff; --series-2: #ff9061; --series-3: #5dd28a;
  --series-4: #b79bff; --series-5: #f2b445; --series-6: #ff86bd; --series-7: #4fd0e6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 24px 16px 48px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 32px 0 8px; }
p, ul { margin: 8px 0; } ul { padding-left: 20px; } .faint { color: var(--faint); }
.scroll { overflow-x: auto; border: 1px solid var(--rule); border-radius: 8px;
  background: var(--card); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px; text-align: right; white-space: nowrap; vertical-align: top; }
th { color: var(--faint); font-weight: 500; font-size: .85em; }
tbody tr { border-top: 1px solid var(--rule); }
tbody tr.inner { border-top: 0; }
th.text, td.text { text-align: left; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 12em; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 16px; }
figure { margin: 0; padding: 12px; border: 1px solid var(--rule); border-radius: 8px;
  background: var(--card); min-width: 0; }
figure svg { display: block; width: 100%; height: auto; font-family: inherit; }
figcaption { color: var(--faint); font-size: .9em; }
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
  .cards td:first-child { font-weight: 600; }
  th, td { padding: 5px 8px; }
}
"""


def to_html(report: Report) -> str:
    """The whole report as one page. All text is escaped.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    name = escape(report.name)
    parts = [
        f"<h1>{name}</h1>",
        _drawn(summary_table(report).without_spare(), cards=True),
        _notes(report),
        _plots(report),
    ]
    if report.measurements:
        parts += map(_drawn, latency_tables(report.measurements))
    if report.stages:
        parts.append(_drawn(stages_table(report)))
    parts += [_drawn(table) for table in provenance_tables(report)]
    body = "\n".join(filter(None, parts))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _notes(report: Report) -> str:
    if not report.notes:
        return ""
    return "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in report.notes) + "</ul>"


def _plots(report: Report) -> str:
    drawn = [
        (
            plots.size_and_accuracy(report),
            "Accuracy over gzip'd size. Written and as the marks' "
            "size: median time from text to label. Dashed: the best trades.",
        ),
        (
            plots.latency_by_length(report),
            "Time of the model alone by length: median, and up to the 90th percentile.",
        ),
    ]
    figures = [
        f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
        for svg, caption in drawn
        if svg
    ]
    if not figures:
        return ""
    legend = "".join(
        f'<li><span style="color: {colour}">{mark}</span> {escape(name)}</li>'
        for name, (colour, mark) in plots.series_of(report).items()
    )
    return (
        f'<h2>Trade-offs</h2>\n<ul class="legend">{legend}</ul>\n'
        f'<div class="plots">{"".join(figures)}</div>'
    )


def _drawn(table: Table, cards: bool = False) -> str:
    heads = "".join(
        f'<th scope="col"{_class("text" if place < table.texts else "")}>{escape(heading)}</th>'
        for place, heading in enumerate(table.columns)
    )
    plain = len(table.columns) == table.texts
    rows = []
    for at, row in enumerate(table.rows):
        inner = bool(table.sections) and at not in (0, *table.sections)
        cells = "".join(
            f'<td{_class(_classes(table, place, text, plain))} data-of="{escape(heading)}">'
            f"{escape(text)}</td>"
            for place, (heading, text) in enumerate(zip(table.columns, row, strict=True))
        )
        rows.append(f"<tr{_class('inner' if inner else '')}>{cells}</tr>")
    head = "" if plain else f"<thead><tr>{heads}</tr></thead>"
    kind = _class("cards" if cards else "facts" if plain else "")
    return (
        f'<h2>{escape(table.title)}</h2>\n<div class="scroll"><table{kind}>'
        f"{head}<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _classes(table: Table, place: int, text: str, plain: bool) -> str:
    names = ["text"] if place < table.texts else []
    if place == table.texts - 1 and place and (plain or len(text) > 40):
        names.append("long")
    if text == "–":
        names.append("nothing")
    return " ".join(names)


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""
