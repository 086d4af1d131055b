"""Students learn of teachers of every task whose outputs can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.compaction import layer_widths
from converters.heads import is_head_weight
from edgebert.distillation import distill
from edgebert.errors import UsageError
from edgebert.models.students import make_student
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning.structured import prune_structure
from edgebert.settings import (
    TASKS,
    DataSettings,
    DistillSettings,
    FinetuneSettings,
    StructureSettings,
)
from edgebert.tasks import bare_encoder, task_named
from edgebert.tasks.examples import with_unlabelled
from edgebert.tasks.sentence_pairs import SentenceExample

pytest.importorskip("tensorflow")
from edgebert.training import kept_states
from edgebert.training.distillation_rows import (
    TaughtExamples,
    distillation_rows,
    taught_examples,
)
from edgebert.training.distilling import Teacher
from edgebert.training.heads import (
    CHOICE,
    LABELS,
    NUMBER,
    SPANS,
    STATES,
    TOKEN_CHOICES,
    VECTOR,
    soft_loss,
)
from edgebert.training.stage_run import StageRun

Models, Files = Callable[[str], TaskModel], Callable[..., Path]
TEACHERS = tuple(task for task in TASKS if task not in ("classification", "masked-lm"))
"""Classifiers of texts have tests of their own; a masked LM teaches its hidden states."""
QUICK = DistillSettings(epochs=2, batch_size=8, learning_rate=5e-3, hard_weight=0.0)


@pytest.fixture
def teacher_runs(monkeypatch: pytest.MonkeyPatch) -> list[Teacher]:
    """The teacher of each batch that a teacher computed."""
    run, runs = Teacher.run, list[Teacher]()

    def counted(self: Teacher, *arguments: Any) -> Any:
        runs.append(self)
        return run(self, *arguments)

    monkeypatch.setattr(Teacher, "run", counted)
    return runs


@pytest.mark.parametrize("task", ["ner", "qa", "embeddings"])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(
    task: str, tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    teacher = tiny_task_model(task)
    data = task_named(task).read(tiny_task_file(task), DataSettings(), "required")
    settings = replace(QUICK, epochs=1, learning_rate=1e-9)
    result = distill(teacher, teacher, data, data, settings, StageRun(tmp_path / "out"))
    assert abs(result.epochs[0]["loss"]) < 1e-5
    metric = task_named(task).metric
    assert result.metrics[metric] == pytest.approx(result.teacher_metrics[metric], abs=1e-6)


@pytest.mark.parametrize("task", TEACHERS)
def test_a_smaller_student_learns_with_and_without_labels(
    task: str, tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    """The rows are labelled examples, the same without their labels, and copies of both."""
    teacher, file = tiny_task_model(task), tiny_task_file(task, 2)
    data = task_named(task).read(file, DataSettings(), "required")
    mixed = with_unlabelled(teacher.task, data, file, DataSettings())
    student = make_student(teacher, "layers=1,neurons=12")
    settings = replace(QUICK, hard_weight=0.1, augment=1)
    result = distill(teacher, student, mixed, data, settings, StageRun(tmp_path / "out"))
    rows = 4 * len(data)
    assert result.steps == 2 * -(-rows // QUICK.batch_size)
    losses = [epoch["loss"] for epoch in result.epochs]
    assert losses[-1] < losses[0]
    opened = open_model(tmp_path / "out")
    assert (opened.task.name, opened.labels) == (task, teacher.labels)
    assert opened.checkpoint.config.num_layers == 1
    assert opened.checkpoint.problem == teacher.checkpoint.problem


@pytest.mark.parametrize(
    ("task", "method"),
    [(task, "hidden-states") for task in TASKS] + [("ner", "soft-labels"), ("qa", "distilbert")],
)
def test_states_on_disk_teach_like_a_teacher_in_every_step(
    task: str,
    method: str,
    tiny_task_model: Models,
    tiny_task_file: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    teacher_runs: list[Teacher],
) -> None:
    teacher, file = tiny_task_model(task), tiny_task_file(task, 2)
    if task == "masked-lm":
        data = bare_encoder().read(file, DataSettings(), "none")
    else:
        data = task_named(task).read(file, DataSettings(), "required")
    student = make_student(teacher, "layers=1,neurons=12")
    settings = replace(QUICK, method=method, augment=1)
    calls, losses = {}, {}
    for keeps in (True, False):
        teacher_runs.clear()
        monkeypatch.setattr(kept_states, "has_room", lambda _, keeps=keeps: keeps)
        result = distill(teacher, student, data, data, settings, StageRun(tmp_path / f"{keeps}"))
        losses[keeps] = [epoch["loss"] for epoch in result.epochs]
        calls[keeps] = len(teacher_runs)
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-3)
    own = int(teacher.task.teacher_runs_once)  # its outputs for copies in its own tokens
    assert calls[False] == result.steps + own
    for_all = 2 if task == "embeddings" else 1  # its examples have two texts
    assert calls[True] == (result.steps if task == "masked-lm" else for_all + own)


def test_students_share_the_states_of_one_teacher(
    tiny_task_model: Models,
    tiny_task_file: Files,
    tmp_path: Path,
    teacher_runs: list[Teacher],
) -> None:
    teacher = tiny_task_model("ner")
    data = task_named("ner").read(tiny_task_file("ner"), DataSettings(), "required")
    weights = {name: array * 0.5 for name, array in teacher.checkpoint.weights.items()}
    other = replace(teacher, checkpoint=replace(teacher.checkpoint, weights=weights))
    shared = StageRun(tmp_path / "out", overwrite=True)
    settings = replace(QUICK, method="hidden-states")
    counts = []
    for teacher_, student in (
        (teacher, make_student(teacher, "layers=1")),
        (teacher, make_student(teacher, "layers=1,neurons=12")),
        (other, make_student(teacher, "layers=1")),
    ):
        distill(teacher_, student, data, data, settings, shared)
        counts.append(len(teacher_runs))
    assert counts == [1, 1, 2]
    assert len(shared.states.metrics) == 2


@pytest.mark.graphs
def test_kept_states_are_read_by_a_graph(
    tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    teacher = tiny_task_model("multi-label")
    data = task_named("multi-label").read(tiny_task_file("multi-label"), DataSettings(), "required")
    settings = replace(QUICK, method="hidden-states", learning_rate=1e-9, epochs=1)
    result = distill(teacher, teacher, data, data, settings, StageRun(tmp_path / "out"))
    assert abs(result.epochs[0]["loss"]) < 1e-4


@pytest.mark.parametrize("task", ["qa", "regression"])
def test_no_label_is_needed(
    task: str, tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    teacher, file = tiny_task_model(task), tiny_task_file(task)
    dev = task_named(task).read(file, DataSettings(), "required")
    bare = with_unlabelled(teacher.task, None, file, DataSettings())
    assert not any(map(teacher.task.is_labelled, bare.examples))
    settings = replace(QUICK, epochs=1, hard_weight=0.5)
    result = distill(teacher, teacher, bare, dev, settings, StageRun(tmp_path / "out"))
    assert abs(result.epochs[0]["loss"]) < 0.1  # the teacher agrees with itself; no label counts


@pytest.mark.parametrize("task", TEACHERS)
def test_rows_without_labels_have_no_weight(
    task: str, tiny_task_model: Models, tiny_task_file: Files
) -> None:
    model, file = tiny_task_model(task), tiny_task_file(task)
    data = task_named(task).read(file, DataSettings(), "required")
    recipe = FinetuneSettings(max_length=32)
    taught = taught_examples(model, with_unlabelled(model.task, data, file, DataSettings()), 1, 0)
    rows = distillation_rows(model, taught, recipe)
    own = len(distillation_rows(model, TaughtExamples(data.examples), recipe))
    assert len(rows) == 4 * own
    _, targets, weights = rows.batch(np.arange(len(rows)), 32, 0)
    if task in ("ner", "pos"):
        weights = (targets >= 0).any(1)
    assert weights[:own].all() and not weights[own:].any()


def test_copies_keep_what_a_task_needs(tiny_task_model: Models, tiny_task_file: Files) -> None:
    """A question stays as it is, and a copy of a pair is no negative of the pair."""
    qa = tiny_task_model("qa")
    data = task_named("qa").read(tiny_task_file("qa"), DataSettings(), "required")
    taught = taught_examples(qa, data, 2, 1)
    asked = [question.question for question in data.examples]
    assert [question.question for question in taught.copies] == asked * 2
    assert any(a.context != b.context for a, b in zip(taught.copies, data.examples, strict=False))
    vectors = tiny_task_model("embeddings")
    recipe = FinetuneSettings(max_length=32)
    pairs = replace(data, examples=(SentenceExample("the movie", "a film"),))
    rows = distillation_rows(vectors, taught_examples(vectors, pairs, 1, 1), recipe)
    _, targets, _ = rows.batch(np.arange(2), 32, 0)
    np.testing.assert_allclose(targets, np.full((2, 2), 0.5))


def test_a_masked_lm_is_a_base_and_keeps_its_head(
    tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    teacher = tiny_task_model("masked-lm")
    texts = bare_encoder().read(tiny_task_file("masked-lm", 4), DataSettings(), "none")
    student = prune_structure(teacher, texts, StructureSettings(heads=1, shots=1)).model
    assert student.task.name == "masked-lm"
    settings = replace(QUICK, epochs=1)
    result = distill(teacher, student, texts, texts, settings, StageRun(tmp_path / "out"))
    opened = open_model(tmp_path / "out")
    assert opened.task.name == "masked-lm" and dict(opened.decoding) == dict(teacher.decoding)
    for name, array in teacher.checkpoint.weights.items():
        if is_head_weight(name):
            np.testing.assert_array_equal(opened.checkpoint.weights[name], array)
    kept = [width.heads for width in layer_widths(result.model.checkpoint)]
    assert set(kept) == {1}


def test_a_bare_encoder_becomes_a_student(
    tiny_task_model: Models, tiny_task_file: Files, tiny_encoder: TaskModel, tmp_path: Path
) -> None:
    teacher = tiny_task_model("ner")
    data = task_named("ner").read(tiny_task_file("ner", 2), DataSettings(), "required")
    result = distill(
        teacher, tiny_encoder, data, data, replace(QUICK, epochs=1), StageRun(tmp_path / "out")
    )
    assert (result.model.task.name, result.model.labels) == ("ner", teacher.labels)


def test_unsupported_distillation_is_refused(
    tiny_task_model: Models,
) -> None:
    vectors = tiny_task_model("embeddings")
    with pytest.raises(UsageError, match="keeps its teacher's 16 dimensions"):
        make_student(vectors, "hidden=1/2")


SHAPES = {
    CHOICE: (2, 3),
    LABELS: (2, 3),
    TOKEN_CHOICES: (2, 4, 3),
    SPANS: (2, 4, 2),
    NUMBER: (2, 1),
    VECTOR: (2, 5),
    STATES: (2, 4, 5),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_losses_are_zero_for_the_same_and_ignore_padding(kind: str) -> None:
    rng = np.random.default_rng(0)
    wanted = rng.normal(0, 1, SHAPES[kind]).astype(np.float32)
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32)
    other = wanted + rng.normal(0, 1, wanted.shape).astype(np.float32)
    assert np.abs(soft_loss(kind, wanted, wanted, mask, 2.0)).max() < 1e-6
    losses = np.asarray(soft_loss(kind, wanted, other, mask, 2.0))
    assert losses.shape == (2,) and (losses > 0).all()
    if kind in (TOKEN_CHOICES, STATES):
        padded = np.where(mask[..., None] == 1, other, 100.0).astype(np.float32)
        np.testing.assert_allclose(soft_loss(kind, wanted, padded, mask, 2.0), losses, rtol=1e-5)
