"""Distillation: a smaller BERT learns from a fine-tuned one, of text with labels or without.

Text without labels, and changed copies of text, are for classifiers of texts; other tasks learn of
labelled data, with what their teacher says of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgebert.data.datasets import Dataset, encode_labels
from edgebert.encoding.augmentation import augment
from edgebert.encoding.encoded_rows import Inputs, encode_rows, joined_rows, rows_of
from edgebert.encoding.word_splitting import count_tokens, split_rare_words
from edgebert.errors import UsageError, refuse
from edgebert.models.task_model import TaskModel
from edgebert.settings import DeviceSettings, DistillSettings, FinetuneSettings, TaskSettings
from edgebert.system import native_noise
from edgebert.system.progress import Progress, silent
from edgebert.training.inputs import check_settings, choose_rows, encode_split
from edgebert.training.record import TrainingResult, finished_run, history_entry, result_fields
from edgebert.training.state import TrainingFolder, describe_data, describe_model

if TYPE_CHECKING:
    import keras

    from edgebert.tasks.labelled_rows import LabelledRows
    from edgebert.tasks.task import Task, TrainingRows
    from edgebert.training.distilling import Teacher
    from edgebert.training.evaluator import EncodedSplit

STAGE = "distill"
_SCORED_AT_ONCE = 64
SPLIT = 0.1
"""Chance with which a rare word of a changed copy is split into pieces for the student."""


@dataclass(frozen=True)
class DistillResult(TrainingResult):
    """What distillation made: the model is the student; the teacher's work counts as training time.

    Attributes:
        teacher_metrics: of the teacher on the dev rows.
    """

    teacher_metrics: dict[str, float]


def distill(
    teacher: TaskModel,
    student: TaskModel,
    train: Dataset,
    dev: Dataset,
    settings: DistillSettings,
    out: Path | str,
    resume: bool = False,
    progress: Progress | None = None,
    where: DeviceSettings = DeviceSettings(),
) -> DistillResult:
    """Trains a student on what a teacher says and writes the student's folder.

    Args:
        teacher: a model with a task whose outputs can be compared (`training.heads`).
        student: any smaller BERT: a pruned model, one of `students`, or another checkpoint.
            Its vocabulary is the teacher's or a part of it. A head with other labels is made anew.
        train: of the task's reader; of a classifier of texts labels are used where rows have them
            (`hard_weight`), other tasks need them.
        dev: labelled data that the best epoch is chosen by.
        settings: losses and recipe.
        out: the folder to write. The state of an unfinished run is in its `.training/`.
        resume: goes on where an interrupted run stopped; a finished run returns at once.
        progress: told after every step.
        where: on which devices and hosts it computes, as for `finetune`.

    Raises:
        UsageError: settings that make no sense, a teacher without a head, a student that is wider
            than its teacher or knows tokens that the teacher does not; all at once.
        DataError: labels that the teacher does not know.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    recipe = _recipe(student, settings)
    check_students(teacher, student, settings)
    check_settings(student, recipe, dev_is_given=True, where=where)
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
    if teacher.task.distills_unlabelled:
        _known_targets(train, teacher.labels)
    else:
        task.require_known(train, teacher.labels)
    folder = TrainingFolder(out, identity)
    if resume:
        finished = finished_run(out, folder)
        if finished is not None:
            return _result(finished, out)

    native_noise.load_keras()
    from edgebert.training import distilling, fitting
    from edgebert.training.devices import open_devices, require_same
    from edgebert.training.heads import kind_of

    def split(of: TaskModel, part: Dataset, length: int, chooses: bool = False) -> EncodedSplit:
        sized = replace(recipe, max_length=length)
        return encode_split(of, part, teacher.facts, sized, chooses)

    report = progress or silent
    pupil, same_head = _with_the_task(student, teacher, task)
    devices = open_devices(where)
    require_same(devices, folder.identity)
    with devices.scope():
        taught = fitting.build_frozen(teacher)
        data: TrainingRows
        if teacher.task.distills_unlabelled:
            data = taught_rows(teacher, taught, pupil, train, recipe, settings, report)
        else:
            data = split(pupil, train, recipe.max_length).rows
        judged = split(pupil, dev, recipe.max_length, chooses=True)
        net = fitting.build_model(pupil, task, task.num_outputs(teacher.labels), same_head, recipe)
        config = student.checkpoint.config
        model = distilling.DistillationModel(
            net,
            config.num_layers,
            config.hidden_size,
            _watched(teacher, taught, student),
            distilling.METHODS[settings.method],
            settings.temperature,
            settings.hard_weight,
            kind_of(teacher.checkpoint),
            judged.loss,
        )
        outcome = fitting.train(
            model, data, judged, recipe, folder, report, STAGE, resume, devices=devices
        )
        entry = history_entry(identity, train, dev, outcome.metrics, outcome, devices.replicas)
        entry["teacher_metrics"] = _scored(taught, split(teacher, dev, teacher.max_length))
        decoding = judged.chosen_decoding(outcome.outputs, recipe.batch_size, recipe.max_length)
        result = pupil.updated(
            net, teacher.labels, entry, max_length=recipe.max_length, decoding=decoding
        )
    if devices.worker == 0:
        result.save(out)
        folder.remove()
    devices.exchange("done")
    return _result(result, out)


def check_students(teacher: TaskModel, student: TaskModel, settings: DistillSettings) -> None:
    """Holds a student against its teacher.

    Raises:
        UsageError: every problem is listed.
    """
    refuse_teacher(teacher)
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
    if teacher.checkpoint.sentence is not None and small.hidden_size != big.hidden_size:
        problems.append(
            f"hidden_size: expected the teacher's {big.hidden_size}, since vectors are compared. "
            f"Received: {small.hidden_size}"
        )
    if settings.augment and not teacher.task.distills_unlabelled:
        problems.append(
            f"augment: expected 0 for the task {teacher.task.name}, whose labels changed copies "
            f"would no longer fit. Received: {settings.augment}"
        )
    if settings.augment < 0:
        problems.append(f"augment: expected 0 copies or more. Received: {settings.augment}")
    if not settings.temperature > 0:
        problems.append(f"temperature: expected above 0. Received: {settings.temperature}")
    if not 0 <= settings.hard_weight <= 1:
        problems.append(f"hard_weight: expected from 0 to 1. Received: {settings.hard_weight}")
    refuse(problems)


def refuse_teacher(teacher: TaskModel) -> None:
    """Refuses a teacher by whose outputs nothing can be learnt.

    Raises:
        UsageError: a bare encoder, a masked LM.
    """
    if not teacher.task.comparable:
        raise UsageError(
            "Expected a teacher with labels, tags, spans, scores or vectors. Received: "
            f"{teacher.task.model_title()}. Next: fine-tune it for such a task with "
            "`edgebert finetune`."
        )


def _with_the_task(
    student: TaskModel, teacher: TaskModel, task: Task[Any]
) -> tuple[TaskModel, bool]:
    """The student as a model of the teacher's task, and whether it keeps its head."""
    same_head = (
        student.checkpoint.head == teacher.checkpoint.head
        and student.checkpoint.problem == teacher.checkpoint.problem
        and student.labels == teacher.labels
    )
    checkpoint = student.checkpoint
    if not same_head:
        own = teacher.checkpoint
        checkpoint = replace(
            task.prepare_checkpoint(checkpoint, TaskSettings()),
            problem=own.problem,
            sentence=own.sentence,
        )
    pupil = replace(
        student, checkpoint=checkpoint, task=teacher.task, decoding=dict(teacher.decoding)
    )
    return pupil, same_head


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


def _known_targets(train: Dataset, labels: Sequence[str]) -> npt.NDArray[np.int32]:
    """The place of each row's label, -1 where it has none: int32 `[rows]`."""
    known = np.array([label is not None for label in train.labels])
    labelled = tuple(row for row in train.examples if row.label is not None)
    targets = np.full(len(train), -1, np.int32)
    targets[known] = encode_labels(replace(train, examples=labelled), labels)
    return targets


def taught_rows(
    teacher: TaskModel,
    taught: keras.Model,
    student: TaskModel,
    train: Dataset,
    recipe: FinetuneSettings,
    settings: DistillSettings,
    progress: Progress,
) -> LabelledRows:
    """The texts and their changed copies in the student's tokens, with labels where there are any
    and the teacher's logits, which it gave for its own tokens.
    """
    from edgebert.tasks.labelled_rows import LabelledRows
    from edgebert.training.distilling import teacher_logits

    length = min(recipe.max_length, teacher.max_length)
    tokenizer = student.tokenizer
    copies = augment(
        teacher.tokenizer,
        teacher.checkpoint.weights["embeddings.token"],
        train.texts,
        copies=settings.augment,
        seed=recipe.seed,
    )
    own = encode_rows(teacher.tokenizer, [*train.texts, *copies], length)
    rows = encode_rows(tokenizer, train.texts, recipe.max_length)
    if copies:
        counts = count_tokens(tokenizer, train.texts)
        changed = split_rare_words(
            tokenizer,
            copies,
            counts,
            probability=SPLIT,
            seed=recipe.seed,
            max_length=recipe.max_length,
        )
        rows = joined_rows([rows, rows_of(changed, tokenizer.pad_id)])
    targets = np.full(len(rows), -1, np.int32)
    targets[: len(train)] = _known_targets(train, teacher.labels)
    return LabelledRows(
        rows, targets, np.ones(len(rows), np.float32), teacher_logits(taught, own, progress)
    )


def _watched(teacher: TaskModel, taught: keras.Model, student: TaskModel) -> Teacher:
    from edgebert.training.distilling import Teacher
    from edgebert.training.heads import Head

    ids = {token: i for i, token in enumerate(teacher.tokenizer.vocabulary.tokens)}
    config = teacher.checkpoint.config
    return Teacher(
        taught.get_layer("packed_encoder"),
        Head(taught),
        config.num_layers,
        config.hidden_size,
        np.array([ids[token] for token in student.tokenizer.vocabulary.tokens], np.int32),
    )


def _scored(net: keras.Model, split: EncodedSplit) -> dict[str, float]:
    """The task's metrics of a frozen model on a split."""
    import tensorflow as tf

    run = tf.function(lambda inputs: net(inputs, training=False), reduce_retracing=True)

    def outputs(inputs: Inputs) -> Any:
        return tf.nest.map_structure(lambda value: value.numpy(), run(inputs))

    metrics = split.score(outputs, _SCORED_AT_ONCE, int(split.rows.lengths.max()))
    return {name: value for name, value in metrics.items() if name != "loss"}


def _result(model: TaskModel, out: Path | str) -> DistillResult:
    entry = model.history[-1]
    return DistillResult(
        **result_fields(model, out), teacher_metrics=dict(entry["teacher_metrics"])
    )
