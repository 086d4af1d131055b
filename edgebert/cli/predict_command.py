"""`edgebert predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebert.cli.data_reading import read_data
from edgebert.cli.options import print_notes, request_options, settings_options
from edgebert.cli.shown_output import echo
from edgebert.settings import DataSettings, TargetSettings
from edgebert.system.json_text import json_text

if TYPE_CHECKING:
    from edgebert.evaluation.predictors import Predictor
    from edgebert.evaluation.semantic_index import Hit
    from edgebert.tasks.foreign import TaskRequest

_SHOWN_HITS = 5
_OF_BOARDS = ("bootstrap", "remote_python", "ssh_config", "cpu_mask")
_NOT_OF_BOARDS = tuple(
    field.name for field in fields(TargetSettings) if field.name not in _OF_BOARDS
)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1)
@click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File in the format of the task (see `edgebert evaluate --help`), or plain text with one "
    "text per line if the task reads single texts. - reads stdin.",
)
@click.option(
    "--threads", default=1, show_default=True, help="Number of threads of the TFLite runtime."
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help=f"Number of answers shown for each text.  [default: 1, or {_SHOWN_HITS} with --index]",
)
@click.option(
    "--index",
    "index_path",
    type=click.Path(path_type=Path),
    help="embeddings: File of texts to search, such as one text per line. Prints the texts most "
    "similar to each of TEXTS, with cosine and row.",
)
@click.option(
    "--index-cache",
    "cache_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --index: File that stores the vectors, so that later calls reuse them.",
)
@request_options
@settings_options(DataSettings, "columns")
@click.option(
    "--candidates",
    default="",
    help="Labels separated by commas. A model of entailment (NLI) chooses one for each text, "
    "without any training on these labels.",
)
@click.option(
    "--target",
    default="",
    help="ssh:HOST: answer on a board, with a .tflite. Default: this machine.",
)
@settings_options(TargetSettings, "target_settings", without=_NOT_OF_BOARDS)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line on stdout.")
def predict(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    model: Path,
    texts: tuple[str, ...],
    data_path: Path | None,
    threads: int,
    top: int | None,
    index_path: Path | None,
    cache_path: Path | None,
    columns: DataSettings,
    candidates: str,
    target: str,
    target_settings: TargetSettings,
    as_json: bool,
    request: TaskRequest,
) -> None:
    """Predict labels, tags, answer spans, scores or vectors with a model folder or a .tflite.

    Each of TEXTS is one input. A model of text pairs takes exactly two texts. A question answering
    model takes a question and its context.

    \b
    edgebert predict model.tflite "turn on the lights"
    edgebert predict pairs.tflite "the cat sleeps" "a cat is asleep"
    cat texts.txt | edgebert predict model.tflite --json
    edgebert predict minilm/ --index notes.txt --index-cache notes.npz "when is the party?"
    edgebert predict model.tflite --target ssh:pi@raspberrypi "turn on the lights"
    """
    from edgebert.errors import UsageError
    from edgebert.evaluation.predictors import KerasPredictor, open_predictor
    from edgebert.evaluation.predictors import predict as run_predict
    from edgebert.tasks.examples import task_with_answers

    if cache_path is not None and index_path is None:
        raise UsageError("--index-cache needs --index. Next: add --index FILE.")
    only_here = index_path is not None or bool(candidates) or bool(request.prompt)
    _refuse_conflicts(target, target_settings, only_here)
    predictor = open_predictor(model, threads, request)
    if isinstance(predictor, KerasPredictor):
        print_notes(predictor.model)
    task = task_with_answers(predictor)
    several = task.texts_of(predictor.decoding) > 1
    if index_path is not None:
        queries = list(texts)
        if data_path is not None or not texts:
            queries.extend(read_data(task, data_path or Path("-"), columns, "none").texts)
        lines = read_data(task, index_path, columns, "none").texts
        found = _search(predictor, queries, lines, cache_path, top or _SHOWN_HITS)
        _print_hits(queries, found, as_json)
        return
    if candidates:
        from edgebert.evaluation.zero_shot import classify

        if not texts or data_path is not None:
            raise UsageError("--candidates: expected TEXTS and no --data. Next: give the texts.")
        labels = [label.strip() for label in candidates.split(",") if label.strip()]
        for answer in classify(predictor, texts, labels):
            if as_json:
                click.echo(json_text(answer))
            else:
                echo(task.format_answer(answer, top or 1))
        return
    if several and len(texts) == 1:
        raise UsageError(
            "Expected two texts, because the model reads pairs. Received: one. Next: add the "
            "second text, or give a file of pairs with --data."
        )
    examples = [task.example(*texts)] if several and texts else list(texts)
    if data_path is not None or not texts:
        examples.extend(read_data(task, data_path or Path("-"), columns, "none").examples)
    if target:
        answers = _answers_of_board(target, target_settings, predictor, examples, threads)
    else:
        answers = run_predict(predictor, examples)
    for answer in answers:
        if as_json:
            click.echo(json_text(answer))
        else:
            echo(task.format_answer(answer, top or 1))


def _refuse_conflicts(target: str, settings: TargetSettings, only_here: bool) -> None:
    """Checks the options of a board. `only_here`: whether there are options that need this machine.

    Raises:
        UsageError: Options exclude each other.
    """
    from edgebert.errors import UsageError

    if not target and settings != TargetSettings():
        raise UsageError(
            "--bootstrap, --remote-python, --ssh-config and --cpu-mask are about a board. "
            "Received: no --target. Next: add --target ssh:HOST."
        )
    if target and only_here:
        raise UsageError(
            "--target answers on a board, with the file as it is. Received also --index, "
            "--candidates or --prompt. Next: leave one of them out."
        )


def _answers_of_board(
    target: str,
    settings: TargetSettings,
    predictor: Predictor,
    examples: Sequence[Any],
    threads: int,
) -> list[dict[str, Any]]:
    """The answers of a board behind ssh."""
    from edgebert.errors import UsageError
    from edgebert.models.litert_model import LiteRtModel
    from edgebert.profiling.ssh import open_target
    from edgebert.system.progress import terminal_progress

    kind, _, address = target.partition(":")
    if kind != "ssh":
        raise UsageError(f"--target of predict expects ssh:HOST. Received: {target!r}.")
    if not isinstance(predictor, LiteRtModel):
        raise UsageError(
            "--target ssh expects a .tflite. Received: a model folder. Next: `edgebert export` it."
        )
    with terminal_progress() as progress:
        return open_target(address, settings).answer(predictor.path, examples, threads, progress)


def _search(
    predictor: Predictor,
    queries: Sequence[str],
    texts: Sequence[str],
    cache_path: Path | None,
    top: int,
) -> list[list[Hit]]:
    """Finds the texts that are most similar to each query."""
    from edgebert.evaluation.semantic_index import embed, open_index
    from edgebert.system.progress import terminal_progress

    with terminal_progress() as progress:
        index = open_index(predictor, texts, cache_path, progress)
    return index.search(embed(predictor, queries), top)


def _print_hits(queries: Sequence[str], found: Sequence[Sequence[Hit]], as_json: bool) -> None:
    for query, hits in zip(queries, found, strict=True):
        if as_json:
            answer = {"text": query, "hits": [hit.to_dict() for hit in hits]}
            click.echo(json_text(answer))
            continue
        if len(queries) > 1:
            echo(query)
        for hit in hits:
            echo(f"{hit.cosine:.3f}\t{hit.row}\t{hit.text}")
