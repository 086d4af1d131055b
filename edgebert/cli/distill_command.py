"""`edgebert distill`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.data_reading import print_label_numbers, read_data, read_splits
from edgebert.cli.finetune_command import (
    is_worker,
    print_epochs,
    print_test,
    training_progress,
)
from edgebert.cli.options import (
    json_option,
    overwrite_option,
    print_json,
    print_notes,
    request_options,
    settings_options,
    training_options,
)
from edgebert.cli.shown_output import echo
from edgebert.settings import DataSettings, DeviceSettings, DistillSettings, FinetuneSettings
from edgebert.training.stage_run import StageRun

if TYPE_CHECKING:
    from edgebert.tasks.foreign import TaskRequest


@click.command()
@click.argument("teacher", type=click.Path(path_type=Path))
@click.option(
    "--student",
    required=True,
    help="A model folder (such as a pruned one), a preset (half-depth, third-depth, half-width, "
    "tiny), or a shape such as layers=3,hidden=192,neurons=768.",
)
@training_options(
    train_help="Training data in the format of the teacher's task; rows may have no label.",
    test_help="Labelled data for the final score of teacher and student.",
    train_required=False,
)
@click.option(
    "--unlabelled",
    "unlabelled_path",
    type=click.Path(path_type=Path),
    help="Further data in the format of the teacher's task, whose labels are not read. Needs --dev "
    "if there is no --train.",
)
@settings_options(DistillSettings)
@settings_options(DataSettings, "columns")
@settings_options(DeviceSettings, "where")
@request_options
@overwrite_option
@json_option
def distill(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    teacher: Path,
    student: str,
    out: Path,
    train_path: Path | None,
    dev_path: Path | None,
    test_path: Path | None,
    unlabelled_path: Path | None,
    resume: bool,
    settings: DistillSettings,
    columns: DataSettings,
    where: DeviceSettings,
    as_json: bool,
    request: TaskRequest,
    overwrite: bool,
) -> None:
    """Train a smaller BERT (the student) on the outputs of a fine-tuned one (the teacher).

    A base (a bare encoder or a masked language model) teaches a smaller base its hidden states, on
    plain texts.

    \b
    edgebert distill tuned/ --student pruned/ -o student/ --train train.tsv --dev dev.tsv
    edgebert distill tuned/ --student pruned/ -o s/ --train t.tsv --dev d.tsv --unlabelled texts.txt
    edgebert distill tuned/ --student layers=3,hidden=192 -o student/ --train all.txt --dev dev.tsv
    """
    from edgebert.data.datasets import split_dataset
    from edgebert.data.label_numbers import with_label_names
    from edgebert.distillation import distill as run_distill
    from edgebert.evaluation.predictors import KerasPredictor, evaluate
    from edgebert.models.bases import as_encoder
    from edgebert.models.students import make_student
    from edgebert.models.task_model import open_model
    from edgebert.reporting.units import metric_text, metric_words
    from edgebert.tasks.examples import task_with_answers, with_unlabelled

    opened = as_encoder(open_model(teacher, request=request))
    print_notes(opened)
    task = opened.task
    if test_path is not None:
        task_with_answers(opened)
    train = None if train_path is None else read_data(task, train_path, columns, "optional")
    dev, test = read_splits(task, (dev_path, test_path), columns)
    print_label_numbers((train, dev, test), opened.labels)
    if train is None and (unlabelled_path is None or dev is None):
        raise click.UsageError(
            "Missing option '--train'. Next: give it, or --unlabelled together with --dev."
        )
    if dev is None and train is not None:
        train, dev = split_dataset(train, FinetuneSettings().dev_fraction, settings.seed)
    if unlabelled_path is not None:
        train = with_unlabelled(task, train, unlabelled_path, columns)
    assert train is not None and dev is not None
    if test is not None:
        task.require_known(with_label_names(test, opened.labels), opened.labels)
    student_model = open_model(student) if Path(student).is_dir() else make_student(opened, student)
    with training_progress(out) as progress:
        result = run_distill(
            opened,
            student_model,
            train,
            dev,
            settings,
            StageRun(out, resume=resume, overwrite=overwrite, progress=progress, where=where),
        )
    if is_worker(where, out):
        return
    teacher_score, student_score = (
        None if test is None else evaluate(KerasPredictor(scored), test, str(path))
        for scored, path in ((opened, teacher), (result.model, out))
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
                "test": {"teacher": teacher_score.to_dict(), "student": student_score.to_dict()}
                if teacher_score and student_score
                else None,
            }
        )
        return
    print_epochs(str(out), result.epochs, result.best_epoch)
    name = task.metric
    teacher_metric = [result.teacher_metrics[name]] if name in result.teacher_metrics else []
    echo(
        f"{result.steps} steps, {result.sentences_per_second:.0f} sentences a second; dev "
        f"{metric_words(name)} {metric_text(name, result.metrics[name])}"
        + "".join(f", teacher {metric_text(name, best)}" for best in teacher_metric)
    )
    print_test(teacher_score, "teacher: ")
    print_test(student_score, "student: ")
