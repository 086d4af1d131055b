"""The public functions take the path of a model wherever they take a model."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

import edgebert
from edgebert.data.datasets import Dataset, Example
from edgebert.errors import ModelError, UsageError
from edgebert.exporting.parity import FloatReference
from edgebert.models.task_model import TaskModel, as_model
from edgebert.profiling.target import Job, Outcome
from edgebert.settings import DistillSettings, ExportSettings, FinetuneSettings, PruneSettings
from edgebert.training.stage_run import StageRun

TEXTS = ("turn the lights off", "play some jazz", "what is the weather")


@pytest.fixture(scope="module")
def rows(tiny_folder: Path) -> Dataset:
    """Rows labelled with the tiny model's own answers."""
    answers = edgebert.predict(tiny_folder, TEXTS)
    examples = tuple(Example(text, a["label"]) for text, a in zip(TEXTS, answers, strict=True))
    return Dataset("own answers", examples, Path("none"), "0" * 64)


@pytest.mark.parametrize("name", ["finetune", "prune", "prune_with_recovery", "distill", "search"])
def test_every_stage_declares_that_it_takes_paths(name: str) -> None:
    stage = getattr(edgebert, name)
    models = [
        parameter
        for parameter in inspect.signature(stage).parameters
        if parameter in ("base", "model", "teacher", "student")
    ]
    hints = get_type_hints(stage)
    assert models
    assert all(hints[model] == TaskModel | Path | str for model in models)


def test_a_teacher_of_the_recovery_is_a_path_too(tiny_folder: Path, rows: Dataset) -> None:
    pruning = edgebert.StructuredPruning(teacher=tiny_folder / "nothing here")
    with pytest.raises(ModelError, match="nothing here"):
        edgebert.prune_with_recovery(tiny_folder, rows, rows, pruning, StageRun(tiny_folder / "x"))


def test_a_folder_is_exported_evaluated_and_quantized(
    tiny_folder: Path, rows: Dataset, tmp_path: Path
) -> None:
    settings = ExportSettings(length=16)
    file = edgebert.export(str(tiny_folder), tmp_path / "m.tflite", settings).path
    for model in (tiny_folder, str(tiny_folder), file, as_model(tiny_folder)):
        evaluation = edgebert.evaluate(model, rows)
        assert evaluation.metrics["accuracy"] == 1
        assert evaluation.model == ("" if isinstance(model, TaskModel) else str(model))
        assert edgebert.predict(model, TEXTS[0])[0]["label"] == rows.examples[0].label
    reference = FloatReference(str(tiny_folder), rows)
    (trial,) = edgebert.quantize(reference, str(tmp_path), "float16", settings)
    assert trial.artifact is not None
    assert trial.artifact.path == tmp_path / "float16.tflite"
    with pytest.raises(UsageError, match=r"Received: none\. Next: give quantize a FloatReference"):
        edgebert.quantize(str(tiny_folder), tmp_path)


def test_folders_are_trained(tiny_folder: Path, rows: Dataset, tmp_path: Path) -> None:
    tuned = edgebert.finetune(
        str(tiny_folder), rows, rows, FinetuneSettings(epochs=1), StageRun(tmp_path / "tuned")
    )
    assert tuned.model.labels == tuple(sorted({row.label for row in rows.examples}))
    pruned = edgebert.prune(
        str(tiny_folder), rows, rows, PruneSettings(epochs=0), StageRun(tmp_path / "pruned")
    )
    assert pruned.model.labels == as_model(tiny_folder).labels
    student = edgebert.distill(
        str(tiny_folder),
        str(tmp_path / "pruned"),
        rows,
        rows,
        DistillSettings(epochs=1),
        StageRun(tmp_path / "student"),
    )
    assert student.model.labels == as_model(tiny_folder).labels


def test_a_student_is_made_of_a_folder(tiny_folder: Path) -> None:
    of_path = edgebert.make_student(str(tiny_folder), "layers=1")
    of_model = edgebert.make_student(as_model(tiny_folder), "layers=1")
    assert of_path.checkpoint.config == of_model.checkpoint.config
    for name, array in of_model.checkpoint.weights.items():
        np.testing.assert_array_equal(of_path.checkpoint.weights[name], array)


def test_one_file_and_one_text_are_profiled(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Job] = []

    class _Recording:
        def profile(self, job: Job, progress: Any) -> Outcome:
            jobs.append(job)
            return Outcome()

    monkeypatch.setattr("edgebert.profiling.target.open_target", lambda *_: _Recording())
    edgebert.profile("x.tflite", texts="turn it off")
    edgebert.profile(Path("x.tflite"))
    edgebert.profile(["x.tflite", Path("y.tflite")], texts=["a", "b"])
    x, y = Path("x.tflite"), Path("y.tflite")
    assert [job.models for job in jobs] == [(x,), (x,), (x, y)]
    assert [job.texts for job in jobs] == [("turn it off",), None, ("a", "b")]


def test_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Received: int\. Next: .*open_model"):
        edgebert.export(3, tmp_path / "m.tflite")
