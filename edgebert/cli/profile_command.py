"""`edgebert profile`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.options import Duration, Share, json_option, print_json, settings_options
from edgebert.settings import DataSettings, ProfileSettings, TargetSettings

if TYPE_CHECKING:
    from edgebert.data.datasets import Dataset
    from edgebert.errors import EdgebertError
    from edgebert.profiling.device_check import DeviceCheck
    from edgebert.profiling.measurement import Measurement
    from edgebert.profiling.target import Job, Outcome, Target, TextInput
    from edgebert.system.progress import Progress


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--texts",
    "texts_path",
    type=click.Path(path_type=Path),
    help="File of the texts to time from text to answer, in the task's format (random ones of "
    "it). Sentences of the bundled sample without it.",
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
    help="Labelled data to run on the target too, in the task's format (see `edgebert evaluate "
    "--help`): its ids, scores and metric against this machine's. Exit code 3 where they differ.",
)
@click.option("--max-rows", default=200, show_default=True, help="Rows taken from --check.")
@click.option(
    "--compare",
    "compare_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Earlier measurements (of -o, or a report.json) to compare with, place by place.",
)
@click.option(
    "--fail-above",
    type=Share(),
    help="With --compare: exit code 3 where a median on the same machine is slower by more than "
    "this, such as 10%, beyond noise, and when measured again too.",
)
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
    compare_path: Path | None,
    fail_above: float | None,
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
    edgebert profile int8.tflite --compare main.json --fail-above 10%
    """
    from edgebert.errors import QualityGateError, UsageError
    from edgebert.profiling.comparison import compare_twice
    from edgebert.profiling.target import Job, open_target
    from edgebert.reporting.changes import changes_notes, changes_table, failure_text
    from edgebert.reporting.operation_tables import closer_tables
    from edgebert.reporting.tables import (
        checks_table,
        files_table,
        latency_tables,
        warnings_text,
    )
    from edgebert.reporting.terminal import print_tables
    from edgebert.system.progress import terminal_progress
    from edgebert.system.storage import atomic_write

    old = _old_measurements(compare_path, fail_above)
    texts = None if texts_path is None else _texts(models, texts_path, columns, max_texts)
    check = None if check_path is None else _labelled(models, check_path, columns, max_rows)
    job = Job(models, replace(settings, sustained_seconds=sustained_seconds), texts, check)
    opened = [open_target(name, target_settings) for name in targets]
    with terminal_progress() as progress:
        measured, failures = _profile_all(opened, job, progress)
        outcomes = [outcome for _, outcome in measured]
        comparison, repeated = compare_twice(old, measured, fail_above, job, progress)
    measurements = [*(m for outcome in outcomes for m in outcome.measurements), *repeated]
    checks = [found for outcome in outcomes for found in outcome.checks]
    content = [m.to_dict() for m in measurements] + [found.to_dict() for found in checks]
    if out is not None:
        atomic_write(out, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        print_json([*content, comparison.to_dict()] if compare_path else content)
    else:
        tables = [files_table(measurements)] if measurements else []
        tables += [*latency_tables(measurements), *closer_tables(measurements)]
        tables += [checks_table(checks)] if checks else []
        if compare_path is not None and comparison.changes:
            tables.append(changes_table(comparison, compare_path.name))
        print_tables(*tables)
        notes = [note for found in checks for note in found.notes]
        for line in dict.fromkeys([*map(_machine, measurements), *notes]):
            click.echo(line)
    for warning in warnings_text(measurements):
        click.echo(f"warning: {warning}", err=True)
    if failures:
        raise type(failures[0])("\n".join(map(str, failures)))
    missed = _failed_checks(checks)
    if compare_path is not None:
        for note in changes_notes(comparison, compare_path.name):
            click.echo(f"compare: {note}", err=True)
        missed += filter(None, [failure_text(comparison, compare_path.name)])
        if fail_above is not None and not comparison.conclusive:
            missed.append(
                f"--fail-above expects measurements of this machine in {compare_path}. Received "
                "none that can be judged. Next: see the lines above."
            )
            raise UsageError("\n".join(missed))
    if missed:
        raise QualityGateError("\n".join(missed))


def _texts(
    models: Sequence[Path], path: Path, columns: DataSettings, most: int
) -> tuple[TextInput, ...]:
    """Random ones of a file's texts, as somebody types them."""
    from edgebert.data.datasets import take
    from edgebert.profiling.plan import task_of_files
    from edgebert.profiling.target import as_text_input
    from edgebert.tasks.examples import read_examples, typed_of

    task = task_of_files(models)
    chosen = take(read_examples(task, path, columns), most, seed=0)
    return tuple(as_text_input(typed_of(task, example)) for example in chosen.examples)


def _labelled(models: Sequence[Path], path: Path, columns: DataSettings, most: int) -> Dataset:
    """Random rows of a labelled file, of the task that the models have."""
    from edgebert.data.datasets import read_dataset, take
    from edgebert.profiling.plan import task_of_files
    from edgebert.tasks import ENCODER, task_named

    task = task_of_files(models)
    if task == ENCODER:  # what is no model of ours is refused where it is opened
        data = read_dataset(path, columns.text_column, columns.label_column, "optional")
    else:
        data = task_named(task).read(path, columns, "required")
    return take(data, most, seed=0)


def _profile_all(
    targets: Sequence[Target], job: Job, progress: Progress
) -> tuple[list[tuple[Target, Outcome]], list[EdgebertError]]:
    """The job on every target; what fails on one takes nothing from the others.

    Raises:
        EdgebertError: it failed on all of them.
    """
    from edgebert.errors import EdgebertError

    measured: list[tuple[Target, Outcome]] = []
    failures: list[EdgebertError] = []
    for target in targets:
        try:
            measured.append((target, target.profile(job, progress)))
        except EdgebertError as error:
            failures.append(error)
    if not measured:
        raise type(failures[0])("\n".join(map(str, failures)))
    return measured, failures


def _failed_checks(checks: Sequence[DeviceCheck]) -> list[str]:
    failed = [f"{found.name} on {found.target}" for found in checks if not found.passed]
    if not failed:
        return []
    return [
        "--check expects the device to give this machine's ids and choices, its scores to 0.001 "
        "or to twice what rounding does here. "
        f"Received other ones: {', '.join(failed)}. Next: see the table, or --json for texts."
    ]


def _old_measurements(path: Path | None, fail_above: float | None) -> tuple[Measurement, ...]:
    """What to compare with; before anything is measured, since that takes long."""
    from edgebert.errors import DataError, UsageError
    from edgebert.reporting.sources import read_sources

    if path is None:
        if fail_above is not None:
            raise UsageError(
                "--fail-above expects --compare FILE. Received: no file. "
                "Next: write one with `edgebert profile -o`."
            )
        return ()
    (source,), _ = read_sources([path])
    if not source.measurements:
        raise DataError(
            f"--compare expects measurements in {path}. Received: {source.told}. "
            "Next: write one with `edgebert profile -o`."
        )
    return source.measurements


def _machine(measured: Measurement) -> str:
    device = measured.device
    counted = f"{device.cores} core" if device.cores == 1 else f"{device.cores} cores"
    facts = (device.name, device.cpu, counted if device.cores else "", device.os)
    known = ", ".join(dict.fromkeys(filter(None, facts)))
    return f"{measured.target}: {known}; {measured.runtime}"
