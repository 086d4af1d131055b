"""What a stage leaves behind in its folder: `stage.json`, by which the next run knows it is done.

A stage is done when the hash of everything that its result depends on is the recorded one, and its
files are the ones that it wrote. The record is written last and in one piece, so a stage that was
killed has none of its new inputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from converters.json_files import JsonFormat, json_value
from edgebert.errors import DataError
from edgebert.system.storage import atomic_write
from edgebert.training.state import FOLDER as TRAINING

RECORD = "stage.json"
STARTED = ".started.json"
FORMAT = 1
_RECORD_FORMAT = JsonFormat(
    "the record of a stage", "run the stage again", DataError, "", (FORMAT,)
)
_SHOWN_CHANGES = 3


@dataclass(frozen=True)
class Record:
    """A stage that is done.

    Attributes:
        stage: its name.
        inputs: everything that the result depends on, in JSON types.
        outputs: SHA-256 of each file that it wrote, by path inside the folder.
        facts: what the stage says of its result; for the report.
        seconds: it took.
        finished: when, ISO 8601, UTC.
    """

    stage: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    finished: str = ""

    @property
    def hash(self) -> str:
        """Of the inputs."""
        return inputs_hash(self.inputs)


def inputs_hash(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of inputs, the same for the same content whatever its order."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def json_types(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as they are after a trip through JSON: tuples are lists."""
    return dict(json_value(inputs))


def read_record(folder: Path) -> Record | None:
    """The record of a stage; None where there is none that this version can read."""
    try:
        content = _RECORD_FORMAT.read(folder / RECORD)
        del content["format"]
        if content.pop("hash") != inputs_hash(content["inputs"]):
            return None
        return Record(**content)
    except (DataError, LookupError, TypeError):
        return None


def write_record(folder: Path, record: Record) -> None:
    """Writes `stage.json`: from now on the stage is done. Files of an earlier result go."""
    old = read_record(folder)
    for name in set(old.outputs) - set(record.outputs) if old else ():
        (folder / name).unlink(missing_ok=True)
    content = {"format": FORMAT, "hash": record.hash, **asdict(record)}
    atomic_write(folder / RECORD, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    (folder / STARTED).unlink(missing_ok=True)


def begin(folder: Path, inputs: Mapping[str, Any], force: bool) -> bool:
    """Makes a folder ready for its stage.

    An earlier result stays until the new one is done: whoever stops the stage and takes the change
    back has it still. Files that were overwritten by then are found by their hashes.

    Returns:
        Whether training with the same inputs was begun there and stopped, so that it can go on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started, wanted = folder / STARTED, inputs_hash(inputs)
    same = not force and started.is_file() and started.read_text() == wanted
    atomic_write(started, wanted)
    return same and (folder / TRAINING).is_dir()


def files_in(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file in a stage's folder with what changes when it is written anew.

    Hidden files and the record are no results.
    """
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.as_posix(): ((folder / path).stat().st_ino, (folder / path).stat().st_mtime_ns)
        for path in found
        if path.name != RECORD and not any(part.startswith(".") for part in path.parts)
    }


def hash_outputs(folder: Path, before: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """SHA-256 of every file that was written since `files_in` gave `before`."""
    return {
        name: _sha256(folder / name)
        for name, state in files_in(folder).items()
        if before.get(name) != state
    }


def why_not_done(record: Record | None, inputs: Mapping[str, Any], folder: Path) -> str:
    """Says why a stage must run; empty when it is done."""
    if record is None:
        return "not done yet"
    if record.hash != inputs_hash(inputs):
        changes = _changes(record.inputs, inputs)
        more = f" and {len(changes) - _SHOWN_CHANGES} more" * (len(changes) > _SHOWN_CHANGES)
        return f"changed: {', '.join(changes[:_SHOWN_CHANGES])}{more}"
    for name, sha256 in record.outputs.items():
        if not (folder / name).is_file():
            return f"{name} is gone"
        if _sha256(folder / name) != sha256:
            return f"{name} was changed"
    return ""


def _changes(old: Any, new: Any, where: str = "") -> list[str]:
    """Names of the leaves in which two inputs differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            change
            for key in dict.fromkeys((*old, *new))
            for change in _changes(old.get(key), new.get(key), f"{where}.{key}" if where else key)
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            change
            for place, pair in enumerate(zip(old, new, strict=True))
            for change in _changes(*pair, f"{where}[{place}]")
        ]
    return [] if old == new else [where]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
