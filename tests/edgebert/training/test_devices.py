"""Several devices and several processes train as one does; a stop or a loss of one is clean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.edgebert.training.test_cluster import free_ports

pytest.importorskip("keras_hub")

ROOT = Path(__file__).parents[3]
TASK = "classification"
TASKS = ("ner", "masked-lm", "distill")
"""A loss that is a mean over tokens; dicts of inputs, outputs and targets; a model's own loss."""
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
LONGEST_SECONDS = 600


def start(strategy: str, out: Path, *tasks: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.edgebert.training.replicas", strategy, str(out)]
    return subprocess.Popen(
        [*command, *tasks],
        cwd=ROOT,
        env={**os.environ, **QUIET, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> dict[str, dict[str, Any]]:
    """What a process found, by task."""
    try:
        printed, said = process.communicate(timeout=LONGEST_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said[-3000:]
    found = [json.loads(line) for line in printed.splitlines()]
    return {each["task"]: each for each in found}


class Pair:
    """Two workers on loopback."""

    def __init__(self, out: Path, *others: dict[str, str], **environment: str) -> None:
        workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
        own = [*others, {}, {}]
        self.processes = [
            start(
                "multi-worker",
                out,
                TASK,
                **environment,
                **own[index],
                TF_CONFIG=json.dumps(
                    {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
                ),
            )
            for index in range(2)
        ]

    def finish(self) -> list[dict[str, Any]]:
        try:
            return [finish(process)[TASK] for process in self.processes]
        finally:
            self.close()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[list[Pair]]:
    """Whatever a test leaves running is ended."""
    made: list[Pair] = []
    yield made
    for pair in made:
        pair.close()


def assert_same_training(found: dict[str, Any], alone: dict[str, Any]) -> None:
    """The same losses after every step, the same scores and weights."""
    assert found.get("error") is None, found["message"]
    assert found["steps"] == alone["steps"] > 2
    assert found["losses"] == pytest.approx(alone["losses"], abs=1e-5)
    assert found["metrics"] == pytest.approx(alone["metrics"], abs=1e-5, nan_ok=True)
    assert found["weights"] == pytest.approx(alone["weights"], rel=1e-5)


def test_several_devices_train_as_one(tmp_path: Path) -> None:
    # Two devices, batches of seven rows and a last one of another size.
    one, several = (start(strategy, tmp_path, *TASKS) for strategy in ("none", "mirrored"))
    try:
        alone, found = finish(one), finish(several)
    finally:
        several.kill()
    for task in TASKS:
        assert_same_training(found[task], alone[task])


def test_two_workers_train_as_one_and_resume(tmp_path: Path, pairs: list[Pair]) -> None:
    one = start("none", tmp_path, TASK)
    # The one that does not write is told to stop; both do, after the same step.
    pairs.append(Pair(tmp_path, {}, {"TEST_STOP_AT": "2"}))
    stopped = pairs[-1].finish()
    assert [each["error"] for each in stopped] == ["KeyboardInterrupt"] * 2
    saved = tmp_path / f"{TASK}-multi-worker"
    assert [path.name for path in saved.iterdir()] == [".training"]
    pairs.append(Pair(tmp_path, TEST_RESUME="1"))
    chief, other = pairs[-1].finish()
    whole = finish(one)[TASK]
    for found in (chief, other):
        resumed = {**found, "losses": [*whole["losses"][: -len(found["losses"])], *found["losses"]]}
        assert len(found["losses"]) < len(whole["losses"])
        assert_same_training(resumed, whole)
    assert chief["weights"] == other["weights"]
    assert (saved / "model.safetensors").is_file()
    assert not (saved / ".training").exists()


def test_a_worker_that_dies_ends_the_others(tmp_path: Path, pairs: list[Pair]) -> None:
    pairs.append(Pair(tmp_path, {}, {"TEST_SLOW": "1"}))
    chief, other = pairs[-1].processes
    assert other.stderr is not None
    while "step 1" not in other.stderr.readline():
        assert other.poll() is None
        time.sleep(0.01)
    other.send_signal(signal.SIGKILL)
    found = finish(chief)[TASK]
    assert found["error"] == "EdgebertError"
    assert "a worker was lost" in found["message"]
    assert "--resume" in found["message"]


def test_a_missing_worker_is_named(tmp_path: Path) -> None:
    ports = free_ports(2)
    workers = [f"127.0.0.1:{port}" for port in ports]
    config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 0}}
    process = start("multi-worker", tmp_path, TASK, TF_CONFIG=json.dumps(config), TEST_WAIT="0.5")
    found = finish(process)[TASK]
    assert found["error"] == "EdgebertError"
    assert f"no answer from: {workers[1]}" in found["message"]
