"""A pruned model trains on what is left of it, and what is pruned stays pruned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from converters.compaction import LayerStructure, layer_widths
from edgebert.models.task_model import TaskModel
from edgebert.settings import FinetuneSettings
from edgebert.tasks.classification import Classification

tf = pytest.importorskip("tensorflow")

from edgebert.training import fitting  # noqa: E402
from tests.edgebert.training.test_packed_encoder import inputs_of  # noqa: E402

SETTINGS = FinetuneSettings(dropout=0.0)
KEPT = {
    "one head": (("10", 24), ("01", 5)),
    "no heads": (("00", 24), ("11", 24)),
    "no neurons": (("11", 0), ("10", 0)),
    "an empty layer": (("00", 0), ("11", 3)),
}


def pruned(model: TaskModel, kept: tuple[tuple[str, int], ...]) -> TaskModel:
    neurons = model.checkpoint.config.intermediate_size
    layers = {
        i: LayerStructure(
            np.array([head == "1" for head in heads]),
            np.arange(neurons) < count,
            model.checkpoint.config.head_size,
        )
        for i, (heads, count) in enumerate(kept)
    }
    weights = dict(model.checkpoint.weights)
    for i, layer in layers.items():
        for part, axis, mask in layer.axes():
            name = f"layers.{i}.{part}"
            shape = (-1,) + (1,) * (weights[name].ndim - 1 - axis)
            weights[name] = np.where(mask.reshape(shape), weights[name], np.float32(0))
    return replace(model, checkpoint=model.checkpoint.with_weights(weights))


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_the_narrow_model_computes_the_same(
    tiny_model: TaskModel, kept: tuple[tuple[str, int], ...]
) -> None:
    model = pruned(tiny_model, kept)
    narrow = fitting.build_model(model, Classification(), len(model.labels), True, SETTINGS)
    inputs = inputs_of((3, 9, 12, 5), 12, model.checkpoint.config.vocab_size)
    np.testing.assert_allclose(
        narrow(inputs, training=False), model.keras_model()(inputs), atol=1e-5
    )
    assert narrow.count_params() < tiny_model.keras_model().count_params()


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_training_changes_only_the_remaining_weights(
    tiny_model: TaskModel, kept: tuple[tuple[str, int], ...]
) -> None:
    model = pruned(tiny_model, kept)
    narrow = fitting.build_model(model, Classification(), len(model.labels), True, SETTINGS)
    for variable in narrow.trainable_variables:
        variable.assign_add(np.full(variable.shape, 0.25, np.float32))
    trained = model.updated(narrow, model.labels, {"stage": "test"}).checkpoint
    assert layer_widths(trained) == layer_widths(model.checkpoint)
    for name, before in model.checkpoint.weights.items():
        moved = trained.weights[name] - before
        kept_there = moved != 0
        np.testing.assert_allclose(moved[kept_there], 0.25, atol=1e-6)
        assert np.all(before[~kept_there] == 0), name
