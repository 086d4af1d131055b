"""The errors of edgebert, each with the exit code of the command line.

A message says what was expected, what was received, and the next step.
"""

from __future__ import annotations

from collections.abc import Sequence


class EdgebertError(Exception):
    """The base class; a failure has exit code 1."""

    exit_code = 1


class UsageError(EdgebertError):
    """Wrong usage, such as invalid or contradicting settings: exit code 2."""

    exit_code = 2


class QualityGateError(EdgebertError):
    """A result missed a quality gate that the caller set: exit code 3."""

    exit_code = 3


class DataError(EdgebertError):
    """A data file can't be read, or has wrong content."""


class ModelError(EdgebertError):
    """A model folder or a `.tflite` can't be opened, or has wrong content."""


class OutputError(EdgebertError):
    """A path can't be written to: it is a folder, a device or a pipe."""


class MissingExtraError(EdgebertError):
    """A package of an optional extra is not installed; the message has the install command."""


def refuse(problems: Sequence[str]) -> None:
    """Raises an error if there are problems.

    Raises:
        UsageError: There are problems; the message lists all of them.
    """
    if problems:
        raise UsageError("; ".join(problems) + ".")
