"""The hosts of a distributed training run: reads `TF_CONFIG` and waits for the other hosts.

`TF_CONFIG` is TensorFlow's environment variable for this purpose, and schedulers set it. It is JSON
with two keys: `cluster` holds the addresses of all workers, `task` the number of this one.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from converters.json_files import InvalidJsonError, parse_json
from edgebert.errors import EdgebertError, UsageError

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host-a:2222", "host-b:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
_JOBS = ("chief", "worker")
_ADDRESS = re.compile(r"(?P<host>\S+):(?P<port>\d{1,5})")
_RETRY_SECONDS = 0.2


@dataclass(frozen=True)
class Cluster:
    """The hosts that train one model.

    Attributes:
        addresses: `host:port` of each worker. The job `chief`, if there is one, comes first.
        index: The position of this process in `addresses`; 0 is the coordinator.
    """

    addresses: tuple[str, ...]
    index: int


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """Parses `TF_CONFIG`.

    Args:
        environment: Environment variables of this process.

    Raises:
        UsageError: The variable is not set, not JSON or not valid; every problem is listed.
    """
    text = environment.get(VARIABLE, "")
    if not text.strip():
        raise _invalid("it is not set")
    try:
        content = parse_json(text)
    except InvalidJsonError as error:
        raise _invalid(f"not JSON: {error}") from error
    cluster, task = (_part(content, name) for name in ("cluster", "task"))
    problems = [
        f"cluster has the job {job!r}; known: {', '.join(_JOBS)}"
        for job in cluster
        if job not in _JOBS
    ]
    addresses = {job: _list(cluster.get(job, [])) for job in _JOBS}
    every = tuple(str(address) for job in _JOBS for address in addresses[job])
    if not every:
        problems.append("cluster names no workers")
    problems += [f"{address!r} is not host:port" for address in every if not _is_address(address)]
    problems += [f"{a!r} occurs twice" for a in sorted({a for a in every if every.count(a) > 1})]
    job, index = task.get("type"), task.get("index")
    if job not in _JOBS or not addresses[job]:
        problems.append(f"task.type is {job!r}, which is not in the cluster")
    elif type(index) is not int or not 0 <= index < len(addresses[job]):
        problems.append(f"task.index is {index!r}; expected 0 to {len(addresses[job]) - 1}")
    if problems:
        raise _invalid("; ".join(problems))
    place = int(str(index))
    return Cluster(every, place + (len(addresses["chief"]) if job == "worker" else 0))


def wait_for_workers(cluster: Cluster, seconds: float) -> None:
    """Waits until every other worker listens at its address.

    Meanwhile this worker listens at its own address. It stops when this function returns, and
    TensorFlow's server takes over the port and answers workers that start later.

    Args:
        cluster: The hosts.
        seconds: Time to wait for all of them.

    Raises:
        UsageError: This worker's port is in use.
        EdgebertError: Some workers did not answer in time; the message names them.
    """
    missing = [address for i, address in enumerate(cluster.addresses) if i != cluster.index]
    end = time.monotonic() + seconds
    with _listen(cluster.addresses[cluster.index]):
        while missing:
            missing = [address for address in missing if not _answers(address)]
            if missing and time.monotonic() > end:
                raise EdgebertError(
                    f"Expected {len(cluster.addresses)} workers within {seconds:g} seconds. "
                    f"Received no answer from: {', '.join(missing)}. Next: start the same command "
                    "there, and check that no firewall blocks these ports."
                )
            if missing:
                time.sleep(_RETRY_SECONDS)


@contextlib.contextmanager
def _listen(address: str) -> Any:
    port = int(address.rpartition(":")[2])
    try:
        listener = socket.create_server(("", port), backlog=64)
    except OSError as error:
        raise UsageError(
            f"{VARIABLE}: this worker can't listen at port {port}: {error}. Next: set a free port."
        ) from error
    with listener:
        yield


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2):
            return True
    except OSError:
        return False


def _part(content: Any, name: str) -> dict[str, Any]:
    part = content.get(name) if isinstance(content, dict) else None
    if not isinstance(part, dict):
        raise _invalid(f"{name!r} is missing or not an object")
    return part


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_address(address: str) -> bool:
    found = _ADDRESS.fullmatch(address)
    return found is not None and 0 < int(found["port"]) < 65536


def _invalid(problem: str) -> UsageError:
    return UsageError(
        f"{VARIABLE}: expected JSON such as {EXAMPLE}. Received: {problem}. Next: set it on every "
        "host, with the same cluster and a different task.index on each."
    )
