"""Structured pruning as a stage: what goes goes without training, then training recovers the rest.

With a teacher the recovery is distillation, without one it is fine-tuning. Either trains at the
cost of what is left of the model.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from converters.json_files import json_value
from edgebert.data.datasets import Dataset, split_dataset
from edgebert.distillation import check_students, distill
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate
from edgebert.finetuning import finetune
from edgebert.models.task_model import SIDECAR, TaskModel, open_model
from edgebert.pruning.structured import STAGE, check_model, prune_structure
from edgebert.pruning.vocabulary import STAGE as TRIM
from edgebert.pruning.vocabulary import trim_vocabulary
from edgebert.settings import (
    DistillSettings,
    FinetuneSettings,
    PruneSettings,
    StructureSettings,
    TaskSettings,
    VocabularySettings,
)
from edgebert.system.progress import Progress, silent
from edgebert.tasks.examples import all_input_texts
from edgebert.training.record import TrainingResult, result_fields, training_facts
from edgebert.training.state import describe_data, describe_model, require_same_run

UNTRAINED = ".untrained"
"""Folder of the pruned model before its recovery, inside the output folder: a run that is resumed
goes on from the same weights."""


@dataclass(frozen=True)
class RecoveryResult(TrainingResult):
    """What structured pruning and its recovery made.

    Attributes:
        structure: the history's entry of the pruning: widths, operations left, latencies, and as
            `metrics` those on the dev rows before the recovery.
        trimmed: the history's entry of the vocabulary's trimming, or None.
    """

    structure: dict[str, Any]
    trimmed: dict[str, Any] | None


def prune_with_recovery(
    model: TaskModel,
    train: Dataset,
    dev: Dataset | None,
    structure: StructureSettings,
    recovery: PruneSettings,
    out: Path | str,
    teacher: TaskModel | None = None,
    corpus: Dataset | None = None,
    vocabulary: VocabularySettings = VocabularySettings(),
    resume: bool = False,
    progress: Progress | None = None,
) -> RecoveryResult:
    """Trims the vocabulary, drops layers, heads and neurons, recovers, and writes the folder.

    Args:
        model: of any task that `structured.check_model` takes.
        train: calibration text, and the rows of the recovery.
        dev: what the best epoch is chosen by; None splits a tenth off the training rows.
        structure: how much is to go.
        recovery: epochs (0 trains nothing), batch size, learning rate, rows and seed.
        out: the folder to write.
        teacher: distills the recovery from it, where there is one.
        corpus: text whose tokens stay in the vocabulary; None trims nothing.
        vocabulary: how it is trimmed.
        resume: goes on where an interrupted run stopped; a finished run returns at once.
        progress: told as it goes on.

    Raises:
        UsageError: settings that make no sense, text that is too little, or the run to resume is
            another one.
        QualityGateError: no model is as fast as asked.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    tell, out = progress or silent, Path(out)
    check_model(model, structure)
    if teacher is not None:
        check_students(teacher, model, DistillSettings())
    if recovery.epochs < 0:
        raise UsageError(f"epochs: expected at least 0. Received: {recovery.epochs}.")
    if dev is None:
        train, dev = split_dataset(train, FinetuneSettings().dev_fraction, recovery.seed)
    asked = {
        "model": describe_model(model),
        "teacher": None if teacher is None else describe_model(teacher),
        "train": describe_data(train),
        "dev": describe_data(dev),
        "corpus": describe_data(corpus),
        "structure": asdict(structure),
        "vocabulary": asdict(vocabulary),
        "recovery": asdict(recovery),
    }
    pruned = _made_before(out / UNTRAINED, asked) if resume else None
    finished = _made_before(out, asked) if resume and pruned is None else None
    if finished is not None:
        return _result(finished, out)
    if pruned is None:
        small = model
        if corpus is not None:
            texts, heldout = (all_input_texts(model, part) for part in (corpus, dev))
            small = trim_vocabulary(model, texts, vocabulary, heldout).model
        pruned = prune_structure(small, train, structure, tell).model
        facts = training_facts(evaluate(KerasPredictor(pruned), dev).metrics)
        entry = {**pruned.history[-1], **facts, "asked": asked}
        pruned = replace(pruned, history=(*pruned.history[:-1], entry))
        pruned.save(out / UNTRAINED)
    if recovery.epochs:
        final = _recovered(pruned, train, dev, recovery, teacher, out, resume, tell)
    else:
        final = pruned
        final.save(out)
    shutil.rmtree(out / UNTRAINED, ignore_errors=True)
    return _result(final, out)


def _made_before(folder: Path, asked: dict[str, Any]) -> TaskModel | None:
    """The model that an earlier run of the same model, data and settings left in a folder.

    Raises:
        UsageError: it is of another run of this stage; every difference is listed.
    """
    if not (folder / SIDECAR).is_file():
        return None
    model = open_model(folder)
    entry = _last(model, STAGE)
    if entry is None or "asked" not in entry:
        return None
    require_same_run(entry["asked"], json_value(asked), str(folder))
    return model


def _last(model: TaskModel, stage: str) -> dict[str, Any] | None:
    return next((entry for entry in reversed(model.history) if entry["stage"] == stage), None)


def _result(model: TaskModel, out: Path) -> RecoveryResult:
    structure = _last(model, STAGE)
    assert structure is not None
    was_trimmed = structure["asked"]["corpus"] is not None
    return RecoveryResult(
        **result_fields(model, out),
        structure=structure,
        trimmed=_last(model, TRIM) if was_trimmed else None,
    )


def _recovered(
    pruned: TaskModel,
    train: Dataset,
    dev: Dataset,
    recovery: PruneSettings,
    teacher: TaskModel | None,
    out: Path,
    resume: bool,
    progress: Progress,
) -> TaskModel:
    if teacher is not None:
        lessons = DistillSettings(
            epochs=recovery.epochs,
            batch_size=recovery.batch_size,
            learning_rate=recovery.learning_rate,
            max_rows=recovery.max_rows,
            seed=recovery.seed,
        )
        return distill(teacher, pruned, train, dev, lessons, out, resume, progress).model
    recipe = FinetuneSettings(
        epochs=recovery.epochs,
        batch_size=recovery.batch_size,
        learning_rate=recovery.learning_rate,
        max_length=pruned.max_length,
        patience=0,
        max_rows=recovery.max_rows,
        seed=recovery.seed,
    )
    named = {field.name for field in fields(TaskSettings)} - {"threshold"}  # it is chosen anew
    known = {name: value for name, value in pruned.decoding.items() if name in named}
    task = TaskSettings(**{**known, "task": pruned.task.name})
    return finetune(pruned, train, dev, recipe, out, resume, progress, task).model
