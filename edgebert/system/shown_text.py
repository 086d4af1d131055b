"""Shows texts of unknown origin: no control character of a label or a file reaches the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

# Control characters except tab and line feed, which begin the commands of a terminal (ESC, CSI,
# OSC); line separators; and characters that reverse the order in which a text is shown.
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def shown(text: str) -> str:
    r"""A text with control characters as escapes: ESC becomes `\x1b`.

    Tabs and line feeds stay.
    """
    return _HIDDEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def open_console(**settings: Any) -> Console:
    """A console of `rich` that shows control characters of its texts as escapes.

    Args:
        **settings: of `rich.console.Console`.
    """
    from rich.console import Console

    class SafeConsole(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=shown(segment.text))

    return SafeConsole(**settings)
