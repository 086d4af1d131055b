"""What TF_CONFIG says, and whether all workers are there."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.errors import EdgebertError, UsageError
from edgebert.training.cluster import Cluster, read_cluster, wait_for_workers

WORKERS = ["a:1", "b:2"]


def config(cluster: Any, job: Any = "worker", index: Any = 0) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})}


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def test_worker_addresses_are_read() -> None:
    assert read_cluster(config({"worker": WORKERS}, index=1)) == Cluster(("a:1", "b:2"), 1)


def test_a_chief_is_the_first_worker() -> None:
    cluster = {"worker": WORKERS, "chief": ["c:3"]}
    assert read_cluster(config(cluster, "chief")) == Cluster(("c:3", "a:1", "b:2"), 0)
    assert read_cluster(config(cluster, "worker", 1)).index == 2


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "it is not set"),
        ({"TF_CONFIG": "  "}, "it is not set"),
        ({"TF_CONFIG": "{cluster"}, "not JSON"),
        ({"TF_CONFIG": "[]"}, "'cluster' is missing or not an object"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "'task' is missing or not an object"),
        (config({}), "names no workers"),
        (config({"ps": ["a:1"], "worker": WORKERS}), "the job 'ps'"),
        (config({"worker": ["a"]}), "'a' is not host:port"),
        (config({"worker": ["a:99999"]}), "'a:99999' is not host:port"),
        (config({"worker": ["a:1", "a:1"]}), "'a:1' occurs twice"),
        (config({"worker": WORKERS}, index=2), "task.index is 2; expected 0 to 1"),
        (config({"worker": WORKERS}, index=-1), "task.index is -1"),
        (config({"worker": WORKERS}, index="0"), "task.index is '0'"),
        (config({"worker": WORKERS}, index=True), "task.index is True"),
        (config({"worker": WORKERS}, job="evaluator"), "task.type is 'evaluator'"),
        (config({"worker": WORKERS}, job="chief"), "task.type is 'chief'"),
    ],
)
def test_an_invalid_tf_config_is_refused(environment: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError, match="TF_CONFIG: expected JSON such as") as caught:
        read_cluster(environment)
    assert problem in str(caught.value)


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(UsageError, match=r"the job 'ps'.*'a' is not host:port.*task.index is 7"):
        read_cluster(config({"ps": [], "worker": ["a", "b:2"]}, index=7))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_json_is_read_or_refused(value: Any) -> None:
    for content in (value, {"cluster": value, "task": value}, {"cluster": {"worker": value}}):
        with pytest.raises(UsageError):
            read_cluster({"TF_CONFIG": json.dumps(content)})


def test_workers_find_each_other() -> None:
    ports = free_ports(2)
    addresses = tuple(f"127.0.0.1:{port}" for port in ports)
    everyone = threading.Barrier(2, timeout=30)
    arrived = []

    def come(index: int) -> None:
        time.sleep(0.5 * index)
        wait_for_workers(Cluster(addresses, index), 20)
        # As TensorFlow's server does next, where those who come later find it.
        with closing(socket.create_server(("", ports[index]))):
            everyone.wait()
        arrived.append(index)

    workers = [threading.Thread(target=come, args=[index]) for index in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=40)
    assert sorted(arrived) == [0, 1]


def test_missing_workers_are_named() -> None:
    ports = free_ports(3)
    addresses = tuple(f"127.0.0.1:{port}" for port in ports)
    with (
        closing(socket.create_server(("127.0.0.1", ports[2]))),
        pytest.raises(EdgebertError, match=rf"3 workers within 0.3 seconds.*: {addresses[1]}\."),
    ):
        wait_for_workers(Cluster(addresses, 0), 0.3)


def test_a_port_in_use_is_an_error() -> None:
    (port,) = free_ports(1)
    with (
        closing(socket.create_server(("", port))),
        pytest.raises(UsageError, match=f"can't listen at port {port}"),
    ):
        wait_for_workers(Cluster((f"127.0.0.1:{port}", "b:1"), 0), 1)
