"""`edgebert evaluate`."""

from __future__ import annotations

import hashlib
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
)
from edgebert.settings import DataSettings

if TYPE_CHECKING:
    from edgebert.tasks.foreign import TaskRequest


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data",
    "data_path",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="Labelled data in the format of the task, also as .gz. - reads stdin.",
)
@click.option(
    "--threads", default=1, show_default=True, help="Number of threads of the TFLite runtime."
)
@click.option(
    "--min-metric",
    "--min-accuracy",
    "min_metric",
    type=float,
    help="Exit with code 3 if the metric of the task (such as accuracy) is below this (0 to 1).",
)
@request_options
@settings_options(DataSettings, "columns")
@json_option
def evaluate(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    models: tuple[Path, ...],
    data_path: Path,
    threads: int,
    min_metric: float | None,
    columns: DataSettings,
    as_json: bool,
    request: TaskRequest,
) -> None:
    """Measure the accuracy of model folders and .tflite files on the same labelled data.

    The format of the data depends on the task of the model:

    \b
    classification    TSV, CSV or JSONL with a text and a label
    pairs             TSV, CSV or JSONL with two texts and a label
    multi-label       JSONL with a text and a list of labels
    regression        TSV, CSV or JSONL with one or two texts and a score
    ner, pos          CoNLL columns: one word and its tag per line, empty line between sentences
    qa                SQuAD JSON, 1.1 or 2.0
    embeddings        TSV, CSV or JSONL with two texts and a similarity score
    masked-lm         plain text, one sentence per line, empty line between documents

    \b
    edgebert evaluate my-bert/ model.tflite --data test.tsv
    edgebert evaluate my-ner/ --data test.conll --min-metric 0.8
    """
    from edgebert.errors import QualityGateError, UsageError
    from edgebert.evaluation.predictors import KerasPredictor, open_predictor
    from edgebert.evaluation.predictors import evaluate as run_evaluate
    from edgebert.tasks.examples import task_with_answers

    predictors = [open_predictor(path, threads, request) for path in models]
    for predictor in predictors:
        if isinstance(predictor, KerasPredictor):
            print_notes(predictor.model)
    tasks = list(dict.fromkeys(map(task_with_answers, predictors)))
    if len(tasks) > 1:
        raise UsageError(
            f"Expected models of one task. Received: {', '.join(task.name for task in tasks)}. "
            "Next: evaluate the models of each task separately."
        )
    (task,) = tasks
    dataset = read_data(task, data_path, columns, "required")
    print_label_numbers((dataset,), predictors[0].labels)
    results = [
        run_evaluate(predictor, dataset, str(path))
        for predictor, path in zip(predictors, models, strict=True)
    ]
    if as_json:
        print_json([r.to_dict() | _hash(path) for r, path in zip(results, models, strict=True)])
    else:
        _print_table(results, dataset.name)
    missed = [r for r in results if min_metric and not r.metrics[task.metric] >= min_metric]
    if missed:
        raise QualityGateError(
            f"The {task.metric} must be at least {min_metric}. Received: "
            + ", ".join(f"{r.model} {r.metrics[task.metric]:.4f}" for r in missed)
            + "."
        )


def _hash(model: Path) -> dict[str, str]:
    """SHA-256 of a file, by which `edgebert report` recognizes it."""
    return {"sha256": hashlib.sha256(model.read_bytes()).hexdigest()} if model.is_file() else {}


def _print_table(results: list, title: str) -> None:  # type: ignore[type-arg]
    from rich.table import Table

    from edgebert.reporting.units import NOTHING, is_part, metric_text, metric_words
    from edgebert.system.shown_text import open_console

    def value(result: Any, name: str) -> str:
        found = result.metrics.get(name)  # a file may have fewer outputs than its folder
        return NOTHING if found is None else metric_text(name, found)

    every = dict.fromkeys(name for result in results for name in result.metrics)
    names = [name for name in every if not is_part(name)]
    table = Table(title=f"{title}, {results[0].rows} rows", title_justify="left")
    table.add_column("model")
    for name in names:
        table.add_column(metric_words(name), justify="right")
    table.add_column("truncated", justify="right")
    for result in results:
        table.add_row(
            result.model,
            *(value(result, name) for name in names),
            str(result.truncated_rows),
        )
    open_console().print(table)
    parts = [name for name in every if is_part(name)]
    if parts:
        table = Table()
        table.add_column("")
        for result in results:
            table.add_column(result.model, justify="right")
        for name in parts:
            table.add_row(metric_words(name), *(value(result, name) for result in results))
        open_console().print(table)
