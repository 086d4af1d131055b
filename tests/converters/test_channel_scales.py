"""Outlier channels: the balanced model is the same function, and int8 keeps its choices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from converters.channel_scales import balance_channels, input_scales
from converters.checkpoint import GELU_EXACT, RELU, BertConfig, Checkpoint
from converters.tflite.inference_graph import LOGITS, Precision, build_inference_graph
from edgebert.models.litert_runtime import load_interpreter
from tests.tiny_tasks import random_task_checkpoint

LENGTH = 16
LAYERS = {
    "feed-forward": ("feed_forward.inner", "feed_forward.output"),
    "attention": ("attention.value", "attention.output"),
}


@pytest.fixture
def plain(tiny_config: BertConfig) -> Checkpoint:
    return random_task_checkpoint(replace(tiny_config, activation=RELU), "classification", seed=3)


def with_outliers(checkpoint: Checkpoint, part: str, scale: float) -> Checkpoint:
    """The same function with three channels of every layer that are `scale` times larger."""
    weights = {name: array.copy() for name, array in checkpoint.weights.items()}
    first, second = LAYERS[part]
    for i in range(checkpoint.config.num_layers):
        for channel in (1, 5, 6):
            weights[f"layers.{i}.{first}.kernel"][channel] *= scale
            weights[f"layers.{i}.{first}.bias"][channel] *= scale
            weights[f"layers.{i}.{second}.kernel"][:, channel] /= scale
    return checkpoint.with_weights(weights)


def logits(checkpoint: Checkpoint, kernels: str, tmp_path: object) -> np.ndarray:
    path = f"{tmp_path}/model.tflite"
    graph = build_inference_graph(checkpoint, [LENGTH], Precision(kernels, "float32"), LOGITS)
    with open(path, "wb") as file:
        file.write(graph.finish())
    run = load_interpreter(path, threads=1).get_signature_runner(f"tokens_{LENGTH}")
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        ids = rng.integers(5, checkpoint.config.vocab_size, (1, LENGTH)).astype(np.int32)
        ones = np.ones_like(ids)
        rows.append(run(token_ids=ids, padding_mask=ones, segment_ids=0 * ids)[LOGITS][0])
    return np.stack(rows)


def test_a_model_without_outliers_is_unchanged(plain: Checkpoint) -> None:
    assert balance_channels(plain) is plain


@pytest.mark.parametrize("scale", [1024.0, 1 / 1024])
@pytest.mark.parametrize("part", LAYERS)
def test_int8_keeps_the_choices_of_a_model_with_outliers(
    plain: Checkpoint,
    part: str,
    scale: float,
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skewed = with_outliers(plain, part, scale)
    balanced = balance_channels(skewed)
    assert balanced is not skewed
    wanted = logits(plain, "float32", tmp_path)
    np.testing.assert_allclose(logits(balanced, "float32", tmp_path), wanted, atol=1e-4)
    monkeypatch.setattr("converters.tflite.encoder_graph.input_scales", lambda checkpoint: {})
    worst = np.abs(logits(skewed, "dynamic-int8", tmp_path) - wanted).max()
    best = np.abs(logits(plain, "dynamic-int8", tmp_path) - wanted).max()
    error = np.abs(logits(balanced, "dynamic-int8", tmp_path) - wanted).max()
    assert error < 2 * best
    assert error < worst


def outliers_behind(checkpoint: Checkpoint, part: str, scale: float) -> Checkpoint:
    """Three channels that are `scale` times larger behind each GELU, or behind each LayerNorm."""
    weights = {name: array.copy() for name, array in checkpoint.weights.items()}
    last = checkpoint.config.num_layers - 1
    for i in range(last + 1):
        inner, output = f"layers.{i}.feed_forward.inner", f"layers.{i}.feed_forward.output"
        rows = [f"{inner}.kernel", f"{inner}.bias"]
        columns = [f"{output}.kernel"]
        if part == "LayerNorm":
            norm = f"layers.{i}.feed_forward.norm"
            rows = [f"{norm}.scale", f"{norm}.bias"]
            readers = [f"layers.{i + 1}.attention.{name}" for name in ("query", "key", "value")]
            columns = [f"{name}.kernel" for name in (readers if i < last else ["pooler"])]
        for channel in (1, 5, 6):
            for name in rows:
                weights[name][channel] *= scale
            for name in columns:
                weights[name][:, channel] /= scale
    return checkpoint.with_weights(weights)


@pytest.mark.parametrize("part", ["GELU", "LayerNorm"])
def test_int8_holds_outliers_behind_gelu_and_layer_norm(
    tiny_config: BertConfig, part: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny_config, activation=GELU_EXACT)
    plain = random_task_checkpoint(config, "classification", seed=3)
    assert input_scales(plain) == {}
    skewed = outliers_behind(plain, part, 1024.0)
    scales = input_scales(skewed)
    assert all(np.log2(each) % 1 == 0 for factors in scales.values() for each in factors)
    wanted = logits(skewed, "float32", tmp_path)
    error = np.abs(logits(skewed, "dynamic-int8", tmp_path) - wanted).max()
    plain_error = np.abs(
        logits(plain, "dynamic-int8", tmp_path) - logits(plain, "float32", tmp_path)
    ).max()
    monkeypatch.setattr("converters.tflite.encoder_graph.input_scales", lambda checkpoint: {})
    worst = np.abs(logits(skewed, "dynamic-int8", tmp_path) - wanted).max()
    assert error < worst / 3
    assert error < 3 * plain_error
