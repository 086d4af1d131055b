"""What quantization-aware training buys: int8 and int4 files with and without it, on SST-2.

    python -m benchmarks.quantization_aware TUNED STUDENT --out FOLDER

TUNED is a fine-tuned model, STUDENT what `edgebert prune` made of it. Both learn from TUNED for one
epoch: without rounding, with int8 and with int4 rounding, each with three seeds. The float model of
the first training is exported with both precisions, too. So all files had the same training. Dev
chooses nothing here; the accuracies are of the test split. Finished trainings stay in FOLDER.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from benchmarks import models
from edgebert.data.datasets import Dataset, read_dataset
from edgebert.distillation import distill
from edgebert.evaluation.predictors import KerasPredictor, evaluate
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import DistillSettings, ExportSettings
from edgebert.training.stage_run import StageRun

SEEDS = (1, 2, 3)
RATES = {"unpruned": 5e-5, "pruned": 4e-4}
EXPORTS = {
    "int8": ExportSettings(lengths="auto"),
    "int4": ExportSettings(recipe="int4", int4_share=1.0, lengths="auto", calibration_rows=64),
}


class Study:
    """The data, the teacher, and the folder of the trainings."""

    def __init__(self, teacher: TaskModel, rows: int, out: Path) -> None:
        folder = models.DATA / "sst2"
        self._train, self._dev, self._test = (
            read_dataset(folder / name) for name in ("train.tsv.gz", "dev.tsv", "test.tsv")
        )
        self._teacher, self._rows, self._out = teacher, rows, out

    def accuracies(self, name: str, student: TaskModel, aware: str, seed: int) -> dict[str, float]:
        """Test accuracies of one training: of the float model, and of its files."""
        folder = self._out / f"{name}-{aware}-{seed}"
        path = folder.with_suffix(".json")
        if not path.exists():
            path.write_text(json.dumps(self._measure(folder, name, student, aware, seed)))
        found: dict[str, float] = json.loads(path.read_text())
        return found

    def _measure(
        self, folder: Path, name: str, student: TaskModel, aware: str, seed: int
    ) -> dict[str, float]:
        settings = DistillSettings(
            epochs=1,
            learning_rate=RATES[name],
            hard_weight=0.0,
            max_rows=self._rows,
            quantization_aware=aware,
            seed=seed,
        )
        run = StageRun(folder, resume=True, overwrite=True)
        model = distill(self._teacher, student, self._train, self._dev, settings, run).model
        found = {"float": _accuracy(KerasPredictor(model), self._test)}
        texts = ExportTexts(lengths=self._train.texts[:2000], calibration=self._train.texts[:2000])
        for kind in EXPORTS if aware == "none" else (aware,):
            path = folder.with_suffix(f".{kind}.tflite")
            export(model, path, EXPORTS[kind], texts=texts)
            found[kind] = _accuracy(LiteRtModel.open(path), self._test)
        return found


def _accuracy(predictor: KerasPredictor | LiteRtModel, test: Dataset) -> float:
    return 100 * evaluate(predictor, test).metrics["accuracy"]


def main() -> None:
    """Prints a row for each model and precision."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tuned", type=Path)
    parser.add_argument("student", type=Path)
    parser.add_argument("--rows", type=int, default=4000, help="training rows of each training")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    teacher = open_model(arguments.tuned)
    study = Study(teacher, arguments.rows, arguments.out)
    print("| model, file | float | without | with | difference by seed |\n" + "| --- " * 5 + "|")
    for name, student in (("pruned", open_model(arguments.student)), ("unpruned", teacher)):
        plain = [study.accuracies(name, student, "none", seed) for seed in SEEDS]
        for kind in EXPORTS:
            aware = [study.accuracies(name, student, kind, seed)[kind] for seed in SEEDS]
            without = [each[kind] for each in plain]
            differences = (f"{a - b:+.2f}" for a, b in zip(aware, without, strict=True))
            middles = (
                statistics.mean(each["float"] for each in plain),
                *map(statistics.mean, (without, aware)),
            )
            cells = (
                f"{name}, {kind}",
                *(f"{each:.2f}" for each in middles),
                ", ".join(differences),
            )
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
