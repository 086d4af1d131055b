"""The accuracy figure of fine-tuning: MiniLM, SST-2, 20,000 random rows, one epoch.

    python -m benchmarks.finetune_sst2

Prints the dev accuracy, the throughput of the whole run in steady state and the time from start to
saved folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import models
from edgebert.data.datasets import read_dataset
from edgebert.finetuning import finetune
from edgebert.models.task_model import open_model
from edgebert.settings import FinetuneSettings
from edgebert.system.progress import terminal_progress
from edgebert.training.stage_run import StageRun


def main() -> None:
    """Fine-tunes and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("-o", "--out", type=Path, help="Keeps the model there.")
    args = parser.parse_args()
    settings = FinetuneSettings(
        epochs=1,
        batch_size=32,
        learning_rate=5e-5,
        max_length=64,
        max_rows=20_000,
        precision=args.precision,
        seed=args.seed,
    )
    data = models.DATA / "sst2"
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch, terminal_progress() as progress:
        result = finetune(
            open_model(models.minilm_folder()),
            read_dataset(data / "train.tsv.gz"),
            read_dataset(data / "dev.tsv"),
            settings,
            StageRun(
                args.out or Path(scratch) / "model", resume=args.out is not None, progress=progress
            ),
        )
    accuracy = 100 * result.metrics["accuracy"]
    print(
        f"{args.precision}, seed {args.seed}: dev accuracy {accuracy:.2f} %, "
        f"{result.sentences_per_second:.1f} sentences/s over {result.steps} steps, "
        f"{time.perf_counter() - start:.0f} s in all"
    )


if __name__ == "__main__":
    main()
