"""The config, data and models of one run, opened on first use, and the checks before it starts."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from edgebert.data.datasets import Dataset, split_dataset
from edgebert.data.label_numbers import with_label_names
from edgebert.data.left_out import left_out_text
from edgebert.errors import DataError, UsageError
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pipeline.config import (
    BASE,
    DISTILLED,
    FINETUNED,
    HUB,
    PRUNED,
    ExportPlan,
    PipelineConfig,
    StepPlan,
    base_folder,
)
from edgebert.settings import (
    DistillSettings,
    FinetuneSettings,
    PruneSettings,
    StructureSettings,
    TaskSettings,
)
from edgebert.system.progress import Progress
from edgebert.tasks import task_named, task_of_file
from edgebert.tasks.examples import with_unlabelled
from edgebert.tasks.foreign import TaskRequest
from edgebert.tasks.task import Task

FINETUNED_FOLDER = "1-finetuned"
PRUNED_FOLDER = "2-pruned"
DISTILLED_FOLDER = "3-distilled"
EXPORTED_FOLDER = "4-exported"
EVALUATED_FOLDER = "5-evaluated"
PROFILED_FOLDER = "6-profiled"
LISTED_FOLDER = "2-stages"
AUTO = "auto"
_FOLDERS = {FINETUNED: FINETUNED_FOLDER, PRUNED: PRUNED_FOLDER, DISTILLED: DISTILLED_FOLDER}


def folder_of(model: str) -> str:
    """The folder of a model that a stage makes, inside the folder of the run."""
    return _FOLDERS.get(model, f"{LISTED_FOLDER}/{model}")


class Session:
    """One run: its config, and its data and models, which are opened on first use.

    Attributes:
        has_worked: Whether this process already ran a stage, which loads and heats the machine.
    """

    def __init__(self, config: PipelineConfig, progress: Progress) -> None:
        self.config, self.progress = config, progress
        self.has_worked = False
        self._models: dict[str, TaskModel] = {}

    @cached_property
    def task(self) -> Task[Any]:
        """The task of the run.

        Raises:
            UsageError: The base has another task and the run does not fine-tune it.
        """
        requested, base = self.config.task.task, self.model(BASE).task
        if self.config.finetune is None:
            if not base.has_answers:
                raise UsageError(
                    "Without [finetune] the base must be a model with a task. Received: a bare "
                    "encoder. Next: add a [finetune] section."
                )
            return base
        data = self.config.data
        if requested != AUTO:
            return task_named(requested)
        return task_of_file(data.train, base, data.columns)

    @property
    def task_settings(self) -> TaskSettings:
        """The settings of the task, with its name filled in."""
        return replace(self.config.task, task=self.task.name)

    @cached_property
    def _read(self) -> dict[str, Dataset]:
        data = self.config.data
        paths = {"train": data.train, "dev": data.dev, "test": data.test}
        read = {
            part: self.task.read(path, data.columns, "required")
            for part, path in paths.items()
            if path is not None
        }
        if self.config.finetune is not None:
            return read
        labels = self.model(BASE).labels
        return {part: with_label_names(each, labels) for part, each in read.items()}

    @cached_property
    def parts(self) -> dict[str, Dataset]:
        """Train, dev and test. Without a dev file, dev is a part of the training rows."""
        read = dict(self._read)
        splits = self.config.data.splits
        settings = splits or self.config.finetune or FinetuneSettings()
        if "dev" not in read:
            read["train"], read["dev"] = split_dataset(
                read["train"], settings.dev_fraction, settings.seed
            )
        confirming = read["dev"]
        if splits is not None and splits.confirm_fraction:
            read["dev"], confirming = split_dataset(
                read["dev"], splits.confirm_fraction, splits.seed
            )
        read.setdefault("test", confirming)
        return read

    @property
    def tests_on_dev(self) -> bool:
        """Whether the test rows are the dev rows, on which epochs are chosen."""
        splits = self.config.data.splits
        return self.config.data.test is None and not (splits and splits.confirm_fraction)

    @property
    def notes(self) -> list[str]:
        """What was assumed about the base, and the rows that were left out of the data."""
        left_out = [left_out_text(each) for each in self._read.values() if each.left_out]
        return [*self.model(BASE).checkpoint.notes, *left_out]

    @property
    def train(self) -> Dataset:
        """The training split."""
        return self.parts["train"]

    @cached_property
    def taught(self) -> Dataset:
        """What the student of the distillation learns from: train, and the unlabelled rows."""
        path = self.config.data.unlabelled
        if path is None:
            return self.train
        return with_unlabelled(self.task, self.train, path, self.config.data.columns)

    @property
    def dev(self) -> Dataset:
        """The split on which stages make choices."""
        return self.parts["dev"]

    @property
    def test(self) -> Dataset:
        """The split on which no choice is made."""
        return self.parts["test"]

    def model(self, name: str) -> TaskModel:
        """Opens a model of the run by name. The stage that makes it must be done."""
        if name not in self._models:
            folder = self._base if name == BASE else self.config.out / folder_of(name)
            as_base = name == BASE and self.config.finetune is not None
            request = self.config.request if name == BASE else TaskRequest()
            self._models[name] = open_model(folder, as_base, request)
        return self._models[name]

    @property
    def _base(self) -> Path | str:
        """The folder of the base, or its name on a hub."""
        base = self.config.base
        if base.startswith(HUB):
            return base.removeprefix(HUB)
        return base_folder(base, self.config.path.resolve().parent)

    def forget(self, name: str) -> None:
        """Drops a model from the cache, because its folder was written again."""
        self._models.pop(name, None)

    def tflite(self, plan: ExportPlan) -> Path:
        """Path of an exported file."""
        return self.config.out / EXPORTED_FOLDER / f"{plan.name}.tflite"

    @property
    def exported_models(self) -> tuple[str, ...]:
        """Names of the models that are exported, in the order of the stages."""
        used = {plan.model for plan in self.config.exports}
        return tuple(name for name in self.config.models if name in used)

    def check(self) -> None:
        """Checks everything that can be checked before any work starts.

        Raises:
            UsageError: The test file equals another split; a length or a task is impossible.
            DataError: The data has labels that are not in the training data.
        """
        refuse_tasks(self.config, self.task)
        hashes = {part: dataset.sha256 for part, dataset in self._read.items()}
        files = ("train", "dev") if "test" in hashes else ()
        same = [part for part in files if hashes.get(part) == hashes["test"]]
        if same:
            raise UsageError(
                f"[data]: the test file must differ from train and dev. Received: test is the "
                f"same file as {' and '.join(same)}. Next: give a file of other rows."
            )
        base = self.model(BASE)
        self._check_labels(base)
        self._check_settings(base)
        if self.config.finetune is not None:
            base = replace(base, max_length=self.finetune_settings.max_length, task=self.task)
        self._check_exports(base)

    @property
    def finetune_settings(self) -> FinetuneSettings:
        """The fine-tuning settings, with the default length of the task filled in."""
        settings = self.config.finetune or FinetuneSettings()
        limit = self.model(BASE).checkpoint.config.max_positions
        length = settings.max_length or min(self.task.max_length, limit)
        return replace(settings, max_length=length)

    def _check_settings(self, base: TaskModel) -> None:
        from edgebert.pruning.schedules import check_settings as check_pruning
        from edgebert.pruning.structure_checks import check_settings as check_structure
        from edgebert.training.inputs import check_settings as check_finetuning

        problems = []
        try:
            if self.config.finetune is not None:
                check_finetuning(base, self.finetune_settings, self.config.data.dev is not None)
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
        for step in self.config.steps:
            try:
                self._check_step(base, step)
            except UsageError as error:
                problems.append(f"[[stages]] {step.name}: {error}")
        if problems:
            raise UsageError("\n".join(problems))

    def _check_step(self, base: TaskModel, step: StepPlan) -> None:
        """Checks the settings of a listed stage against the model before all of them."""
        from edgebert.distillation import check_students
        from edgebert.pruning.schedules import check_settings as check_pruning
        from edgebert.pruning.structure_checks import check_settings as check_structure

        settings = step.settings
        if isinstance(settings, StructureSettings):
            check_structure(base.checkpoint.config, settings)
        elif isinstance(settings, PruneSettings):
            check_pruning(settings)
        elif isinstance(settings, DistillSettings) and self.config.finetune is None:
            check_students(base, base, settings)

    def _check_labels(self, base: TaskModel) -> None:
        tuned = self.config.finetune is not None
        labels = self.task.label_names(self.train) if tuned else base.labels
        parts = [self.dev, self.test]
        if not tuned and len(self.config.models) > 1:
            parts.append(self.train)
        problems = []
        for dataset in parts:
            try:
                self.task.require_known(dataset, labels)
            except DataError as error:
                problems.append(str(error))
        if problems:
            raise DataError("\n".join(problems))

    def _check_exports(self, model: TaskModel) -> None:
        from edgebert.exporting.signatures import choose_lengths

        problems = []
        for plan in self.config.exports:
            try:
                if plan.settings.lengths != AUTO:
                    choose_lengths(model, plan.settings, ())
            except UsageError as error:
                problems.append(f"[[export]] {plan.name}: {error}")
        if problems:
            raise UsageError("\n".join(problems))


def refuse_tasks(config: PipelineConfig, task: Task[Any]) -> None:
    """Refuses sections that the task does not support.

    Raises:
        UsageError: There are such sections. Lists all of them.
    """
    sections = ("structure", "vocabulary", "distill")
    narrow = [name for name in sections if getattr(config, name) is not None]
    narrow += ["[stages]"] if {step.kind for step in config.steps} & set(sections) else []
    if narrow and not task.comparable:
        raise UsageError(
            f"[{'] and ['.join(narrow)}]: expected a task with labels, tags, spans, scores or "
            f"vectors. Received: task {task.name}. Next: remove these sections. Prune or distill "
            "the model after fine-tuning it for another task."
        )
