"""Agreement between the processes of a training run: one result, one error, the same settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from edgebert import errors
from edgebert.errors import UsageError
from edgebert.training.devices import Devices

T = TypeVar("T")


def from_coordinator(devices: Devices, make: Callable[[], T]) -> T:
    """Calls a function in the coordinator and gives its result to all processes.

    Args:
        devices: The processes; all of them must make this call.
        make: Called in the coordinator only. Its result must be a JSON value.

    Raises:
        EdgebertError: The function raised it; every process raises the same error.
        KeyboardInterrupt: The same.
    """
    answer: dict[str, Any] = {}
    if devices.is_coordinator:
        try:
            answer = {"value": make()}
        except (errors.EdgebertError, KeyboardInterrupt) as error:
            answer = {"error": type(error).__name__, "message": str(error)}
    answer = devices.exchange(answer)[0]
    if "error" in answer:
        kind = getattr(errors, answer["error"], KeyboardInterrupt)
        raise kind(*([answer["message"]] if answer["message"] else []))
    value: T = answer["value"]
    return value


def require_same(devices: Devices, identity: Mapping[str, Any]) -> None:
    """Checks that all processes were started with the same settings, data and models.

    Args:
        devices: The processes; all of them must make this call.
        identity: What the run is, as JSON.

    Raises:
        UsageError: They differ; every process raises it, with the differences.
    """
    own = {
        key: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()
        for key, part in identity.items()
    }
    hashes = devices.exchange(own)
    different = {
        number: [key for key in own if other.get(key) != hashes[0][key]]
        for number, other in enumerate(hashes)
    }
    problems = [f"worker {i}: another {', '.join(keys)}" for i, keys in different.items() if keys]
    if problems:
        raise UsageError(
            "Expected the same command, model and data in all workers. Received, compared with "
            f"worker 0: {'; '.join(problems)}. Next: start the same command with the same files."
        )
