"""The files of a search. Each is written to a temporary name and renamed when its step is done.

search.json          identity of the search; another model or other data are refused
float.json           dev metrics of the float model
latency_table.json   latencies for structured pruning; latency_table-256.json has a hidden size, too
models/<key>/        pruned and distilled models
files/<key>.tflite   candidates, with their manifests
trials/<key>.json    finished trials
first_rung.json      number of texts of the first round of distillation
lengths/<key>.json   epochs and changed copies of a round of distillation that was started
clock.json           time that is spent, and the seconds of each kind of step
rounds/<key>.json    latencies that were measured in one round
tests/<key>.json     test metrics of a winner

`edgebert search` adds files/<key>.toml of the files of the front, and winner.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from converters.json_fields import Fields
from converters.json_files import JsonFormat, json_value
from edgebert.errors import ModelError, UsageError
from edgebert.system.json_text import json_text
from edgebert.system.storage import atomic_write
from edgebert.training.state import require_same_run

SEARCH = "search.json"
TAUGHT = "train_with_unlabelled"
"""The key in search.json of the rows that students learn from, if there are unlabelled ones."""
_TABLE = "latency_table"
_RECORD_FORMAT = JsonFormat(
    "a record of a search", "delete it; its step then runs again", ModelError
)


def table_name(hidden_sizes: Sequence[int]) -> str:
    """The name of the latency table of a search that tries these hidden sizes."""
    return "-".join([_TABLE, *map(str, hidden_sizes)])


def tables_of(out: Path) -> list[Path]:
    """The latency tables in the folder of a search. A search that resumes may have further ones."""
    return sorted(out.glob(f"{_TABLE}*.json"))


class SearchFolder:
    """The folder of one search.

    Args:
        path: The folder.
        identity: Model, data and settings of the search, as JSON.
        resume: Whether to continue the search in the folder.

    Raises:
        UsageError: The folder has a search and `resume` is False, or the search has another
            identity; every difference is listed.
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
                f"{self.path}: expected a folder without a search. Received: a folder with one. "
                "Next: continue it with --resume, or pass another folder."
            )
        require_same_run(known, self.identity, str(self.path))

    def model(self, key: str) -> Path:
        return self.path / "models" / key

    def file(self, key: str) -> Path:
        return self.path / "files" / f"{key}.tflite"

    def trial(self, key: str) -> dict[str, Any] | None:
        """The record of a finished trial; None if the trial or its file is missing."""
        path = self._trial(key)
        record = self._read(path)
        if record is None:
            return None
        fields = Fields(record)
        fields.number("seconds", 0.0)
        if not fields.text("refused", ""):
            _require_numbers(fields.table("dev"), 1, f"{path}: dev")
            fields.whole("size_bytes", least=1)
            fields.whole("gzip_bytes", least=1)
            fields.whole("vocabulary", least=1)
            fields.tables("layers")
            fields.number("error_points")
            fields.number("disagreement", 0.0)
            fields.table("export", {})
        if fields.problems:
            raise _damaged(path, "; ".join(fields.problems))
        record = {"refused": "", "seconds": 0.0, "export": {}, **record}
        if not record["refused"] and not self.file(key).is_file():
            return None
        return record

    def write_trial(self, key: str, record: Mapping[str, Any]) -> None:
        self._write(self._trial(key), record)

    def once(
        self, name: str, make: Callable[[], dict[str, Any]], numbers: int = 0
    ) -> dict[str, Any]:
        """The result of a step, read from `<name>.json`; without that file the step runs.

        Args:
            name: name of the step.
            make: runs the step.
            numbers: levels of objects above numbers in the result: 1 for an object of numbers. 0
                for a result of another form, which its reader checks.

        Raises:
            ModelError: The file has another form.
        """
        content = self.known(name, numbers)
        if content is None:
            content = json_value(make())
            self.write(f"{name}.json", content)
        assert content is not None
        return content

    def known(self, name: str, numbers: int = 0) -> dict[str, Any] | None:
        """The result of a step; None if it is not written yet.

        Args:
            name: See `once`.
            numbers: See `once`.

        Raises:
            ModelError: The file has another form.
        """
        path = self.path / f"{name}.json"
        content = self._read(path)
        if content is not None and numbers:
            _require_numbers(content, numbers, str(path))
        return content

    def times(self, name: str) -> tuple[float, dict[str, float]]:
        """The time that is spent, and the seconds of each kind of step; nothing if new.

        Raises:
            ModelError: The file has another form.
        """
        path = self.path / name
        content = self._read(path) or {"seconds": 0.0, "rates": {}}
        fields = Fields(content)
        seconds, rates = fields.number("seconds"), fields.table("rates")
        if fields.problems:
            raise _damaged(path, "; ".join(fields.problems))
        _require_numbers(rates, 1, f"{path}: rates")
        return seconds, {kind: float(rate) for kind, rate in rates.items()}

    def write(self, name: str, content: Mapping[str, Any]) -> Path:
        return self._write(self.path / name, content)

    def _trial(self, key: str) -> Path:
        return self.path / "trials" / f"{key}.json"

    @staticmethod
    def _write(path: Path, content: Mapping[str, Any]) -> Path:
        return atomic_write(path, json_text(content, indent=2) + "\n")

    @staticmethod
    def _read(path: Path) -> dict[str, Any] | None:
        return _RECORD_FORMAT.read(path) if path.is_file() else None


def _require_numbers(content: Mapping[str, Any], levels: int, where: str) -> None:
    """Checks that an object holds finite numbers, below further objects.

    Raises:
        ModelError: It does not.
    """
    fields = Fields(content)
    for key in content:
        if levels > 1:
            _require_numbers(fields.table(key), levels - 1, f"{where}: {key}")
        else:
            fields.number(key)
    if fields.problems:
        raise _damaged(where, "; ".join(fields.problems))


def _damaged(where: Path | str, problems: str) -> ModelError:
    return ModelError(
        f"{where}: expected {_RECORD_FORMAT.name}. Received: {problems}. "
        f"Next: {_RECORD_FORMAT.next_step}."
    )
