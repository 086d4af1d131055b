"""`edgebert profile`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from edgebert.cli.options import Duration, Share, json_option, print_json, settings_options
from edgebert.cli.shown_output import echo
from edgebert.settings import DataSettings, ProfileSettings, TargetSettings
from edgebert.system.json_text import json_text


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--texts",
    "texts_path",
    type=click.Path(path_type=Path),
    help="File with the texts to time from text to answer, in the task's format; a random "
    "selection is used. Default: sentences of the bundled sample.",
)
@click.option("--max-texts", default=64, show_default=True, help="Number of texts from --texts.")
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
    'cloud:"pixel 7". Repeat the option for several targets.',
)
@click.option(
    "--check",
    "check_path",
    type=click.Path(path_type=Path),
    help="Labelled data to run on the target too, in the task's format (see `edgebert evaluate "
    "--help`). Token ids, scores and metric are compared with this machine's; exit code 3 if they "
    "differ.",
)
@click.option("--max-rows", default=200, show_default=True, help="Number of rows from --check.")
@click.option(
    "--compare",
    "compare_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Earlier measurements (written by -o, or a report.json) to compare with.",
)
@click.option(
    "--fail-above",
    type=Share(),
    help="With --compare: exit code 3 if a median on the same machine is slower by more than this "
    "share, such as 10%, beyond noise, and a second measurement confirms it.",
)
@click.option(
    "--sustained",
    "--sustained-seconds",
    "sustained_seconds",
    type=Duration(),
    default=0.0,
    help="Also run without a pause for this time, such as 5m, and record latency and temperature "
    "over time. The length is the first of --lengths, or the typical length of the texts.",
)
@click.option("--webgpu", is_flag=True, hidden=True)  # the former name of --accelerator webgpu
@settings_options(ProfileSettings, without=("sustained_seconds",))
@settings_options(TargetSettings, "target_settings")
@settings_options(DataSettings, "columns")
@json_option
def profile(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    models: tuple[Path, ...],
    texts_path: Path | None,
    max_texts: int,
    out: Path | None,
    targets: tuple[str, ...],
    check_path: Path | None,
    max_rows: int,
    compare_path: Path | None,
    fail_above: float | None,
    sustained_seconds: float,
    webgpu: bool,
    settings: ProfileSettings,
    target_settings: TargetSettings,
    columns: DataSettings,
    as_json: bool,
) -> None:
    """Measure size, latency and memory of .tflite files side by side on the target device.

    The timed blocks of the models are interleaved, in fresh processes. Ratios compare with the
    first model.

    \b
    edgebert profile model.tflite
    edgebert profile float.tflite int8.tflite --threads 1,2 --lengths 32,128 --texts test.tsv
    edgebert profile int8.tflite --target cpu --target ssh:pi@raspberrypi --check test.tsv
    edgebert profile int8.tflite --lengths 64 --operations --cold-start --sustained 5m
    edgebert profile int8.tflite --compare main.json --fail-above 10%
    """
    from edgebert.profiling.job_data import read_check, read_texts
    from edgebert.profiling.target import Job, open_target
    from edgebert.reporting.profile_result import profile_targets, read_baseline
    from edgebert.reporting.terminal import print_tables
    from edgebert.system.progress import terminal_progress
    from edgebert.system.storage import atomic_write

    if webgpu:
        target_settings = replace(target_settings, accelerator="webgpu")
    baseline = read_baseline(compare_path, fail_above)
    texts = None if texts_path is None else read_texts(models, texts_path, columns, max_texts)
    check = None if check_path is None else read_check(models, check_path, columns, max_rows)
    job = Job(models, replace(settings, sustained_seconds=sustained_seconds), texts, check)
    opened = [open_target(name, target_settings) for name in targets]
    with terminal_progress() as progress:
        result = profile_targets(opened, job, baseline, progress)
    if out is not None:
        atomic_write(out, json_text(result.records(), indent=2) + "\n")
    if as_json:
        print_json(result.to_json())
    else:
        print_tables(*result.tables())
        for note in result.notes():
            echo(note)
    for warning in result.warnings():
        echo(f"warning: {warning}", err=True)
    result.require_all_targets()
    for note in result.comparison_notes():
        echo(f"compare: {note}", err=True)
    result.require_gates()
