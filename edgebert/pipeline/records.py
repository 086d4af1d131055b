"""The record of a finished stage: `stage.json` in its folder.

A stage is done when two things hold: the hash of everything that its result depends on equals the
recorded hash, and its output files have the recorded hashes. The record is written last, as one
atomic write, so a stage that was killed never has a record of its new inputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from converters.contained_paths import OutsideFolderError, path_inside
from converters.json_fields import Fields
from converters.json_files import JsonFormat, json_value
from edgebert.errors import DataError
from edgebert.system.json_text import json_text
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
    """A finished stage.

    Attributes:
        stage: Name of the stage.
        inputs: Everything that the result depends on, in JSON types.
        outputs: SHA-256 of each file that the stage wrote, by path inside the folder.
        facts: Facts about the result, for the report.
        seconds: Duration.
        finished: End time, ISO 8601, UTC.
    """

    stage: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    finished: str = ""

    @property
    def hash(self) -> str:
        """SHA-256 of the inputs."""
        return inputs_hash(self.inputs)


def inputs_hash(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of inputs. The order of the keys does not matter."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def json_types(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs after a round trip through JSON: tuples become lists."""
    return dict(json_value(inputs))


def read_record(folder: Path) -> Record | None:
    """Reads the record of a stage.

    None if there is none that this version can read, or if it names outputs outside the folder.
    """
    try:
        content = _RECORD_FORMAT.read(folder / RECORD)
        fields = Fields(content)
        record = Record(
            fields.text("stage"),
            fields.table("inputs"),
            fields.table("outputs"),
            fields.table("facts", {}),
            fields.number("seconds", 0.0),
            fields.text("finished", ""),
        )
        for name in record.outputs:
            path_inside(folder, name)
    except (DataError, OutsideFolderError):
        return None
    return None if fields.problems or content.get("hash") != record.hash else record


def write_record(folder: Path, record: Record) -> None:
    """Writes `stage.json`, which marks the stage as done, and removes files of the old result."""
    old = read_record(folder)
    for name in set(old.outputs) - set(record.outputs) if old else ():
        (folder / name).unlink(missing_ok=True)
    content = {"format": FORMAT, "hash": record.hash, **asdict(record)}
    atomic_write(folder / RECORD, json_text(content, indent=2) + "\n")
    (folder / STARTED).unlink(missing_ok=True)


def begin(folder: Path, inputs: Mapping[str, Any], force: bool) -> bool:
    """Prepares the folder of a stage.

    An earlier result stays until the new one is complete. A user who stops the stage and reverts
    the change still has that result: its files are recognized by their hashes.

    Returns:
        Whether training with the same inputs was interrupted there and can resume.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started, wanted = folder / STARTED, inputs_hash(inputs)
    same = not force and started.is_file() and started.read_bytes() == wanted.encode()
    atomic_write(started, wanted)
    return same and (folder / TRAINING).is_dir()


def files_in(folder: Path) -> dict[str, tuple[int, int]]:
    """Lists the result files of a folder, each with its inode and modification time.

    Both change when a file is written again. Hidden files and the record are not results.
    """
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.as_posix(): ((folder / path).stat().st_ino, (folder / path).stat().st_mtime_ns)
        for path in found
        if path.name != RECORD and not any(part.startswith(".") for part in path.parts)
    }


def hash_outputs(folder: Path, before: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """SHA-256 of every file written since `files_in` returned `before`."""
    return {
        name: _sha256(folder / name)
        for name, state in files_in(folder).items()
        if before.get(name) != state
    }


def why_not_done(record: Record | None, inputs: Mapping[str, Any], folder: Path) -> str:
    """The reason why a stage must run. Empty if it is done."""
    if record is None:
        return "not done yet"
    if record.hash != inputs_hash(inputs):
        changes = _changes(record.inputs, inputs)
        more = f" and {len(changes) - _SHOWN_CHANGES} more" * (len(changes) > _SHOWN_CHANGES)
        return f"changed: {', '.join(changes[:_SHOWN_CHANGES])}{more}"
    for name, sha256 in record.outputs.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if _sha256(folder / name) != sha256:
            return f"{name} was changed"
    return ""


def _changes(old: Any, new: Any, where: str = "") -> list[str]:
    """Dotted names of the values that differ between two inputs."""
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
