"""A state on disk comes back as it was, and only to the run that it is of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from edgebert.errors import ModelError, UsageError
from edgebert.models.task_model import TaskModel
from edgebert.training.state import TrainingFolder, describe_data, describe_model
from tests.edgebert.separable import separable

IDENTITY = {"stage": "finetune", "settings": {"epochs": 3, "seed": 1}, "train": {"rows": 9}}
ARRAYS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "step": np.array(7, np.int64),
    "mask": np.array([True, False]),
}


def test_a_state_is_written_and_read(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path, IDENTITY)
    assert folder.read() is None
    folder.write(ARRAYS, {"epoch": 1, "best_epoch": None})
    state = TrainingFolder(tmp_path, IDENTITY).read()
    assert state is not None
    assert state.facts == {"epoch": 1, "best_epoch": None}
    assert set(state.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert state.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(state.arrays[name], array)
    folder.remove()
    assert not any(tmp_path.iterdir())


def test_only_the_best_weights_that_the_state_names_stay(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path, IDENTITY)
    folder.write_best({"w": np.ones(1)}, 1)
    folder.write(ARRAYS, {"best_epoch": 1})
    folder.write_best({"w": np.zeros(1)}, 2)
    # A crash here leaves the old state with the old best weights.
    assert folder.read_best(1)["w"] == 1
    folder.write(ARRAYS, {"best_epoch": 2})
    assert folder.read_best(2)["w"] == 0
    with pytest.raises(ModelError, match=r"best-1\.safetensors can't be read"):
        folder.read_best(1)


def test_every_difference_to_another_run_is_listed(tmp_path: Path) -> None:
    TrainingFolder(tmp_path, IDENTITY).write(ARRAYS, {})
    other = {"stage": "finetune", "settings": {"epochs": 4, "seed": 1}, "train": {"rows": 8}}
    with pytest.raises(UsageError) as caught:
        TrainingFolder(tmp_path, other).read()
    assert "settings.epochs was 3, now 4; train.rows was 9, now 8" in str(caught.value)
    assert "seed" not in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "no metadata", "text"])
def test_a_damaged_state_is_named(tmp_path: Path, damage: str) -> None:
    folder = TrainingFolder(tmp_path, IDENTITY)
    folder.write(ARRAYS, {})
    path = folder.path / "state.safetensors"
    content = {
        "cut": path.read_bytes()[:-3],
        "no metadata": save(ARRAYS),
        "text": b"no safetensors at all",
    }[damage]
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"state\.safetensors can't be read"):
        folder.read()


def test_a_write_that_fails_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = TrainingFolder(tmp_path, IDENTITY)
    folder.write(ARRAYS, {"epoch": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(OSError, match="No space left"):
            folder.write(ARRAYS, {"epoch": 2})
    state = folder.read()
    assert state is not None
    assert state.facts["epoch"] == 1
    assert [path.name for path in folder.path.iterdir()] == ["state.safetensors"]


def test_identities_of_different_data_and_models_differ(tiny_model: TaskModel) -> None:
    assert describe_data(None) is None
    assert describe_data(separable(20, 1)) == describe_data(separable(20, 1))
    assert describe_data(separable(20, 1)) != describe_data(separable(20, 2))
    described = describe_model(tiny_model)
    assert described == describe_model(tiny_model)
    weights = dict(tiny_model.checkpoint.weights)
    weights["pooler.bias"] = weights["pooler.bias"] + 1
    changed = replace(tiny_model, checkpoint=tiny_model.checkpoint.with_weights(weights))
    assert described["weights_sha256"] != describe_model(changed)["weights_sha256"]
