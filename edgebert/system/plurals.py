"""English plurals of counted nouns."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """A number with its noun: `1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
