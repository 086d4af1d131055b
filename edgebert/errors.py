"""Every error that edgebert raises on purpose, with the exit code that the command line gives it.

A message says what was expected, what came, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence


class EdgebertError(Exception):
    """Something failed: exit code 1."""

    exit_code = 1


class UsageError(EdgebertError):
    """The caller asked for something that makes no sense: exit code 2."""

    exit_code = 2


class QualityGateError(EdgebertError):
    """A result was made but missed a gate that the caller set: exit code 3."""

    exit_code = 3


class DataError(EdgebertError):
    """A data file can't be read as what it should be."""


class ModelError(EdgebertError):
    """A model folder or a `.tflite` can't be opened as what it should be."""


class MissingExtraError(EdgebertError):
    """A package of an optional extra is not installed; the message has the install line."""


def refuse(problems: Sequence[str]) -> None:
    """Raises where there are problems.

    Raises:
        UsageError: all of them at once.
    """
    if problems:
        raise UsageError("; ".join(problems) + ".")
