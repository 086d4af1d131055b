"""Time and peak memory of every stage at the shape of BERT-base (random weights).

    python -m benchmarks.base_stages
    python -m benchmarks.base_stages --stages export search

12 layers, 768 wide, 30,522 tokens, 110 million parameters. Each stage is one command in a process
of its own, on a few hundred rows of SST-2 in `EDGEBERT_DATA`.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from pathlib import Path

from benchmarks.growth import MODELS, write_model
from benchmarks.measured_command import measure
from benchmarks.models import DATA
from benchmarks.peer_page import machine

TRAIN_ROWS, DEV_ROWS = 256, 128
STAGES = {
    "export": "export {model} -o {work}/base.tflite",
    "prune": "prune {model} -o {work}/pruned --train {train} --dev {dev} --target-speedup 2 "
    "--epochs 0",
    "vocabulary": "prune {model} -o {work}/trimmed --vocabulary-from {train}",
    "distill": "distill {model} --student {work}/pruned -o {work}/student --train {train} "
    "--dev {dev} --epochs 1",
    "search": "search {model} -o {work}/found --train {train} --dev {dev} --speedups 2 "
    "--distill-epochs 0 --vocabulary whole --embeddings int8 --latency-texts 8",
}
"""The command of each stage. The student of `distill` is the model of `prune`."""


def write_rows(folder: Path) -> tuple[Path, Path]:
    """Writes rows for training and rows for dev."""
    with gzip.open(DATA / "sst2" / "train.tsv.gz", "rt", encoding="utf-8") as file:
        train = [next(file) for _ in range(TRAIN_ROWS + 1)]
    dev = (DATA / "sst2" / "dev.tsv").read_text("utf-8").splitlines(keepends=True)
    paths = folder / "train.tsv", folder / "dev.tsv"
    for path, rows in zip(paths, (train, dev[: DEV_ROWS + 1]), strict=True):
        path.write_text("".join(rows), "utf-8")
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=STAGES)
    parser.add_argument("--work", type=Path, help="folder that keeps the model and the results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        model = work / "model"
        if not model.exists():
            write_model(model, *MODELS["BERT-base"])
        train, dev = write_rows(work)
        weights = (model / "model.safetensors").stat().st_size
        print(f"Machine: {machine()}. Weights: {weights / 1e6:.0f} MB.\n")
        print("| stage | time | CPU time | peak memory |\n| --- | --- | --- | --- |")
        for name in arguments.stages:
            filled = STAGES[name].format(model=model, work=work, train=train, dev=dev)
            cost = measure(filled.split())
            print(
                f"| {name} | {cost.seconds:.0f} s | {cost.cpu_seconds:.0f} s | "
                f"{cost.peak_bytes / 1e6:.0f} MB ({cost.peak_bytes / weights:.1f} times the "
                "weights) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
