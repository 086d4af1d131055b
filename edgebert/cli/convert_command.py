"""`edgebert convert`."""

from __future__ import annotations

from pathlib import Path

import click

from edgebert.cli.options import json_option, print_json, say_what_was_opened


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write; it must be new.",
)
@click.option(
    "--to",
    required=True,
    type=click.Choice(["hugging-face", "keras-hub"]),
    help="The library that opens the folder.",
)
@click.option(
    "--max-difference",
    type=click.FloatRange(min=0),
    default=1e-4,
    show_default=True,
    help="The most that an output may change; exit with 3 and write nothing above it.",
)
@json_option
def convert(model: Path, out: Path, to: str, max_difference: float, as_json: bool) -> None:
    """Write a model as the folder of another library, and measure that its outputs are the same.

    MODEL is a model folder (Hugging Face, sentence-transformers, keras-hub preset, Google TF1), or
    a name on Hugging Face's hub (owner/name@revision) where there is a network.

    Models of all tasks become Hugging Face folders. keras-hub has text classifiers, masked LMs and
    embedders; its BERT has the tanh approximation of GELU. A model that was trained with the exact
    GELU gives slightly other outputs there, which --max-difference has to allow.

    \b
    edgebert convert uncased_L-2_H-128_A-2/ -o bert-tiny/ --to hugging-face
    edgebert convert my-classifier/ -o preset/ --to keras-hub --max-difference 0.01
    """
    from edgebert.models.conversion import convert as run_convert
    from edgebert.models.task_model import open_model

    opened = open_model(model)
    say_what_was_opened(opened)
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
        click.echo(f"Note: {note}.", err=True)
    click.echo(f"{result.path}: outputs differ by at most {result.max_difference:.1e}")
