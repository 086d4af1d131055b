"""Formats numbers for all tables and figures."""

from __future__ import annotations

from math import isfinite

from edgebert.system.plurals import counted as counted

NOTHING = "–"
"""Text of a missing value."""


def size_text(size_bytes: int | None) -> str:
    """A size in B, kB or MB of 1000."""
    if size_bytes is None:
        return NOTHING
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1e3:.1f} kB" if size_bytes < 1e6 else f"{size_bytes / 1e6:.2f} MB"


def memory_text(size_bytes: int | None) -> str:
    """Resident memory in whole MB, its real precision."""
    return NOTHING if size_bytes is None else f"{size_bytes / 1e6:.0f} MB"


def ms_text(milliseconds: float | None) -> str:
    """Milliseconds with three significant digits, without the unit."""
    if milliseconds is None:
        return NOTHING
    decimals = 3 if milliseconds < 1 else 2 if milliseconds < 10 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:.{decimals}f}"


def share_text(share: float | None, decimals: int = 1) -> str:
    """A share from 0 to 1 in percent."""
    return NOTHING if share is None else f"{100 * share:.{decimals}f}%"


def ratio_text(ratio: float | None) -> str:
    """A ratio such as `1.50x`."""
    return NOTHING if ratio is None or not isfinite(ratio) else f"{ratio:.2f}x"


def seconds_text(seconds: float) -> str:
    """A duration: `8.2 s`, `3 min 05 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def moment_text(moment: str) -> str:
    """An ISO 8601 time in UTC, to the minute; empty for an empty text."""
    return f"{moment[:10]} {moment[11:16]} UTC" if moment else ""


def threads_text(threads: int) -> str:
    """A thread count such as `2 threads`."""
    return counted(threads, "thread")


def capitalized(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


_NOT_SHARES = ("loss", "perplexity", "pearson", "spearman", "mean_squared_error", "cosine")


def is_share(name: str) -> bool:
    """Whether a metric is a share from 0 to 1, such as accuracy or F1."""
    return name.removeprefix("dev_") not in _NOT_SHARES


def is_part(name: str) -> bool:
    """Whether a metric is of a part of the data, such as `entity_f1/PER` of one entity type."""
    return "/" in name


def metric_words(name: str) -> str:
    """A metric's key in words: `entity_f1` becomes `entity F1`."""
    whole, _, part = name.partition("/")
    words = " ".join("F1" if word == "f1" else word for word in whole.split("_"))
    return f"{words} of {part}" if part else words


def metric_text(name: str, value: float) -> str:
    """A metric's value: a share in percent, others with four decimals."""
    return share_text(value, 2) if is_share(name) else f"{value:.4f}"
