"""Numbers as people read them, the same in every table."""

from __future__ import annotations

from math import isfinite

from edgebert.system.plurals import counted as counted

NOTHING = "–"
"""Stands where there is no figure."""


def size_text(size_bytes: int | None) -> str:
    """Bytes, in units of 1000."""
    if size_bytes is None:
        return NOTHING
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1e3:.1f} kB" if size_bytes < 1e6 else f"{size_bytes / 1e6:.2f} MB"


def memory_text(size_bytes: int | None) -> str:
    """Resident memory, which is known to a megabyte at best."""
    return NOTHING if size_bytes is None else f"{size_bytes / 1e6:.0f} MB"


def ms_text(milliseconds: float | None) -> str:
    """Milliseconds with three digits that count, without their unit."""
    if milliseconds is None:
        return NOTHING
    decimals = 3 if milliseconds < 1 else 2 if milliseconds < 10 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:.{decimals}f}"


def share_text(share: float | None, decimals: int = 1) -> str:
    """A share of 1, in percent."""
    return NOTHING if share is None else f"{100 * share:.{decimals}f}%"


def ratio_text(ratio: float | None) -> str:
    """A ratio to the first row."""
    return NOTHING if ratio is None or not isfinite(ratio) else f"{ratio:.2f}x"


def seconds_text(seconds: float) -> str:
    """A duration: `8.2 s`, `3 min 05 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def moment_text(moment: str) -> str:
    """An ISO 8601 moment in UTC, to the minute; empty where it is."""
    return f"{moment[:10]} {moment[11:16]} UTC" if moment else ""


def threads_text(threads: int) -> str:
    """So many threads."""
    return counted(threads, "thread")


def capitalized(text: str) -> str:
    """The text with a large first letter; the others stay as they are."""
    return text[:1].upper() + text[1:]


_NOT_SHARES = ("loss", "perplexity", "pearson", "spearman", "mean_squared_error")


def is_share(name: str) -> bool:
    """Whether a metric is a share of 1: an accuracy, an F1, not a correlation."""
    return name.removeprefix("dev_") not in _NOT_SHARES


def is_part(name: str) -> bool:
    """Whether a metric is of a part of the data: `entity_f1/PER` is of one type of entity."""
    return "/" in name


def metric_words(name: str) -> str:
    """A metric's key as people write it: `entity_f1` is `entity F1`."""
    whole, _, part = name.partition("/")
    words = " ".join("F1" if word == "f1" else word for word in whole.split("_"))
    return f"{words} of {part}" if part else words


def metric_text(name: str, value: float) -> str:
    """A metric's value as people write it: a share in percent, a correlation as it is."""
    return share_text(value, 2) if is_share(name) else f"{value:.4f}"
