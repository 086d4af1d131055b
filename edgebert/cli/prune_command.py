"""`edgebert prune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebert.cli.finetune_command import print_epochs, print_test, training_progress
from edgebert.cli.options import json_option, print_json, settings_options, training_options
from edgebert.settings import DataSettings, PruneSettings, StructureSettings, VocabularySettings
from edgebert.training.stage_run import StageRun

if TYPE_CHECKING:
    from edgebert.data.datasets import Dataset
    from edgebert.evaluation.predictors import Evaluation
    from edgebert.models.task_model import TaskModel
    from edgebert.pruning import PruneResult
    from edgebert.pruning.recovery import RecoveryResult

MANY_OTHER_TEXTS = 0.75
"""The command warns if a smaller share of the dev texts keeps its tokens."""


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@training_options(
    train_help="Labelled training data of the model, for calibration and recovery training.",
    test_help="Labelled data for the score before and after pruning.",
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
@json_option
@click.pass_context
def prune(
    context: click.Context,
    model: Path,
    out: Path,
    train_path: Path,
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
) -> None:
    """Remove the least important parts of a model, with recovery training.

    Structured pruning (layers, heads, neurons, vocabulary) makes a model smaller and faster. With
    --epochs 0 it takes a minute and trains nothing. Magnitude pruning (--sparsity, --method n-m)
    sets single weights to zero, which only makes the gzip'd file smaller.

    \b
    edgebert prune tuned/ -o fast/ --train train.tsv --dev dev.tsv --target-speedup 2 --epochs 0
    edgebert prune tuned/ -o fast/ --train train.tsv --target-speedup 4 --teacher tuned/
    edgebert prune tuned/ -o small/ --train train.tsv --vocabulary-from train.tsv --layers 4
    edgebert prune tuned/ -o zipped/ --train train.tsv --dev dev.tsv --sparsity 0.5
    """
    from edgebert.data.datasets import read_dataset
    from edgebert.models.task_model import open_model
    from edgebert.tasks.examples import task_with_answers

    structured = bool(
        structure.target_speedup or structure.heads or structure.neurons or structure.layers
    )
    structured = structured or corpus_path is not None
    _refuse_mixed_options(context, structured, teacher)
    opened = open_model(model)
    task = task_with_answers(opened)
    train, dev, test = (
        None if path is None else task.read(path, columns, "required")
        for path in (train_path, dev_path, test_path)
    )
    assert train is not None
    if test is not None:
        task.require_known(test, opened.labels)
    if not structured:
        _prune_weights(model, opened, train, dev, test, settings, out, resume, as_json)
        return
    corpus = None
    if corpus_path is not None:
        plain = corpus_path.name.removesuffix(".gz").endswith(".txt")
        corpus = (
            read_dataset(corpus_path, labels="none")
            if plain
            else task.read(corpus_path, columns, "none")
        )
    _prune_structure(
        (model, opened),
        (train, dev, test, corpus),
        (replace(structure, seed=settings.seed), vocabulary, settings),
        None if teacher is None else open_model(teacher),
        out,
        resume,
        as_json,
    )


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
            f"Expected options of magnitude pruning or of structured pruning, not both. Received: "
            f"{', '.join(given)} with --target-speedup, --heads, --neurons, --layers or "
            "--vocabulary-from. Next: run the command twice, once for each."
        )
    if teacher is not None and not structured:
        raise click.UsageError(
            "--teacher needs --target-speedup, --heads, --neurons, --layers or --vocabulary-from. "
            "Next: after magnitude pruning, use `edgebert distill`."
        )


def _prune_structure(
    model: tuple[Path, TaskModel],
    data: tuple[Dataset, Dataset | None, Dataset | None, Dataset | None],
    settings: tuple[StructureSettings, VocabularySettings, PruneSettings],
    teacher: TaskModel | None,
    out: Path,
    resume: bool,
    as_json: bool,
) -> None:
    from edgebert.pruning.recovery import StructuredPruning, prune_with_recovery

    (path, opened), (train, dev, test, corpus) = model, data
    structure, vocabulary, recovery = settings
    with training_progress(out) as progress:
        result = prune_with_recovery(
            opened,
            train,
            dev,
            StructuredPruning(
                structure=structure,
                recovery=recovery,
                teacher=teacher,
                corpus=corpus,
                vocabulary=vocabulary,
            ),
            StageRun(out, resume=resume, progress=progress),
        )
    before, after = _tested(test, (opened, path), (result.model, out))
    if as_json:
        print_json(
            {
                "path": str(out),
                "metrics": result.metrics,
                "untrained_metrics": result.structure["metrics"],
                "structure": result.structure,
                "vocabulary": result.trimmed,
                "best_epoch": result.best_epoch,
                "epochs": list(result.epochs),
                "test": _tests_json(before, after),
            }
        )
        return
    _print_widths(result)
    if result.epochs:
        print_epochs(str(out), result.epochs, result.best_epoch)
    _print_tests(before, after)


def _tested(
    test: Dataset | None, *models: tuple[TaskModel, Path]
) -> tuple[Evaluation | None, Evaluation | None]:
    from edgebert.evaluation.predictors import KerasPredictor, evaluate

    before, after = (
        None if test is None else evaluate(KerasPredictor(scored), test, str(path))
        for scored, path in models
    )
    return before, after


def _tests_json(before: Evaluation | None, after: Evaluation | None) -> dict[str, Any] | None:
    return {"before": before.to_dict(), "after": after.to_dict()} if before and after else None


def _print_tests(before: Evaluation | None, after: Evaluation | None) -> None:
    print_test(before, "before: ")
    print_test(after, "after: ")


def _print_widths(result: RecoveryResult) -> None:
    """Prints the remaining heads and neurons of each layer, and the effect on latency and score."""
    from edgebert.reporting.tables import Table
    from edgebert.reporting.terminal import print_tables
    from edgebert.reporting.units import metric_text, metric_words, share_text

    entry = result.structure
    rows = tuple(
        (str(i), str(width["heads"]), str(width["neurons"]))
        for i, width in enumerate(entry["widths"])
    )
    print_tables(Table(str(result.out), ("layer", "heads", "neurons"), rows))
    facts = [f"operations left in the encoder: {share_text(entry['operations_left'])}"]
    before, after = entry["latency_ms"]["before"], entry["latency_ms"]["after"]
    if before and after:
        facts.append(
            f"by the latency table {after:.3f} ms at {entry['latency_table']['tokens']} tokens, "
            f"{before / after:.2f} times faster"
        )
    if result.trimmed:
        facts.append(_trimming_text(result.trimmed))
    metric = result.model.task.metric
    facts.append(
        f"dev {metric_words(metric)} without training: "
        f"{metric_text(metric, entry['metrics'][metric])}"
    )
    click.echo("; ".join(facts))


def _trimming_text(entry: dict[str, Any]) -> str:
    """The effect of trimming on the dev texts, which chose no token. Warns if it is large."""
    from edgebert.reporting.units import share_text

    heldout = entry["heldout"]
    before, after = heldout["before"], heldout["after"]
    if heldout["same_texts"] < MANY_OTHER_TEXTS:
        click.echo(
            f"Only {share_text(heldout['same_texts'])} of the dev texts have the same tokens as "
            f"before. Next: keep more with --keep-tokens {entry['rows_before'] // 2}, or use "
            "recovery training (--epochs).",
            err=True,
        )
    return (
        f"vocabulary: {entry['rows_after']} of {entry['rows_before']} tokens left; on the dev "
        f"texts, words in several pieces {share_text(before['split_rate'])} before, "
        f"{share_text(after['split_rate'])} after, unknown {share_text(before['unknown_rate'])} "
        f"before, {share_text(after['unknown_rate'])} after"
    )


def _prune_weights(
    path: Path,
    opened: TaskModel,
    train: Dataset,
    dev: Dataset | None,
    test: Dataset | None,
    settings: PruneSettings,
    out: Path,
    resume: bool,
    as_json: bool,
) -> None:
    from edgebert.pruning import prune as run_prune

    with training_progress(out) as progress:
        result = run_prune(
            opened, train, dev, settings, StageRun(out, resume=resume, progress=progress)
        )
    before, after = _tested(test, (opened, path), (result.model, out))
    if as_json:
        print_json(
            {
                "path": str(out),
                "metrics": result.metrics,
                "sparsity": result.sparsity,
                "layers": [vars(layer) for layer in result.layers],
                "kernel_gzip_bytes": {
                    "before": result.kernel_gzip_bytes_before,
                    "after": result.kernel_gzip_bytes_after,
                },
                "best_epoch": result.best_epoch,
                "epochs": list(result.epochs),
                "steps": result.steps,
                "test": _tests_json(before, after),
            }
        )
        return
    _print_layers(result)
    if result.epochs:
        print_epochs(str(out), result.epochs, result.best_epoch)
    _print_tests(before, after)


def _print_layers(result: PruneResult) -> None:
    """Prints one row per pruned array, the total, and the gzip'd sizes."""
    from edgebert.reporting.tables import Table
    from edgebert.reporting.terminal import print_tables
    from edgebert.reporting.units import ratio_text, share_text, size_text

    rows = tuple(
        (layer.name, " x ".join(map(str, layer.shape)), share_text(layer.sparsity))
        for layer in result.layers
    )
    total = ("all of these", "", share_text(result.sparsity))
    print_tables(
        Table(str(result.out), ("weights", "shape", "zeros"), (*rows, total), sections=(len(rows),))
    )
    before, after = result.kernel_gzip_bytes_before, result.kernel_gzip_bytes_after
    click.echo(
        f"all kernels in int8, gzip'd: {size_text(before)} before, {size_text(after)} after "
        f"({ratio_text(after / before)})"
    )
