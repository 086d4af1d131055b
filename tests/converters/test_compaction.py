"""Compaction removes only zeros and keeps the outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.compaction import LayerWidth, compact, layer_widths
from converters.tflite.inference_graph import (
    HIDDEN_STATES,
    LOGITS,
    Precision,
    build_inference_graph,
)
from edgebert.models.task_model import TaskModel
from tests.converters.tflite.test_inference_graph import FLOAT, inputs, run

HEADS, NEURONS = 2, 24


def zeroed(model: TaskModel, heads: dict[int, set[int]], neurons: dict[int, set[int]]):  # type: ignore[no-untyped-def]
    weights = {name: array.copy() for name, array in model.checkpoint.weights.items()}
    size = model.checkpoint.config.head_size
    for layer, dead in heads.items():
        for head in dead:
            part = slice(head * size, (head + 1) * size)
            weights[f"layers.{layer}.attention.output.kernel"][:, part] = 0
    for layer, dead in neurons.items():
        for n in dead:
            if n % 2:
                weights[f"layers.{layer}.feed_forward.output.kernel"][:, n] = 0
            else:
                weights[f"layers.{layer}.feed_forward.inner.kernel"][n] = 0
                weights[f"layers.{layer}.feed_forward.inner.bias"][n] = 0
    return model.checkpoint.with_weights(weights)


subsets = st.fixed_dictionaries(
    {layer: st.sets(st.integers(0, NEURONS - 1), max_size=NEURONS) for layer in range(2)}
)
head_subsets = st.fixed_dictionaries(
    {layer: st.sets(st.integers(0, HEADS - 1), max_size=HEADS) for layer in range(2)}
)


@given(heads=head_subsets, neurons=subsets)
@settings(max_examples=15, deadline=None)
def test_compaction_keeps_the_outputs(
    tiny_model: TaskModel,
    tmp_path_factory: pytest.TempPathFactory,
    heads: dict[int, set[int]],
    neurons: dict[int, set[int]],
) -> None:
    checkpoint = zeroed(tiny_model, heads, neurons)
    small = compact(checkpoint)
    assert layer_widths(small) == tuple(
        LayerWidth(HEADS - len(heads[i]), NEURONS - len(neurons[i])) for i in range(2)
    )
    feeds = inputs(16, 11, checkpoint.config.vocab_size)
    scratch = tmp_path_factory.mktemp("graph")
    for output in (LOGITS, HIDDEN_STATES):
        full, cut = (
            run(build_inference_graph(c, [16], FLOAT, output).finish(), feeds, "tokens_16", scratch)
            for c in (checkpoint, small)
        )
        np.testing.assert_allclose(cut[:, :11], full[:, :11], atol=1e-4)


def test_a_checkpoint_without_pruning_is_unchanged(tiny_model: TaskModel) -> None:
    assert compact(tiny_model.checkpoint) is tiny_model.checkpoint


def test_the_file_gets_smaller(tiny_model: TaskModel, tmp_path: Path) -> None:
    checkpoint = zeroed(tiny_model, {0: {0, 1}, 1: {1}}, {0: set(range(24)), 1: {1, 2}})
    sizes = [
        len(build_inference_graph(c, [16], Precision(), LOGITS).finish())
        for c in (checkpoint, compact(checkpoint))
    ]
    assert sizes[1] < sizes[0]
