"""`edgebert predict`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgebert.cli.options import settings_options
from edgebert.settings import DataSettings


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1)
@click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path, allow_dash=True),
    help="A file of texts in the task's format (see `edgebert evaluate --help`; a text a line "
    "where the task reads one), or - for stdin.",
)
@click.option("--threads", default=1, show_default=True, help="Threads of the TFLite runtime.")
@click.option("--top", default=1, show_default=True, help="Choices shown for each text.")
@settings_options(DataSettings, "columns")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line on stdout.")
def predict(
    model: Path,
    texts: tuple[str, ...],
    data_path: Path | None,
    threads: int,
    top: int,
    columns: DataSettings,
    as_json: bool,
) -> None:
    """Answer texts with a model folder or a .tflite: labels, tags, spans, scores, vectors.

    TEXTS are one text each; for pairs the two texts of one pair, for qa a question and what it is
    asked of.

    A model of pairs takes two texts at a time: what is compared, or a question and its context.

    \b
    edgebert predict model.tflite "turn on the lights"
    edgebert predict pairs.tflite "the cat sleeps" "a cat is asleep"
    cat texts.txt | edgebert predict model.tflite --json
    """
    from edgebert.evaluation import open_predictor, task_of
    from edgebert.evaluation import predict as run_predict

    predictor = open_predictor(model, threads)
    task = task_of(predictor)
    several = task.texts_of(predictor.decoding) > 1
    examples = [task.example(*texts)] if several and texts else list(texts)
    if data_path is not None or not texts:
        examples.extend(task.read(data_path or Path("-"), columns, "none").examples)
    for answer in run_predict(predictor, examples):
        click.echo(json.dumps(answer, ensure_ascii=False) if as_json else task.shown(answer, top))
