"""`edgebert report`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from edgebert.cli.options import json_option, print_json
from edgebert.cli.shown_output import echo


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for report.html, report.md and report.json.",
)
@click.option("--title", default="", help="Title of the report. Default: the name of the run.")
@json_option
def report(sources: tuple[Path, ...], out: Path | None, title: str, as_json: bool) -> None:
    """Merge the results of other commands into one report: one HTML file, Markdown and JSON.

    SOURCES are files from `edgebert profile -o` or `edgebert run`, the --json output of `evaluate`,
    `export` and `inspect`, .tflite files, and folders with such files. Accuracy, size and latency
    of a file are joined by its SHA-256.

    \b
    edgebert report laptop.json phone.json -o report/
    edgebert report results/ accuracy.json int8.tflite -o report/ --title "Which file ships"
    """
    from edgebert.reporting.canvas import can_draw
    from edgebert.reporting.html import NO_PLOTS
    from edgebert.reporting.merging import merge_sources
    from edgebert.reporting.sources import read_sources
    from edgebert.reporting.terminal import print_report
    from edgebert.reporting.writing import write_report

    read, skipped = read_sources(sources)
    for line in skipped:
        echo(f"skipped {line}", err=True)
    named = ["--title", title] if title else []
    put = ["-o", str(out)] if out else []
    command = shlex.join(["edgebert", "report", *map(str, sources), *put, *named])
    merged = merge_sources(read, title, command)
    if as_json:
        print_json(merged.to_dict())
    else:
        print_report(merged)
        for note in merged.notes:
            echo(note)
    if out is not None:
        for path in write_report(merged, out):
            echo(f"wrote {path}", err=True)
        if not can_draw():
            echo(f"Note: {NO_PLOTS}", err=True)
