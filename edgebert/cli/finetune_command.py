"""`edgebert finetune`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebert.cli.data_reading import read_splits
from edgebert.cli.options import (
    json_option,
    overwrite_option,
    print_json,
    print_new_labels,
    print_origin,
    print_replaced_head,
    settings_options,
    training_options,
)
from edgebert.cli.shown_output import echo
from edgebert.settings import DataSettings, DeviceSettings, FinetuneSettings, TaskSettings
from edgebert.training.stage_run import StageRun

if TYPE_CHECKING:
    from edgebert.evaluation.predictors import Evaluation
    from edgebert.system.progress import Progress


@click.command()
@click.argument("base", type=click.Path(path_type=Path))
@training_options(
    train_help="Labelled training data in the format of the task, also as .gz.",
    test_help="Labelled data for the final score.",
)
@settings_options(TaskSettings, "task")
@settings_options(FinetuneSettings)
@settings_options(DataSettings, "columns")
@settings_options(DeviceSettings, "where")
@overwrite_option
@json_option
def finetune(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    base: Path,
    out: Path,
    train_path: Path,
    dev_path: Path | None,
    test_path: Path | None,
    resume: bool,
    task: TaskSettings,
    settings: FinetuneSettings,
    columns: DataSettings,
    where: DeviceSettings,
    as_json: bool,
    overwrite: bool,
) -> None:
    """Fine-tune a BERT for a task on labelled data.

    BASE is a model folder (Hugging Face, sentence-transformers, keras-hub preset, Google TF1), or a
    name on the Hugging Face hub (owner/name@revision), which needs a network.

    The epoch with the best dev score is kept. After Ctrl-C, the same command with --resume
    continues the run.

    \b
    edgebert finetune minilm/ -o my-classifier/ --train train.tsv --dev dev.tsv --test test.tsv
    """
    from edgebert.evaluation.predictors import KerasPredictor, evaluate
    from edgebert.finetuning import finetune as run_finetune
    from edgebert.models.task_model import open_model
    from edgebert.tasks import task_named, task_of_file

    opened = open_model(base, as_base=True)
    print_origin(opened)
    if task.task == "auto":
        task = replace(task, task=task_of_file(train_path, opened.task, columns).name)
        echo(
            f"Task: {task.task}, detected from {train_path.name}. --task overrides this.", err=True
        )
    kind = task_named(task.task)
    print_replaced_head(opened, kind)
    train, dev, test = read_splits(kind, (train_path, dev_path, test_path), columns)
    assert train is not None
    print_new_labels(opened, kind, train)
    if test is not None:
        kind.require_known(test, kind.label_names(train))
    with training_progress(out) as progress:
        result = run_finetune(
            opened,
            train,
            dev,
            settings,
            StageRun(out, resume=resume, overwrite=overwrite, progress=progress, where=where),
            task=task,
        )
    if is_worker(where, out):
        return
    tested = None if test is None else evaluate(KerasPredictor(result.model), test, str(out))
    if as_json:
        print_json(
            {
                "path": str(out),
                "task": result.model.task.name,
                "metrics": result.metrics,
                "best_epoch": result.best_epoch,
                "epochs": list(result.epochs),
                "steps": result.steps,
                "sentences_per_second": result.sentences_per_second,
                "test": tested.to_dict() if tested else None,
            }
        )
        return
    print_epochs(str(out), result.epochs, result.best_epoch)
    echo(f"{result.steps} steps, {result.sentences_per_second:.0f} sentences a second")
    print_test(tested)


def is_worker(where: DeviceSettings, out: Path) -> bool:
    """Whether this process is a worker of a multi-host run that does not write the result."""
    from edgebert.training.cluster import read_cluster

    worker = read_cluster(os.environ).index if where.strategy == "multi-worker" else 0
    if worker:
        echo(f"Worker {worker} is done. Worker 0 writes and scores {out}.", err=True)
    return worker > 0


@contextlib.contextmanager
def training_progress(out: Path) -> Iterator[Progress]:
    """Shows the progress of a training run. After Ctrl-C, explains on stderr how to resume it."""
    from edgebert.system.progress import terminal_progress

    try:
        with terminal_progress() as progress:
            yield progress
    except KeyboardInterrupt:
        if (out / ".training").is_dir():
            echo("Stopped. Nothing is lost. Next: run the same command with --resume.", err=True)
        raise


def print_epochs(title: str, epochs: tuple[dict[str, Any], ...], best: int) -> None:
    """Prints one row per epoch and marks the epoch that was kept."""
    from edgebert.reporting.tables import Table
    from edgebert.reporting.terminal import print_tables
    from edgebert.reporting.units import is_part, metric_text, metric_words

    names = [
        name
        for name in (epochs[0] if epochs else ())
        if name.startswith("dev_") and name != "dev_loss" and not is_part(name)
    ]
    rows = tuple(
        (
            str(epoch["epoch"]),
            "kept" if epoch["epoch"] == best else "",
            f"{epoch['loss']:.4f}",
            f"{epoch['dev_loss']:.4f}",
            *(metric_text(name, epoch[name]) for name in names),
        )
        for epoch in epochs
    )
    titles = (f"dev {metric_words(name.removeprefix('dev_'))}" for name in names)
    columns = ("epoch", "", "loss", "dev loss", *titles)
    print_tables(Table(title, columns, rows, texts=2))


def print_test(tested: Evaluation | None, prefix: str = "") -> None:
    """Prints the score on the test data, if there is one."""
    from edgebert.reporting.units import is_part, metric_text, metric_words

    if tested is not None:
        metrics = ", ".join(
            f"{metric_words(name)} {metric_text(name, value)}"
            for name, value in tested.metrics.items()
            if not is_part(name)
        )
        echo(f"{prefix}test ({tested.rows} rows): {metrics}")
