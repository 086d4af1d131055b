"""Results of the demo app: validation against the contract in `app`, and their content."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters import heads
from converters.json_files import JsonFormat
from edgebert.errors import EdgebertError
from edgebert.profiling.device_check import HostReference

RESULT, VERSION = "edgebert-app-result", 2
STATES = ("running", "done", "failed")
_RESULT_FORMAT = JsonFormat(
    "a result of the app",
    "build the app of the same version as edgebert",
    EdgebertError,
    RESULT,
    versions=(VERSION,),
)
LARGEST = 1e12
"""Limit of a time in ms or of an output. A larger number is an error."""
LARGEST_DIFFERENCE = 1e-4
"""Tolerance between a number in the app's answer and the number computed from its outputs."""
FLOAT32 = np.dtype("<f4")


def parse_result(text: str, key: str, label: str) -> dict[str, Any]:
    """Parses a result in any state.

    Args:
        text: The result in JSON.
        key: Id of the request.
        label: Name of the current step in messages.

    Raises:
        EdgebertError: The format or version differs, or the result belongs to another request.
    """
    result = _RESULT_FORMAT.parse(text, label)
    own, state = result.get("id"), result.get("state")
    if own != key or state not in STATES:
        raise EdgebertError(
            f"{label}: expected a result for {key}. Received: one for {own!r}, in state {state!r}. "
            "Next: build the app of the same version as edgebert."
        )
    return result


def checked_result(
    result: dict[str, Any], request: Mapping[str, Any], label: str
) -> dict[str, Any]:
    """Returns the result if it is complete.

    Raises:
        EdgebertError: Parts are missing or have a wrong type. The message lists all of them.
    """
    inputs, rows = request["check"] or [], result.get("check") or []
    runtime, peak = result.get("runtime"), result.get("peak_memory_bytes", "none")
    rules = {
        "sha256 of the model that was sent": result.get("sha256") == request["sha256"],
        "app_version and delegate": bool(result.get("app_version") and result.get("delegate")),
        "runtime with name and version": isinstance(runtime, dict)
        and {"name", "version"} <= {*runtime},
        "load_ms and first_call_ms": all(
            _is_time(result.get(f"{n}_ms")) for n in ("load", "first_call")
        ),
        "peak_memory_bytes": peak is None or (isinstance(peak, int) and peak > 0),
        "blocks_ms of calls": request["time"] is None or _is_blocks(result.get("blocks_ms")),
        f"check of {len(inputs)} inputs": isinstance(rows, list)
        and len(rows) == len(inputs)
        and all(map(_is_row, rows)),
    }
    if missing := [rule for rule, kept in rules.items() if not kept]:
        raise EdgebertError(
            f"{label}: the app's result must have {'; '.join(missing)}. Received: "
            f"{str(result)[:300]}. Next: build the app of the same version as edgebert."
        )
    return result


@dataclass(frozen=True)
class AppRun:
    """The results of a phone's tokenizer and runtime for labelled data.

    Attributes:
        outputs: Output of each encoding without padding, for `HostReference.compare`.
        token_ids: Token ids of each encoding.
    """

    outputs: tuple[np.ndarray, ...]
    token_ids: tuple[tuple[int, ...], ...]


def read_rows(
    rows: Sequence[Mapping[str, Any]], counts: Sequence[int], reference: HostReference, label: str
) -> AppRun:
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
                f"{len(row['calls'])}. Next: build the app of the same version as edgebert."
            )
        calls += row["calls"]
    outputs = tuple(_output(call, reference, label) for call in calls)
    return AppRun(outputs, tuple(tuple(call["token_ids"]) for call in calls))


def refuse_contradictions(
    rows: Sequence[Mapping[str, Any]], run: AppRun, reference: HostReference, label: str
) -> None:
    """Compares the app's answers with the answers that this machine computes from its outputs.

    Raises:
        EdgebertError: An answer differs.
    """
    for row, answer in zip(rows, reference.answers_of(run.outputs), strict=True):
        expected, given = reference.task.short_answer(answer), row["answer"]
        if not all(_same(given.get(name), value) for name, value in expected.items()):
            raise EdgebertError(
                f"{label}: the app's answer contradicts its own outputs for "
                f"{answer['text']!r}. Expected: {expected}. Received: {given}. Next: build the app "
                "of the same version as edgebert."
            )


def _same(given: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return isinstance(given, int | float) and math.isclose(
            given, expected, rel_tol=LARGEST_DIFFERENCE, abs_tol=LARGEST_DIFFERENCE
        )
    return bool(given == expected)


def _output(call: Mapping[str, Any], reference: HostReference, label: str) -> np.ndarray:
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
            "Next: build the app of the same version as edgebert."
        ) from error
    if not (np.abs(output) < LARGEST).all():
        raise EdgebertError(f"{label}: expected finite outputs. Received: {output[:8]}.")
    return output


def _shaped(flat: np.ndarray, reference: HostReference) -> np.ndarray:
    """A flat output in the shape of its signature, with a batch of one."""
    head, model = reference.task.head, reference.model
    if head == heads.TOKEN_CLASSIFIER:
        return flat.reshape(1, -1, len(model.labels))
    if head == heads.MASKED_LM:
        return flat.reshape(1, -1, len(model.tokenizer.vocabulary.tokens))
    return flat[None]


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LARGEST


def _is_blocks(blocks: Any) -> bool:
    return (
        isinstance(blocks, list)
        and bool(blocks)
        and all(isinstance(block, list) and block and all(map(_is_time, block)) for block in blocks)
    )


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("answer"), dict | None):
        return False
    calls = row.get("calls")
    return isinstance(calls, list) and bool(calls) and all(map(_is_call, calls))


def _is_call(call: Any) -> bool:
    if not isinstance(call, dict):
        return False
    ids, outputs = call.get("token_ids"), call.get("outputs")
    return (
        isinstance(ids, list)
        and all(isinstance(number, int) and not isinstance(number, bool) for number in ids)
        and isinstance(outputs, dict)
        and bool(outputs)
        and all(isinstance(text, str) for text in outputs.values())
    )
