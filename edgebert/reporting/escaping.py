"""Escapes text for HTML and Markdown."""

from __future__ import annotations

import html

from edgebert.system.shown_text import shown


def escape(text: str, quote: bool = True) -> str:
    """Text as HTML shows it: no markup, and control characters as escapes.

    Args:
        text: the text.
        quote: whether quotation marks are escaped, too, as attributes need.
    """
    return html.escape(shown(text), quote)
