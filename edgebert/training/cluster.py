"""Which hosts train together: what `TF_CONFIG` says, and whether they are all there.

`TF_CONFIG` is TensorFlow's own way to say it, which schedulers write: JSON with `cluster`, the
addresses of all workers, and `task`, which of them this one is.
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
_KNOCK_SECONDS = 0.2


@dataclass(frozen=True)
class Cluster:
    """The hosts that train one model.

    Attributes:
        addresses: `host:port` of each worker, the chief first.
        index: which of them this process is.
    """

    addresses: tuple[str, ...]
    index: int


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """What `TF_CONFIG` says.

    Raises:
        UsageError: it is not there, no JSON, or says nothing that makes sense; all at once.
    """
    text = environment.get(VARIABLE, "")
    if not text.strip():
        raise _useless("it is not set")
    try:
        content = parse_json(text)
    except InvalidJsonError as error:
        raise _useless(f"no JSON: {error}") from error
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
    problems += [f"{address!r} is no host:port" for address in every if not _is_address(address)]
    problems += [f"{a!r} is there twice" for a in sorted({a for a in every if every.count(a) > 1})]
    job, index = task.get("type"), task.get("index")
    if job not in _JOBS or not addresses[job]:
        problems.append(f"task.type is {job!r}, which the cluster does not have")
    elif type(index) is not int or not 0 <= index < len(addresses[job]):
        problems.append(f"task.index is {index!r}, of {len(addresses[job])} from 0")
    if problems:
        raise _useless("; ".join(problems))
    place = int(str(index))
    return Cluster(every, place + (len(addresses["chief"]) if job == "worker" else 0))


def wait_for_workers(cluster: Cluster, seconds: float) -> None:
    """Waits until every other worker listens at its address.

    This worker listens at its own meanwhile, and no longer when this returns: TensorFlow's server
    takes the port over, and answers those who come later.

    Raises:
        UsageError: something else listens at this worker's port.
        EdgebertError: not all came in time; it says who is missing.
    """
    missing = [address for i, address in enumerate(cluster.addresses) if i != cluster.index]
    end = time.monotonic() + seconds
    with _listening(cluster.addresses[cluster.index]):
        while missing:
            missing = [address for address in missing if not _listens(address)]
            if missing and time.monotonic() > end:
                raise EdgebertError(
                    f"Expected {len(cluster.addresses)} workers within {seconds:g} seconds. "
                    f"Received no answer from: {', '.join(missing)}. Next: start the same command "
                    "there too, and look whether a firewall lets these ports through."
                )
            if missing:
                time.sleep(_KNOCK_SECONDS)


@contextlib.contextmanager
def _listening(address: str) -> Any:
    port = int(address.rpartition(":")[2])
    try:
        listener = socket.create_server(("", port), backlog=64)
    except OSError as error:
        raise UsageError(
            f"{VARIABLE}: this worker can't listen at port {port}: {error}. Next: give a free port."
        ) from error
    with listener:
        yield


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2):
            return True
    except OSError:
        return False


def _part(content: Any, name: str) -> dict[str, Any]:
    part = content.get(name) if isinstance(content, dict) else None
    if not isinstance(part, dict):
        raise _useless(f"no object with an object {name!r}")
    return part


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_address(address: str) -> bool:
    found = _ADDRESS.fullmatch(address)
    return found is not None and 0 < int(found["port"]) < 65536


def _useless(problem: str) -> UsageError:
    return UsageError(
        f"{VARIABLE}: expected JSON such as {EXAMPLE}. Received: {problem}. Next: set it on every "
        "host, with the same cluster and another task.index on each."
    )
