"""`edgebert quantize`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebert.cli.data_reading import print_label_numbers, read_data
from edgebert.cli.options import (
    json_option,
    print_json,
    print_notes,
    request_options,
    settings_options,
    size_text,
)
from edgebert.cli.shown_output import echo
from edgebert.settings import DataSettings, ExportSettings

if TYPE_CHECKING:
    from edgebert.exporting.recipe_trials import RecipeTrial
    from edgebert.tasks.foreign import TaskRequest


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write. It receives one RECIPE.tflite for each recipe.",
)
@click.option(
    "--data",
    "data_path",
    required=True,
    type=click.Path(path_type=Path),
    help="Labelled data for the comparison, in the format of the task, not used for training.",
)
@click.option(
    "--recipes",
    default="",
    help="Recipes separated by commas. Default: all recipes; without --calibration, all that "
    "need none.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="File with calibration texts for int4 and static-*, different from --data. Labels are "
    "ignored.",
)
@click.option(
    "--verbose",
    is_flag=True,
    help="Also show the sensitivity of each group of weights, for each recipe.",
)
@request_options
@settings_options(ExportSettings)
@settings_options(DataSettings, "columns")
@json_option
def quantize(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    model: Path,
    out: Path,
    data_path: Path,
    recipes: str,
    calibration: Path | None,
    verbose: bool,
    settings: ExportSettings,
    columns: DataSettings,
    as_json: bool,
    request: TaskRequest,
) -> None:
    """Export a model with several recipes and compare each with the float model.

    \b
    edgebert quantize my-bert/ -o recipes/ --data dev.tsv
    edgebert quantize my-bert/ -o recipes/ --data dev.tsv --recipes dynamic-int8 --max-drop 0.5
    edgebert quantize my-bert/ -o recipes/ --data dev.tsv --calibration train.tsv --verbose
    """
    from edgebert.errors import QualityGateError
    from edgebert.exporting.artifact import ExportTexts
    from edgebert.exporting.parity import FloatReference
    from edgebert.exporting.recipe_trials import quantize as run_quantize
    from edgebert.models.task_model import open_model
    from edgebert.quantization.recipes import PLAIN_RECIPES, RECIPES
    from edgebert.system.progress import terminal_progress
    from edgebert.tasks.examples import task_with_answers

    named = [name.strip() for name in recipes.split(",") if name.strip()]
    names = named or (list(RECIPES) if calibration else list(PLAIN_RECIPES))
    opened = open_model(model, request=request)
    print_notes(opened)
    texts: Sequence[Any] = ()
    if calibration is not None:
        texts = read_data(opened.task, calibration, columns, "none").examples
    dataset = read_data(task_with_answers(opened), data_path, columns, "required")
    print_label_numbers((dataset,), opened.labels)
    with terminal_progress() as progress:
        trials = run_quantize(
            FloatReference(opened, dataset),
            out,
            names,
            settings,
            texts=ExportTexts(lengths=dataset.examples, calibration=texts),
            progress=progress,
        )
    if as_json:
        print_json([trial.to_dict() for trial in trials])
    else:
        _print_table(trials)
        if verbose:
            _print_parts(trials)
    for trial in trials:
        if trial.artifact and trial.artifact.warning:
            echo(f"Warning: {trial.artifact.warning}", err=True)
    for note in {trial.artifact.length_note for trial in trials if trial.artifact} - {""}:
        echo(f"Note: {note}", err=True)
    refused = [trial for trial in trials if trial.artifact is None]
    if refused:
        raise QualityGateError("\n".join(trial.refused for trial in refused))


def _print_table(trials: tuple[RecipeTrial, ...]) -> None:
    from rich.table import Table

    from edgebert.reporting.units import metric_text, metric_words
    from edgebert.system.shown_text import open_console

    qualities = [trial.artifact.manifest.quality for trial in trials if trial.artifact]
    metric = qualities[0]["metric"] if qualities else "accuracy"
    table = Table(title="Recipes against the float model", title_justify="left")
    for column in (
        "recipe",
        "size",
        "gzip'd",
        metric_words(metric),
        "points lost",
        "same choice",
        "probability error",
    ):
        table.add_column(column, justify="left" if column == "recipe" else "right")
    for trial in trials:
        if trial.artifact is None:
            table.add_row(trial.recipe, "refused")
            continue
        quality = trial.artifact.manifest.quality
        agreement = quality["agreement"] or {}
        table.add_row(
            trial.recipe,
            size_text(trial.artifact.size_bytes),
            size_text(trial.artifact.gzip_bytes),
            metric_text(metric, quality["metrics"][metric]),
            f"{quality['drop_points']:+.2f}",
            f"{agreement['label_agreement']:.2%}" if agreement else "-",
            f"{agreement['mean_probability_error']:.4f}" if agreement else "-",
        )
    open_console().print(table)
    for trial in trials:
        echo(f"{trial.recipe}: {trial.trade_off}", err=True)


def _print_parts(trials: tuple[RecipeTrial, ...]) -> None:
    from rich.table import Table

    from edgebert.system.shown_text import open_console

    for trial in trials:
        measured = trial.artifact.manifest.calibration if trial.artifact else None
        if not measured:
            continue
        table = Table(
            title=f"{trial.recipe}: error of the outputs with one part alone, "
            f"{measured['texts']} texts; together {measured['error']:.2e}",
            title_justify="left",
        )
        for column in ("part", "stored as", "error alone", "weights"):
            table.add_column(column, justify="left" if column == "part" else "right")
        for part in measured["parts"]:
            error = "-" if part["error"] is None else f"{part['error']:.2e}"
            table.add_row(part["name"], part["stored_as"], error, f"{part['weights']:,}")
        open_console().print(table)
