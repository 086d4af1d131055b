"""Pruned weights are exact zeros in the file, in the places that the method says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from edgebert.errors import DataError, UsageError
from edgebert.finetuning import finetune
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning import PruneResult, prune
from edgebert.pruning.magnitude import kernel_gzip_bytes
from edgebert.settings import FinetuneSettings, PruneSettings
from edgebert.training.stage_run import StageRun
from tests.edgebert.conftest import functions_run
from tests.edgebert.separable import separable

pytest.importorskip("keras_hub")
pytest.importorskip("tensorflow_model_optimization")

TRAIN, DEV = separable(320, seed=1, name="train"), separable(80, seed=2, name="dev")
SETTINGS = PruneSettings(sparsity=0.6, epochs=2, batch_size=16, learning_rate=3e-3, frequency=4)


@pytest.fixture(scope="module")
def classifier(one_layer_encoder: TaskModel, tmp_path_factory: pytest.TempPathFactory) -> TaskModel:
    settings = FinetuneSettings(epochs=4, batch_size=16, learning_rate=5e-3, max_length=16)
    out = tmp_path_factory.mktemp("to-prune") / "model"
    with functions_run(eagerly=False):
        return finetune(one_layer_encoder, TRAIN, DEV, settings, StageRun(out)).model


@pytest.fixture(scope="module")
def pruned(classifier: TaskModel, tmp_path_factory: pytest.TempPathFactory) -> PruneResult:
    run = StageRun(tmp_path_factory.mktemp("pruned") / "model")
    with functions_run(eagerly=False):
        return prune(classifier, TRAIN, DEV, SETTINGS, run)


def kernels_in(folder: Path) -> dict[str, np.ndarray]:
    """The kernels of the encoder's layers as the file has them, `[outputs, inputs]`."""
    arrays = load_file(folder / "model.safetensors")
    return {name: array for name, array in arrays.items() if ".layer." in name and array.ndim == 2}


def test_the_file_has_exact_zeros(pruned: PruneResult) -> None:
    kernels = kernels_in(pruned.out)
    assert len(kernels) == len(pruned.layers) == 6
    for name, array in kernels.items():
        assert np.count_nonzero(array == 0) == round(0.6 * array.size), name
    assert pruned.sparsity == pytest.approx(0.6, abs=0.01)
    for row in pruned.layers:
        assert row.sparsity == pytest.approx(0.6, abs=0.01)
        assert row.shape == pruned.model.checkpoint.weights[row.name].shape


def test_recovery_training_restores_the_accuracy(
    pruned: PruneResult, classifier: TaskModel
) -> None:
    assert pruned.metrics["accuracy"] > 0.95
    entries = pruned.model.history
    assert [entry["stage"] for entry in entries] == ["finetune", "prune"]
    assert entries[0] == classifier.history[0]
    assert open_model(pruned.out).history[-1]["sparsity"] == pruned.sparsity


def test_an_epoch_before_the_final_sparsity_is_not_the_best(pruned: PruneResult) -> None:
    # 40 steps, of which the first 24 change the masks: the first epoch ends at step 20.
    assert [epoch["counts"] for epoch in pruned.epochs] == [False, True]
    assert pruned.best_epoch == 2


def test_zeros_reduce_the_gzip_size(pruned: PruneResult, classifier: TaskModel) -> None:
    assert pruned.kernel_gzip_bytes_before == kernel_gzip_bytes(classifier.checkpoint)
    assert pruned.kernel_gzip_bytes_after < 0.9 * pruned.kernel_gzip_bytes_before


@pytest.mark.parametrize(("pattern", "epochs"), [("2:4", 1), ("1:4", 0)])
def test_every_group_of_inputs_has_the_pattern(
    classifier: TaskModel, tmp_path: Path, pattern: str, epochs: int
) -> None:
    settings = replace(SETTINGS, method="n-m", pattern=pattern, epochs=epochs)
    result = prune(classifier, TRAIN, DEV, settings, StageRun(tmp_path))
    kept, group = map(int, pattern.split(":"))
    for name, array in kernels_in(tmp_path).items():
        non_zeros = np.count_nonzero(array.reshape(array.shape[0], -1, group), axis=-1)
        assert (non_zeros == kept).all(), name
    assert result.sparsity == 1 - kept / group


def test_embeddings_and_head_can_be_pruned_too(classifier: TaskModel, tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=0, include_embeddings=True, include_head=True)
    result = prune(classifier, TRAIN, DEV, settings, StageRun(tmp_path))
    names = {row.name for row in result.layers}
    assert {"embeddings.token", "pooler.kernel", "classifier.kernel"} <= names
    weights = result.model.checkpoint.weights
    for name, before in classifier.checkpoint.weights.items():
        if name in names:
            assert np.count_nonzero(weights[name]) == before.size - round(0.6 * before.size)
        else:
            np.testing.assert_array_equal(weights[name], before)
    assert (result.steps, result.epochs, result.best_epoch) == (0, (), 0)
    assert set(result.metrics) == {"accuracy", "macro_f1"}


@pytest.mark.graphs
def test_an_interrupted_run_ends_with_the_same_result(
    pruned: PruneResult, classifier: TaskModel, tmp_path: Path
) -> None:
    def stop(stage: str, done: int, total: int, **facts: Any) -> None:
        if done == 11:  # between two updates of the masks
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(classifier, TRAIN, DEV, SETTINGS, StageRun(tmp_path, progress=stop))
    resumed = prune(classifier, TRAIN, DEV, SETTINGS, StageRun(tmp_path, resume=True))
    for name, array in pruned.model.checkpoint.weights.items():
        np.testing.assert_allclose(resumed.model.checkpoint.weights[name], array, atol=1e-5)
    again = prune(classifier, TRAIN, DEV, SETTINGS, StageRun(tmp_path, resume=True))
    assert (again.layers, again.metrics) == (resumed.layers, resumed.metrics)
    with pytest.raises(UsageError, match=r"settings\.sparsity was 0\.6, now 0\.7"):
        prune(
            classifier, TRAIN, DEV, replace(SETTINGS, sparsity=0.7), StageRun(tmp_path, resume=True)
        )


def test_invalid_models_and_settings_are_refused(
    one_layer_encoder: TaskModel, classifier: TaskModel, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match=r"Expected a model with a task\. Received: a bare encoder"
    ):
        prune(one_layer_encoder, TRAIN, DEV, SETTINGS, StageRun(tmp_path))
    with pytest.raises(UsageError, match="batch_size: expected at least 1"):
        prune(classifier, TRAIN, DEV, replace(SETTINGS, batch_size=0), StageRun(tmp_path))
    renamed = tuple(replace(row, label="other") for row in DEV.examples)
    with pytest.raises(DataError, match="other"):
        prune(classifier, TRAIN, replace(DEV, examples=renamed), SETTINGS, StageRun(tmp_path))
    assert not any(tmp_path.iterdir())
