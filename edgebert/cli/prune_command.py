"""`edgebert prune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.finetune_command import print_epochs, print_test, tell_how_to_resume
from edgebert.cli.options import json_option, print_json, settings_options, training_options
from edgebert.settings import DataSettings, PruneSettings

if TYPE_CHECKING:
    from edgebert.pruning import PruneResult


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@training_options(
    train_help="Labelled text of the recovery: what the model was fine-tuned on.",
    test_help="Labelled text that the model is scored on before and after.",
)
@settings_options(PruneSettings)
@settings_options(DataSettings, "columns")
@json_option
def prune(
    model: Path,
    out: Path,
    train_path: Path,
    dev_path: Path | None,
    test_path: Path | None,
    resume: bool,
    settings: PruneSettings,
    columns: DataSettings,
    as_json: bool,
) -> None:
    """Zero a classifier's least important weights, with recovery fine-tuning.

    \b
    edgebert prune my-classifier/ -o my-pruned/ --train train.tsv --dev dev.tsv --sparsity 0.5
    edgebert prune my-classifier/ -o my-pruned/ --train train.tsv --method n-m --pattern 2:4
    """
    from edgebert.datasets import encode_labels, read_dataset
    from edgebert.evaluation import KerasPredictor, evaluate
    from edgebert.model import open_model
    from edgebert.progress import terminal_progress
    from edgebert.pruning import prune as run_prune

    train, dev, test = (
        None if path is None else read_dataset(path, columns.text_column, columns.label_column)
        for path in (train_path, dev_path, test_path)
    )
    assert train is not None
    opened = open_model(model)
    if test is not None and opened.labels:
        encode_labels(test, opened.labels)
    try:
        with terminal_progress() as progress:
            result = run_prune(opened, train, dev, settings, out, resume, progress)
    except KeyboardInterrupt:
        tell_how_to_resume(out)
        raise
    before, after = (
        None if test is None else evaluate(KerasPredictor(judged), test, str(path))
        for judged, path in ((opened, model), (result.model, out))
    )
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
                "test": {"before": before.to_dict(), "after": after.to_dict()}
                if before and after
                else None,
            }
        )
        return
    _print_layers(result)
    if result.epochs:
        print_epochs(str(out), result.epochs, result.best_epoch)
    for said, tested in (("before: ", before), ("after: ", after)):
        print_test(tested, said)


def _print_layers(result: PruneResult) -> None:
    """One row a pruned array; all of them, and what gzip makes of it, below."""
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
