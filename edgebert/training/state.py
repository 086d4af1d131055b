"""The state of a training run on disk, so that an interrupted run can be resumed.

The folder `.training/` inside the output folder holds two files:

- `best-{epoch}.safetensors`: the weights of the best epoch so far.
- `state.safetensors`: weights, optimizer variables, random counters and the state of callbacks. Its
  metadata holds the facts of the loop and the identity of the run.

Each file is written to a temporary name and renamed. The state names the best file that belongs to
it, so a crash at any moment leaves a state that can be resumed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from converters.json_files import json_value, parse_json
from converters.mapped_weights import parts_of
from edgebert.data.datasets import Dataset
from edgebert.errors import ModelError, UsageError
from edgebert.models.task_model import TaskModel
from edgebert.system.storage import atomic_write, remove_folder

FOLDER = ".training"
_STATE = "state.safetensors"
_SHOWN_DIFFERENCES = 12

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class SavedState:
    """The saved state of a run.

    Attributes:
        arrays: Arrays by name.
        facts: The facts of the training loop: epoch, step, scores.
    """

    arrays: Arrays
    facts: dict[str, Any]


class TrainingFolder:
    """The `.training` folder of one run.

    Args:
        out: Output folder of the stage.
        identity: Stage, settings, data and model of the run, as JSON. A saved state with another
            identity is refused.
    """

    def __init__(self, out: Path | str, identity: Mapping[str, Any]) -> None:
        self.path = Path(out) / FOLDER
        self.identity = json_value(identity)

    def read(self) -> SavedState | None:
        """Reads the saved state; None if there is none.

        Raises:
            ModelError: The file is damaged.
            UsageError: It belongs to a different run; every difference is listed.
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
        """Replaces the state, then removes the weights of epochs that are no longer the best."""
        metadata = {"identity": json.dumps(self.identity), "facts": json.dumps(facts)}
        atomic_write(self.path / _STATE, parts_of(arrays, metadata))
        for path in self.path.glob("best-*.safetensors"):
            if path != self._best_path(facts.get("best_epoch")):
                path.unlink()

    def write_best(self, arrays: Arrays, epoch: int) -> None:
        """Writes the weights of a new best epoch; those of the previous one stay until `write`."""
        atomic_write(self._best_path(epoch), parts_of(arrays, {}))

    def read_best(self, epoch: int) -> Arrays:
        """Reads the weights of the best epoch.

        Raises:
            ModelError: The file is missing or damaged.
        """
        path = self._best_path(epoch)
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from error

    def remove(self) -> None:
        """Deletes the folder."""
        remove_folder(self.path)

    def _best_path(self, epoch: int | None) -> Path:
        return self.path / f"best-{epoch}.safetensors"


def require_same_run(saved: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> None:
    """Checks that a saved run has the same settings, data and model as the requested one.

    Args:
        saved: Identity of the saved run.
        wanted: Identity of the requested run.
        where: Folder of the saved run, for the message.

    Raises:
        UsageError: They differ; every difference is listed.
    """
    differences = differences_of(saved, wanted)
    if differences:
        raise UsageError(
            f"{where}: this folder holds a different run. Expected the same settings, data and "
            f"model to resume it. Received: {differences}. Next: resume with the settings of the "
            "first start, or start again without resuming."
        )


def differences_of(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The differences of two identities in words, the first twelve; empty if there are none."""
    differences = list(_differences(saved, wanted, ""))
    more = len(differences) - _SHOWN_DIFFERENCES
    return "; ".join(differences[:_SHOWN_DIFFERENCES] + ([f"and {more} more"] if more > 0 else []))


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
        f"Next: delete {path.parent} and start again."
    )


def describe_data(dataset: Dataset | None) -> dict[str, Any] | None:
    """A data set in a run's identity: name, rows, and hashes of the file and of its examples."""
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
    """A model in a run's identity: hashes, labels, maximum length and task."""
    return {
        "weights_sha256": model.checkpoint.weights_sha256(),
        "vocabulary_sha256": model.tokenizer.vocabulary.sha256,
        "labels": list(model.labels),
        "max_length": model.max_length,
        "task": model.task.name,
    }
