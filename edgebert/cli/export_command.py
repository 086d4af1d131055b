"""`edgebert export`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebert.cli.data_reading import print_label_numbers, read_data
from edgebert.cli.options import (
    json_option,
    print_json,
    print_origin,
    request_options,
    settings_options,
    size_text,
)
from edgebert.cli.shown_output import echo
from edgebert.settings import DataSettings, ExportSettings

if TYPE_CHECKING:
    from edgebert.exporting.artifact import Artifact
    from edgebert.tasks.foreign import TaskRequest


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The .tflite to write.",
)
@click.option(
    "--lengths-from",
    type=click.Path(path_type=Path),
    help="File in the format of the task. '--lengths auto' chooses lengths from its texts.",
)
@click.option(
    "--check-texts",
    type=click.Path(path_type=Path),
    help="File in the format of the task with the texts of the parity check. Default: a bundled "
    "set of varied texts.",
)
@click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path),
    help="Labelled data that was not used for training. Reports the metrics of the task and the "
    "agreement with the float model, and enables --max-drop.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="File in the format of the task with calibration texts for --recipe int4 and static-*. "
    "Labels are ignored.",
)
@request_options
@settings_options(ExportSettings)
@settings_options(DataSettings, "columns")
@json_option
def export(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    model: Path,
    out: Path,
    lengths_from: Path | None,
    check_texts: Path | None,
    data_path: Path | None,
    calibration: Path | None,
    settings: ExportSettings,
    columns: DataSettings,
    as_json: bool,
    request: TaskRequest,
) -> None:
    """Convert a BERT folder (Hugging Face, or written by `edgebert finetune`) into one .tflite.

    Text files have the format of the model's task; `edgebert evaluate --help` lists the formats.
    Labels are read only from --data.

    \b
    edgebert export my-bert/ -o model.tflite
    edgebert export my-bert/ -o model.tflite --lengths auto --lengths-from train.tsv
    edgebert export my-bert/ -o mediapipe.tflite --length 128
    edgebert export my-bert/ -o small.tflite --recipe int4 --calibration train.tsv
    """
    from edgebert.exporting.artifact import ExportTexts
    from edgebert.exporting.artifact import export as run_export
    from edgebert.exporting.parity import FloatReference
    from edgebert.models.task_model import open_model
    from edgebert.system.progress import terminal_progress
    from edgebert.tasks.examples import task_with_answers

    def examples(path: Path | None) -> Sequence[Any]:
        return () if path is None else read_data(opened.task, path, columns, "none").examples

    opened = open_model(model, request=request)
    print_origin(opened)
    labelled = None
    if data_path is not None:
        labelled = read_data(task_with_answers(opened), data_path, columns, "required")
        print_label_numbers((labelled,), opened.labels)
    texts = ExportTexts(examples(lengths_from), examples(check_texts), examples(calibration))
    with terminal_progress() as progress:
        reference = None if labelled is None else FloatReference(opened, labelled)
        artifact = run_export(
            opened, out, settings, texts=texts, reference=reference, progress=progress
        )
    if as_json:
        print_json(
            {
                "path": str(artifact.path),
                "sha256": hashlib.sha256(artifact.path.read_bytes()).hexdigest(),
                "size_bytes": artifact.size_bytes,
                "gzip_bytes": artifact.gzip_bytes,
                "manifest": artifact.manifest.to_dict(),
            }
        )
    else:
        _print_summary(artifact)
    if artifact.warning:
        echo(f"Warning: {artifact.warning}", err=True)
    for note in artifact.notes:
        echo(f"Note: {note}", err=True)


def _print_summary(artifact: Artifact) -> None:
    from rich.table import Table

    from edgebert.reporting.units import metric_text, metric_words
    from edgebert.system.shown_text import open_console

    manifest, parity = artifact.manifest, artifact.certificate
    table = Table(title=str(artifact.path), show_header=False, title_justify="left")
    lengths = ", ".join(map(str, manifest.lengths)) or f"any up to {manifest.max_length}"
    table.add_row(
        "size", f"{size_text(artifact.size_bytes)} ({size_text(artifact.gzip_bytes)} gzip'd)"
    )
    table.add_row("recipe", f"{manifest.recipe}, embeddings {manifest.precision['embeddings']}")
    table.add_row("lengths", lengths)
    table.add_row("task", artifact.title)
    table.add_row("output", manifest.output)
    if manifest.labels:
        table.add_row(
            "labels",
            f"{len(manifest.labels)}: "
            f"{', '.join(manifest.labels[:6])}"
            f"{', ...' if len(manifest.labels) > 6 else ''}",
        )
    table.add_row("MediaPipe, Task Library", artifact.readers)
    table.add_row("token ids", f"equal on {parity['texts']} texts")
    table.add_row("float graph against Keras", f"max error {parity['float_max_error']:.1e}")
    if parity["final"]:
        final = parity["final"]
        table.add_row(
            "this file against Keras",
            f"{final['label_agreement']:.1%} same choice, probability error "
            f"{final['mean_probability_error']:.4f} mean, "
            f"{final['max_probability_error']:.4f} max",
        )
    else:
        said = f"max error {parity['final_max_error']:.1e}"
        if parity["final_cosine"] is not None:
            said = f"cosine at least {parity['final_cosine']:.4f}, {said}"
        table.add_row("this file against Keras", said)
    quality = manifest.quality
    if quality:
        name = quality["metric"]
        file, float_model = (
            metric_text(name, quality[of][name]) for of in ("metrics", "float_metrics")
        )
        table.add_row(
            f"{metric_words(name)} on {quality['data']}",
            f"{file}, float model {float_model} ({quality['rows']} rows)",
        )
    open_console().print(table)
