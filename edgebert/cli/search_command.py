"""`edgebert search`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.data_reading import print_label_numbers, read_splits
from edgebert.cli.options import (
    json_option,
    print_json,
    print_notes,
    request_options,
    settings_options,
    training_options,
)
from edgebert.cli.search_screen import search_progress
from edgebert.cli.shown_output import echo
from edgebert.settings import DataSettings, FinetuneSettings, SearchSettings
from edgebert.training.stage_run import StageRun

if TYPE_CHECKING:
    from edgebert.models.task_model import TaskModel
    from edgebert.pipeline.repeating import Origin
    from edgebert.searching.result import Candidate, SearchResult
    from edgebert.tasks.foreign import TaskRequest


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@training_options(
    train_help="Labelled data on which the model was fine-tuned.",
    test_help="Labelled data for one score of the winner at the end.",
)
@click.option(
    "--unlabelled",
    "unlabelled_path",
    type=click.Path(path_type=Path),
    help="Further data in the format of the model's task, from which only students learn. Its "
    "labels are not read.",
)
@settings_options(SearchSettings)
@settings_options(DataSettings, "columns")
@request_options
@json_option
def search(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    model: Path,
    out: Path,
    train_path: Path,
    dev_path: Path | None,
    test_path: Path | None,
    unlabelled_path: Path | None,
    resume: bool,
    settings: SearchSettings,
    columns: DataSettings,
    as_json: bool,
    request: TaskRequest,
) -> None:
    """Search the best trade-offs of size, latency and accuracy, and a winner under a budget.

    Tries pruning in one or two steps, distillation, vocabulary trimming and quantization. Half of
    --dev makes all choices; the other half confirms that the winner keeps --max-drop. The output
    folder receives winner.tflite, all candidates, front.json and front.png, and for each file of
    the front a TOML file with which `edgebert run` makes it again. Ctrl-C writes them for the
    finished trials; --resume continues.

    \b
    edgebert search my-bert/ -o found/ --train train.tsv --dev dev.tsv --test test.tsv --max-drop 1
    edgebert search my-bert/ -o found/ --train train.tsv --max-size 8MB --max-latency 0.25x
    edgebert search my-bert/ -o found/ --train train.tsv --max-drop 1 --max-time 2h
    """
    from edgebert.data.datasets import split_dataset
    from edgebert.data.label_numbers import with_label_names
    from edgebert.models.task_model import open_model
    from edgebert.pipeline.repeating import Origin
    from edgebert.searching import TeachingData
    from edgebert.searching import search as run_search
    from edgebert.searching.moves import read_plan
    from edgebert.searching.result import SearchStopped
    from edgebert.tasks.examples import task_with_answers, with_unlabelled

    read_plan(settings)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # hides warnings about repeated tracing
    opened = open_model(model, request=request)
    print_notes(opened)
    task = task_with_answers(opened)
    train, dev, test = read_splits(task, (train_path, dev_path, test_path), columns)
    assert train is not None
    print_label_numbers((train, dev, test), opened.labels)
    if dev is None:
        train = with_label_names(train, opened.labels)
        train, dev = split_dataset(train, FinetuneSettings().dev_fraction, settings.seed)
    unlabelled = None
    if unlabelled_path is not None:
        unlabelled = with_unlabelled(task, None, unlabelled_path, columns)
    origin = Origin(model, train_path, dev_path, test_path, unlabelled_path, columns, request)
    try:
        with search_progress() as progress:
            result = run_search(
                opened,
                TeachingData(train, unlabelled),
                dev,
                settings,
                StageRun(out, resume=resume, progress=progress),
                test=test,
            )
    except SearchStopped as stopped:
        _show(stopped.result, opened, settings, origin, as_json)
        raise
    except KeyboardInterrupt:
        echo(
            "Stopped. Finished trials are kept. Next: run the same command with --resume.", err=True
        )
        raise
    _show(result, opened, settings, origin, as_json)
    result.require_winner()


def _show(
    result: SearchResult,
    opened: TaskModel,
    settings: SearchSettings,
    origin: Origin,
    as_json: bool,
) -> None:
    """Prints a result, draws its plot and writes the files that repeat it."""
    from edgebert.pipeline.repeating import write_repeats

    plot, metric = _draw(result), opened.task.metric
    repeats = write_repeats(result, opened, settings, origin)
    if as_json:
        repeat = None if repeats.winner is None else str(repeats.winner)
        print_json({**result.to_dict(), "plot": str(plot), "repeat": repeat})
    else:
        _print(result, repeats.winner, plot, metric)
    for note in (*result.notes, *repeats.notes):
        echo(note, err=True)


def _draw(result: SearchResult) -> Path:
    from edgebert.reporting.trade_offs import Trade, draw_trades
    from edgebert.system.storage import atomic_write

    front = {candidate.key for candidate in result.front}
    trades = [
        Trade(
            _family(candidate),
            candidate.size_bytes,
            candidate.latency_ratio,
            candidate.points_lost,
            candidate.key in front,
            result.winner is not None and candidate.key == result.winner.key,
        )
        for candidate in result.candidates
    ]
    drawn = draw_trades(trades, result.budgets.drop_points)
    return atomic_write(result.out / "front.png", drawn)


def _family(candidate: Candidate) -> str:
    moves = candidate.moves
    if moves.speedup == 1:
        return "not pruned"
    sizes = [step.hidden_size for step in moves.steps if step.hidden_size]
    narrowed = f", hidden size {sizes[-1]}" if sizes else ""
    trained = ", distilled" if moves.distilled else ""
    return f"pruned {moves.speedup:.3g}x{narrowed}{trained}"


def _confirmed(candidate: Candidate) -> str:
    """The confirmed loss with its interval; a dash where nothing was confirmed."""
    if candidate.confirmed is None:
        return "-"
    low, high = candidate.confirmed.interval
    return f"{candidate.confirmed.points:+.2f} ({low:+.1f} to {high:+.1f})"


def _print(result: SearchResult, repeat: Path | None, plot: Path, metric: str) -> None:
    from edgebert.reporting.tables import Table
    from edgebert.reporting.terminal import print_tables
    from edgebert.reporting.units import (
        metric_text,
        metric_words,
        ms_text,
        ratio_text,
        size_text,
    )
    from edgebert.searching.sentences import describe_winner

    def row(candidate: Candidate) -> tuple[str, ...]:
        won = result.winner is not None and candidate.key == result.winner.key
        return (
            ("* " if won else "  ") + candidate.moves.text,
            metric_text(metric, candidate.metrics[metric]),
            f"{candidate.points_lost:+.2f}",
            _confirmed(candidate),
            size_text(candidate.size_bytes),
            ms_text(candidate.latency_ms),
            ratio_text(candidate.latency_ratio),
            candidate.path.name,
        )

    words, timed = metric_words(metric), "text to answer ms"
    columns = (
        "model",
        f"dev {words}",
        "points lost",
        "confirmed (95 % interval)",
        "size",
        timed,
        "ratio",
        "file",
    )
    title = (
        f"Best trade-offs of {len(result.candidates)} files; float model "
        f"{metric_text(metric, result.float_metrics[metric])} (* winner)"
    )
    print_tables(Table(title, columns, tuple(map(row, result.front)), spare=1))
    echo(
        f"baseline: {result.baseline.moves.text}, {size_text(result.baseline.size_bytes)}, "
        f"{ms_text(result.baseline.latency_ms)} ms"
    )
    if result.test is not None:
        scores = ", ".join(
            f"{name} {metric_text(metric, result.test[name][metric])}"
            for name in ("float", "baseline", "winner")
        )
        echo(f"test {words} ({result.test['data']['rows']} rows): {scores}")
    if result.winner_path is not None:
        echo(f"winner: {result.winner_path}")
        echo(describe_winner(result))
    if repeat is not None:
        echo(f"the same file again: edgebert run {repeat}")
    echo(f"plot: {plot}")
