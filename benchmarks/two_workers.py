"""Masked-LM adaptation of MiniLM by one worker and by two: the same losses for the same batch?

    python -m benchmarks.two_workers --train corpus.txt --dev held-out.txt --documents 640

Two processes on loopback share each batch, a core each; then one process takes the same batches on
one core. Prints the mean loss after every eighth step of both, the largest difference of any step,
what both say of the dev text, and the sentences a second of each.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import models
from edgebert.settings import DataSettings, DeviceSettings, FinetuneSettings, TaskSettings
from edgebert.training.stage_run import StageRun

SHOWN_EVERY = 8
ALONE, TOGETHER = "none", "multi-worker"


def work(asked: argparse.Namespace) -> None:
    """One worker: trains, and prints its losses as JSON."""
    from edgebert.finetuning import finetune
    from edgebert.models.task_model import open_model
    from edgebert.tasks import task_named

    losses: list[float] = []

    def progress(stage: str, done: int, total: int, **facts: Any) -> None:
        if "loss" in facts and "dev_masked_accuracy" not in facts:
            losses.append(float(facts["loss"]))

    task = task_named("masked-lm")
    train, dev = (task.read(path, DataSettings(), "required") for path in (asked.train, asked.dev))
    settings = FinetuneSettings(
        epochs=1,
        batch_size=16,
        learning_rate=3e-4,
        max_length=asked.max_length,
        dropout=asked.dropout,
        max_rows=asked.documents,
    )
    result = finetune(
        open_model(models.minilm_folder(), as_base=True),
        train,
        dev,
        settings,
        StageRun(
            Path(asked.out) / asked.strategy,
            progress=progress,
            where=DeviceSettings(asked.strategy),
        ),
        task=TaskSettings("masked-lm"),
    )
    print(
        json.dumps(
            {
                "losses": losses,
                "metrics": result.metrics,
                "sentences_per_second": result.sentences_per_second,
            }
        )
    )


def start(asked: argparse.Namespace, out: str, strategy: str, index: int = 0) -> Any:
    """A worker in a process of its own, on a core of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    if strategy == TOGETHER:
        cluster = {"worker": [f"localhost:{port}" for port in asked.ports]}
        environment["TF_CONFIG"] = json.dumps(
            {"cluster": cluster, "task": {"type": "worker", "index": index}}
        )
    arguments = ["--strategy", strategy, "--out", out]
    for name in ("train", "dev", "documents", "max_length", "dropout"):
        arguments += [f"--{name.replace('_', '-')}", str(getattr(asked, name))]
    return subprocess.Popen(
        ["taskset", "-c", str(index), sys.executable, "-m", "benchmarks.two_workers", *arguments],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )


def result_of(process: Any) -> dict[str, Any]:
    """What a worker printed last.

    Raises:
        RuntimeError: it failed.
    """
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a worker ended with {process.returncode}")
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return found


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def compare(asked: argparse.Namespace) -> None:
    """Both ways, one after the other."""
    asked.ports = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="edgebert-") as out:
        workers = [start(asked, out, TOGETHER, index) for index in range(2)]
        together, _ = [result_of(worker) for worker in workers]
        alone = result_of(start(asked, out, ALONE))
    pairs = list(zip(alone["losses"], together["losses"], strict=True))
    print("step   one worker   two workers")
    for step in range(SHOWN_EVERY - 1, len(pairs), SHOWN_EVERY):
        print(f"{step + 1:4}   {pairs[step][0]:10.5f}   {pairs[step][1]:11.5f}")
    print(f"largest difference of {len(pairs)} steps: {max(abs(a - b) for a, b in pairs):.1e}")
    for name, found in (("one worker", alone), ("two workers", together)):
        metrics = ", ".join(f"{key} {value:.4f}" for key, value in found["metrics"].items())
        print(f"{name}: {found['sentences_per_second']:.1f} rows a second; dev: {metrics}")


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--dev", required=True)
    parser.add_argument("--documents", type=int, default=640)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--strategy", default="", help=argparse.SUPPRESS)
    parser.add_argument("--out", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.strategy:
        work(asked)
    else:
        compare(asked)


if __name__ == "__main__":
    main()
