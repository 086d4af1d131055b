"""What int8 costs in accuracy: MiniLM fine-tuned on SST-2 and on CLINC150, float against int8.

The test splits are touched once, at the end; the best epoch is chosen on dev.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import models
from edgebert.data.datasets import read_dataset
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.exporting.parity import FloatReference
from edgebert.finetuning import finetune
from edgebert.models.task_model import open_model
from edgebert.settings import ExportSettings, FinetuneSettings
from edgebert.system.progress import terminal_progress
from edgebert.training.stage_run import StageRun

RECIPES = {
    "sst2": FinetuneSettings(epochs=1, max_rows=20_000, max_length=64, learning_rate=5e-5),
    "clinc150": FinetuneSettings(epochs=5, max_length=48, learning_rate=2e-4),
}


def measure(name: str, out: Path) -> None:
    """Fine-tunes (or resumes), exports float32 and dynamic-int8, prints both accuracies."""
    folder = models.DATA / name
    train, dev, test = (
        read_dataset(folder / file) for file in ("train.tsv.gz", "dev.tsv", "test.tsv")
    )
    base = open_model(models.minilm_folder())
    with terminal_progress() as progress:
        result = finetune(
            base, train, dev, RECIPES[name], StageRun(out / name, resume=True, progress=progress)
        )
    reference = FloatReference(result.model, test)
    for recipe in ("float32", "dynamic-int8"):
        settings = ExportSettings(recipe=recipe, lengths="auto")
        artifact = export(
            result.model,
            out / f"{name}_{recipe}.tflite",
            settings,
            texts=ExportTexts(lengths=train.texts),
            reference=reference,
        )
        quality = artifact.manifest.quality
        print(
            f"{name} {recipe}: {artifact.size_bytes / 1e6:.2f} MB, test accuracy "
            f"{quality['metrics']['accuracy']:.2%}, Keras "
            f"{quality['float_metrics']['accuracy']:.2%}, lost "
            f"{quality['drop_points']:+.2f} points on {quality['rows']} rows",
            flush=True,
        )


def main() -> None:
    """Runs the sets that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(RECIPES))
    parser.add_argument("--out", type=Path, default=Path("out/int8_accuracy"))
    arguments = parser.parse_args()
    for name in arguments.sets:
        measure(name, arguments.out)


if __name__ == "__main__":
    main()
