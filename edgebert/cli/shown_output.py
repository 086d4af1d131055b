"""Prints lines of text with control characters as escapes."""

from __future__ import annotations

import click

from edgebert.system.shown_text import shown


def echo(text: str = "", *, err: bool = False) -> None:
    """Prints a text on stdout or stderr; JSON, which has its own escapes, is printed by `click`.

    Args:
        text: the text; tabs and line feeds stay.
        err: whether to print on stderr.
    """
    click.echo(shown(text), err=err)
