"""What a training run needs to go on after it was stopped, on disk.

Inside the output folder, `.training/` holds the weights of the best epoch so far and
`state.safetensors`: weights, optimizer, counters of the random numbers, what callbacks keep, and as
metadata the facts of the loop and what the run is of. Each file is written whole or not at all, and
the state names the best file that belongs to it, so a crash at any moment leaves a state that can
be resumed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from converters.json_files import json_value, parse_json
from edgebert.data.datasets import Dataset
from edgebert.errors import ModelError, UsageError
from edgebert.models.task_model import TaskModel
from edgebert.system.storage import atomic_write

FOLDER = ".training"
_STATE = "state.safetensors"
_SHOWN_DIFFERENCES = 12

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class SavedState:
    """A stopped run: its arrays by name, and the facts of its loop."""

    arrays: Arrays
    facts: dict[str, Any]


class TrainingFolder:
    """The `.training` folder of one run.

    Args:
        out: the output folder of the stage.
        identity: what the run is of (stage, settings, data, model), as JSON has it. A state of
            another identity is refused.
    """

    def __init__(self, out: Path | str, identity: Mapping[str, Any]) -> None:
        self.path = Path(out) / FOLDER
        self.identity = json_value(identity)

    def read(self) -> SavedState | None:
        """The state, or None where there is none.

        Raises:
            ModelError: the file is damaged.
            UsageError: it is of another run; every difference is listed.
        """
        path = self.path / _STATE
        if not path.is_file():
            return None
        try:
            with safe_open(path, "np") as file:
                metadata = file.metadata()
            content = {key: parse_json(metadata[key]) for key in ("identity", "facts")}
            require_same_run(content["identity"], self.identity, str(self.path))
            return SavedState(load_file(path), content["facts"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error

    def write(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        """Replaces the state, then removes best weights that it does not name."""
        metadata = {"identity": json.dumps(self.identity), "facts": json.dumps(facts)}
        atomic_write(self.path / _STATE, save(arrays, metadata))
        for path in self.path.glob("best-*.safetensors"):
            if path != self._best_path(facts.get("best_epoch")):
                path.unlink()

    def write_best(self, arrays: Arrays, epoch: int) -> None:
        """Keeps the weights of an epoch, beside those of the best one before it."""
        atomic_write(self._best_path(epoch), save(arrays))

    def read_best(self, epoch: int) -> Arrays:
        """The weights of the best epoch.

        Raises:
            ModelError: the file is missing or damaged.
        """
        path = self._best_path(epoch)
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from error

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _best_path(self, epoch: int | None) -> Path:
        return self.path / f"best-{epoch}.safetensors"


def require_same_run(saved: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> None:
    """Refuses to resume one run with the settings, the data or the model of another.

    Raises:
        UsageError: every difference is listed.
    """
    differences = list(_differences(saved, wanted, ""))
    if differences:
        more = len(differences) - _SHOWN_DIFFERENCES
        shown = differences[:_SHOWN_DIFFERENCES] + ([f"and {more} more"] if more > 0 else [])
        raise UsageError(
            f"{where}: the run that was started there is another one. Expected the same settings, "
            f"data and model to resume it. Received: {'; '.join(shown)}. "
            "Next: resume with what it was started with, or start anew without resuming."
        )


def _differences(saved: Any, wanted: Any, path: str) -> Iterator[str]:
    if isinstance(saved, dict) and isinstance(wanted, dict):
        for key in [*saved, *(key for key in wanted if key not in saved)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(saved.get(key), wanted.get(key), inner)
    elif saved != wanted:
        yield f"{path} was {saved!r}, now {wanted!r}"


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path} can't be read ({error}). Expected the state of a training run. "
        f"Next: delete {path.parent} and start anew."
    )


def describe_data(dataset: Dataset | None) -> dict[str, Any] | None:
    """A data set in a run's identity: name, rows, and hashes of the file and of what was read."""
    if dataset is None:
        return None
    digest = hashlib.sha256()
    for example in dataset.examples:
        digest.update(json.dumps(astuple(example)).encode())
    return {
        "name": dataset.name,
        "rows": len(dataset),
        "sha256": dataset.sha256,
        "rows_sha256": digest.hexdigest(),
    }


def describe_model(model: TaskModel) -> dict[str, Any]:
    """A model in a run's identity: its hashes, labels and length."""
    return {
        "weights_sha256": model.checkpoint.weights_sha256(),
        "vocabulary_sha256": model.tokenizer.vocabulary.sha256,
        "labels": list(model.labels),
        "max_length": model.max_length,
        "task": model.task.name,
    }
