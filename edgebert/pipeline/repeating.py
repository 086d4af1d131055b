"""Writes the commands of the files that a search found as TOML files of `edgebert run`.

The stages are read from the history in each file, which has the settings of every stage. A run of
the TOML file repeats them on the same data and gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from converters.json_files import JsonFormat, json_value
from edgebert.errors import EdgebertError, ModelError
from edgebert.models.manifest import read_manifest
from edgebert.models.task_model import TaskModel
from edgebert.pipeline.config import HUB
from edgebert.pruning.structured import STAGE as STRUCTURE
from edgebert.pruning.vocabulary import STAGE as VOCABULARY
from edgebert.searching.records import SEARCH, TAUGHT, tables_of
from edgebert.searching.result import Candidate, SearchResult
from edgebert.settings import (
    CheckSettings,
    DataSettings,
    DistillSettings,
    ExportSettings,
    SearchSettings,
    StructureSettings,
    VocabularySettings,
)
from edgebert.system.storage import atomic_write
from edgebert.tasks.foreign import TaskRequest
from edgebert.training.state import describe_model

WINNER = "winner.toml"
_DISTILL = "distill"
_KINDS = {
    STRUCTURE: ("structure", StructureSettings),
    _DISTILL: ("distill", DistillSettings),
    VOCABULARY: ("vocabulary", VocabularySettings),
}
"""The kind of a table and its settings, by the stage of a history."""
_ALWAYS = ("target_speedup", "method", "epochs", "learning_rate", "hard_weight", "augment", "seed")
"""Settings that are written even if they have their default."""
_DELETE = "\x7f"
_SEARCH = JsonFormat("the identity of a search", "run the search again", ModelError)
_TABLE = JsonFormat("a latency table", "run the search again", ModelError)


@dataclass(frozen=True)
class Origin:
    """Where the model and the data of a search come from.

    Attributes:
        base: Folder of the float model, or its name on a hub.
        train: Training file.
        dev: Dev file; None if dev was a part of the training rows.
        test: Test file; None if there was none.
        unlabelled: File of further rows for students; None if there was none.
        columns: Columns of the files.
        request: What was said about the model.
    """

    base: Path
    train: Path
    dev: Path | None = None
    test: Path | None = None
    unlabelled: Path | None = None
    columns: DataSettings = field(default_factory=DataSettings)
    request: TaskRequest = field(default_factory=TaskRequest)


@dataclass(frozen=True)
class Repeats:
    """The TOML files of a search.

    Attributes:
        winner: That of the winner; None if there is no winner, or if it can't be repeated.
        front: Those of the front, by the key of the file.
        notes: Why files can't be repeated.
    """

    winner: Path | None
    front: Mapping[str, Path]
    notes: tuple[str, ...]


class NoRepeatError(EdgebertError):
    """A file was made in a way that a TOML file can't say."""


def write_repeats(
    result: SearchResult, model: TaskModel, settings: SearchSettings, origin: Origin
) -> Repeats:
    """Writes `files/<key>.toml` for each file of the front, and `winner.toml`.

    Args:
        result: The search.
        model: The float model.
        settings: The settings of the search.
        origin: Where the model and the data come from.
    """
    writer = _Writer(result, model, settings, origin)
    path = result.out / WINNER
    path.unlink(missing_ok=True)
    front: dict[str, Path] = {}
    notes: list[str] = []
    for candidate in result.front:
        key = candidate.key
        beside = candidate.path.with_name(f"{key}.toml")
        try:
            front[key] = writer.write(beside, candidate, f"../again/{key}", "../")
            if result.winner is not None and key == result.winner.key:
                writer.write(path, candidate, "winner-again", "")
        except NoRepeatError as error:
            beside.unlink(missing_ok=True)
            notes.append(f"{candidate.moves.text} has no TOML file: {error}")
    return Repeats(path if path.is_file() else None, front, tuple(notes))


class _Writer:
    """Writes the TOML files of one search."""

    def __init__(
        self, result: SearchResult, model: TaskModel, settings: SearchSettings, origin: Origin
    ) -> None:
        self._result, self._settings, self._origin = result, settings, origin
        self._history = json_value(list(model.history))
        self._teacher = json_value(describe_model(model))
        identity = _SEARCH.read(result.out / SEARCH)
        self._train = identity["train"]
        self._taught = identity.get(TAUGHT, self._train)

    def write(self, path: Path, candidate: Candidate, out: str, root: str) -> Path:
        """Writes the TOML file of one candidate.

        Args:
            path: The file to write.
            candidate: The file to repeat.
            out: Folder of the run, relative to that of `path`.
            root: The folder of the search, relative to that of `path`.

        Raises:
            NoRepeatError: The TOML file can't say how the candidate was made.
        """
        origin = self._origin
        top = {"name": candidate.moves.text, "base": self._base(), "out": out}
        request = origin.request
        if request.task not in ("", "auto"):
            top["task"] = request.task
        top |= _unusual(request, ("pairs", "prompt"))
        tables = [("", top), ("[data]", self._data())]
        tables += [("[[stages]]", stage) for stage in self._stages(candidate, root)]
        tables.append(("[[export]]", {"name": path.stem, **self._export(candidate)}))
        shown = f"edgebert run {path.name}"
        head = f"# Made by `edgebert search`. The same file again: {shown}\n\n"
        return atomic_write(path, head + "\n".join(_text(*table) for table in tables))

    def _base(self) -> str:
        """The folder of the float model, or its name on a hub with the revision that was read."""
        path = self._origin.base
        if path.exists():
            return _absolute(path)
        source = self._history[0] if self._history else {}
        if "hub" in source:
            return f"{HUB}{source['hub']}@{source['revision']}"
        return f"{HUB}{path.as_posix()}"

    def _data(self) -> dict[str, Any]:
        origin = self._origin
        names = ("train", "dev", "test", "unlabelled")
        paths: dict[str, Path | None] = {name: getattr(origin, name) for name in names}
        if "-" in map(str, paths.values()):
            raise NoRepeatError("its data came from the standard input. Next: give a file")
        found: dict[str, Any] = {
            name: _absolute(path) for name, path in paths.items() if path is not None
        }
        found |= _unusual(origin.columns, [each.name for each in fields(DataSettings)])
        if str(found.get("label_map", "")).lower().endswith(".json"):
            found["label_map"] = _absolute(Path(found["label_map"]))
        return {
            **found,
            "confirm_fraction": self._settings.confirm_fraction,
            "seed": self._settings.seed,
        }

    def _stages(self, candidate: Candidate, root: str) -> Iterable[dict[str, Any]]:
        """The tables of the stages that made a candidate from the float model."""
        history = json_value(list(read_manifest(candidate.path).history))
        known = len(self._history)
        if history[:known] != self._history:
            raise NoRepeatError("its history does not begin with that of the float model")
        for entry in history[known:]:
            name = entry.get("stage")
            if name not in _KINDS:
                raise NoRepeatError(f"no table of [[stages]] makes the stage {name!r}")
            kind, settings_kind = _KINDS[name]
            self._check(entry)
            stage = {"kind": kind, **_changed(settings_kind, entry["settings"])}
            if entry.get("latency_table") is not None:
                stage["latency_table"] = f"{root}{self._table_of(entry).name}"
            yield stage

    def _table_of(self, entry: Mapping[str, Any]) -> Path:
        """The file with the latency table that a stage used."""
        for path in tables_of(self._result.out):
            if _TABLE.read(path) == entry["latency_table"]:
                return path
        raise NoRepeatError("a stage used another latency table")

    def _check(self, entry: Mapping[str, Any]) -> None:
        """Checks that a stage used the data and the teacher that a run will use."""
        started = entry.get("started_from", {})
        for used, expected in (("train", self._taught), ("calibration", self._train)):
            data = started.get(used, expected)
            if data != expected:
                raise NoRepeatError(f"the stage {entry['stage']} used other data: {data['name']}")
        if started.get("teacher", self._teacher) != self._teacher:
            raise NoRepeatError(f"the stage {entry['stage']} had another teacher")

    def _export(self, candidate: Candidate) -> dict[str, Any]:
        if not candidate.export:
            raise NoRepeatError(
                "its record does not say how it was exported. Next: delete the file and search "
                "again with --resume"
            )
        sha256 = hashlib.sha256(candidate.path.read_bytes()).hexdigest()
        exported = _changed(ExportSettings, candidate.export, ("recipe", "embedding", "lengths"))
        checks = _changed(CheckSettings, {**candidate.export, "sha256": sha256})
        return {**exported, **checks}


def _changed(
    kind: type, values: Mapping[str, Any], always: Iterable[str] = _ALWAYS
) -> dict[str, Any]:
    """The settings that differ from their defaults, and those that are always written."""
    return {
        each.name: values[each.name]
        for each in fields(kind)
        if each.name in values and (each.name in always or values[each.name] != each.default)
    }


def _unusual(settings: Any, names: Iterable[str]) -> dict[str, Any]:
    defaults = type(settings)()
    return {
        name: getattr(settings, name)
        for name in names
        if getattr(settings, name) != getattr(defaults, name)
    }


def _absolute(path: Path) -> str:
    return str(path.expanduser().resolve())


def _text(heading: str, table: Mapping[str, Any]) -> str:
    """A TOML table as text."""
    lines = [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join([*([heading] if heading else []), *lines]) + "\n"


def _value(value: str | bool | int | float) -> str:
    """A TOML value. JSON's texts are TOML's, except that TOML also escapes the delete character."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace(_DELETE, "\\u007f")
    return repr(value)
