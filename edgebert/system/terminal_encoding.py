"""Output on terminals whose encoding is not UTF-8, such as `LC_ALL=C` or cp1252 of Windows."""

from __future__ import annotations

import codecs
import sys
from typing import TextIO

ERRORS = "edgebert-escapes"
_PLAIN = {
    "\u2026": "...",
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2013": "-",
    "\u2014": "-",
    "\u2212": "-",
    "\u00d7": "x",
    "\u2265": ">=",
    "\u2264": "<=",
    "\u2022": "*",
}


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Replaces characters by plain ones, or by the escapes of JSON: `\u00e9`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character) or _escaped(character) for character in found), error.end


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def escape_what_the_terminal_lacks() -> None:
    """Lets stdout and stderr escape characters that their encoding does not have.

    JSON stays valid, since the escapes are its own.
    """
    codecs.register_error(ERRORS, _escape)
    for stream in (sys.stdout, sys.stderr):
        _reconfigure(stream)


def _reconfigure(stream: TextIO) -> None:
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    change = getattr(stream, "reconfigure", None)
    if change is not None and encoding not in ("utf8", "utf16", "utf32"):
        change(errors=ERRORS)
