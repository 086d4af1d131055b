"""`edgebert profile`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgebert.cli.options import json_option, print_json, settings_options
from edgebert.settings import DataSettings, ProfileSettings


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--texts",
    "texts_path",
    type=click.Path(path_type=Path),
    help="File of the texts to time from text to label (random ones of it). "
    "Sentences of the bundled sample without it.",
)
@click.option("--max-texts", default=64, show_default=True, help="Texts taken from --texts.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the measurements to this JSON file.",
)
@settings_options(ProfileSettings)
@settings_options(DataSettings, "columns")
@json_option
def profile(
    models: tuple[Path, ...],
    texts_path: Path | None,
    max_texts: int,
    out: Path | None,
    settings: ProfileSettings,
    columns: DataSettings,
    as_json: bool,
) -> None:
    """Measure size, latency and memory of .tflite files, side by side on this machine.

    The models take turns, each in fresh processes; ratios compare with the first one.

    \b
    edgebert profile model.tflite
    edgebert profile float.tflite int8.tflite --threads 1,2 --lengths 32,128 --texts test.tsv
    """
    from edgebert.datasets import read_dataset, take
    from edgebert.profiling.cpu import profile as run_profile
    from edgebert.progress import terminal_progress
    from edgebert.reporting.tables import files_table, latency_table, warnings_text
    from edgebert.reporting.terminal import print_tables
    from edgebert.storage import atomic_write

    texts = None
    if texts_path is not None:
        dataset = read_dataset(texts_path, columns.text_column, columns.label_column, labels="none")
        texts = take(dataset, max_texts, seed=0).texts
    with terminal_progress() as progress:
        measurements = run_profile(models, settings, texts, progress)
    content = [measurement.to_dict() for measurement in measurements]
    if out is not None:
        atomic_write(out, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        print_json(content)
    else:
        print_tables(files_table(measurements), latency_table(measurements))
        click.echo(
            _machine(
                measurements[0].device.cpu,
                measurements[0].device.os,
                measurements[0].device.cores,
                measurements[0].runtime,
            )
        )
    for warning in warnings_text(measurements):
        click.echo(f"warning: {warning}", err=True)


def _machine(cpu: str, system: str, cores: int, runtime: str) -> str:
    return f"{cpu}, {cores} cores, {system}; {runtime}"
