"""`edgebert prune`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebert.cli.data_reading import print_label_numbers, read_data, read_splits
from edgebert.cli.finetune_command import print_epochs, print_test, training_progress
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
from edgebert.settings import DataSettings, PruneSettings, StructureSettings, VocabularySettings
from edgebert.training.stage_run import StageRun

if TYPE_CHECKING:
    from edgebert.data.datasets import Dataset
    from edgebert.evaluation.predictors import Evaluation
    from edgebert.models.task_model import TaskModel
    from edgebert.tasks.foreign import TaskRequest
    from edgebert.tasks.task import Task
    from edgebert.training.record import TrainingResult


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@training_options(
    train_help="Labelled training data of the model, for calibration and recovery training. Only "
    "--vocabulary-from alone needs none.",
    test_help="Labelled data for the score before and after pruning.",
    train_required=False,
)
@settings_options(StructureSettings, "structure", without=("seed",))
@click.option(
    "--teacher",
    type=click.Path(path_type=Path),
    help="Model folder. Recovery training after structured pruning distills from it.",
)
@click.option(
    "--vocabulary-from",
    "corpus_path",
    type=click.Path(path_type=Path),
    help="File in the format of the task, or one text per line. Trims the vocabulary to the tokens "
    "of its texts, plus pieces that spell all other words.",
)
@settings_options(VocabularySettings, "vocabulary")
@settings_options(PruneSettings)
@settings_options(DataSettings, "columns")
@request_options
@overwrite_option
@json_option
@click.pass_context
def prune(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    context: click.Context,
    model: Path,
    out: Path,
    train_path: Path | None,
    dev_path: Path | None,
    test_path: Path | None,
    resume: bool,
    structure: StructureSettings,
    teacher: Path | None,
    corpus_path: Path | None,
    vocabulary: VocabularySettings,
    settings: PruneSettings,
    columns: DataSettings,
    as_json: bool,
    request: TaskRequest,
    overwrite: bool,
) -> None:
    """Remove the least important parts of a model, with recovery training.

    Structured pruning (layers, heads, neurons, hidden dimensions, vocabulary) makes a model smaller
    and faster. With --epochs 0 it takes a minute and trains nothing. Magnitude pruning (--sparsity,
    --method n-m) sets single weights to zero, which only makes the gzip'd file smaller.

    \b
    edgebert prune tuned/ -o fast/ --train train.tsv --dev dev.tsv --target-speedup 2 --epochs 0
    edgebert prune tuned/ -o fast/ --train train.tsv --target-speedup 4 --teacher tuned/
    edgebert prune tuned/ -o narrow/ --train train.tsv --dev dev.tsv --hidden-size 256 --epochs 0
    edgebert prune tuned/ -o small/ --train train.tsv --vocabulary-from train.tsv --layers 4
    edgebert prune multilingual/ -o german/ --vocabulary-from texts.txt --characters scripts
    edgebert prune tuned/ -o zipped/ --train train.tsv --dev dev.tsv --sparsity 0.5
    """
    from edgebert.data.label_numbers import with_label_names
    from edgebert.evaluation.predictors import KerasPredictor, evaluate
    from edgebert.models.bases import as_encoder
    from edgebert.models.task_model import open_model
    from edgebert.tasks.examples import task_with_answers

    structured = corpus_path is not None or any(_asked(structure))
    _refuse_mixed_options(context, structured, teacher)
    opened = open_model(model, request=request)
    print_notes(opened)
    if train_path is None:
        if corpus_path is None or any((*_asked(structure), teacher, dev_path, test_path, resume)):
            raise click.UsageError(
                "Missing option '--train'. Only --vocabulary-from alone needs no labelled data."
            )
        corpus = _read_corpus(corpus_path, opened.task, columns)
        assert corpus is not None
        _trim(opened, corpus, vocabulary, out, overwrite=overwrite, as_json=as_json)
        return
    task = as_encoder(opened).task if structured else task_with_answers(opened)
    train, dev, test = read_splits(task, (train_path, dev_path, test_path), columns)
    assert train is not None
    print_label_numbers((train, dev, test), opened.labels)
    if test is not None:
        task_with_answers(opened)
        task.require_known(with_label_names(test, opened.labels), opened.labels)
    with training_progress(out) as progress:
        run = StageRun(out, resume=resume, overwrite=overwrite, progress=progress)
        if structured:
            from edgebert.pruning.recovery import StructuredPruning, prune_with_recovery

            pruning = StructuredPruning(
                structure=replace(structure, seed=settings.seed),
                recovery=settings,
                teacher=None
                if teacher is None
                else open_model(teacher, request=replace(request, prompt="")),
                corpus=_read_corpus(corpus_path, task, columns),
                vocabulary=vocabulary,
            )
            result: TrainingResult = prune_with_recovery(opened, train, dev, pruning, run)
        else:
            from edgebert.pruning import prune as run_prune

            result = run_prune(opened, train, dev, settings, run)
    scores = {}
    if test is not None:
        for when, scored, path in (("before", opened, model), ("after", result.model, out)):
            scores[when] = evaluate(KerasPredictor(scored), test, str(path))
    _print(result, scores, as_json)


def _asked(structure: StructureSettings) -> tuple[float, ...]:
    """The settings that remove something."""
    names = ("target_speedup", "heads", "neurons", "layers", "hidden_size")
    return tuple(getattr(structure, name) for name in names)


def _read_corpus(path: Path | None, task: Task[Any], columns: DataSettings) -> Dataset | None:
    """Reads the texts of --vocabulary-from: plain text, or the format of the task."""
    from edgebert.data.datasets import read_dataset

    if path is None:
        return None
    if path.name.removesuffix(".gz").endswith(".txt"):
        return read_dataset(path, labels="none")
    return read_data(task, path, columns, "none")


def _trim(
    model: TaskModel,
    corpus: Dataset,
    settings: VocabularySettings,
    out: Path,
    *,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Trims the vocabulary only, and writes the folder."""
    from edgebert.pruning.vocabulary import STAGE, trim_vocabulary
    from edgebert.reporting.prune_result import corpus_text
    from edgebert.tasks.examples import all_input_texts
    from edgebert.training.record import refuse_other_model

    run = StageRun(out, overwrite=overwrite)
    refuse_other_model(run, {"stage": STAGE, "settings": asdict(settings)})
    result = trim_vocabulary(model, all_input_texts(model, corpus), settings)
    result.model.save(out)
    if as_json:
        print_json(result.to_dict())
    else:
        echo(f"{out}: {corpus_text(result.to_dict())}")


def _refuse_mixed_options(context: click.Context, structured: bool, teacher: Path | None) -> None:
    """Refuses options of magnitude pruning next to options of structured pruning."""
    weights = ("method", "sparsity", "pattern", "schedule", "include_embeddings", "include_head")
    given = [
        "--" + name.replace("_", "-")
        for name in weights
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if structured and given:
        raise click.UsageError(
            "Expected options of magnitude pruning or of structured pruning, not both. Received: "
            f"{', '.join(given)} with --target-speedup, --heads, --neurons, --layers, "
            "--hidden-size or --vocabulary-from. Next: run the command twice, once for each."
        )
    if teacher is not None and not structured:
        raise click.UsageError(
            "--teacher needs --target-speedup, --heads, --neurons, --layers, --hidden-size or "
            "--vocabulary-from. Next: after magnitude pruning, use `edgebert distill`."
        )


def _print(result: TrainingResult, scores: Mapping[str, Evaluation], as_json: bool) -> None:
    """Prints the result, and the scores on the test data before and after pruning."""
    from edgebert.reporting.prune_result import describe
    from edgebert.reporting.terminal import print_tables

    shown = describe(result)
    if shown.warning:
        echo(shown.warning, err=True)
    if as_json:
        test = {when: score.to_dict() for when, score in scores.items()} or None
        print_json({**shown.content, "test": test})
        return
    print_tables(shown.table)
    echo(shown.summary)
    if result.epochs:
        print_epochs(str(result.out), result.epochs, result.best_epoch)
    for when, score in scores.items():
        print_test(score, f"{when}: ")
