"""Reads the TOML file of `edgebert run`.

Keys have the names of the settings. Everything that can be checked without opening a model is
checked here, and all problems are listed at once.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from converters.limited_files import read_limited
from edgebert.data.datasets import sample_set
from edgebert.errors import UsageError
from edgebert.pipeline.config import (
    BASE,
    DISTILLED,
    FINETUNED,
    PRUNED,
    DataPaths,
    DistillPlan,
    ExportPlan,
    PipelineConfig,
)
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
from edgebert.tasks.foreign import TaskRequest

T = TypeVar("T")

SAMPLE_NAME = "assistant-intents"
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TRAINED = ("finetune", "structure", "vocabulary", "prune", "distill")
_REQUEST = ("pairs", "prompt")
TOP_LEVEL_KEYS = ("name", "base", "out", "task", *_REQUEST, "data", *_TRAINED, "export", "profile")

_MAX_BYTES = 2**20
"""The largest TOML file that is read."""


def read_config(path: Path | str, out: Path | None = None) -> PipelineConfig:
    """Reads a TOML file.

    Args:
        path: The file. Relative paths inside it are relative to its folder.
        out: Replaces the value of `out` in the file.

    Raises:
        UsageError: The file is missing, is not TOML, or has invalid values. Lists all problems.
    """
    path = Path(path)
    try:
        table = tomllib.loads(read_limited(path, _MAX_BYTES).decode("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist. Expected the TOML file of a run.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}. Next: correct that line.") from error
    if _has_large_integer(table):
        raise UsageError(
            f"{path}: expected whole numbers of at most 64 bits, as TOML has. Received: a larger "
            "one. Next: write a smaller number."
        )
    reader = _Reader(table, path.resolve().parent)
    config = reader.config(path, out)
    if reader.problems or config is None:
        raise UsageError(
            f"{path}: {len(reader.problems)} problem{'s' * (len(reader.problems) > 1)}.\n"
            + "\n".join(f"- {problem}" for problem in reader.problems)
        )
    return config


def _has_large_integer(value: Any) -> bool:
    """Whether a whole number has more than 64 bits; messages can't show one of 5,000 digits."""
    if isinstance(value, dict):
        return any(map(_has_large_integer, value.values()))
    if isinstance(value, list):
        return any(map(_has_large_integer, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63


class _Reader:
    """Reads the sections of one file and collects all problems."""

    def __init__(self, table: dict[str, Any], folder: Path) -> None:
        self.problems: list[str] = []
        self._table, self._folder = table, folder

    def config(self, path: Path, out: Path | None) -> PipelineConfig | None:
        for key in self._table.keys() - set(TOP_LEVEL_KEYS):
            self.problems.append(
                f"'{key}' is not a known section or key; known: {', '.join(TOP_LEVEL_KEYS)}"
            )
        name = self._text(self._table, "name", "") or path.stem
        base = self._expanded(self._text(self._table, "base"), "base")
        folder = out or self._path(self._text(self._table, "out"), "out")
        task = self._task()
        request = self._request(task)
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
            request=request,
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
        """Reads `task = "ner"`, or a section `[task]` with further settings of the task."""
        value = self._table.get("task", {})
        if not isinstance(value, str | dict):
            self.problems.append(f"'task' must be a name or a section. Received: {value!r}")
            return None
        table = {"task": value} if isinstance(value, str) else value
        return self._attempt(lambda: from_table(TaskSettings, table, "[task]"))

    def _request(self, task: TaskSettings | None) -> TaskRequest:
        """What the file says about a base with a task: `task`, `pairs` and `prompt`."""
        pairs, prompt = self._table.get("pairs", False), self._text(self._table, "prompt", "")
        if not isinstance(pairs, bool):
            self.problems.append(f"'pairs' must be true or false. Received: {pairs!r}")
        given = [key for key in _REQUEST if key in self._table]
        if "finetune" in self._table:
            if given:
                self.problems.append(
                    f"'{given[0]}' is a setting of a base that is not fine-tuned: with [finetune] "
                    "the data and 'task' decide. Next: remove it"
                )
            return TaskRequest()
        return TaskRequest("" if task is None else task.task, pairs is True, prompt)

    def _models(self) -> list[str]:
        """Names of the models that the sections produce."""
        given = self._table.keys()
        narrows = [name for name in ("structure", "vocabulary") if name in given]
        if narrows and "prune" in given:
            self.problems.append(
                f"[prune] removes single weights and [{narrows[0]}] removes parts of the "
                "structure: a run can have only one of them. Next: remove one section"
            )
        made = ((FINETUNED, {"finetune"}), (PRUNED, {"prune", *narrows}), (DISTILLED, {"distill"}))
        return [BASE, *(name for name, sections in made if sections & given)]

    def _distill(self) -> DistillPlan | None:
        """Reads `[distill]`: the settings, and a `student` if the run does not prune."""
        section = self._section("distill")
        if section is None:
            return None
        values = dict(section)
        student = self._text(values, "student", "")
        values.pop("student", None)
        pruned = self._table.keys() & {"structure", "vocabulary"}
        if bool(student) == bool(pruned) or "prune" in self._table:
            self.problems.append(
                "[distill] trains the model of [structure] or [vocabulary], or a 'student' such as "
                '"half-depth". Next: give exactly one of them, and no [prune]'
            )
        settings = self._attempt(lambda: from_table(DistillSettings, values, "[distill]"))
        return None if settings is None else DistillPlan(student, settings)

    def _section(self, name: str) -> dict[str, Any] | None:
        if name not in self._table:
            return None
        section = self._table[name]
        if isinstance(section, dict):
            return section
        self.problems.append(f"[{name}] must be a section. Received: {section!r}")
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
                f"'{key}' is required and must be a text. Received: "
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
        known = ("sample", "train", "dev", "test", "unlabelled", *sorted(columns))
        for key in section.keys() - set(known):
            self.problems.append(f"[data]: '{key}' is not a known key; known: {', '.join(known)}")
        chosen = {key: value for key, value in section.items() if key in columns}
        settings = self._attempt(lambda: from_table(DataSettings, chosen, "[data]"))
        if "sample" in section:
            return self._sample(section)
        paths = {
            key: self._path(self._text(section, key), key)
            for key in ("train", "test", *(key for key in ("dev", "unlabelled") if key in section))
        }
        if len(self.problems) > before or settings is None:
            return None
        for key, path in paths.items():
            if not path.is_file():
                self.problems.append(f"[data]: {key} = {path} does not exist")
        more = {key: paths.get(key) for key in ("dev", "unlabelled")}
        return DataPaths(paths["train"], test=paths["test"], columns=settings, **more)

    def _sample(self, section: dict[str, Any]) -> DataPaths | None:
        if section["sample"] != SAMPLE_NAME:
            self.problems.append(
                f"[data]: the bundled sample is '{SAMPLE_NAME}'. Received: {section['sample']!r}"
            )
        if len(section) > 1:
            self.problems.append(
                "[data]: 'sample' excludes all other keys. "
                f"Received: {', '.join(section.keys() - {'sample'})}"
            )
        files = sample_set()
        return DataPaths(files.train, files.dev, files.test, DataSettings())

    def _exports(self, models: list[str]) -> tuple[ExportPlan, ...]:
        tables = self._table.get("export")
        if isinstance(tables, list):
            plans = [
                plan
                for place, table in enumerate(tables)
                for plan in self._export_table(table, models, f"[[export]] number {place + 1}")
            ]
        else:
            section = self._section("export")
            plans = self._export_section(section or {}, models)
        names = Counter(plan.name for plan in plans)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            self.problems.append(
                f"[[export]]: two files have the name {', '.join(twice)}. Next: give each a 'name'"
            )
        if not plans and not self.problems:
            self.problems.append("[export] writes no file. Next: add recipes")
        return tuple(plans)

    def _export_table(self, table: Any, models: list[str], where: str) -> list[ExportPlan]:
        """Reads one `[[export]]` table: a model, a recipe, optionally a name."""
        if not isinstance(table, dict):
            self.problems.append(f"{where} must be a section. Received: {table!r}")
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
        """Reads `[export]`: every recipe for every model."""
        values, where = dict(section), "[export]"
        recipes = values.pop("recipes", None)
        if recipes is not None and "recipe" in values:
            self.problems.append(f"{where}: give either 'recipe' or 'recipes', not both")
        if recipes is None:
            recipes = [values.pop("recipe", ExportSettings().recipe)]
        chosen = values.pop("models", models[1:] or models)
        if not isinstance(recipes, list) or not isinstance(chosen, list):
            self.problems.append(f"{where}: 'recipes' and 'models' must be lists")
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

    def _known_models(self, names: list[Any], models: list[str], where: str) -> bool:
        unknown = [name for name in names if name not in models]
        if unknown:
            self.problems.append(
                f"{where}: expected a model of this run: {', '.join(models)}. "
                f"Received: {', '.join(map(repr, unknown))}"
            )
        return not unknown

    def _plan(
        self, name: Any, model: str, settings: ExportSettings, where: str
    ) -> list[ExportPlan]:
        name = f"{model}-{settings.recipe}" if name is None else name
        if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
            self.problems.append(
                f"{where}: 'name' must be a file name of letters, digits, '.', '_' and '-'. "
                f"Received: {name!r}"
            )
            return []
        return [ExportPlan(name, model, settings)]
