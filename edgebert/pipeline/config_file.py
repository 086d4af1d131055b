"""Reads the TOML file of `edgebert run`.

Keys have the names of the settings. Everything that can be checked without opening a model is
checked here, and all problems are listed at once.
"""

from __future__ import annotations

import os
import re
import tomllib
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
    PipelineConfig,
    StepPlan,
    attempt,
)
from edgebert.pipeline.export_tables import read_exports
from edgebert.pipeline.step_tables import read_steps, with_table_path
from edgebert.settings import (
    DataSettings,
    DistillSettings,
    FinetuneSettings,
    ProfileSettings,
    PruneSettings,
    SplitSettings,
    StructureSettings,
    TaskSettings,
    VocabularySettings,
    broken_rules,
    from_table,
)
from edgebert.tasks.foreign import TaskRequest

T = TypeVar("T")

SAMPLE_NAME = "assistant-intents"
_CONFIRM = "confirm_fraction"
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_TRAINED = ("finetune", "structure", "vocabulary", "prune", "distill")
_REQUEST = ("pairs", "prompt")
_LISTED = "stages"
TOP_LEVEL_KEYS = (
    *("name", "base", "out", "task", *_REQUEST, "data", *_TRAINED),
    *(_LISTED, "export", "profile"),
)

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
        structure = self._structure()
        vocabulary = self._settings(VocabularySettings, "vocabulary")
        prune = self._settings(PruneSettings, "prune")
        distill = self._distill()
        profile = self._settings(ProfileSettings, "profile")
        steps = self._steps()
        exports, problems = read_exports(
            self._table.get("export", {}),
            [*self._models(), *(step.name for step in steps)],
            last_only=bool(steps),
        )
        self.problems += problems
        if not exports and not self.problems:
            self.problems.append("[export] writes no file. Next: add recipes")
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
            steps=steps,
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
        return attempt(self.problems, lambda: from_table(TaskSettings, table, "[task]"))

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

    def _structure(self) -> StructureSettings | None:
        settings = self._settings(StructureSettings, "structure")
        if settings is None:
            return None
        try:
            return with_table_path(settings, self._folder)
        except UsageError as error:
            self.problems.append(f"[structure]: {error}")
            return None

    def _steps(self) -> tuple[StepPlan, ...]:
        """Reads `[[stages]]`, which takes the place of the sections with one stage each."""
        if _LISTED not in self._table:
            return ()
        others = [name for name in _TRAINED[1:] if name in self._table]
        if others:
            self.problems.append(
                f"[[stages]] has all stages between fine-tuning and export. Received also: "
                f"[{'], ['.join(others)}]. Next: write these as tables of [[stages]], each with "
                "its 'kind'"
            )
        steps, problems = read_steps(self._table[_LISTED], self._folder)
        self.problems += problems
        return steps

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
        settings = attempt(self.problems, lambda: from_table(DistillSettings, values, "[distill]"))
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
            else attempt(self.problems, lambda: from_table(kind, section, f"[{name}]"))
        )

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
        path = Path(os.path.normpath(self._folder / self._expanded(text, key)))
        try:
            path.exists()
        except OSError as error:  # such as a name that is too long
            self.problems.append(f"'{key}' can't be opened: {error.strerror}")
        return path

    def _data(self, section: dict[str, Any]) -> DataPaths | None:
        before = len(self.problems)
        columns, division = (
            {field.name for field in fields(kind)} for kind in (DataSettings, SplitSettings)
        )
        known = (
            "sample",
            "train",
            "dev",
            "test",
            "unlabelled",
            *sorted(columns),
            *sorted(division),
        )
        for key in section.keys() - set(known):
            self.problems.append(f"[data]: '{key}' is not a known key; known: {', '.join(known)}")
        chosen = {key: value for key, value in section.items() if key in columns}
        settings = attempt(self.problems, lambda: from_table(DataSettings, chosen, "[data]"))
        given = {key: value for key, value in section.items() if key in division}
        splits = self._splits(given) if given else None
        if "sample" in section:
            return self._sample(section)
        paths = {
            key: self._path(self._text(section, key), key)
            for key in ("train", "dev", "test", "unlabelled")
            if key in section or key == "train" or (key == "test" and _CONFIRM not in given)
        }
        if len(self.problems) > before or settings is None:
            return None
        for key, path in paths.items():
            if not path.is_file():
                self.problems.append(f"[data]: {key} = {path} does not exist")
        found = {key: paths.get(key) for key in ("dev", "test", "unlabelled")}
        return DataPaths(paths["train"], columns=settings, splits=splits, **found)

    def _splits(self, section: dict[str, Any]) -> SplitSettings | None:
        """Reads the keys of `[data]` that divide the files."""
        splits = attempt(self.problems, lambda: from_table(SplitSettings, section, "[data]"))
        if splits is None:
            return None
        rules = [
            ("dev_fraction", 0 < splits.dev_fraction < 1, "between 0 and 1"),
            (_CONFIRM, 0 <= splits.confirm_fraction < 1, "from 0 to below 1"),
            ("seed", splits.seed >= 0, "at least 0"),
        ]
        self.problems += [f"[data]: {problem}" for problem in broken_rules(splits, rules)]
        return splits

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
