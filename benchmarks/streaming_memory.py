"""Memory of reading, encoding and training on a large labelled file: held in memory, and on disk.

    python -m benchmarks.streaming_memory --megabytes 300

Each side is a process of its own with the same made-up file and a tiny model. What is measured is
memory that only the process holds (RssAnon of /proc, Linux): pages of mapped files are the system's
to take back.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.training.stage_run import StageRun

STEPS = 20
WORDS = ("a", "the", "movie", "film", "very", "is", "not", "music", "light", "alarm", "today")


def write_file(path: Path, megabytes: float) -> int:
    """Writes labelled sentences of about 60 characters; how many."""
    rng, rows = np.random.default_rng(0), 0
    with path.open("w") as file:
        file.write("text\tlabel\n")
        while file.tell() < megabytes * 1e6:
            lines = []
            for words in rng.integers(0, len(WORDS), (10_000, 12)):
                lines.append(" ".join(WORDS[word] for word in words) + f"\tlabel {words[0] % 3}\n")
            file.writelines(lines)
            rows += len(lines)
    return rows


class Peak(threading.Thread):
    """The most memory that this process held since it was started, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self.start()

    def run(self) -> None:
        while True:
            status = Path("/proc/self/status").read_text()
            held = next(line for line in status.splitlines() if line.startswith("RssAnon"))
            self.bytes = max(self.bytes, 1024 * int(held.split()[1]))
            time.sleep(0.05)


def work(path: Path, on_disk: bool) -> None:
    """One side: prints the peak after reading, encoding, and some steps."""
    from converters.checkpoint import BertConfig
    from converters.vocabulary import Vocabulary
    from edgebert.data import disk_rows
    from edgebert.encoding import encoded_rows
    from edgebert.encoding.tokenizer import Tokenizer
    from edgebert.finetuning import finetune
    from edgebert.models.task_model import TaskModel
    from edgebert.settings import DataSettings, FinetuneSettings
    from edgebert.system.native_noise import load_keras
    from edgebert.tasks import task_named
    from tests.conftest import TINY_TOKENS, random_checkpoint

    if not on_disk:
        disk_rows.IN_MEMORY_BYTES = encoded_rows.IN_MEMORY_TOKENS = sys.maxsize
    load_keras()
    vocabulary = Vocabulary(tokens=TINY_TOKENS, lowercase=True)
    config = BertConfig(vocabulary.size, 16, 1, 2, 24, 40)
    base = TaskModel(random_checkpoint(config), Tokenizer(vocabulary), 40, task_named("encoder"))
    peak = Peak()
    time.sleep(0.2)
    before = peak.bytes
    train = task_named("classification").read(path, DataSettings(), "required")
    read = peak.bytes
    dev = task_named("classification").read(path.with_name("dev.tsv"), DataSettings(), "required")

    class EnoughError(Exception):
        """Raised after some steps."""

    def progress(stage: str, done: int, total: int, **facts: Any) -> None:
        if done == STEPS:
            raise EnoughError

    try:
        settings = FinetuneSettings(epochs=1, max_length=40)
        finetune(base, train, dev, settings, StageRun(path.with_name("out"), progress=progress))
    except EnoughError:
        print(before, read, peak.bytes)


def main() -> None:
    """Measures both sides and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=300)
    parser.add_argument("--side", choices=("memory", "disk"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        work(args.file, args.side == "disk")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.tsv"
        write_file(path.with_name("dev.tsv"), 0.01)
        print(f"{write_file(path, args.megabytes)} rows, {path.stat().st_size / 1e6:.0f} MB")
        print(f"{'':8s} {'before':>10s} {'read':>10s} {'trained':>10s} {'seconds':>10s}")
        for side in ("disk", "memory"):
            command = [sys.executable, "-m", "benchmarks.streaming_memory", "--side", side]
            began = time.monotonic()
            done = subprocess.run(
                [*command, "--file", str(path)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(f"{side} died:\n{done.stderr[-3000:]}")
            sizes = [f"{int(size) / 1e6:7.0f} MB" for size in done.stdout.split()]
            print(f"{side:8s} {' '.join(sizes)} {time.monotonic() - began:10.0f}")


if __name__ == "__main__":
    main()
