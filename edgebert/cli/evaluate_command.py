"""`edgebert evaluate`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from edgebert.cli.options import json_option, print_json, settings_options
from edgebert.settings import DataSettings


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data",
    "data_path",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="Labelled text: TSV, CSV or JSONL, also .gz, or - for stdin.",
)
@click.option("--threads", default=1, show_default=True, help="Threads of the TFLite runtime.")
@click.option(
    "--min-accuracy",
    type=float,
    help="Exit with 3 where a model's accuracy is below this (0 to 1).",
)
@settings_options(DataSettings, "columns")
@json_option
def evaluate(
    models: tuple[Path, ...],
    data_path: Path,
    threads: int,
    min_accuracy: float | None,
    columns: DataSettings,
    as_json: bool,
) -> None:
    """Score model folders and .tflite files on the same labelled text.

    \b
    edgebert evaluate my-bert/ model.tflite --data test.tsv
    """
    from edgebert.datasets import read_dataset
    from edgebert.errors import QualityGateError
    from edgebert.evaluation import evaluate as run_evaluate
    from edgebert.evaluation import open_predictor

    dataset = read_dataset(data_path, columns.text_column, columns.label_column)
    results = [run_evaluate(open_predictor(path, threads), dataset, str(path)) for path in models]
    if as_json:
        print_json([r.to_dict() | _hash(path) for r, path in zip(results, models, strict=True)])
    else:
        _print_table(results, dataset.name)
    missed = [r for r in results if min_accuracy and r.metrics["accuracy"] < min_accuracy]
    if missed:
        raise QualityGateError(
            f"Accuracy must be at least {min_accuracy}. Received: "
            + ", ".join(f"{r.model} {r.metrics['accuracy']:.4f}" for r in missed)
            + "."
        )


def _hash(model: Path) -> dict[str, str]:
    """Which bytes were scored, so that `edgebert report` knows the file again."""
    return {"sha256": hashlib.sha256(model.read_bytes()).hexdigest()} if model.is_file() else {}


def _print_table(results: list, title: str) -> None:  # type: ignore[type-arg]
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{title}, {results[0].rows} rows", title_justify="left")
    table.add_column("model")
    for name in results[0].metrics:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("cut texts", justify="right")
    for result in results:
        table.add_row(
            result.model, *(f"{x:.2%}" for x in result.metrics.values()), str(result.truncated_rows)
        )
    Console().print(table)
