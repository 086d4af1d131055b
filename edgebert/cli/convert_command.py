"""`edgebert convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.options import json_option, print_json, print_origin, request_options
from edgebert.cli.shown_output import echo

if TYPE_CHECKING:
    from edgebert.tasks.foreign import TaskRequest


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write. It must not exist.",
)
@click.option(
    "--to",
    required=True,
    type=click.Choice(["hugging-face", "keras-hub"]),
    help="Library that will open the folder.",
)
@click.option(
    "--max-difference",
    type=click.FloatRange(min=0),
    default=1e-4,
    show_default=True,
    help="Largest allowed difference of an output. Above it, nothing is written and the exit code "
    "is 3.",
)
@request_options
@json_option
def convert(
    model: Path, out: Path, to: str, max_difference: float, as_json: bool, request: TaskRequest
) -> None:
    """Write a model as the folder of another library and compare the outputs of both.

    MODEL is a model folder (Hugging Face, sentence-transformers, keras-hub preset, Google TF1), or
    a name on the Hugging Face hub (owner/name@revision), which needs a network.

    Models of all tasks can be written as Hugging Face folders. keras-hub supports text classifiers,
    masked language models and embedders. BERT in keras-hub uses the tanh approximation of GELU: a
    model that was trained with the exact GELU gives slightly different outputs there, and needs a
    larger --max-difference.

    \b
    edgebert convert uncased_L-2_H-128_A-2/ -o bert-tiny/ --to hugging-face
    edgebert convert my-classifier/ -o preset/ --to keras-hub --max-difference 0.01
    """
    from edgebert.models.conversion import convert as run_convert
    from edgebert.models.task_model import open_model

    opened = open_model(model, request=request)
    print_origin(opened)
    result = run_convert(opened, out, to, max_difference)
    if as_json:
        print_json(
            {
                "path": str(result.path),
                "to": result.to,
                "max_difference": result.max_difference,
                "notes": list(result.notes),
            }
        )
        return
    for note in result.notes:
        echo(f"Note: {note}.", err=True)
    echo(f"{result.path}: outputs differ by at most {result.max_difference:.1e}")
