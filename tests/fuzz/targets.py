"""What is fuzzed: a target for each format, with cases that each read one file."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.errors import ConversionError
from edgebert.errors import EdgebertError
from tests.fuzz.mutations import Mutate

ACCEPTED = (EdgebertError, ConversionError)
"""The errors that a reader may raise. `converters` has its own, which `edgebert` turns into its."""


class TrialEnded(Exception):  # noqa: N818  (no error: the product says so to the user)
    """An input ended the process in which the product tries files of unknown origin."""


@dataclass(frozen=True)
class Case:
    """One kind of file of a format.

    Attributes:
        name: for messages.
        seeds: contents that are right; they are made, not copied.
        mutate: damages them.
        read: reads one input, and returns or raises one of `ACCEPTED`.
    """

    name: str
    seeds: Sequence[bytes]
    mutate: Mutate
    read: Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """A format.

    Attributes:
        name: for `make fuzz FORMAT=`.
        cases: makes the cases; it gets an empty folder for their files.
        count: number of inputs of a whole run.
        short: number of inputs in the tests.
        is_slow: whether it is left to `make fuzz`: it needs TensorFlow, or a process per input.
    """

    name: str
    cases: Callable[[Path], list[Case]]
    count: int = 100_000
    short: int = 25
    is_slow: bool = False


def make_input(cases: Sequence[Case], name: str, seed: int, number: int) -> tuple[Case, bytes]:
    """Input `number` of a run: always the same for the same target, seed and number."""
    source = random.Random(f"{name} {seed} {number}")
    case = source.choice(cases)
    return case, case.mutate(source, case.seeds)


def written(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A reader of bytes that writes them to a file and reads it."""

    def read_bytes(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return read_bytes
