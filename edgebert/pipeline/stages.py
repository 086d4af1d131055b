"""The work of each stage of a run, and the inputs that its result depends on.

Each stage has two functions, `..._inputs` and the work. All share one `Session`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgebert.data.datasets import take
from edgebert.errors import EdgebertError
from edgebert.pipeline.config import BASE, DISTILLED, FINETUNED, PRUNED, ExportPlan
from edgebert.pipeline.facts import dev_fact, fingerprint, stage_run
from edgebert.pipeline.session import AUTO, EXPORTED_FOLDER, Session
from edgebert.profiling import runner
from edgebert.reporting.units import metric_text, share_text, size_text
from edgebert.settings import (
    PruneSettings,
    StructureSettings,
    VocabularySettings,
)
from edgebert.system.json_text import json_text
from edgebert.system.storage import atomic_write
from edgebert.training.state import describe_data

PROFILED_TEXTS = 64


def finetune_inputs(session: Session) -> dict[str, Any]:
    """Settings, the base model, and the train and dev splits."""
    return {
        "settings": asdict(session.finetune_settings),
        "task": asdict(session.task_settings),
        "base": fingerprint(session.model(BASE)),
        "train": describe_data(session.train),
        "dev": describe_data(session.dev),
    }


def finetune_base(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Fine-tunes the base into `folder`."""
    from edgebert.finetuning import finetune

    result = finetune(
        session.model(BASE),
        session.train,
        session.dev,
        session.finetune_settings,
        stage_run(session, folder, resume),
        task=session.task_settings,
    )
    session.forget(FINETUNED)
    return {
        "best epoch": f"{result.best_epoch} of {len(result.epochs)}",
        **dev_fact(session, result.metrics),
        "sentences/s": round(result.sentences_per_second),
    }


def prune_inputs(session: Session) -> dict[str, Any]:
    """Settings, the model before pruning, and the train and dev splits."""
    config = session.config
    settings_by_section = {
        name: None if settings is None else asdict(settings)
        for name, settings in (
            ("prune", config.prune),
            ("structure", config.structure),
            ("vocabulary", config.vocabulary),
        )
    }
    return {
        "settings": settings_by_section,
        "model": fingerprint(session.model(session.config.unpruned)),
        "train": describe_data(session.train),
        "dev": describe_data(session.dev),
    }


def prune_latest(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Prunes the fine-tuned model, or the base if there is none, into `folder`."""
    work = _prune_structure if session.config.narrows else _prune_weights
    facts = work(session, folder, resume)
    session.forget(PRUNED)
    return facts


def _prune_weights(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Magnitude pruning: sets single weights to zero."""
    from edgebert.pruning import prune

    assert session.config.prune is not None
    result = prune(
        session.model(session.config.unpruned),
        session.train,
        session.dev,
        session.config.prune,
        stage_run(session, folder, resume),
    )
    return {
        "zeros": share_text(result.sparsity),
        **dev_fact(session, result.metrics),
        "int8 kernels gzip'd": f"{size_text(result.kernel_gzip_bytes_before)} to "
        f"{size_text(result.kernel_gzip_bytes_after)}",
    }


def _prune_structure(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Removes layers, heads, neurons and vocabulary rows. Distillation recovers the accuracy."""
    from edgebert.pruning.recovery import StructuredPruning, prune_with_recovery

    vocabulary = session.config.vocabulary
    result = prune_with_recovery(
        session.model(session.config.unpruned),
        session.train,
        session.dev,
        StructuredPruning(
            structure=session.config.structure or StructureSettings(),
            recovery=PruneSettings(epochs=0),
            corpus=None if vocabulary is None else session.train,
            vocabulary=vocabulary or VocabularySettings(),
        ),
        stage_run(session, folder, resume),
    )
    facts = {
        "operations left": share_text(result.structure["operations_left"]),
        **dev_fact(session, result.metrics),
    }
    if result.trimmed is not None:
        rows = [result.trimmed[f"rows_{when}"] for when in ("before", "after")]
        facts["tokens"] = "{} to {}".format(*rows)
    return facts


def distill_inputs(session: Session) -> dict[str, Any]:
    """Settings, teacher, student, and the train and dev splits."""
    plan = session.config.distill
    assert plan is not None
    return {
        "settings": {"student": plan.student, **asdict(plan.settings)},
        "teacher": fingerprint(session.model(session.config.unpruned)),
        "student": None if plan.student else fingerprint(session.model(PRUNED)),
        "train": describe_data(session.taught),
        "dev": describe_data(session.dev),
    }


def distill_student(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Distills the unpruned model into the pruned one, or into a smaller shape."""
    from edgebert.distillation import distill
    from edgebert.models.students import make_student

    plan = session.config.distill
    assert plan is not None
    teacher = session.model(session.config.unpruned)
    student = make_student(teacher, plan.student) if plan.student else session.model(PRUNED)
    result = distill(
        teacher,
        student,
        session.taught,
        session.dev,
        plan.settings,
        stage_run(session, folder, resume),
    )
    session.forget(DISTILLED)
    return {
        "best epoch": f"{result.best_epoch} of {len(result.epochs)}",
        **dev_fact(session, result.metrics),
        "teacher": metric_text(session.task.metric, result.teacher_metrics[session.task.metric]),
    }


def export_inputs(session: Session) -> dict[str, Any]:
    """The files to write, their models, and the training text if it decides the lengths."""
    from edgebert.quantization.recipes import recipe_of

    plans = session.config.exports
    inputs: dict[str, Any] = {
        "files": {plan.name: _export_facts(plan) for plan in plans},
        "models": {name: fingerprint(session.model(name)) for name in session.exported_models},
        "dev": describe_data(session.dev),
    }
    if any(plan.settings.lengths == AUTO or recipe_of(plan.settings).decide for plan in plans):
        inputs["train"] = describe_data(session.train)
    return inputs


def _export_facts(plan: ExportPlan) -> dict[str, Any]:
    """What decides the bytes of a file, apart from its model. The expected hash does not."""
    checks = asdict(plan.checks)
    del checks["sha256"]
    return {"model": plan.model, **asdict(plan.settings), **checks}


def export_files(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Writes every `.tflite`. `max_drop` is checked on the dev split."""
    from edgebert.exporting.artifact import ExportTexts, export
    from edgebert.exporting.parity import FloatReference

    plans = session.config.exports
    references = {
        (name, quality): FloatReference(session.model(name), session.dev if quality else None)
        for name in session.exported_models
        for quality in (False, True)
    }
    for done, plan in enumerate(plans):
        session.progress("export", done, len(plans), file=plan.name)
        export(
            session.model(plan.model),
            folder / f"{plan.name}.tflite",
            plan.settings,
            texts=ExportTexts(
                lengths=session.train.examples,
                checks=session.dev.examples[: plan.checks.check_texts],
                calibration=session.train.examples,
            ),
            reference=references[plan.model, plan.checks.quality],
        )
    session.progress("export", len(plans), len(plans))
    return {"files": len(plans)}


def evaluate_inputs(session: Session) -> dict[str, Any]:
    """The test split, the models and the files."""
    return {
        "test": describe_data(session.test),
        "models": {name: fingerprint(session.model(name)) for name in session.exported_models},
        "files": _files_inputs(session),
    }


def evaluate_all(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Scores each Keras model and each file on the test split, one JSON file each."""
    from edgebert.evaluation.predictors import KerasPredictor, Predictor, evaluate
    from edgebert.models.litert_model import LiteRtModel

    plans, models = session.config.exports, session.exported_models
    total, done = len(plans) + len(models), 0

    def score(predictor: Predictor, name: str) -> None:
        nonlocal done
        session.progress("evaluate", done, total, model=name)
        evaluation = evaluate(predictor, session.test, name)
        write_json(folder / f"{name}.json", evaluation.to_dict())
        done += 1

    for model in models:
        score(KerasPredictor(session.model(model)), keras_name(model))
    for plan in plans:
        score(LiteRtModel.open(session.tflite(plan)), plan.name)
    session.progress("evaluate", total, total)
    return {"test rows": len(session.test)}


def keras_name(model: str) -> str:
    """Name of the Keras model among the files. File names cannot contain a '+'."""
    return f"{model}+keras"


def profile_inputs(session: Session) -> dict[str, Any]:
    """Settings, the files, the texts and the machine."""
    machine = runner.device()
    return {
        "settings": asdict(session.config.profile) if session.config.profile else {},
        "files": _files_inputs(session),
        "test": describe_data(session.test),
        "machine": {key: machine[key] for key in ("cpu", "cores", "os")},
    }


def profile_files(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Measures all files in turn and writes one JSON file for each.

    The warning about a busy machine is removed if an earlier stage of this run caused the load.
    """
    from edgebert.profiling.session import BUSY_BEFORE
    from edgebert.profiling.target import as_text_input, profile

    assert session.config.profile is not None
    plans = session.config.exports
    chosen = take(session.test, PROFILED_TEXTS, seed=0)
    texts = [as_text_input(session.task.input_texts(example)) for example in chosen.examples]
    measurements = profile(
        [session.tflite(plan) for plan in plans], session.config.profile, texts, session.progress
    )
    for plan in plans:
        own = [m for m in measurements if Path(m.model) == session.tflite(plan)]
        content = [
            replace(
                m,
                model=f"{EXPORTED_FOLDER}/{plan.name}.tflite",
                name=plan.name,
                warnings=tuple(
                    warning
                    for warning in m.warnings
                    if not (session.has_worked and warning.startswith(BUSY_BEFORE))
                ),
            ).to_dict()
            for m in own
        ]
        write_json(folder / f"{plan.name}.json", content)
    return {"measurements": len(measurements)}


def write_json(path: Path, content: Any) -> None:
    """Writes JSON in the layout that all stages use."""
    atomic_write(path, json_text(content, indent=2) + "\n")


def _files_inputs(session: Session) -> Mapping[str, str]:
    try:
        return {
            plan.name: hashlib.sha256(session.tflite(plan).read_bytes()).hexdigest()
            for plan in session.config.exports
        }
    except FileNotFoundError as error:
        raise EdgebertError(f"{error.filename} is missing. Next: run the command again.") from error
