"""Students learn what their teachers say, by every method, with and without labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.compaction import layer_widths
from edgebert.data.datasets import Example
from edgebert.distillation import DistillJob, distill, frozen_teacher, rows_of_job
from edgebert.errors import UsageError
from edgebert.finetuning import finetune
from edgebert.models.students import PRESETS, make_student, student_config
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning.structured import prune_structure
from edgebert.settings import DistillSettings, FinetuneSettings, StructureSettings
from edgebert.tasks.labelled_rows import LabelledRows
from tests.conftest import random_checkpoint
from tests.edgebert.conftest import functions_run
from tests.edgebert.separable import separable

pytest.importorskip("tensorflow")
from edgebert.training import fitting
from edgebert.training.distillation_rows import taught_examples
from edgebert.training.distilling import METHODS, _layer_pairs
from edgebert.training.kept_states import TaughtRows
from edgebert.training.stage_run import StageRun

TRAIN, DEV = separable(192, 1), separable(60, 2)
QUICK = DistillSettings(epochs=3, batch_size=32, learning_rate=1e-2, max_length=16)


@pytest.fixture(scope="module")
def teacher(tiny_model: TaskModel, tmp_path_factory: pytest.TempPathFactory) -> TaskModel:
    settings = FinetuneSettings(
        epochs=15, batch_size=8, learning_rate=3e-3, max_length=16, patience=0, dropout=0.0
    )
    run = StageRun(tmp_path_factory.mktemp("teacher"))
    with functions_run(eagerly=False):  # 360 steps
        return finetune(tiny_model, TRAIN, DEV, settings, run).model


@pytest.fixture(scope="module")
def beginner(teacher: TaskModel) -> TaskModel:
    """A student of the teacher's shape with a random last layer and head."""
    fresh = random_checkpoint(teacher.checkpoint.config, teacher.labels, seed=9).weights
    known = {
        name: array
        for name, array in teacher.checkpoint.weights.items()
        if name.startswith(("embeddings.", "layers.0."))
    }
    return replace(teacher, checkpoint=teacher.checkpoint.with_weights({**fresh, **known}))


@pytest.mark.parametrize("method", METHODS)
def test_a_student_learns_by_every_method(
    teacher: TaskModel, beginner: TaskModel, method: str, tmp_path: Path
) -> None:
    settings = replace(QUICK, method=method, hard_weight=0.0)
    result = distill(teacher, beginner, TRAIN, DEV, settings, StageRun(tmp_path / "out"))
    assert result.teacher_metrics["accuracy"] > 0.85
    losses = [epoch["loss"] for epoch in result.epochs]
    assert losses[-1] < 0.9 * losses[0]
    opened = open_model(tmp_path / "out")
    assert opened.history[-1]["started_from"]["teacher"]["labels"] == list(teacher.labels)


@pytest.mark.parametrize("method", METHODS)
def test_a_student_that_is_its_teacher_has_nothing_to_learn(
    teacher: TaskModel, method: str, tmp_path: Path
) -> None:
    """Every loss is zero where student and teacher are one."""
    settings = replace(
        QUICK, method=method, hard_weight=0.0, epochs=1, learning_rate=1e-9, batch_size=64
    )
    result = distill(teacher, teacher, TRAIN, DEV, settings, StageRun(tmp_path / "out"))
    assert abs(result.epochs[0]["loss"]) < 1e-5


@pytest.mark.parametrize("method", ["hidden-states", "tinybert", "minilm"])
def test_smaller_shapes_learn(teacher: TaskModel, method: str, tmp_path: Path) -> None:
    student = make_student(teacher, "layers=1,hidden=8,neurons=12")
    assert student.checkpoint.config.num_heads == 1
    settings = replace(QUICK, method=method)
    result = distill(teacher, student, TRAIN, DEV, settings, StageRun(tmp_path / "out"))
    losses = [epoch["loss"] for epoch in result.epochs]
    assert losses[-1] < 0.9 * losses[0]
    assert result.model.checkpoint.config == student.checkpoint.config


@pytest.mark.graphs
def test_a_student_learns_from_unlabelled_text(
    teacher: TaskModel, beginner: TaskModel, tmp_path: Path
) -> None:
    bare = replace(TRAIN, examples=tuple(Example(example.text) for example in TRAIN.examples))
    settings = replace(
        QUICK, epochs=4, batch_size=8, learning_rate=5e-3, method="soft-labels", hard_weight=0.5
    )
    result = distill(teacher, beginner, bare, DEV, settings, StageRun(tmp_path / "out"))
    assert result.metrics["accuracy"] > result.teacher_metrics["accuracy"] - 0.1


def test_the_teacher_labels_changed_copies(
    teacher: TaskModel, beginner: TaskModel, tmp_path: Path
) -> None:
    settings = replace(QUICK, augment=2, max_length=16)
    job = DistillJob(teacher, beginner, False, TRAIN, DEV, settings)
    taught = taught_examples(teacher, TRAIN, settings.augment, settings.seed)
    running = frozen_teacher(job, fitting.build_frozen(teacher), "teacher")
    run = StageRun(tmp_path / "out")
    data = rows_of_job(job, taught, running, run, keeps=False)
    assert isinstance(data, LabelledRows) and data.teacher_logits is not None
    kept = rows_of_job(job, taught, running, run, keeps=True)
    assert isinstance(kept, TaughtRows) and isinstance(kept.rows, LabelledRows)
    own, logits = len(TRAIN), data.teacher_logits
    assert kept.rows.teacher_logits == pytest.approx(logits, abs=1e-5)
    assert len(data.encoded) == len(logits) == 3 * own
    assert (data.weights[:own] == 1).all() and (data.weights[own:] == 0).all()
    assert not np.array_equal(logits[:own], logits[own : 2 * own])
    assert not np.array_equal(logits[own : 2 * own], logits[2 * own :])
    result = distill(
        teacher,
        beginner,
        TRAIN,
        DEV,
        replace(QUICK, epochs=1, augment=2),
        StageRun(tmp_path / "out"),
    )
    assert result.steps == 3 * own // QUICK.batch_size
    with pytest.raises(UsageError, match="augment: expected 0 copies or more"):
        distill(
            teacher, beginner, TRAIN, DEV, replace(QUICK, augment=-1), StageRun(tmp_path / "no")
        )


def test_a_stopped_run_resumes_to_the_same_weights(
    teacher: TaskModel, beginner: TaskModel, tmp_path: Path
) -> None:
    whole = distill(teacher, beginner, TRAIN, DEV, QUICK, StageRun(tmp_path / "whole"))

    def stop(stage: str, done: int, total: int, **facts: object) -> None:
        if stage == "distill" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(teacher, beginner, TRAIN, DEV, QUICK, StageRun(tmp_path / "out", progress=stop))
    resumed = distill(teacher, beginner, TRAIN, DEV, QUICK, StageRun(tmp_path / "out", resume=True))
    for name, array in whole.model.checkpoint.weights.items():
        np.testing.assert_allclose(resumed.model.checkpoint.weights[name], array, atol=2e-4)


def test_a_student_of_the_same_shape_equals_its_teacher(teacher: TaskModel) -> None:
    """All of the shape is the teacher itself."""
    same = make_student(teacher, "layers=2").checkpoint
    for name, array in teacher.checkpoint.weights.items():
        np.testing.assert_array_equal(same.weights[name], array)


@pytest.mark.parametrize("shape", [p for p in PRESETS if p != "third-depth"])
def test_presets_make_valid_folders(teacher: TaskModel, shape: str, tmp_path: Path) -> None:
    student = make_student(teacher, shape)
    assert open_model(student.save(tmp_path / "s")).checkpoint.config == student.checkpoint.config


def test_bad_shapes_are_named_at_once(teacher: TaskModel) -> None:
    with pytest.raises(UsageError) as raised:
        student_config(teacher.checkpoint.config, "layers=9,hidden=12,depth=3,neurons=x")
    for part in ("layers", "hidden", "depth=3", "neurons"):
        assert part in str(raised.value)


def test_a_student_wider_than_its_teacher(teacher: TaskModel, tmp_path: Path) -> None:
    small = make_student(teacher, "layers=1,hidden=8")
    with pytest.raises(UsageError, match=r"hidden_size: expected at most.*num_layers"):
        distill(
            small, teacher, TRAIN, DEV, replace(QUICK, temperature=0.0), StageRun(tmp_path / "out")
        )


def test_a_base_learns_the_hidden_states_of_its_teacher(
    tiny_encoder: TaskModel, tmp_path: Path
) -> None:
    teacher = tiny_encoder
    student = prune_structure(teacher, TRAIN, StructureSettings(heads=1, neurons=8, shots=1)).model
    settings = replace(QUICK, method="minilm", augment=1, epochs=2)
    result = distill(teacher, student, TRAIN, DEV, settings, StageRun(tmp_path / "out"))
    assert result.teacher_metrics == {}
    first, last = result.epochs[0], result.epochs[-1]
    assert last["loss"] < first["loss"] and last["dev_loss"] < first["dev_loss"]
    assert 0.5 < result.metrics["cosine"] <= 1
    opened = open_model(tmp_path / "out")
    assert opened.task.name == "encoder"
    assert layer_widths(opened.checkpoint) == layer_widths(student.checkpoint)
    narrow = make_student(teacher, "layers=1,hidden=8")
    with pytest.raises(UsageError, match="since hidden states are compared"):
        distill(teacher, narrow, TRAIN, DEV, QUICK, StageRun(tmp_path / "no"))


def test_layers_are_paired_evenly_and_last_with_last() -> None:
    assert _layer_pairs(3, 6) == {0: 1, 1: 3, 2: 5}
    assert _layer_pairs(4, 6) == {0: 1, 1: 2, 2: 4, 3: 5}
    assert _layer_pairs(2, 2) == {0: 0, 1: 1}
