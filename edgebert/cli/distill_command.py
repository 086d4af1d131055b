"""`edgebert distill`."""

from __future__ import annotations

from pathlib import Path

import click

from edgebert.cli.finetune_command import (
    leaves_the_rest_to_the_chief,
    print_epochs,
    print_test,
    training_progress,
)
from edgebert.cli.options import json_option, print_json, settings_options, training_options
from edgebert.settings import DataSettings, DeviceSettings, DistillSettings, FinetuneSettings


@click.command()
@click.argument("teacher", type=click.Path(path_type=Path))
@click.option(
    "--student",
    required=True,
    help="A model folder (such as a pruned one), a preset (half-depth, third-depth, half-width, "
    "tiny), or a shape such as layers=3,hidden=192,neurons=768.",
)
@training_options(
    train_help="Data that the teacher teaches on, in its task's format; for a classifier of texts "
    "it may have labels or not.",
    test_help="Labelled data that teacher and student are scored on at the end.",
)
@settings_options(DistillSettings)
@settings_options(DataSettings, "columns")
@settings_options(DeviceSettings, "where")
@json_option
def distill(
    teacher: Path,
    student: str,
    out: Path,
    train_path: Path,
    dev_path: Path | None,
    test_path: Path | None,
    resume: bool,
    settings: DistillSettings,
    columns: DataSettings,
    where: DeviceSettings,
    as_json: bool,
) -> None:
    """Teach a smaller BERT what a fine-tuned one knows.

    \b
    edgebert distill tuned/ --student pruned/ -o student/ --train train.tsv --dev dev.tsv
    edgebert distill tuned/ --student layers=3,hidden=192 -o student/ --train all.txt --dev dev.tsv
    """
    from edgebert.data.datasets import split_dataset
    from edgebert.distillation import distill as run_distill
    from edgebert.distillation import refuse_teacher
    from edgebert.evaluation.predictors import KerasPredictor, evaluate
    from edgebert.models.students import make_student
    from edgebert.models.task_model import open_model
    from edgebert.reporting.units import metric_text, metric_words
    from edgebert.tasks.examples import task_with_answers

    opened = open_model(teacher)
    refuse_teacher(opened)
    task = task_with_answers(opened)
    train = task.read(train_path, columns, "optional" if task.distills_unlabelled else "required")
    dev, test = (
        None if path is None else task.read(path, columns, "required")
        for path in (dev_path, test_path)
    )
    if dev is None:
        train, dev = split_dataset(train, FinetuneSettings().dev_fraction, settings.seed)
    if test is not None:
        task.require_known(test, opened.labels)
    pupil = open_model(student) if Path(student).is_dir() else make_student(opened, student)
    with training_progress(out) as progress:
        result = run_distill(opened, pupil, train, dev, settings, out, resume, progress, where)
    if leaves_the_rest_to_the_chief(where, out):
        return
    taught, tested = (
        None if test is None else evaluate(KerasPredictor(judged), test, str(path))
        for judged, path in ((opened, teacher), (result.model, out))
    )
    if as_json:
        print_json(
            {
                "path": str(out),
                "metrics": result.metrics,
                "teacher_metrics": result.teacher_metrics,
                "best_epoch": result.best_epoch,
                "epochs": list(result.epochs),
                "steps": result.steps,
                "sentences_per_second": result.sentences_per_second,
                "test": {"teacher": taught.to_dict(), "student": tested.to_dict()}
                if taught and tested
                else None,
            }
        )
        return
    print_epochs(str(out), result.epochs, result.best_epoch)
    name, ours, theirs = task.metric, result.metrics, result.teacher_metrics
    click.echo(
        f"{result.steps} steps, {result.sentences_per_second:.0f} sentences a second; dev "
        f"{metric_words(name)} {metric_text(name, ours[name])}, the teacher's "
        f"{metric_text(name, theirs[name])}"
    )
    for said, scored in (("teacher: ", taught), ("student: ", tested)):
        print_test(scored, said)
