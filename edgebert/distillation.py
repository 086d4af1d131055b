"""Distillation: a smaller BERT learns from a fine-tuned one, with or without labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebert import native_noise
from edgebert.datasets import Dataset, encode_labels
from edgebert.errors import UsageError
from edgebert.model import TaskModel
from edgebert.progress import Progress, silent
from edgebert.settings import DistillSettings, FinetuneSettings
from edgebert.training.batches import encode_rows
from edgebert.training.inputs import check_settings, choose_rows, label_rows
from edgebert.training.record import finished_run, history_entry
from edgebert.training.state import TrainingFolder, describe_data, describe_model

if TYPE_CHECKING:
    from edgebert.training.loop import LabelledRows

STAGE = "distill"


@dataclass(frozen=True)
class DistillResult:
    """What distillation made.

    Attributes:
        model: the student with the weights of its best epoch.
        out: the folder that it was written to.
        metrics: of the best epoch on the dev rows: accuracy, macro_f1, loss.
        teacher_metrics: of the teacher on the same rows: accuracy, macro_f1.
        epochs: what each epoch gave, as in `FinetuneResult`.
        best_epoch: its number, from 1.
        steps: that were taken in all.
        sentences_per_second: of training in steady state, the teacher's work included.
    """

    model: TaskModel
    out: Path
    metrics: dict[str, float]
    teacher_metrics: dict[str, float]
    epochs: tuple[dict[str, Any], ...]
    best_epoch: int
    steps: int
    sentences_per_second: float


def distill(
    teacher: TaskModel,
    student: TaskModel,
    train: Dataset,
    dev: Dataset,
    settings: DistillSettings,
    out: Path | str,
    resume: bool = False,
    progress: Progress | None = None,
) -> DistillResult:
    """Trains a student on what a teacher says and writes the student's folder.

    Args:
        teacher: a classifier.
        student: any smaller BERT: a pruned model, one of `student_shapes`, or another checkpoint.
            Its vocabulary is the teacher's or a part of it. A head with other labels is made anew.
        train: text; labels are used where rows have them (`hard_weight`).
        dev: labelled text that the best epoch is chosen by.
        settings: losses and recipe.
        out: the folder to write. The state of an unfinished run is in its `.training/`.
        resume: goes on where an interrupted run stopped; a finished run returns at once.
        progress: told after every step.

    Raises:
        UsageError: settings that make no sense, a teacher without a head, a student that is wider
            than its teacher or knows tokens that the teacher does not; all at once.
        DataError: labels that the teacher does not know.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    recipe = _recipe(student, settings)
    check_students(teacher, student, settings)
    check_settings(student, recipe, dev_is_given=True)
    identity = {
        "stage": STAGE,
        "settings": asdict(settings),
        "model": describe_model(student),
        "train": describe_data(train),
        "dev": describe_data(dev),
        "teacher": describe_model(teacher),
    }
    train, dev = choose_rows(train, dev, recipe)
    targets = encode_labels(dev, teacher.labels)
    folder = TrainingFolder(out, identity)
    if resume:
        finished = finished_run(out, folder)
        if finished is not None:
            return _result(finished, Path(out))

    native_noise.load_keras()
    from edgebert.training import distilling, fitting

    report = progress or silent
    data = _taught_rows(teacher, student, train, recipe, report)
    judged = label_rows(student, dev, targets, recipe, len(teacher.labels))
    same_head = student.labels == teacher.labels
    net = fitting.build_model(student, len(teacher.labels), same_head, recipe)
    config = student.checkpoint.config
    losses = distilling.METHODS[settings.method]
    model = distilling.DistillationModel(
        net,
        config.num_layers,
        config.hidden_size,
        _frozen(teacher, student) if set(losses) != {distilling.SOFT} else None,
        losses,
        settings.temperature,
        settings.hard_weight,
    )
    outcome = fitting.train(model, data, judged, recipe, folder, report, STAGE, resume)
    entry = history_entry(identity, train, dev, outcome.metrics, outcome)
    entry["started_from"]["teacher"] = identity["teacher"]
    entry["teacher_metrics"] = _teacher_metrics(teacher, dev, targets)
    result = student.updated(net, teacher.labels, entry, max_length=recipe.max_length)
    result.save(out)
    folder.remove()
    return _result(result, Path(out))


def check_students(teacher: TaskModel, student: TaskModel, settings: DistillSettings) -> None:
    """Holds a student against its teacher.

    Raises:
        UsageError: every problem is listed.
    """
    if not teacher.labels:
        raise UsageError(
            "Expected a classifier as the teacher. Received: a bare encoder. "
            "Next: fine-tune it with `edgebert finetune`."
        )
    big, small = teacher.checkpoint.config, student.checkpoint.config
    problems = [
        f"{name}: expected at most the teacher's {getattr(big, name)}. "
        f"Received: {getattr(small, name)}"
        for name in ("hidden_size", "num_layers")
        if getattr(small, name) > getattr(big, name)
    ]
    unknown = set(student.tokenizer.vocabulary.tokens) - set(teacher.tokenizer.vocabulary.tokens)
    if unknown:
        problems.append(
            f"vocabulary: expected the teacher's or a part of it. Received: {len(unknown)} tokens "
            f"that the teacher does not know, such as {', '.join(sorted(unknown)[:3])}"
        )
    if not settings.temperature > 0:
        problems.append(f"temperature: expected above 0. Received: {settings.temperature}")
    if not 0 <= settings.hard_weight <= 1:
        problems.append(f"hard_weight: expected from 0 to 1. Received: {settings.hard_weight}")
    if problems:
        raise UsageError("; ".join(problems) + ".")


def _recipe(student: TaskModel, settings: DistillSettings) -> FinetuneSettings:
    return FinetuneSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_ratio=settings.warmup_ratio,
        dropout=settings.dropout,
        max_length=settings.max_length or student.max_length,
        patience=0,
        precision=settings.precision,
        quantization_aware=settings.quantization_aware,
        max_rows=settings.max_rows,
        seed=settings.seed,
    )


def _taught_rows(
    teacher: TaskModel,
    student: TaskModel,
    train: Dataset,
    recipe: FinetuneSettings,
    progress: Progress,
) -> LabelledRows:
    """The texts in the student's tokens, with labels where there are any and the teacher's logits,
    which it gave for its own tokens.
    """
    from edgebert.training.distilling import teacher_logits
    from edgebert.training.loop import LabelledRows

    progress("teacher", 0, 1)
    length = min(recipe.max_length, teacher.max_length)
    logits = teacher_logits(teacher, encode_rows(teacher.tokenizer, train.texts, length))
    progress("teacher", 1, 1)
    places = {label: place for place, label in enumerate(teacher.labels)}
    encode_labels(
        replace(train, examples=tuple(row for row in train.examples if row.label is not None)),
        teacher.labels,
    )
    targets = [-1 if label is None else places[label] for label in train.labels]
    rows = encode_rows(student.tokenizer, train.texts, recipe.max_length)
    weights = np.ones(len(train), np.float32)
    return LabelledRows(rows, np.array(targets, np.int32), weights, logits)


def _frozen(teacher: TaskModel, student: TaskModel) -> Any:
    from edgebert.training import distilling, fitting

    net = fitting.build_model(teacher, len(teacher.labels), True, FinetuneSettings(dropout=0.0))
    ids = {token: i for i, token in enumerate(teacher.tokenizer.vocabulary.tokens)}
    config = teacher.checkpoint.config
    return distilling.Teacher(
        net.get_layer("packed_encoder"),
        config.num_layers,
        config.hidden_size,
        np.array([ids[token] for token in student.tokenizer.vocabulary.tokens], np.int32),
    )


def _teacher_metrics(teacher: TaskModel, dev: Dataset, targets: np.ndarray) -> dict[str, float]:
    from edgebert.tasks import classification
    from edgebert.training.distilling import teacher_logits

    logits = teacher_logits(teacher, encode_rows(teacher.tokenizer, dev.texts, teacher.max_length))
    return classification.metrics(logits.argmax(-1), targets, len(teacher.labels))


def _result(model: TaskModel, out: Path) -> DistillResult:
    entry = model.history[-1]
    return DistillResult(
        model,
        out,
        dict(entry["metrics"]),
        dict(entry["teacher_metrics"]),
        tuple(entry["epochs"]),
        entry["epoch"],
        entry["steps"],
        entry["sentences_per_second"],
    )
