"""Results of the demo app: validation against the contract in `app`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.json_files import JsonFormat
from edgebert.errors import EdgebertError

RESULT, VERSION = "edgebert-app-result", 2
STATES = ("running", "done", "failed")
_RESULT_FORMAT = JsonFormat(
    "a result of the app",
    "build the app of the same version as edgebert",
    EdgebertError,
    RESULT,
    versions=(VERSION,),
)
LARGEST_MS = 1e12
"""A longer time is an error."""


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


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LARGEST_MS


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
