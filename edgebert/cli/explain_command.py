"""`edgebert explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.options import json_option, print_json, request_options
from edgebert.cli.shown_output import echo

if TYPE_CHECKING:
    from edgebert.tasks.foreign import TaskRequest


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, required=True)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The HTML page to write.",
)
@request_options
@json_option
def explain(
    model: Path, texts: tuple[str, ...], out: Path, as_json: bool, request: TaskRequest
) -> None:
    """Show the pieces of a text, the answer and the attention of every head as one HTML page.

    MODEL is a model folder. TEXTS is one text; a pair or question answering model takes two.

    \b
    edgebert explain my-bert/ "turn on the lights" -o page.html
    edgebert explain qa/ "who sleeps?" "the cat sleeps on the mat" -o page.html
    """
    from edgebert.reporting.explanation import write_explanation

    found = write_explanation(model, texts, out, request)
    if as_json:
        print_json(
            {
                "path": str(out),
                "pieces": found.pieces,
                "token_ids": found.encoding.token_ids,
                "answer": found.answer,
            }
        )
        return
    echo(found.answer or "A bare encoder has no answer.")
    echo(f"{out}: {len(found.pieces)} tokens, {found.kept.sum()} heads", err=True)
