"""`edgebert profile`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.options import Duration, json_option, print_json, settings_options
from edgebert.settings import DataSettings, ProfileSettings, TargetSettings

if TYPE_CHECKING:
    from edgebert.profiling.measurement import Measurement


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
@click.option(
    "--target",
    "targets",
    multiple=True,
    default=("cpu",),
    show_default=True,
    help="Where to measure: cpu, ssh:user@host[:port], adb[:serial], browser, qemu-arm64, "
    'cloud:"pixel 7". May be given several times.',
)
@click.option(
    "--check",
    "check_path",
    type=click.Path(path_type=Path),
    help="Labelled text to run on the target too: its ids, scores and metric against this "
    "machine's. Exit code 3 where they differ.",
)
@click.option("--max-rows", default=200, show_default=True, help="Rows taken from --check.")
@click.option(
    "--sustained",
    "--sustained-seconds",
    "sustained_seconds",
    type=Duration(),
    default=0.0,
    help="Also run without a pause for so long, such as 5m, at the first of --lengths or else the "
    "length that the texts need: the curve of the latency, and of the heat.",
)
@settings_options(ProfileSettings, without=("sustained_seconds",))
@settings_options(TargetSettings, "target_settings")
@settings_options(DataSettings, "columns")
@json_option
def profile(
    models: tuple[Path, ...],
    texts_path: Path | None,
    max_texts: int,
    out: Path | None,
    targets: tuple[str, ...],
    check_path: Path | None,
    max_rows: int,
    sustained_seconds: float,
    settings: ProfileSettings,
    target_settings: TargetSettings,
    columns: DataSettings,
    as_json: bool,
) -> None:
    """Measure size, latency and memory of .tflite files, side by side, where they will run.

    The models take turns, each in fresh processes; ratios compare with the first one.

    \b
    edgebert profile model.tflite
    edgebert profile float.tflite int8.tflite --threads 1,2 --lengths 32,128 --texts test.tsv
    edgebert profile int8.tflite --target cpu --target ssh:pi@raspberrypi --check test.tsv
    edgebert profile int8.tflite --lengths 64 --operations --cold-start --sustained 5m
    """
    from edgebert.datasets import read_dataset, take
    from edgebert.errors import QualityGateError
    from edgebert.profiling.target import Job, open_target
    from edgebert.progress import terminal_progress
    from edgebert.reporting.operation_tables import closer_tables
    from edgebert.reporting.tables import (
        checks_table,
        files_table,
        latency_tables,
        warnings_text,
    )
    from edgebert.reporting.terminal import print_tables
    from edgebert.storage import atomic_write

    texts = None
    if texts_path is not None:
        dataset = read_dataset(texts_path, columns.text_column, columns.label_column, labels="none")
        texts = take(dataset, max_texts, seed=0).texts
    check = None
    if check_path is not None:
        check = read_dataset(check_path, columns.text_column, columns.label_column)
        check = take(check, max_rows, seed=0)
    job = Job(models, replace(settings, sustained_seconds=sustained_seconds), texts, check)
    opened = [open_target(name, target_settings) for name in targets]
    with terminal_progress() as progress:
        outcomes = [target.profile(job, progress) for target in opened]
    measurements = [m for outcome in outcomes for m in outcome.measurements]
    checks = [found for outcome in outcomes for found in outcome.checks]
    content = [m.to_dict() for m in measurements] + [found.to_dict() for found in checks]
    if out is not None:
        atomic_write(out, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        print_json(content)
    else:
        tables = [files_table(measurements)] if measurements else []
        tables += [*latency_tables(measurements), *closer_tables(measurements)]
        print_tables(*tables, *([checks_table(checks)] if checks else []))
        notes = [note for found in checks for note in found.notes]
        for line in dict.fromkeys([*map(_machine, measurements), *notes]):
            click.echo(line)
    for warning in warnings_text(measurements):
        click.echo(f"warning: {warning}", err=True)
    failed = [f"{found.name} on {found.target}" for found in checks if not found.passed]
    if failed:
        raise QualityGateError(
            f"--check expects the device to give this machine's labels, and its scores to 0.001. "
            f"Received other ones: {', '.join(failed)}. Next: see the table, or --json for texts."
        )


def _machine(measured: Measurement) -> str:
    device = measured.device
    counted = f"{device.cores} core" if device.cores == 1 else f"{device.cores} cores"
    facts = (device.name, device.cpu, counted if device.cores else "", device.os)
    known = ", ".join(dict.fromkeys(filter(None, facts)))
    return f"{measured.target}: {known}; {measured.runtime}"
