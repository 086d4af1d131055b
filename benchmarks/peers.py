"""Classifiers of edgebert and its peers: same weights, same sentences, timed in turn in one run.

    python -m benchmarks.prepare FOLDER ...      makes the files, once
    python -m benchmarks.peers FOLDER --write    times them and writes docs/benchmarks.md

Each file has a process of its own, under the interpreter of its runtime. The processes answer
blocks of sentences in turn, and the order turns from round to round.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmarks import models
from benchmarks.peer_page import Row, write_page
from edgebert.data.datasets import read_dataset

HERE = Path(__file__).resolve().parent
OWN, PEERS = "own", "peers"


@dataclass(frozen=True)
class Side:
    """A file and what runs it.

    Attributes:
        name: What the table calls it.
        kind: Its runtime: a key of `peer_worker.KINDS`.
        files: Its files; the first is opened.
        environment: The interpreter that has the runtime.
    """

    name: str
    kind: str
    files: tuple[str, ...]
    environment: str = OWN


SIDES = (
    Side("edgebert, dynamic-int8", "edgebert", ("dynamic_int8.tflite",)),
    Side("edgebert, float32", "edgebert", ("float32.tflite",)),
    Side("edgebert, int4", "edgebert", ("int4.tflite",)),
    Side("edgebert, pruned and distilled", "edgebert", ("student.tflite",)),
    Side("edgebert, tiny", "edgebert", ("tiny.tflite",)),
    Side("keras-hub LiteRT export, float", "litert", ("keras_hub_float.tflite",)),
    Side("keras-hub LiteRT export, int8", "litert", ("keras_hub_int8.tflite",)),
    Side("ONNX Runtime, float", "onnxruntime", ("onnx_float.onnx",), PEERS),
    Side("ONNX Runtime, dynamic int8", "onnxruntime", ("onnx_int8.onnx",), PEERS),
    Side("ONNX Runtime, fused, int8", "onnxruntime", ("onnx_fused_int8.onnx",), PEERS),
    Side("OpenVINO, float", "openvino", ("openvino_float.xml", "openvino_float.bin"), PEERS),
    Side("OpenVINO, NNCF int8", "openvino", ("openvino_int8.xml", "openvino_int8.bin"), PEERS),
    Side("ExecuTorch, XNNPACK int8", "executorch", ("executorch_int8.pte",), PEERS),
)
"""The first is the one that all are compared with."""


@dataclass
class Worker:
    """A running process of `peer_worker`."""

    side: Side
    process: subprocess.Popen[str]
    errors: IO[str]
    load_ms: float = 0.0
    first_ms: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    block_means_ms: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    @classmethod
    def start(cls, side: Side, folder: Path, python: str, threads: int) -> Worker:
        command = [
            python,
            str(HERE / "peer_worker.py"),
            side.kind,
            str(folder / side.files[0]),
            str(folder / "tokenizer.json"),
            str(threads),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if side.environment == OWN:
            environment["PYTHONPATH"] = str(HERE.parent)
        errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 (open while the process is)
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
        worker = cls(side, process, errors)
        begun = worker._read()
        worker.load_ms, worker.first_ms = begun["load_ms"], begun["first_ms"]
        return worker

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("{"):
            code = self.process.wait()
            self.errors.seek(0)
            last = (self.errors.read().strip().splitlines() or ["no message"])[-1]
            raise SystemExit(f"{self.side.name}: the process ended with code {code}: {last}")
        found: dict[str, Any] = json.loads(line)
        return found

    def classify(self, texts: Sequence[str]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"texts": list(texts)}) + "\n")
        self.process.stdin.flush()
        return self._read()

    def time_block(self, texts: Sequence[str], counts: bool) -> None:
        answer = self.classify(texts)
        if counts:
            self.latencies_ms += answer["ms"]
            self.block_means_ms.append(statistics.mean(answer["ms"]))
            self.peak_bytes = answer["peak_bytes"]

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def time_in_turn(workers: Sequence[Worker], texts: Sequence[str], rounds: int, block: int) -> None:
    """Gives every worker the same block in each round; the order turns."""
    for number in range(-1, rounds):  # the round before the first warms up
        start = max(number, 0) * block % len(texts)
        chosen = [texts[i % len(texts)] for i in range(start, start + block)]
        turn = number % len(workers)
        for worker in [*workers[turn:], *workers[:turn]]:
            worker.time_block(chosen, number >= 0)


def accuracy_of(worker: Worker, texts: Sequence[str], labels: Sequence[int]) -> float:
    """The share of right labels of the test split."""
    answers = worker.classify(texts)["labels"]
    return float(np.mean(np.equal(answers, labels)))


def row_of(worker: Worker, first: Worker, folder: Path, threads: int, accuracy: float) -> Row:
    """The figures of one file."""
    data = b"".join((folder / name).read_bytes() for name in worker.side.files)
    ratios = [a / b for a, b in zip(first.block_means_ms, worker.block_means_ms, strict=True)]
    means = worker.block_means_ms
    p50, p90 = np.percentile(worker.latencies_ms, [50, 90])
    quarter, three_quarters = np.percentile(means, [25, 75])
    return Row(
        name=worker.side.name,
        threads=threads,
        size_bytes=len(data),
        gzip_bytes=len(gzip.compress(data, compresslevel=6, mtime=0)),
        load_ms=worker.load_ms,
        first_ms=worker.first_ms,
        p50_ms=float(p50),
        p90_ms=float(p90),
        spread=float((three_quarters - quarter) / statistics.median(means)),
        ratio=statistics.median(ratios),
        peak_bytes=worker.peak_bytes,
        accuracy=accuracy,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="what benchmarks.prepare made")
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--block", type=int, default=40, help="sentences in a block")
    parser.add_argument("--test-rows", type=int, help="fewer rows for the accuracy")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    arguments = parser.parse_args()
    pythons = {OWN: sys.executable, PEERS: arguments.peers_python}
    sides = [side for side in SIDES if (arguments.folder / side.files[0]).exists()]
    left_out = [side.name for side in SIDES if side not in sides]
    test = read_dataset(models.DATA / "sst2" / "test.tsv")
    names = ("negative", "positive")
    labels = [int(label) if label.isdigit() else names.index(label) for label in test.labels]
    texts = list(test.texts)
    checked = slice(arguments.test_rows)
    timed = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))]
    accuracy: dict[str, float] = {}
    rows: list[Row] = []
    for threads in arguments.threads:
        workers = [
            Worker.start(side, arguments.folder, pythons[side.environment], threads)
            for side in sides
        ]
        time_in_turn(workers, timed, arguments.rounds, arguments.block)
        for worker in workers:
            if worker.side.name not in accuracy:
                accuracy[worker.side.name] = accuracy_of(worker, texts[checked], labels[checked])
            rows.append(
                row_of(worker, workers[0], arguments.folder, threads, accuracy[worker.side.name])
            )
            worker.stop()
    write_page(
        rows, left_out, len(texts[checked]), HERE.parent / "docs" if arguments.write else None
    )


if __name__ == "__main__":
    main()
