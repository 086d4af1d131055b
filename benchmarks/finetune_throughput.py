"""Training throughput in steady state against a plain PyTorch loop, block by block in turn.

    python -m benchmarks.finetune_throughput --torch-python PATH

One recipe, one set of length-bucketed batches and as many threads on every side: MiniLM with a
two-label head, SST-2, 20,000 random rows, batch 32, at most 64 tokens, AdamW, dropout 0.1, clipped.
The sides are processes that wait while another one works. A block in which other programs used the
CPU is timed again: OpenMP's threads wait for each other, so a busy machine slows PyTorch far more
than us. `keras-hub` is `BertBackbone` with Keras' own AdamW in the same `fit`, without what
`packed_encoder` and `optimizer` leave out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import models
from edgebert.data.datasets import encode_labels, label_names, read_dataset, take
from edgebert.encoding.encoded_rows import encode_rows
from edgebert.models.task_model import open_model
from edgebert.settings import FinetuneSettings, TaskSettings
from edgebert.training.batches import epoch_batches

ROWS = 20_000
SETTINGS = FinetuneSettings(epochs=1, batch_size=32, learning_rate=5e-5, max_length=64, seed=42)
INPUTS = ("token_ids", "padding_mask", "segment_ids")
OURS, OURS_BF16, HUB = "edgebert", "edgebert bfloat16", "keras-hub"
TORCH, TORCH_BF16 = "PyTorch", "PyTorch bfloat16"


def write_batches(path: Path) -> int:
    """Writes the batches of the epoch, and says how many there are."""
    model = open_model(models.minilm_folder())
    train = take(read_dataset(models.DATA / "sst2" / "train.tsv.gz"), ROWS, SETTINGS.seed)
    rows = encode_rows(model.tokenizer, train.texts, SETTINGS.max_length)
    targets = encode_labels(train, label_names(train))
    batches = epoch_batches(rows.lengths, SETTINGS.batch_size, SETTINGS.seed, 0)
    arrays: dict[str, Any] = {}
    for number, chosen in enumerate(batches):
        arrays[f"targets-{number}"] = targets[chosen]
        for name, array in rows.padded(chosen, SETTINGS.max_length).items():
            arrays[f"{name}-{number}"] = array
    np.savez(path, **arrays)
    return len(batches)


def build_side(side: str, total_steps: int) -> Any:
    """The compiled Keras model of one of our sides."""
    from edgebert.tasks.classification import Classification
    from edgebert.training import fitting

    base, task = open_model(models.minilm_folder()), Classification()
    if side != HUB:
        precision = "bfloat16" if side == OURS_BF16 else "float32"
        settings = FinetuneSettings(**{**vars(SETTINGS), "precision": precision})
        model = fitting.build_model(base, task, 2, False, settings)
        fitting.compile_model(model, settings, total_steps, task.loss(()))
        return model
    import keras

    from converters.formats import keras_hub

    checkpoint = task.prepare_checkpoint(base.checkpoint, TaskSettings())
    keras.utils.set_random_seed(SETTINGS.seed)
    backbone = keras_hub.build_backbone(checkpoint.config, SETTINGS.dropout)
    model = task.add_head(backbone, checkpoint, 2, SETTINGS.dropout, SETTINGS.seed)
    config = checkpoint.config
    keras_hub.load_weights(model, checkpoint.weights, config)
    rate = keras.optimizers.schedules.PolynomialDecay(SETTINGS.learning_rate, total_steps, 0.0)
    optimizer = keras.optimizers.AdamW(rate, SETTINGS.weight_decay, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, task.loss(()), jit_compile=False)
    return model


def work(side: str, batches_path: str, total_steps: int, threads: int) -> None:
    """One of our sides, as a process: the protocol of `torch_finetune`."""
    from edgebert.system.native_noise import load_keras

    keras = load_keras()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    model = build_side(side, total_steps)
    arrays = np.load(batches_path)
    count = sum(name.startswith("targets-") for name in arrays.files)
    spec = tf.TensorSpec([None, None], tf.int32)
    signature = (dict.fromkeys(INPUTS, spec), tf.TensorSpec([None], tf.int32))

    class Clock(keras.callbacks.Callback):
        """Notes the end of every step."""

        def __init__(self) -> None:
            super().__init__()
            self.ends: list[float] = []
            self.loss = 0.0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.ends.append(time.perf_counter())
            self.loss = logs["loss"]

    print("ready", flush=True)
    for line in sys.stdin:
        first, length = map(int, line.split())
        numbers = [number % count for number in range(first, first + length)]

        def generate(numbers: list[int] = numbers) -> Iterator[Any]:
            for number in numbers:
                inputs = {name: arrays[f"{name}-{number}"] for name in INPUTS}
                yield inputs, arrays[f"targets-{number}"]

        dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
        clock = Clock()
        model.fit(dataset.prefetch(2), verbose=0, shuffle=False, callbacks=[clock])
        rows = sum(len(arrays[f"targets-{number}"]) for number in numbers[1:])
        print(rows, clock.ends[-1] - clock.ends[0], clock.loss, flush=True)


class BusyCpu:
    """How much of all CPUs was used by other processes than one, since it was made (Linux)."""

    def __init__(self, process: int) -> None:
        self._process, self._start = process, self._seconds(process)

    @staticmethod
    def _seconds(process: int) -> tuple[float, float, float]:
        tick = os.sysconf("SC_CLK_TCK")
        busy = Path("/proc/stat").read_text().split(maxsplit=8)[1:8]
        own = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        used = sum(map(int, busy)) - int(busy[3]) - int(busy[4])
        return time.monotonic(), used / tick, sum(map(int, own)) / tick

    def share(self) -> float:
        """Between 0 (nothing else ran) and 1."""
        elapsed, used, own = (
            b - a for a, b in zip(self._start, self._seconds(self._process), strict=True)
        )
        return max(0.0, used - own) / (elapsed * (os.cpu_count() or 1))


class Side:
    """A process that trains a block when it is told to."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while self._line() != "ready":
            pass

    def block(self, first: int, length: int) -> tuple[float, float, float]:
        """Sentences a second over a block, the loss at its end, and what else used the CPU."""
        assert self._process.stdin is not None
        busy = BusyCpu(self._process.pid)
        self._process.stdin.write(f"{first} {length}\n")
        self._process.stdin.flush()
        rows, seconds, loss = map(float, self._line().split())
        return rows / seconds, loss, busy.share()

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise SystemExit(f"A side died:\n{self._process.stderr.read()[-3000:]}")
        return line.strip()


def measure(
    sides: dict[str, Side], blocks: int, length: int, busy_limit: float, minutes: float
) -> dict[str, list[float]]:
    """Sentences a second of every side, block by block; the order turns from block to block.

    A round of blocks counts where nothing else used more than `busy_limit` of the CPUs.
    """
    names = list(sides)
    speeds: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        sides[name].block(0, 2 * length)
    end, turn = time.monotonic() + 60 * minutes, 0
    while len(speeds[names[0]]) < blocks and time.monotonic() < end:
        first = (2 + turn) * length
        order = names[turn % len(names) :] + names[: turn % len(names)]
        found = {name: sides[name].block(first, length) for name in order}
        turn += 1
        counts = all(busy <= busy_limit for _, _, busy in found.values())
        for name, (speed, loss, busy) in found.items():
            note = "" if counts else " (not counted)"
            print(
                f"{name}: {speed:.1f}/s, loss {loss:.3f}, others {busy:.0%}{note}", file=sys.stderr
            )
            if counts:
                speeds[name].append(speed)
    return speeds


def print_speeds(speeds: dict[str, list[float]], base: str) -> None:
    """Medians, the fastest block, and the median of the ratios block by block."""
    if not speeds[base]:
        raise SystemExit("No round was quiet. Next: try again when the machine is idle.")
    print(f"{len(speeds[base])} quiet rounds")
    print(f"{'side':20s} {'median':>10s} {'fastest':>10s} {'ratio to ' + base:>22s}")
    for name, values in speeds.items():
        ratios = [a / b for a, b in zip(values, speeds[base], strict=True)]
        print(
            f"{name:20s} {statistics.median(values):8.1f}/s {max(values):8.1f}/s "
            f"{statistics.median(ratios):22.2f}"
        )


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-python", default=sys.executable, help="Has torch, transformers.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20, help="Batches a block.")
    parser.add_argument("--busy-limit", type=float, default=0.06, help="Share of all CPUs.")
    parser.add_argument("--minutes", type=float, default=10, help="Give up on quiet rounds then.")
    parser.add_argument("--bfloat16", action="store_true", help="bfloat16 on both sides, too.")
    parser.add_argument("--keras-hub", action="store_true", help="Plain keras-hub, too.")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--batches", help=argparse.SUPPRESS)
    parser.add_argument("--total-steps", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        work(args.side, args.batches, args.total_steps, args.threads)
        return
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "batches.npz"
        total = write_batches(path)
        shared = [str(path), str(total), str(args.threads)]
        program = str(Path(__file__).with_name("torch_finetune.py"))
        torch_side = [args.torch_python, program, str(models.minilm_folder()), *shared]
        our_side = [
            *(sys.executable, "-m", "benchmarks.finetune_throughput", "--batches", shared[0]),
            *("--total-steps", shared[1], "--threads", shared[2], "--side"),
        ]
        commands = {TORCH: [*torch_side, "float32"], OURS: [*our_side, OURS]}
        if args.keras_hub:
            commands[HUB] = [*our_side, HUB]
        if args.bfloat16:
            commands[TORCH_BF16] = [*torch_side, "bfloat16"]
            commands[OURS_BF16] = [*our_side, OURS_BF16]
        sides = {name: Side(command) for name, command in commands.items()}
        speeds = measure(sides, args.blocks, args.steps, args.busy_limit, args.minutes)
        for side in sides.values():
            side.close()
    print_speeds(speeds, TORCH)


if __name__ == "__main__":
    main()
