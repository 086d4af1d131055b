"""The check of a device that answers texts itself: its inputs, and the rows that it returns.

The demo app, the browser's page and the board's program tokenize, run and decode a text. For each
input of a check they return a row: `calls` of the runtime, each with its `token_ids` and its
`outputs` in base64, and the `answer`. The contract in `adb.app` has the details.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters import heads
from edgebert.data.conll_files import TaggedSentence
from edgebert.errors import EdgebertError
from edgebert.profiling.device_check import HostOutputs
from edgebert.tasks.task import Task

CheckInput = dict[str, Any]
"""`texts`, `words`, or `token_ids` with `segment_ids`."""

LARGEST_OUTPUT = 1e12
"""A larger output is an error."""
LARGEST_DIFFERENCE = 1e-4
"""Tolerance between a number in the device's answer and the number computed from its outputs."""
FLOAT32 = np.dtype("<f4")
SAME_VERSION = (
    "Next: use an app or a page of the same version as edgebert; on a board, measure again."
)


def check_inputs(reference: HostOutputs) -> list[tuple[CheckInput, int]]:
    """Each input of a check with the number of its encodings, in the order of the encodings.

    A masked LM is evaluated on single word pieces, which no text represents, so it gets token ids.
    """
    if reference.task.evaluates_token_ids:
        return [
            (
                {
                    "token_ids": [list(encoding.token_ids)],
                    "segment_ids": [list(encoding.segment_ids)],
                },
                1,
            )
            for encoding in reference.encodings
        ]
    counts = [0] * len(reference.features.examples)
    for owner in reference.features.owners:
        counts[owner] += 1
    inputs = [input_of(reference.task, example) for example in reference.features.examples]
    return list(zip(inputs, counts, strict=True))


def input_of(task: Task[Any], example: Any) -> CheckInput:
    """The input of an example of a task: its words, or its texts."""
    if isinstance(example, TaggedSentence):
        return {"words": list(example.words)}
    return {"texts": list(task.encoded_texts(example))}


@dataclass(frozen=True)
class TextRun:
    """The results of a device's tokenizer and runtime for labelled data.

    Attributes:
        outputs: Output of each encoding without padding, for `HostReference.compare`.
        token_ids: Token ids of each encoding.
    """

    outputs: tuple[np.ndarray, ...]
    token_ids: tuple[tuple[int, ...], ...]


def read_rows(
    rows: Sequence[Mapping[str, Any]], counts: Sequence[int], reference: HostOutputs, label: str
) -> TextRun:
    """Converts the rows of a check to outputs of encodings.

    Args:
        rows: One row for each input, in order.
        counts: Number of encodings of each input on this machine.
        reference: The outputs of this machine.
        label: Name of the current step in messages.

    Raises:
        EdgebertError: The number of calls for an input differs, or outputs are missing.
    """
    calls: list[Mapping[str, Any]] = []
    for number, (row, count) in enumerate(zip(rows, counts, strict=True)):
        if len(row["calls"]) != count:
            raise EdgebertError(
                f"{label}: expected {count} calls of the runtime for input {number + 1}. Received: "
                f"{len(row['calls'])}. {SAME_VERSION}"
            )
        calls += row["calls"]
    outputs = tuple(_output(call, reference, label) for call in calls)
    return TextRun(outputs, tuple(tuple(call["token_ids"]) for call in calls))


def refuse_contradictions(
    rows: Sequence[Mapping[str, Any]], run: TextRun, reference: HostOutputs, label: str
) -> None:
    """Compares a device's answers with the answers that this machine computes from its outputs.

    Raises:
        EdgebertError: An answer differs.
    """
    for row, answer in zip(rows, reference.answers_of(run.outputs), strict=True):
        expected, given = reference.task.short_answer(answer), row["answer"]
        if not all(_same(given.get(name), value) for name, value in expected.items()):
            raise EdgebertError(
                f"{label}: the answer contradicts the device's own outputs for {answer['text']!r}. "
                f"Expected: {expected}. Received: {given}. {SAME_VERSION}"
            )


def _same(given: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return isinstance(given, int | float) and math.isclose(
            given, expected, rel_tol=LARGEST_DIFFERENCE, abs_tol=LARGEST_DIFFERENCE
        )
    return bool(given == expected)


def _output(call: Mapping[str, Any], reference: HostOutputs, label: str) -> np.ndarray:
    """The head's output for an encoding, from the outputs of a call in base64."""
    tokens = len(call["token_ids"])
    try:
        named = {
            name: _shaped(np.frombuffer(base64.b64decode(text), FLOAT32), reference)
            for name, text in call["outputs"].items()
        }
        output = reference.model.output_of(named, tokens)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise EdgebertError(
            f"{label}: expected outputs of the model's signature in base64. Received: {error}. "
            + SAME_VERSION
        ) from error
    if not (np.abs(output) < LARGEST_OUTPUT).all():
        raise EdgebertError(f"{label}: expected finite outputs. Received: {output[:8]}.")
    return output


def _shaped(flat: np.ndarray, reference: HostOutputs) -> np.ndarray:
    """A flat output in the shape of its signature, with a batch of one."""
    head, model = reference.task.head, reference.model
    if head == heads.TOKEN_CLASSIFIER:
        return flat.reshape(1, -1, len(model.labels))
    if head == heads.MASKED_LM:
        return flat.reshape(1, -1, len(model.tokenizer.vocabulary.tokens))
    return flat[None]
