"""Structured pruning without training, followed by recovery training.

With a teacher the recovery is distillation; without one it is fine-tuning. Both train at the cost
of the model's remaining parts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from converters.json_files import json_value
from edgebert.data.datasets import Dataset, split_dataset
from edgebert.data.label_numbers import with_label_names
from edgebert.distillation import check_students, distill
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate
from edgebert.finetuning import finetune
from edgebert.models.bases import as_encoder
from edgebert.models.task_model import SIDECAR, TaskModel, as_model, open_model
from edgebert.pruning.magnitude import recovery_settings
from edgebert.pruning.structure_checks import check_model
from edgebert.pruning.structured import STAGE, prune_structure
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
from edgebert.system.storage import finish_interrupted, remove_folder
from edgebert.tasks import bare_encoder
from edgebert.tasks.examples import all_input_texts
from edgebert.training.record import (
    UNTRAINED,
    TrainingResult,
    refuse_other_model,
    result_fields,
    training_facts,
)
from edgebert.training.stage_run import StageRun
from edgebert.training.state import describe_data, describe_model, require_same_run


@dataclass(frozen=True, kw_only=True)
class StructuredPruning:
    """What `prune_with_recovery` removes, and how the model recovers.

    Attributes:
        structure: Layers, heads, neurons and hidden dimensions to remove.
        recovery: Epochs (0 trains nothing), batch size, learning rate, rows and seed of the
            recovery training.
        teacher: Teacher of the recovery, or its path; None recovers by fine-tuning.
        corpus: Text whose tokens stay in the vocabulary; None trims nothing.
        vocabulary: How the vocabulary is trimmed.
    """

    structure: StructureSettings = field(default_factory=StructureSettings)
    recovery: PruneSettings = field(default_factory=PruneSettings)
    teacher: TaskModel | Path | str | None = None
    corpus: Dataset | None = None
    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)


@dataclass(frozen=True)
class RecoveryResult(TrainingResult):
    """The pruned model after its recovery.

    Attributes:
        structure: The history entry of the structured pruning: widths, remaining operations and
            latencies. Its `metrics` are those on the dev rows before the recovery.
        trimmed: The history entry of the vocabulary trimming, or None.
    """

    structure: dict[str, Any]
    trimmed: dict[str, Any] | None


def prune_with_recovery(
    model: TaskModel | Path | str,
    train: Dataset,
    dev: Dataset | None,
    pruning: StructuredPruning,
    run: StageRun,
) -> RecoveryResult:
    """Trims the vocabulary, removes parts of the model, trains, and writes the folder.

    Args:
        model: A model of any task, a bare encoder or a masked language model, or its path.
        train: Calibration text, and the rows of the recovery.
        dev: Rows that select the best epoch; None splits a tenth off the training rows.
        pruning: What is removed, and how the model recovers.
        run: Output folder, resuming and progress. This stage runs on one device.

    Raises:
        UsageError: Invalid settings, too little text, or `resume` of a different run.
        QualityGateError: No model reaches the target speedup.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    run.require_one_device()
    model = as_model(model)
    teacher = None if pruning.teacher is None else as_model(pruning.teacher)
    pruning = replace(pruning, teacher=teacher)
    train = with_label_names(train, model.labels)
    dev = None if dev is None else with_label_names(dev, model.labels)
    structure, recovery = pruning.structure, pruning.recovery
    out = Path(run.out)
    check_model(model, structure)
    _check_base(model, pruning)
    if teacher is not None:
        check_students(teacher, model, DistillSettings())
    if recovery.epochs < 0:
        raise UsageError(f"epochs: expected at least 0. Received: {recovery.epochs}.")
    if dev is None:
        train, dev = split_dataset(train, FinetuneSettings().dev_fraction, recovery.seed)
    identity = {
        "model": describe_model(model),
        "teacher": None if teacher is None else describe_model(teacher),
        "train": describe_data(train),
        "dev": describe_data(dev),
        "corpus": describe_data(pruning.corpus),
        "structure": asdict(structure),
        "vocabulary": asdict(pruning.vocabulary),
        "recovery": asdict(recovery),
    }
    refuse_other_model(run, identity)
    run = replace(run, overwrite=True)
    pruned = _finished_model(out / UNTRAINED, identity) if run.resume else None
    finished = _finished_model(out, identity) if run.resume and pruned is None else None
    if finished is not None:
        return _result(finished, out)
    if pruned is None:
        pruned = _prune(model, train, dev, pruning, run)
        entry = {**pruned.history[-1], "asked": identity}
        pruned = replace(pruned, history=(*pruned.history[:-1], entry))
        pruned.save(out / UNTRAINED)
    if recovery.epochs:
        final = _recover(pruned, train, dev, pruning, run)
    else:
        final = pruned
        final.save(out)
    remove_folder(out / UNTRAINED)
    return _result(final, out)


def _check_base(model: TaskModel, pruning: StructuredPruning) -> None:
    """Checks that a base, which has no labels to train with, recovers from a teacher or not at all.

    Raises:
        UsageError: It should be trained without a teacher.
    """
    is_base = as_encoder(model).task == bare_encoder()
    if is_base and pruning.recovery.epochs and pruning.teacher is None:
        raise UsageError(
            f"epochs: expected 0 or a teacher for {model.task.model_title()}, since no label can "
            f"train it. Received: {pruning.recovery.epochs}. Next: prune with --epochs 0, then "
            "use `edgebert distill`, or give --teacher."
        )


def _finished_model(folder: Path, identity: dict[str, Any]) -> TaskModel | None:
    """The model that an earlier run with the same identity left in a folder, or None.

    Raises:
        UsageError: It is from a different run of this stage; every difference is listed.
    """
    finish_interrupted(folder)
    if not (folder / SIDECAR).is_file():
        return None
    model = open_model(folder)
    entry = _last_entry(model, STAGE)
    if entry is None or "asked" not in entry:
        return None
    require_same_run(entry["asked"], json_value(identity), str(folder))
    return model


def _last_entry(model: TaskModel, stage: str) -> dict[str, Any] | None:
    return next((entry for entry in reversed(model.history) if entry["stage"] == stage), None)


def _result(model: TaskModel, out: Path) -> RecoveryResult:
    structure = _last_entry(model, STAGE)
    assert structure is not None
    was_trimmed = structure["asked"]["corpus"] is not None
    return RecoveryResult(
        **result_fields(model, out),
        structure=structure,
        trimmed=_last_entry(model, TRIM) if was_trimmed else None,
    )


def _prune(
    model: TaskModel, train: Dataset, dev: Dataset, pruning: StructuredPruning, run: StageRun
) -> TaskModel:
    """The pruned model before its recovery, with its dev metrics in the history."""
    if pruning.corpus is not None:
        texts, heldout = (all_input_texts(model, part) for part in (pruning.corpus, dev))
        model = trim_vocabulary(model, texts, pruning.vocabulary, heldout).model
    pruned = prune_structure(model, train, pruning.structure, run.progress).model
    is_base = as_encoder(pruned).task == bare_encoder()
    facts = training_facts({} if is_base else evaluate(KerasPredictor(pruned), dev).metrics)
    return replace(pruned, history=(*pruned.history[:-1], {**pruned.history[-1], **facts}))


def _recover(
    pruned: TaskModel, train: Dataset, dev: Dataset, pruning: StructuredPruning, run: StageRun
) -> TaskModel:
    """Trains the pruned model and writes the output folder."""
    recovery = pruning.recovery
    if pruning.teacher is not None:
        settings = DistillSettings(
            epochs=recovery.epochs,
            batch_size=recovery.batch_size,
            learning_rate=recovery.learning_rate,
            max_rows=recovery.max_rows,
            seed=recovery.seed,
        )
        return distill(pruning.teacher, pruned, train, dev, settings, run).model
    recipe = recovery_settings(pruned, recovery)
    # The threshold is chosen anew on the dev rows.
    names = {each.name for each in fields(TaskSettings)} - {"threshold"}
    known = {name: value for name, value in pruned.decoding.items() if name in names}
    task = TaskSettings(**{**known, "task": pruned.task.name})
    return finetune(pruned, train, dev, recipe, run, task).model
