"""Distillation: a smaller BERT learns from a fine-tuned one.

A student of every task learns from examples with and without labels, and from changed copies of
them. The teacher runs once, before training (`edgebert.training.kept_states`). For losses on
attention, for a base, and for more text than its states have room for on disk, it runs in every
step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters.heads import ENCODER
from edgebert.data.datasets import Dataset, take
from edgebert.data.label_numbers import with_label_names
from edgebert.encoding.encoded_rows import Inputs, rows_of
from edgebert.errors import refuse
from edgebert.models.bases import as_encoder, with_head_of
from edgebert.models.task_model import TaskModel, as_model
from edgebert.settings import DistillSettings, FinetuneSettings, TaskSettings
from edgebert.system import native_noise
from edgebert.tasks.examples import encodings_of
from edgebert.training.distillation_rows import (
    TaughtExamples,
    distillation_rows,
    further_rows,
    kept_states,
    labelled_part,
    own_encodings,
    taught_examples,
    with_teacher_outputs,
)
from edgebert.training.inputs import check_settings, choose_rows, encode_split
from edgebert.training.kept_states import TaughtRows
from edgebert.training.record import (
    TrainingResult,
    finished_run,
    history_entry,
    refuse_other_model,
    result_fields,
    save_result,
)
from edgebert.training.stage_run import StageRun
from edgebert.training.state import TrainingFolder, describe_data, describe_model

if TYPE_CHECKING:
    import keras

    from edgebert.tasks.task import TrainingRows
    from edgebert.training.base_evaluator import BaseEvaluator
    from edgebert.training.distilling import DistillationLoss, DistillationModel, Teacher
    from edgebert.training.evaluator import EncodedSplit, RunModel

STAGE = "distill"
_EVALUATION_BATCH = 64


@dataclass(frozen=True)
class DistillResult(TrainingResult):
    """The student, its metrics and its training history.

    `sentences_per_second` includes the teacher's work inside the training steps.

    Attributes:
        teacher_metrics: The teacher's metrics on the dev rows.
    """

    teacher_metrics: dict[str, float]


def distill(
    teacher: TaskModel | Path | str,
    student: TaskModel | Path | str,
    train: Dataset,
    dev: Dataset,
    settings: DistillSettings,
    run: StageRun,
) -> DistillResult:
    """Trains a student on a teacher's outputs and writes the student's folder.

    Args:
        teacher: A fine-tuned model, or a base: a bare encoder or a masked language model, whose
            hidden states the student learns; or the path of one.
        student: A smaller BERT: a pruned model, one of `models.students`, another checkpoint, or
            the path of one.
            Its vocabulary is the teacher's or a subset of it. A head with other labels is replaced
            by a new one.
        train: Data in the task's format. Labels are used where rows have them (`hard_weight`).
        dev: Labelled data that selects the best epoch; texts for a base.
        settings: Losses and training hyperparameters.
        run: Output folder, resuming, progress, devices, and states that students share.

    Returns:
        The student with the weights of its best epoch.

    Raises:
        UsageError: Invalid settings, a student that is wider or deeper than its teacher, or that
            has tokens the teacher lacks; every problem is listed.
        DataError: The data has labels that the teacher does not know.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    teacher, student = as_encoder(as_model(teacher)), as_model(student)
    train, dev = (with_label_names(data, teacher.labels) for data in (train, dev))
    recipe = _recipe(student, settings)
    check_students(teacher, student, settings)
    check_settings(student, recipe, dev_is_given=True, where=run.where)
    identity = {
        "stage": STAGE,
        "settings": asdict(settings),
        "model": describe_model(student),
        "train": describe_data(train),
        "dev": describe_data(dev),
        "teacher": describe_model(teacher),
    }
    train, dev = choose_rows(train, dev, recipe)
    task = teacher.task
    task.require_known(dev, teacher.labels)
    labelled = labelled_part(task, train)
    if labelled is not None:
        task.require_known(labelled, teacher.labels)
    refuse_other_model(run, identity)
    folder = TrainingFolder(run.out, identity)
    if run.resume:
        finished = finished_run(run.out, folder)
        if finished is not None:
            return _result(finished, run.out)
    taught, keep_head = _with_task_of(teacher, student)
    head_of = None if teacher.task.has_answers else student
    job = DistillJob(teacher, taught, keep_head, train, dev, settings, head_of)
    return _result(_train(job, folder, run), run.out)


@dataclass(frozen=True)
class DistillJob:
    """Models, data and settings of one distillation.

    Attributes:
        teacher: The teacher.
        student: The student with the teacher's task, labels and decoding options.
        keep_head: Whether the student keeps its own head.
        train: Rows to train on.
        dev: Rows that select the best epoch.
        settings: Losses and training hyperparameters.
        head_of: The student of a base as it was given; a masked LM gets its head back.
    """

    teacher: TaskModel
    student: TaskModel
    keep_head: bool
    train: Dataset
    dev: Dataset
    settings: DistillSettings
    head_of: TaskModel | None = None

    @property
    def recipe(self) -> FinetuneSettings:
        """The hyperparameters as fine-tuning settings."""
        return _recipe(self.student, self.settings)


def _train(job: DistillJob, folder: TrainingFolder, run: StageRun) -> TaskModel:
    """Trains the student, writes its folder and removes the training state."""
    native_noise.load_keras()
    from edgebert.training import fitting
    from edgebert.training.agreement import require_same
    from edgebert.training.strategies import open_devices

    teacher, student, recipe = job.teacher, job.student, job.recipe
    devices = open_devices(run.where)
    require_same(devices, folder.identity)
    with devices.scope():
        teacher_net = fitting.build_frozen(teacher)
        taught = taught_examples(teacher, job.train, job.settings.augment, recipe.seed)
        frozen = frozen_teacher(job, teacher_net, repr(folder.identity["teacher"]))
        rows = rows_of_job(job, taught, frozen, run, keeps=devices.replicas == 1)
        evaluator = _evaluator(job, teacher_net)
        task = teacher.task
        outputs = task.num_outputs(teacher.labels)
        net = fitting.build_model(student, task, outputs, job.keep_head, recipe)
        training = fitting.Training(
            rows=rows,
            evaluator=evaluator,
            settings=recipe,
            folder=folder,
            stage=STAGE,
            progress=run.progress,
            devices=devices,
        )
        task_loss = evaluator.loss if len(taught.labelled) else None
        model = _distillation_model(job, net, frozen, task_loss)
        outcome = fitting.train(model, training, resume=run.resume)
        entry = history_entry(
            folder.identity, job.train, job.dev, outcome.metrics, outcome, devices.replicas
        )
        of_teacher = repr([folder.identity["teacher"], folder.identity["dev"], teacher.decoding])
        entry["teacher_metrics"] = run.states.metrics_of(
            of_teacher, lambda: _teacher_metrics(job, teacher_net)
        )
        decoding = evaluator.choose_thresholds(
            outcome.outputs, recipe.batch_size, recipe.max_length
        )
        result = student.updated(
            net, teacher.labels, entry, max_length=recipe.max_length, decoding=decoding
        )
        if job.head_of is not None:
            result = with_head_of(result, job.head_of)
    save_result(result, run.out, folder, devices, outcome)
    return result


def check_students(teacher: TaskModel, student: TaskModel, settings: DistillSettings) -> None:
    """Checks that a student can learn from a teacher with these settings.

    Raises:
        UsageError: It can't; every problem is listed.
    """
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
            f"vocabulary: expected the teacher's or a subset of it. Received: {len(unknown)} "
            f"tokens that the teacher does not have, such as {', '.join(sorted(unknown)[:3])}"
        )
    theirs, own = big.hidden_size, small.hidden_size
    if teacher.checkpoint.sentence is not None and student.checkpoint.sentence is not None:
        theirs, own = teacher.checkpoint.vector_size, student.checkpoint.vector_size
    if theirs != own and (
        teacher.checkpoint.sentence is not None or teacher.checkpoint.head == ENCODER
    ):
        what = "vectors" if teacher.checkpoint.sentence is not None else "hidden states"
        problems.append(
            f"hidden_size: expected the teacher's {theirs} values, since {what} are compared. "
            f"Received: {own}"
        )
    if settings.augment < 0:
        problems.append(f"augment: expected 0 copies or more. Received: {settings.augment}")
    if not settings.temperature > 0:
        problems.append(f"temperature: expected above 0. Received: {settings.temperature}")
    if not 0 <= settings.hard_weight <= 1:
        problems.append(f"hard_weight: expected from 0 to 1. Received: {settings.hard_weight}")
    refuse(problems)


def _with_task_of(teacher: TaskModel, student: TaskModel) -> tuple[TaskModel, bool]:
    """The student as a model of the teacher's task; also returns whether it keeps its head."""
    own, checkpoint = teacher.checkpoint, student.checkpoint
    keep_head = (
        checkpoint.head == own.head
        and checkpoint.problem == own.problem
        and student.labels == teacher.labels
    )
    if not keep_head:
        checkpoint = replace(
            teacher.task.prepare_checkpoint(checkpoint, TaskSettings()),
            labels=teacher.labels,
            problem=own.problem,
            sentence=own.sentence,
        )
    student = replace(
        student, checkpoint=checkpoint, task=teacher.task, decoding=dict(teacher.decoding)
    )
    return student, keep_head


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


def rows_of_job(
    job: DistillJob, taught: TaughtExamples, teacher: Teacher, run: StageRun, keeps: bool
) -> TrainingRows:
    """The training rows, with the teacher's outputs and states where it runs once.

    Args:
        job: The distillation.
        taught: The examples.
        teacher: The teacher.
        run: The states of other students, and the progress.
        keeps: Whether states may be kept on disk.
    """
    rows: Any = distillation_rows(job.student, taught, job.recipe)
    task, loss, longest = job.teacher.task, _loss(job, None), job.recipe.max_length
    kept = None
    if keeps and task.has_answers and loss.keeps_states:
        kept = kept_states(rows.encoded, teacher, loss.needs_states, longest, run)
    if task.teacher_runs_once:
        own = own_encodings(job.teacher, taught, longest)
        rows = with_teacher_outputs(rows, teacher, own, kept, run.progress)
    return rows if kept is None else TaughtRows(rows, kept)


def frozen_teacher(job: DistillJob, net: keras.Model, identity: str) -> Teacher:
    """The teacher as the losses need it."""
    from edgebert.training.distilling import Teacher
    from edgebert.training.heads import Head

    config, ids = job.teacher.checkpoint.config, _teacher_ids(job)
    return Teacher(net.get_layer("packed_encoder"), Head(net), config, ids, identity)


def _loss(job: DistillJob, task_loss: Any) -> DistillationLoss:
    """The losses of the settings. Without `task_loss`, the soft labels have all the weight."""
    from edgebert.training.distilling import METHODS, DistillationLoss
    from edgebert.training.heads import kind_of

    settings = job.settings
    return DistillationLoss(
        weights=METHODS[settings.method],
        temperature=settings.temperature,
        hard_weight=0.0 if task_loss is None else settings.hard_weight,
        kind=kind_of(job.teacher.checkpoint),
        task_loss=task_loss,
    )


def _distillation_model(
    job: DistillJob, net: keras.Model, frozen: Teacher, task_loss: Any
) -> DistillationModel:
    """The student's Keras model with the losses of distillation."""
    from edgebert.training.distilling import DistillationModel

    loss = _loss(job, task_loss)
    model = DistillationModel(net, job.student.checkpoint.config, frozen, loss)
    if frozen.config.hidden_size != job.student.checkpoint.config.hidden_size:
        from edgebert.training.state_projection import TEXTS

        some = take(job.train, TEXTS, job.settings.seed).examples
        encodings = encodings_of(job.student, some, job.recipe.max_length)
        model.fit_projection(rows_of(encodings, job.student.tokenizer.pad_id))
    return model


def _teacher_ids(job: DistillJob) -> npt.NDArray[np.int32]:
    """The teacher's id of each token of the student."""
    ids = {token: i for i, token in enumerate(job.teacher.tokenizer.vocabulary.tokens)}
    return np.array([ids[token] for token in job.student.tokenizer.vocabulary.tokens], np.int32)


def _evaluator(job: DistillJob, teacher_net: keras.Model) -> EncodedSplit | BaseEvaluator:
    """Scores the student on the dev rows: by its task, or a base against its teacher."""
    if job.teacher.task.has_answers:
        return encode_split(job.student, job.dev, job.recipe, chooses=True)
    from edgebert.training.base_evaluator import BaseEvaluator

    taught = TaughtExamples((), job.dev.examples)
    rows = further_rows(job.student, taught, job.recipe)
    return BaseEvaluator(rows, _inference(teacher_net), _teacher_ids(job))


def _teacher_metrics(job: DistillJob, teacher_net: keras.Model) -> dict[str, float]:
    """The teacher's metrics on the dev rows; none for a base, which is its own measure."""
    if not job.teacher.task.has_answers:
        return {}
    recipe = replace(job.recipe, max_length=job.teacher.max_length)
    return _evaluate(teacher_net, encode_split(job.teacher, job.dev, recipe))


def _inference(net: keras.Model) -> RunModel:
    """Computes the outputs of a Keras model for a batch."""
    import tensorflow as tf

    run = tf.function(lambda inputs: net(inputs, training=False), reduce_retracing=True)

    def outputs(inputs: Inputs) -> Any:
        return tf.nest.map_structure(lambda value: value.numpy(), run(inputs))

    return outputs


def _evaluate(net: keras.Model, split: EncodedSplit) -> dict[str, float]:
    """The task's metrics of a Keras model on a split."""
    metrics = split.score(_inference(net), _EVALUATION_BATCH, int(split.rows.lengths.max()))
    return {name: value for name, value in metrics.items() if name != "loss"}


def _result(model: TaskModel, out: Path | str) -> DistillResult:
    entry = model.history[-1]
    return DistillResult(
        **result_fields(model, out), teacher_metrics=dict(entry["teacher_metrics"])
    )
