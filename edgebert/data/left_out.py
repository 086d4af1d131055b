"""The message about rows that were left out of a data set."""

from __future__ import annotations

from edgebert.data.datasets import Dataset
from edgebert.system.plurals import counted

_SHOWN = 20


def left_out_text(data: Dataset) -> str:
    """The number of rows with problems, the first ones in words, the others by their places."""
    first = "".join(f"\n  {problem}" for problem in data.left_out[:_SHOWN])
    places = [problem.partition(": ")[0] for problem in data.left_out[_SHOWN:]]
    more = f"\n  and {', '.join(places)}" if places else ""
    return f"{data.path}: {counted(len(data.left_out), 'row')} with problems left out:{first}{more}"
