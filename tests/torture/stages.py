"""The stages that are tortured, each on the smallest model and data that it takes."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from edgebert import pipeline
from edgebert.data.datasets import Dataset
from edgebert.distillation import distill
from edgebert.evaluation.predictors import KerasPredictor
from edgebert.evaluation.semantic_index import open_index
from edgebert.exporting.artifact import export
from edgebert.finetuning import finetune
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pipeline.records import RECORD
from edgebert.pipeline.session import PROFILED_FOLDER
from edgebert.pruning import prune
from edgebert.pruning.recovery import StructuredPruning, prune_with_recovery
from edgebert.searching import search, timing, trials
from edgebert.settings import (
    DistillSettings,
    ExportSettings,
    FinetuneSettings,
    PruneSettings,
    SearchSettings,
    StructureSettings,
    TaskSettings,
)
from edgebert.training.stage_run import StageRun
from tests.edgebert.searching.tiny_searches import TABLE
from tests.edgebert.separable import separable
from tests.fuzz.checkpoint_targets import tiny

_TRAINED = FinetuneSettings(epochs=2, batch_size=8, learning_rate=1e-3, max_length=16)
CONFIG = """
name = "tiny run"
base = "base"
out = "results"
[data]
train = "train.tsv"
dev = "dev.tsv"
test = "test.tsv"
{stages}
[[export]]
recipe = "float32"
length = 16
[[export]]
lengths = "8,16"
{profile}
"""


@dataclass(frozen=True)
class Stage:
    """A stage.

    Attributes:
        name: its name.
        work: runs it in a folder; it takes whether to resume.
        ignored: names of files and keys of JSON objects that hold times.
    """

    name: str
    work: Callable[[Path, bool], object]
    ignored: tuple[str, ...] = ()


def hashes(folder: Path, ignored: tuple[str, ...] = ()) -> dict[str, str]:
    """The SHA-256 of every file of a stage's folder, hidden ones and leftovers included.

    JSON files may have the path of the folder, which is another one in every run.
    """
    return {
        path.relative_to(folder).as_posix(): _hash(path, folder, ignored)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ignored
    }


def _hash(path: Path, folder: Path, ignored: tuple[str, ...]) -> str:
    data = path.read_bytes()
    if path.suffix == ".json":
        data = data.replace(str(folder).encode(), b"")
    if path.parent.name == PROFILED_FOLDER:  # times differ; what was measured doesn't
        measured = [(m["name"], m["length"], m["kind"]) for m in json.loads(data)]
        return repr(measured)
    if path.suffix == ".json" and ignored:
        data = json.dumps(_without(json.loads(data), ignored), sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()


def _without(value: Any, ignored: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(item, ignored) for key, item in value.items() if key not in ignored}
    return [_without(item, ignored) for item in value] if isinstance(value, list) else value


@functools.cache
def base() -> TaskModel:
    """The model that the stages start from."""
    model = tiny("classification")
    labels = ("negative", "positive")
    weights = dict(model.checkpoint.weights)
    for part in ("kernel", "bias"):
        weights[f"classifier.{part}"] = weights[f"classifier.{part}"][:2]
    checkpoint = dataclasses.replace(model.checkpoint, weights=weights, labels=labels)
    return dataclasses.replace(model, checkpoint=checkpoint)


@functools.cache
def rows(count: int, seed: int) -> Dataset:
    """Labelled texts."""
    return separable(count, seed)


def _finetune(folder: Path, resume: bool) -> object:
    run = StageRun(folder / "out", resume=resume)
    return finetune(base(), rows(16, 1), rows(8, 2), _TRAINED, run, TaskSettings())


def _prune(folder: Path, resume: bool) -> object:
    settings = PruneSettings(sparsity=0.5, epochs=1, batch_size=8, frequency=1)
    return prune(base(), rows(16, 1), rows(8, 2), settings, StageRun(folder / "out", resume=resume))


def _narrow(folder: Path, resume: bool) -> object:
    pruning = StructuredPruning(
        structure=StructureSettings(heads=1, neurons=4, calibration_rows=16),
        recovery=PruneSettings(epochs=1, batch_size=8),
        teacher=base(),
    )
    run = StageRun(folder / "out", resume=resume)
    return prune_with_recovery(base(), rows(16, 1), rows(8, 2), pruning, run)


def _distill(folder: Path, resume: bool) -> object:
    settings = DistillSettings(epochs=1, batch_size=8, augment=0, max_length=16)
    run = StageRun(folder / "out", resume=resume)
    return distill(base(), base(), rows(16, 1), rows(8, 2), settings, run)


def _search(folder: Path, resume: bool) -> object:
    settings = SearchSettings(
        speedups="1.3",
        second_speedups="1.2",
        embeddings="int4",
        rounds=2,
        distill_epochs=1,
        tokens=16,
        latency_texts=4,
        max_rows=16,
        max_drop=-50.0,
    )
    with (
        mock.patch.object(trials, "measure_latency_table", lambda *_, **__: TABLE),
        mock.patch.object(timing, "measure", _made_up_latencies),
    ):
        run = StageRun(folder / "out", resume=resume)
        return search(base(), rows(16, 1), rows(96, 2), settings, run)


def _made_up_latencies(
    baseline: str, files: Mapping[str, Path], *_: object
) -> dict[str, dict[str, float]]:
    """Latencies by the sizes of the files, which are the same in every run."""
    sizes = {key: path.stat().st_size for key, path in files.items()}
    return {key: {"ms": size / 1e4, "ratio": size / sizes[baseline]} for key, size in sizes.items()}


def _export(folder: Path, resume: bool) -> object:
    return export(base(), folder / "out" / "m.tflite", ExportSettings(lengths="8"))


def _index(folder: Path, resume: bool) -> object:
    texts = [example.text for example in rows(16, 1).examples]
    return open_index(_Vectors(tiny("embeddings")), texts, folder / "out" / "index.safetensors")


class _Vectors(KerasPredictor):
    """An embedding model whose vectors cost nothing: no Keras model is built."""

    def __init__(self, model: TaskModel) -> None:
        self.model = model

    def outputs(self, encodings: Any, batch_size: int = 32) -> list[np.ndarray]:
        return [np.full(8, 1.0 + len(encoding), np.float32) for encoding in encodings]


def _pipeline(profile: bool) -> Callable[[Path, bool], object]:
    """Export and evaluate, with or without profile, as `edgebert run` does them."""

    def work(folder: Path, resume: bool) -> object:
        path = folder / "run.toml"
        if not path.exists():
            base().save(folder / "base")
            for name, seed, count in (("train", 1, 16), ("dev", 2, 8), ("test", 3, 8)):
                _write_rows(folder / f"{name}.tsv", rows(count, seed))
            timed = "[profile]\nlengths = [16]\nwarmup_runs = 1\nmin_runs = 4\nmax_seconds = 0.1\n"
            path.write_text(CONFIG.format(stages="", profile=timed if profile else ""))
        return pipeline.run(path)

    return work


def _write_rows(path: Path, data: Dataset) -> None:
    lines = [f"{example.text} {path.stem}\t{example.label}" for example in data.examples]
    path.write_text("\n".join(["text\tlabel", *lines]) + "\n")


def check_folder(folder: Path) -> None:
    """Whatever is there can be opened: no file of a model is half-written or of another model."""
    out = folder / "out"
    if (out / "edgebert.json").is_file():
        open_model(out)


STAGES = {
    stage.name: stage
    for stage in (
        Stage("index", _index),
        Stage("export", _export),
        Stage("finetune", _finetune, ("out.timings.json",)),
        Stage("prune", _prune, ("out.timings.json",)),
        Stage("structure", _narrow, ("out.timings.json",)),
        Stage("distill", _distill, ("out.timings.json",)),
        Stage("evaluate", _pipeline(False), (RECORD, "report.json", "report.md", "report.html")),
        Stage(
            "profile",
            _pipeline(True),
            (RECORD, "report.json", "report.md", "report.html"),
        ),
        Stage("search", _search, ("seconds", "clock.json", "out.timings.json")),
    )
}
