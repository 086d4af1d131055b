"""Structured pruning as a stage: what goes goes without training, then training recovers the rest.

With a teacher the recovery is distillation, without one it is fine-tuning. Either trains at the
cost of what is left of the model.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgebert.datasets import Dataset, split_dataset
from edgebert.distillation import check_students, distill
from edgebert.errors import UsageError
from edgebert.evaluation import KerasPredictor, evaluate
from edgebert.finetuning import finetune
from edgebert.model import SIDECAR, TaskModel, open_model
from edgebert.progress import Progress, silent
from edgebert.pruning.structured import STAGE, check_settings, prune_structure
from edgebert.pruning.vocabulary import trim_vocabulary
from edgebert.settings import (
    DistillSettings,
    FinetuneSettings,
    PruneSettings,
    StructureSettings,
    VocabularySettings,
)
from edgebert.training.state import describe_model

UNTRAINED = ".untrained"
"""Folder of the pruned model before its recovery, inside the output folder: a run that is resumed
goes on from the same weights."""


@dataclass(frozen=True)
class RecoveryResult:
    """What structured pruning and its recovery made.

    Attributes:
        model: with the weights of the best epoch, or as it was pruned where nothing was trained.
        out: the folder that it was written to.
        structure: the history's entry of the pruning: widths, operations left, latencies.
        trimmed: the history's entry of the vocabulary's trimming, or None.
        untrained: metrics on the dev rows before the recovery.
        metrics: metrics on the dev rows at the end.
        epochs: of the recovery, as in `FinetuneResult`.
        best_epoch: its number from 1; 0 where nothing was trained.
    """

    model: TaskModel
    out: Path
    structure: dict[str, Any]
    trimmed: dict[str, Any] | None
    untrained: dict[str, float]
    metrics: dict[str, float]
    epochs: tuple[dict[str, Any], ...] = ()
    best_epoch: int = 0


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
        model: a classifier.
        train: calibration text, and the rows of the recovery.
        dev: what the best epoch is chosen by; None splits a tenth off the training rows.
        structure: how much is to go.
        recovery: epochs (0 trains nothing), batch size, learning rate, rows and seed.
        out: the folder to write.
        teacher: distills the recovery from it, where there is one.
        corpus: text whose tokens stay in the vocabulary; None trims nothing.
        vocabulary: how it is trimmed.
        resume: goes on where an interrupted run stopped.
        progress: told as it goes on.

    Raises:
        UsageError: settings that make no sense, text that is too little.
        QualityGateError: no model is as fast as asked.
        KeyboardInterrupt: Ctrl-C; the state is saved.
    """
    tell, out = progress or silent, Path(out)
    check_settings(model, structure)
    if teacher is not None:
        check_students(teacher, model, DistillSettings())
    if recovery.epochs < 0:
        raise UsageError(f"epochs: expected at least 0. Received: {recovery.epochs}.")
    if dev is None:
        train, dev = split_dataset(train, FinetuneSettings().dev_fraction, recovery.seed)
    pruned = _kept(model, out, structure, corpus, vocabulary) if resume else None
    if pruned is None:
        small = model
        if corpus is not None:
            small = trim_vocabulary(model, corpus.texts, vocabulary, dev.texts).model
        pruned = prune_structure(small, train, structure, tell).model
        pruned = replace(pruned, history=(*pruned.history[:-1], _asked(pruned, model)))
        pruned.save(out / UNTRAINED)
    untrained = evaluate(KerasPredictor(pruned), dev).metrics
    if recovery.epochs:
        final = _recovered(pruned, train, dev, recovery, teacher, out, resume, tell)
    else:
        final = pruned
        final.save(out)
    shutil.rmtree(out / UNTRAINED, ignore_errors=True)
    trained = final.history[-1] if recovery.epochs else {}
    entries = {entry["stage"]: entry for entry in pruned.history[len(model.history) :]}
    return RecoveryResult(
        final,
        out,
        entries[STAGE],
        entries.get("trim"),
        untrained,
        dict(trained.get("metrics", untrained)),
        tuple(trained.get("epochs", ())),
        int(trained.get("epoch", 0)),
    )


def _asked(pruned: TaskModel, model: TaskModel) -> dict[str, Any]:
    """The pruning's entry, with the model that the whole stage started from."""
    return {**pruned.history[-1], "asked_of": describe_model(model)}


def _kept(
    model: TaskModel,
    out: Path,
    structure: StructureSettings,
    corpus: Dataset | None,
    vocabulary: VocabularySettings,
) -> TaskModel | None:
    """The pruned model of an interrupted run of the same model and settings."""
    if not (out / UNTRAINED / SIDECAR).is_file():
        return None
    kept = open_model(out / UNTRAINED)
    entries = {entry["stage"]: entry for entry in kept.history[len(model.history) :]}
    wanted = json.loads(json.dumps([asdict(structure), describe_model(model)]))
    entry = entries.get(STAGE, {})
    same = [entry.get("settings"), entry.get("asked_of")] == wanted
    trimmed = entries.get("trim")
    same_vocabulary = (trimmed is None) == (corpus is None) and (
        trimmed is None or trimmed["settings"] == json.loads(json.dumps(asdict(vocabulary)))
    )
    if same and same_vocabulary:
        return kept
    raise UsageError(
        f"{out}: the run that was started there prunes another model or by other settings. "
        "Next: resume with what it was started with, or start anew without --resume."
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
    return finetune(pruned, train, dev, recipe, out, resume, progress).model
