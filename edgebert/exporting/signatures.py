"""The signatures of a file: token lengths and output, by the export settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.tflite.inference_graph import DYNAMIC_LENGTH
from edgebert.encoding.lengths import parse_lengths, pick_lengths
from edgebert.errors import UsageError
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings
from edgebert.tasks.examples import encodings_of

AUTO = "auto"


@dataclass(frozen=True)
class Signatures:
    """The signatures of a file.

    Attributes:
        lengths: ascending token lengths; `(DYNAMIC_LENGTH,)` for one free length.
        output: name of the graph's output.
        max_length: longest encoding in tokens.
    """

    lengths: tuple[int, ...]
    output: str
    max_length: int

    @property
    def fixed_lengths(self) -> tuple[int, ...]:
        """The lengths; empty for a free length."""
        return () if DYNAMIC_LENGTH in self.lengths else self.lengths


def choose_signatures(
    model: TaskModel, settings: ExportSettings, examples: Sequence[Any]
) -> Signatures:
    """The signatures of a model's file.

    Args:
        model: the model that is exported.
        settings: of the export.
        examples: texts, or examples of the task's reader, for `lengths = "auto"`.

    Raises:
        UsageError: as for `choose_lengths`.
    """
    lengths = choose_lengths(model, settings, examples)
    outputs = model.task.file_outputs
    output = settings.output if settings.output in outputs else outputs[0]
    is_dynamic = DYNAMIC_LENGTH in lengths
    return Signatures(lengths, output, _max_length(model, settings) if is_dynamic else max(lengths))


def choose_lengths(
    model: TaskModel, settings: ExportSettings, examples: Sequence[Any]
) -> tuple[int, ...]:
    """The token lengths of a file; `(DYNAMIC_LENGTH,)` for a free one.

    Args:
        model: the model that is exported.
        settings: of the export.
        examples: texts, or examples of the task's reader, for `lengths = "auto"`.

    Raises:
        UsageError: several of the length settings are set, a length is out of range, or `auto` has
            no texts.
    """
    values = {
        "--lengths": settings.lengths,
        "--length": settings.length,
        "--dynamic-length": settings.dynamic_length,
    }
    received = [name for name, value in values.items() if value]
    if len(received) > 1:
        raise UsageError(
            f"Expected one of --lengths, --length, --dynamic-length. "
            f"Received: {' and '.join(received)}."
        )
    positions = model.checkpoint.config.max_positions
    if settings.max_length > positions:
        raise UsageError(
            f"--max-length is at most {positions}, the size of the model's position table. "
            f"Received: {settings.max_length}."
        )
    if settings.dynamic_length:
        return (DYNAMIC_LENGTH,)
    if settings.length:
        return parse_lengths(str(settings.length), positions)
    longest = _max_length(model, settings)
    if settings.lengths != AUTO:
        limit = positions if settings.lengths else longest
        return parse_lengths(settings.lengths, limit, model.task.file_lengths)
    if not examples:
        raise UsageError(
            "--lengths auto needs texts like those of the app. Received: none. "
            "Next: add --lengths-from FILE, for example the training file."
        )
    counts = np.array([len(encoding) for encoding in encodings_of(model, examples, longest)])
    return pick_lengths(counts, longest, settings.max_signatures)


def length_note(model: TaskModel, signatures: Signatures) -> str:
    """A note on a file that takes more tokens than the model is meant for; else empty."""
    if signatures.max_length <= model.max_length:
        return ""
    return (
        f"the file takes {signatures.max_length} tokens, the model's maximum length "
        f"(max_seq_length) is {model.max_length}. Its answers to longer texts may be worse. "
        "Next: measure them with --data, or give shorter lengths."
    )


def _max_length(model: TaskModel, settings: ExportSettings) -> int:
    return settings.max_length or min(model.max_length, model.checkpoint.config.max_positions)
