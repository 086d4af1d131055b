"""One run's config, data and models, opened when they are first asked for, and its early checks."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from edgebert.datasets import Dataset, encode_labels, label_names, read_dataset, split_dataset
from edgebert.errors import DataError, UsageError
from edgebert.model import TaskModel, open_model
from edgebert.pipeline.config import (
    BASE,
    DISTILLED,
    FINETUNED,
    PRUNED,
    ExportPlan,
    PipelineConfig,
    base_folder,
)
from edgebert.progress import Progress
from edgebert.settings import FinetuneSettings

FINETUNED_FOLDER = "1-finetuned"
PRUNED_FOLDER = "2-pruned"
DISTILLED_FOLDER = "3-distilled"
EXPORTED_FOLDER = "4-exported"
EVALUATED_FOLDER = "5-evaluated"
PROFILED_FOLDER = "6-profiled"
AUTO = "auto"


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
            folders = {
                FINETUNED: FINETUNED_FOLDER,
                PRUNED: PRUNED_FOLDER,
                DISTILLED: DISTILLED_FOLDER,
            }
            if name == BASE:
                folder = base_folder(self.config.base, self.config.path.resolve().parent)
            else:
                folder = self.config.out / folders[name]
            as_base = name == BASE and self.config.finetune is not None
            self._models[name] = open_model(folder, as_base)
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
        from edgebert.pruning.schedules import check_settings as check_pruning
        from edgebert.pruning.structured import check_settings as check_structure
        from edgebert.training.inputs import check_settings as check_finetuning

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
        try:
            if self.config.structure is not None:
                check_structure(base.checkpoint.config, self.config.structure)
        except UsageError as error:
            problems.append(f"[structure]: {error}")
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
        if self.config.finetune is None and len(self.config.models) > 1:
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
