"""What each stage of a run does, and what its result depends on.

The functions come in pairs, `..._inputs` and the work, and share a `Session`: the config, the data
and the models of one run, opened when they are first asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from edgebert.datasets import (
    Dataset,
    encode_labels,
    label_names,
    read_dataset,
    split_dataset,
    take,
)
from edgebert.errors import DataError, EdgebertError, UsageError
from edgebert.model import TaskModel, open_model
from edgebert.pipeline.config import (
    BASE,
    FINETUNED,
    PRUNED,
    ExportPlan,
    PipelineConfig,
    base_folder,
)
from edgebert.profiling import runner
from edgebert.progress import Progress
from edgebert.reporting.units import share_text, size_text
from edgebert.settings import FinetuneSettings
from edgebert.storage import atomic_write
from edgebert.training.state import describe_data, describe_model

FINETUNED_FOLDER = "1-finetuned"
PRUNED_FOLDER = "2-pruned"
EXPORTED_FOLDER = "3-exported"
EVALUATED_FOLDER = "4-evaluated"
PROFILED_FOLDER = "5-profiled"
AUTO = "auto"
PROFILED_TEXTS = 64


class Session:
    """One run: its config, and its data and models once they are needed.

    Attributes:
        has_worked: whether a stage was done before in this process, and heated the machine.
    """

    def __init__(self, config: PipelineConfig, progress: Progress) -> None:
        self.config, self.progress = config, progress
        self.has_worked = False
        self._models: dict[str, TaskModel] = {}

    @cached_property
    def _read(self) -> dict[str, Dataset]:
        data = self.config.data
        paths = {"train": data.train, "dev": data.dev, "test": data.test}
        columns = data.columns
        return {
            part: read_dataset(path, columns.text_column or None, columns.label_column or None)
            for part, path in paths.items()
            if path is not None
        }

    @cached_property
    def parts(self) -> dict[str, Dataset]:
        """train, dev and test. Without a dev file a part of the training rows is taken off."""
        read = dict(self._read)
        if "dev" not in read:
            settings = self.config.finetune or FinetuneSettings()
            read["train"], read["dev"] = split_dataset(
                read["train"], settings.dev_fraction, settings.seed
            )
        return read

    @property
    def train(self) -> Dataset:
        """What is trained on."""
        return self.parts["train"]

    @property
    def dev(self) -> Dataset:
        """What stages choose by."""
        return self.parts["dev"]

    @property
    def test(self) -> Dataset:
        """What nothing is chosen by."""
        return self.parts["test"]

    def model(self, name: str) -> TaskModel:
        """A model of the run by its name; the stage that makes it must be done."""
        if name not in self._models:
            folders = {FINETUNED: FINETUNED_FOLDER, PRUNED: PRUNED_FOLDER}
            if name == BASE:
                folder = base_folder(self.config.base, self.config.path.resolve().parent)
            else:
                folder = self.config.out / folders[name]
            self._models[name] = open_model(folder)
        return self._models[name]

    def forget(self, name: str) -> None:
        """Opens a model anew when it is next asked for: its folder was written."""
        self._models.pop(name, None)

    def tflite(self, plan: ExportPlan) -> Path:
        """Where an exported file is."""
        return self.config.out / EXPORTED_FOLDER / f"{plan.name}.tflite"

    @property
    def exported_models(self) -> tuple[str, ...]:
        """Names of the models that files are made of, in the order they are made."""
        used = {plan.model for plan in self.config.exports}
        return tuple(name for name in self.config.models if name in used)

    def check(self) -> None:
        """Refuses what can be known to fail, before any work is done.

        Raises:
            UsageError: the test file is one that is trained on; a length or a task is impossible.
            DataError: labels that are nowhere trained.
        """
        hashes = {part: dataset.sha256 for part, dataset in self._read.items()}
        same = [part for part in ("train", "dev") if hashes.get(part) == hashes["test"]]
        if same:
            raise UsageError(
                f"[data]: the test file must be one that no stage chooses by. Received: test is "
                f"the same file as {' and '.join(same)}."
            )
        base = self.model(BASE)
        self._check_labels(base)
        self._check_settings(base)
        if self.config.finetune is not None:
            base = replace(base, max_length=self.config.finetune.max_length)
        self._check_exports(base)

    def _check_settings(self, base: TaskModel) -> None:
        from edgebert.finetuning import check_settings as check_finetuning
        from edgebert.pruning.schedules import check_settings as check_pruning

        problems = []
        try:
            if self.config.finetune is not None:
                check_finetuning(base, self.config.finetune, self.config.data.dev is not None)
        except UsageError as error:
            problems.append(f"[finetune]: {error}")
        try:
            if self.config.prune is not None:
                check_pruning(self.config.prune)
        except UsageError as error:
            problems.append(f"[prune]: {error}")
        if problems:
            raise UsageError("\n".join(problems))

    def _check_labels(self, base: TaskModel) -> None:
        labels = base.labels if self.config.finetune is None else label_names(self.train)
        if not labels:
            raise UsageError(
                "Without [finetune] the base must be a classifier. Received: a bare encoder. "
                "Next: add a [finetune] section."
            )
        parts = [self.dev, self.test]
        if self.config.finetune is None and self.config.prune is not None:
            parts.append(self.train)
        problems = []
        for dataset in parts:
            try:
                encode_labels(dataset, labels)
            except DataError as error:
                problems.append(str(error))
        if problems:
            raise DataError("\n".join(problems))

    def _check_exports(self, model: TaskModel) -> None:
        from edgebert.exporting import choose_lengths

        problems = []
        for plan in self.config.exports:
            try:
                if plan.settings.lengths != AUTO:
                    choose_lengths(model, plan.settings, ())
            except UsageError as error:
                problems.append(f"[[export]] {plan.name}: {error}")
        if problems:
            raise UsageError("\n".join(problems))


def finetune_inputs(session: Session) -> dict[str, Any]:
    """Settings, the base and both splits."""
    return {
        "settings": asdict(session.config.finetune or FinetuneSettings()),
        "base": _fingerprint(session.model(BASE)),
        "train": describe_data(session.train),
        "dev": describe_data(session.dev),
    }


def finetune_base(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Fine-tunes the base into `folder`."""
    from edgebert.finetuning import finetune

    settings = session.config.finetune or FinetuneSettings()
    result = finetune(
        session.model(BASE),
        session.train,
        session.dev,
        settings,
        folder,
        resume=resume,
        progress=session.progress,
    )
    session.forget(FINETUNED)
    return {
        "best epoch": f"{result.best_epoch} of {len(result.epochs)}",
        "dev accuracy": share_text(result.metrics["accuracy"]),
        "sentences/s": round(result.sentences_per_second),
    }


def prune_inputs(session: Session) -> dict[str, Any]:
    """Settings, the model before and both splits."""
    assert session.config.prune is not None
    return {
        "settings": asdict(session.config.prune),
        "model": _fingerprint(session.model(_before_pruning(session))),
        "train": describe_data(session.train),
        "dev": describe_data(session.dev),
    }


def prune_latest(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Prunes the fine-tuned model, or the base where there is none, into `folder`."""
    from edgebert.pruning import prune

    assert session.config.prune is not None
    result = prune(
        session.model(_before_pruning(session)),
        session.train,
        session.dev,
        session.config.prune,
        folder,
        resume=resume,
        progress=session.progress,
    )
    session.forget(PRUNED)
    return {
        "zeros": share_text(result.sparsity),
        "dev accuracy": share_text(result.metrics["accuracy"]),
        "int8 kernels gzip'd": f"{size_text(result.kernel_gzip_bytes_before)} to "
        f"{size_text(result.kernel_gzip_bytes_after)}",
    }


def _before_pruning(session: Session) -> str:
    return FINETUNED if session.config.finetune is not None else BASE


def export_inputs(session: Session) -> dict[str, Any]:
    """The files asked for, the models they are made of, and text where it decides on lengths."""
    plans = session.config.exports
    inputs: dict[str, Any] = {
        "files": {plan.name: {"model": plan.model, **asdict(plan.settings)} for plan in plans},
        "models": {name: _fingerprint(session.model(name)) for name in session.exported_models},
        "dev": describe_data(session.dev),
    }
    if any(plan.settings.lengths == AUTO for plan in plans):
        inputs["train"] = describe_data(session.train)
    return inputs


def export_files(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Writes every `.tflite`; the dev split judges `max_drop`."""
    from edgebert.certificate import FloatReference
    from edgebert.exporting import export

    plans = session.config.exports
    references = {
        name: FloatReference(session.model(name), session.dev) for name in session.exported_models
    }
    for done, plan in enumerate(plans):
        session.progress("export", done, len(plans), file=plan.name)
        export(
            session.model(plan.model),
            folder / f"{plan.name}.tflite",
            plan.settings,
            length_texts=session.train.texts,
            reference=references[plan.model],
        )
    session.progress("export", len(plans), len(plans))
    return {"files": len(plans)}


def evaluate_inputs(session: Session) -> dict[str, Any]:
    """The test split, the models and the files."""
    return {
        "test": describe_data(session.test),
        "models": {name: _fingerprint(session.model(name)) for name in session.exported_models},
        "files": _files_inputs(session),
    }


def evaluate_all(session: Session, folder: Path, resume: bool) -> dict[str, Any]:
    """Scores each Keras model and each file on the test split, one JSON file each."""
    from edgebert.evaluation import KerasPredictor, Predictor, evaluate
    from edgebert.litert_model import LiteRtModel

    plans, models = session.config.exports, session.exported_models
    total, done = len(plans) + len(models), 0

    def judge(predictor: Predictor, name: str) -> None:
        nonlocal done
        session.progress("evaluate", done, total, model=name)
        evaluation = evaluate(predictor, session.test, name)
        write_json(folder / f"{name}.json", evaluation.to_dict())
        done += 1

    for model in models:
        judge(KerasPredictor(session.model(model)), keras_name(model))
    for plan in plans:
        judge(LiteRtModel.open(session.tflite(plan)), plan.name)
    session.progress("evaluate", total, total)
    return {"test rows": len(session.test)}


def keras_name(model: str) -> str:
    """What the Keras model is called among the files; no file can have a '+' in its name."""
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
    """Measures all files in turn, one JSON file each.

    A load that other stages of this run left behind is no warning.
    """
    from edgebert.profiling.cpu import BUSY_BEFORE, profile

    assert session.config.profile is not None
    plans = session.config.exports
    texts = take(session.test, PROFILED_TEXTS, seed=0).texts
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
    """JSON as all stages write it."""
    atomic_write(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _fingerprint(model: TaskModel) -> dict[str, Any]:
    """What of a model matters to the stages after it."""
    return {
        **describe_model(model),
        "tokenizer": model.tokenizer.vocabulary.to_settings(),
        "config": dict(vars(model.checkpoint.config)),
    }


def _files_inputs(session: Session) -> Mapping[str, str]:
    try:
        return {
            plan.name: hashlib.sha256(session.tflite(plan).read_bytes()).hexdigest()
            for plan in session.config.exports
        }
    except FileNotFoundError as error:
        raise EdgebertError(f"{error.filename} is gone. Next: run again.") from error
