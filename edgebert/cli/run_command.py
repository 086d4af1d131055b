"""`edgebert run`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edgebert.cli.options import json_option, print_json
from edgebert.cli.shown_output import echo
from edgebert.system.shown_text import shown


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of all results. Overrides 'out' of the file.",
)
@click.option("--force", is_flag=True, help="Repeat every stage, even if it is done.")
@json_option
def run(config: Path, out: Path | None, force: bool, as_json: bool) -> None:
    """Run the whole pipeline of a TOML file: fine-tune, prune, export, evaluate, profile, report.

    A stage with unchanged settings, data and model is not repeated. After Ctrl-C, the same command
    resumes the run.

    \b
    edgebert run examples/assistant_intents.toml
    """
    from edgebert.pipeline import run as run_pipeline
    from edgebert.pipeline.config_file import read_config
    from edgebert.reporting.tables import warnings_text
    from edgebert.reporting.terminal import print_report
    from edgebert.system.progress import terminal_progress

    def notice(text: str) -> None:
        print(shown(text), file=sys.stderr, flush=True)

    read = read_config(config, out)
    try:
        with terminal_progress() as progress:
            report = run_pipeline(read, force, progress, notice)
    except KeyboardInterrupt:
        notice("Stopped. Finished stages are kept. Next: run the same command to resume.")
        raise
    if as_json:
        print_json(report.to_dict())
        return
    print_report(report)
    for note in report.notes:
        echo(f"- {note}")
    for warning in warnings_text(report.measurements):
        echo(f"- Measurement: {warning}")
