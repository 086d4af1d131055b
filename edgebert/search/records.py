"""A search on disk: every file is written whole when its step is done, so a kill loses one step.

search.json          what the search is of; another model or other data are refused
float.json           the float model's dev metrics
latency_table.json   what structured pruning pays by
models/<key>/        pruned and distilled models
files/<key>.tflite   the candidates, with their manifests
trials/<key>.json    a finished trial
rounds/<key>.json    latencies that were measured in turn
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from converters.json_files import JsonFormat, json_value
from edgebert.errors import ModelError, UsageError
from edgebert.system.storage import atomic_write
from edgebert.training.state import require_same_run

SEARCH = "search.json"
_RECORD_FORMAT = JsonFormat(
    "a record of a search", "delete it; that step is then run again", ModelError
)


class SearchFolder:
    """The folder of one search.

    Args:
        path: the folder.
        identity: what the search is of, as JSON has it.
        resume: whether to go on with what is there.

    Raises:
        UsageError: there is a search and `resume` is False, or it is of something else; every
            difference is listed.
    """

    def __init__(self, path: Path | str, identity: Mapping[str, Any], resume: bool) -> None:
        self.path = Path(path)
        self.identity = json_value(identity)
        known = self._read(self.path / SEARCH)
        if known is None:
            self._write(self.path / SEARCH, self.identity)
            return
        if not resume:
            raise UsageError(
                f"{self.path}: expected a folder without a search. Received: one that has a search "
                "in it. Next: go on with it by --resume, or name another folder."
            )
        require_same_run(known, self.identity, str(self.path))

    @property
    def table(self) -> Path:
        return self.path / "latency_table.json"

    def model(self, key: str) -> Path:
        return self.path / "models" / key

    def file(self, key: str) -> Path:
        return self.path / "files" / f"{key}.tflite"

    def trial(self, key: str) -> dict[str, Any] | None:
        """A finished trial whose file is there; None where it is still to be made."""
        record = self._read(self._trial(key))
        if record and not record["refused"] and not self.file(key).is_file():
            return None
        return record

    def write_trial(self, key: str, record: Mapping[str, Any]) -> None:
        self._write(self._trial(key), record)

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What a step gave, from `<name>.json`; the step is taken where there is none."""
        path = self.path / f"{name}.json"
        content = self._read(path)
        if content is None:
            content = json_value(make())
            self._write(path, content)
        assert content is not None
        return content

    def write(self, name: str, content: Mapping[str, Any]) -> Path:
        return self._write(self.path / name, content)

    def _trial(self, key: str) -> Path:
        return self.path / "trials" / f"{key}.json"

    @staticmethod
    def _write(path: Path, content: Mapping[str, Any]) -> Path:
        return atomic_write(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    @staticmethod
    def _read(path: Path) -> dict[str, Any] | None:
        return _RECORD_FORMAT.read(path) if path.is_file() else None
