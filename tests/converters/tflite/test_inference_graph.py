"""The hand-laid graph computes what Keras computes, in one partition, in every recipe."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_quantizer import quantizer, recipe

from converters.checkpoint import GELU_TANH, RELU, BertConfig, Checkpoint
from converters.errors import ConversionError
from converters.tflite.graph_builder import GraphBuilder
from converters.tflite.inference_graph import (
    DYNAMIC_LENGTH,
    HIDDEN_STATES,
    LOGITS,
    PROBABILITIES,
    Precision,
    build_inference_graph,
    signature_key,
)
from converters.tflite.quantized_matrix import QuantizedMatrix, int4_block, quantize_int4
from converters.tflite.tflite_file import read_model
from edgebert.models.litert_runtime import load_interpreter
from edgebert.models.task_model import TaskModel
from edgebert.tasks.probabilities import log_softmax
from tests.conftest import random_checkpoint

FLOAT = Precision("float32", "float32")


def inputs(length: int, used: int, vocab_size: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    token_ids = np.zeros((1, length), np.int32)
    token_ids[0, :used] = rng.integers(0, vocab_size, used)
    padding_mask = (np.arange(length) < used).astype(np.int32)[None]
    segment_ids = (np.arange(length) >= used // 2) & (np.arange(length) < used)
    return {
        "token_ids": token_ids,
        "padding_mask": padding_mask,
        "segment_ids": segment_ids.astype(np.int32)[None],
    }


def run(data: bytes, feeds: dict[str, np.ndarray], key: str, tmp_path: Path) -> np.ndarray:
    path = tmp_path / "graph.tflite"
    path.write_bytes(data)
    outputs = load_interpreter(path, 1).get_signature_runner(key)(**feeds)
    return np.asarray(next(iter(outputs.values())))


def cut(feeds: dict[str, np.ndarray], used: int) -> dict[str, np.ndarray]:
    return {name: value[:, :used] for name, value in feeds.items()}


VARIANTS: dict[str, dict[str, Any]] = {
    "exact gelu": {},
    "tanh gelu": {"activation": GELU_TANH},
    "relu": {"activation": RELU},
    "one layer": {"num_layers": 1},
    "one head": {"num_heads": 1},
    "one segment": {"num_segments": 1},
    "three segments": {"num_segments": 3},
    "large epsilon": {"layer_norm_epsilon": 1e-3},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("length", [16, 40, DYNAMIC_LENGTH])
def test_float_graph_equals_keras(
    variant: str, length: int, tiny_config: BertConfig, tiny_model: TaskModel, tmp_path: Path
) -> None:
    config = replace(tiny_config, **VARIANTS[variant])
    checkpoint = random_checkpoint(config, ("a", "b", "c"), seed=3)
    lengths = [length] if length == DYNAMIC_LENGTH else [8, length]
    data = build_inference_graph(checkpoint, lengths, FLOAT, LOGITS).finish()
    feeds = inputs(16 if length == DYNAMIC_LENGTH else length, 11, config.vocab_size)
    if config.num_segments == 1:
        feeds["segment_ids"][:] = 0
    keras_model = replace(tiny_model, checkpoint=checkpoint).keras_model()
    expected = np.asarray(keras_model(cut(feeds, 11)))
    got = run(data, feeds, signature_key(length), tmp_path)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("length", [16, DYNAMIC_LENGTH])
def test_encoder_gives_every_token(length: int, tiny_encoder: TaskModel, tmp_path: Path) -> None:
    checkpoint = tiny_encoder.checkpoint
    data = build_inference_graph(checkpoint, [length], FLOAT, HIDDEN_STATES).finish()
    feeds = inputs(16, 16, checkpoint.config.vocab_size)
    expected = np.asarray(tiny_encoder.keras_model()(feeds))
    np.testing.assert_allclose(
        run(data, feeds, signature_key(length), tmp_path), expected, atol=1e-4
    )


def test_a_dynamic_length_takes_any_length(tiny_model: TaskModel, tmp_path: Path) -> None:
    checkpoint = tiny_model.checkpoint
    data = build_inference_graph(checkpoint, [DYNAMIC_LENGTH], FLOAT, LOGITS).finish()
    keras_model = tiny_model.keras_model()
    for used in (2, 40, 7, 7, 23):
        feeds = inputs(used, used, checkpoint.config.vocab_size, seed=used)
        np.testing.assert_allclose(
            run(data, feeds, "tokens_dynamic", tmp_path), np.asarray(keras_model(feeds)), atol=1e-4
        )


@pytest.mark.parametrize("length", [16, DYNAMIC_LENGTH])
def test_padding_changes_nothing(length: int, tiny_model: TaskModel, tmp_path: Path) -> None:
    checkpoint = tiny_model.checkpoint
    lengths = [length] if length == DYNAMIC_LENGTH else [9, 16]
    data = build_inference_graph(checkpoint, lengths, Precision(), PROBABILITIES).finish()
    padded = inputs(16, 9, checkpoint.config.vocab_size)
    other_padding = {**padded, "token_ids": padded["token_ids"].copy()}
    other_padding["token_ids"][0, 9:] = 3
    short_key = signature_key(length if length == DYNAMIC_LENGTH else 9)
    short = run(data, cut(padded, 9), short_key, tmp_path)
    for feeds in (padded, other_padding):
        np.testing.assert_allclose(
            run(data, feeds, signature_key(length), tmp_path), short, atol=1e-6
        )


@pytest.mark.parametrize("kernels", ["float32", "float16", "dynamic-int8", "weight-int8"])
@pytest.mark.parametrize("embeddings", ["float32", "float16", "int8", "int4"])
@pytest.mark.parametrize("length", [16, DYNAMIC_LENGTH])
def test_every_precision_is_near_and_in_one_partition(
    kernels: str, embeddings: str, length: int, tiny_model: TaskModel, tmp_path: Path
) -> None:
    checkpoint = tiny_model.checkpoint
    lengths = [length] if length == DYNAMIC_LENGTH else [16, 40]
    graph = build_inference_graph(
        checkpoint, lengths, Precision(kernels, embeddings), PROBABILITIES
    )
    feeds = inputs(16, 16, checkpoint.config.vocab_size)
    got = run(graph.finish(), feeds, signature_key(length), tmp_path)
    reference = build_inference_graph(checkpoint, [16], FLOAT, PROBABILITIES).finish()
    expected = run(reference, feeds, "tokens_16", tmp_path)
    assert got.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(got, expected, atol=0.05)
    (tmp_path / "graph.tflite").write_bytes(graph.finish())
    nodes = load_interpreter(tmp_path / "graph.tflite", 1)._get_ops_details()
    assert sum(node["op_name"] == "DELEGATE" for node in nodes) == 1


def test_int8_weights_are_those_of_ai_edge_quantizer(minilm_dir: Path, tmp_path: Path) -> None:
    """Google's quantizer over our float graph gives the same bits as our int8 graph."""
    from converters.formats.huggingface import read_folder

    checkpoint = read_folder(minilm_dir)
    in_float = build_inference_graph(checkpoint, [16], FLOAT, HIDDEN_STATES).finish()
    judge = quantizer.Quantizer(in_float)
    judge.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    judged = bytes(judge.quantize().quantized_model)
    ours = build_inference_graph(checkpoint, [16], Precision(), HIDDEN_STATES).finish()
    feeds = inputs(16, 12, checkpoint.config.vocab_size)
    np.testing.assert_array_equal(
        run(ours, feeds, "tokens_16", tmp_path), run(judged, feeds, "tokens_16", tmp_path)
    )


def test_signatures_share_their_weights(tiny_model: TaskModel) -> None:
    one = build_inference_graph(tiny_model.checkpoint, [40], Precision(), LOGITS).finish()
    three = build_inference_graph(tiny_model.checkpoint, [8, 16, 40], Precision(), LOGITS).finish()
    info = read_model(three)
    assert [s.signature for s in info.subgraphs] == ["tokens_8", "tokens_16", "tokens_40"]
    assert info.constant_bytes["INT8"] == read_model(one).constant_bytes["INT8"]
    kernels = [
        {t.name: t.buffer for t in s.tensors if t.name.endswith("kernel")} for s in info.subgraphs
    ]
    assert kernels[0] == kernels[1] == kernels[2]
    assert info.select_ops == ()


def test_the_same_checkpoint_gives_the_same_bytes(tiny_model: TaskModel) -> None:
    first, second = (
        build_inference_graph(tiny_model.checkpoint, [8, 16], Precision(), LOGITS).finish()
        for _ in range(2)
    )
    assert first == second


def test_layers_may_have_their_own_widths(tiny_model: TaskModel, tmp_path: Path) -> None:
    """A head or neurons that are zero everywhere can be cut out without a change."""
    checkpoint = tiny_model.checkpoint
    weights = {name: array.copy() for name, array in checkpoint.weights.items()}
    size = checkpoint.config.head_size
    weights["layers.1.attention.output.kernel"][:, :size] = 0
    weights["layers.0.feed_forward.output.kernel"][:, 5:] = 0
    zeroed = checkpoint.with_weights(weights)
    small = dict(weights)
    for part in ("query", "key", "value"):
        for kind in ("kernel", "bias"):
            name = f"layers.1.attention.{part}.{kind}"
            small[name] = weights[name][size:]
    small["layers.1.attention.output.kernel"] = weights["layers.1.attention.output.kernel"][
        :, size:
    ]
    small["layers.0.feed_forward.inner.kernel"] = weights["layers.0.feed_forward.inner.kernel"][:5]
    small["layers.0.feed_forward.inner.bias"] = weights["layers.0.feed_forward.inner.bias"][:5]
    small["layers.0.feed_forward.output.kernel"] = weights["layers.0.feed_forward.output.kernel"][
        :, :5
    ]
    feeds = inputs(16, 12, checkpoint.config.vocab_size)
    full, cut_out = (
        run(build_inference_graph(c, [16], FLOAT, LOGITS).finish(), feeds, "tokens_16", tmp_path)
        for c in (zeroed, checkpoint.with_weights(small))
    )
    np.testing.assert_allclose(cut_out, full, atol=1e-4)


@pytest.mark.parametrize("hidden_size", [16, 40, 64])
def test_int4_rows_are_looked_up_as_they_were_chosen(
    hidden_size: int, tiny_config: BertConfig, tmp_path: Path
) -> None:
    """The runtime's lookup of packed nibbles gives our own dequantized rows, in half the bytes."""
    config = replace(tiny_config, hidden_size=hidden_size)
    checkpoint = random_checkpoint(config, ("a", "b", "c"))
    table = checkpoint.weights["embeddings.token"]
    rounded = quantize_int4(table, int4_block(hidden_size)).dequantized()
    as_float = checkpoint.with_weights({**checkpoint.weights, "embeddings.token": rounded})
    feeds = inputs(16, 16, config.vocab_size)
    packed, expected = (
        build_inference_graph(c, [16], Precision("float32", e), LOGITS).finish()
        for c, e in ((checkpoint, "int4"), (as_float, "float32"))
    )
    got, wanted = (run(data, feeds, "tokens_16", tmp_path) for data in (packed, expected))
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert read_model(packed).constant_bytes["INT4"] == table.size // 2


def in_int4(checkpoint: Checkpoint, names: Iterable[str], block: int) -> dict[str, QuantizedMatrix]:
    return {name: quantize_int4(checkpoint.weights[f"{name}.kernel"], block) for name in names}


@pytest.mark.parametrize("block", [0, 32, 64])
@pytest.mark.parametrize("lengths", [[16, 40], [DYNAMIC_LENGTH]])
def test_kernels_in_int4_are_near_what_they_stand_for(
    block: int, lengths: list[int], tiny_config: BertConfig, tmp_path: Path
) -> None:
    """Each kernel may have its own precision; int4 differs from its own values in float only by
    how the runtime rounds the inputs.
    """
    config = replace(tiny_config, hidden_size=64, num_heads=2, intermediate_size=128)
    checkpoint = random_checkpoint(config, ("a", "b", "c"))
    scale = np.float32(0.4)
    weights = {
        name: value * scale if name.endswith("kernel") else value
        for name, value in checkpoint.weights.items()
    }
    checkpoint = checkpoint.with_weights(weights)
    parts = ("query", "key", "value")
    names = [
        "layers.1.feed_forward.inner",
        *(f"layers.{i}.attention.{part}" for i in (0, 1) for part in parts),
    ]
    chosen = in_int4(checkpoint, names, block)
    rounded = checkpoint.with_weights(
        {**weights, **{f"{name}.kernel": m.dequantized() for name, m in chosen.items()}}
    )
    graph = build_inference_graph(checkpoint, lengths, Precision(by_kernel=chosen), LOGITS)
    feeds = inputs(16, 16, config.vocab_size)
    key = signature_key(lengths[0])
    got = run(graph.finish(), feeds, key, tmp_path)
    nodes = load_interpreter(tmp_path / "graph.tflite", 1)._get_ops_details()
    assert sum(node["op_name"] == "DELEGATE" for node in nodes) == 1
    expected = run(
        build_inference_graph(rounded, lengths, FLOAT, LOGITS).finish(), feeds, key, tmp_path
    )
    np.testing.assert_allclose(got, expected, atol=0.05)
    packed = sum(weights[f"{name}.kernel"].size for name in names) // 2
    assert read_model(graph.finish()).constant_bytes["INT4"] == packed
    assert graph.sources["layer_0/attention/query_key_value/kernel"] == tuple(
        f"layers.0.attention.{part}" for part in parts
    )


def test_kernels_that_are_computed_in_one_are_quantized_alike(tiny_model: TaskModel) -> None:
    checkpoint = tiny_model.checkpoint
    query = in_int4(checkpoint, ["layers.0.attention.query"], 0)
    key = in_int4(checkpoint, ["layers.0.attention.key"], 16)
    value = in_int4(checkpoint, ["layers.0.attention.value"], 0)
    for chosen, message in ((query, "1 of 3"), (query | key | value, "blocks of 16")):
        with pytest.raises(ConversionError, match=message):
            build_inference_graph(checkpoint, [16], Precision(by_kernel=chosen), LOGITS)


def asymmetric_int8_rows(x: np.ndarray) -> np.ndarray:
    """What the runtime makes of inputs as they come: 256 steps from each row's least to largest."""
    low = np.minimum(x.min(axis=1, keepdims=True), 0)
    step = (np.maximum(x.max(axis=1, keepdims=True), 0) - low) / 255
    zero = np.rint(-128 - low / step)
    return (np.clip(np.rint(x / step) + zero, -128, 127) - zero) * step


@pytest.mark.parametrize(("columns", "block"), [(64, 0), (64, 32), (128, 64), (96, 32), (772, 0)])
def test_a_fully_connected_in_int4_is_its_numpy_reference(
    columns: int, block: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(columns + block)
    matrix = quantize_int4(rng.normal(0, 1, (24, columns)).astype(np.float32), block)
    bias = rng.normal(0, 1, 24).astype(np.float32)
    x = rng.normal(0, 1, (5, columns)).astype(np.float32)
    graph = GraphBuilder("one operator")
    sub = graph.subgraph("only")
    kernel = graph.quantized("kernel", matrix)
    rows = sub.input("x", [5, columns], np.float32)
    sub.output("y", sub.fully_connected(rows, kernel, graph.constant("bias", bias), "y"))
    got = run(graph.finish(), {"x": x}, "only", tmp_path)
    (operator,) = read_model(graph.finish()).subgraphs[0].operators
    assert operator.version == (14 if block else 12), "older runtimes compute blocks wrongly"
    expected = asymmetric_int8_rows(x) @ matrix.dequantized().T + bias
    np.testing.assert_allclose(got, expected, atol=1e-3 * np.abs(expected).max())


def test_an_odd_width_has_no_int4_rows(tiny_config: BertConfig) -> None:
    config = replace(tiny_config, hidden_size=15, num_heads=1)
    checkpoint = random_checkpoint(config, ("a", "b"))
    with pytest.raises(ConversionError, match="even width"):
        build_inference_graph(checkpoint, [16], Precision("float32", "int4"), LOGITS)


@pytest.mark.parametrize("lengths", [[41], [1], [], [8, 8], [DYNAMIC_LENGTH, 8]])
def test_lengths_that_can_not_be(lengths: list[int], tiny_model: TaskModel) -> None:
    with pytest.raises(ConversionError, match="lengths must be"):
        build_inference_graph(tiny_model.checkpoint, lengths, Precision(), LOGITS)


def test_an_encoder_has_no_logits(tiny_encoder: TaskModel) -> None:
    with pytest.raises(ConversionError, match="needs another head"):
        build_inference_graph(tiny_encoder.checkpoint, [8], Precision(), LOGITS)


def test_probabilities_are_the_softmax_of_logits(tiny_model: TaskModel, tmp_path: Path) -> None:
    feeds = inputs(16, 12, tiny_model.checkpoint.config.vocab_size)
    logits, probabilities = (
        run(
            build_inference_graph(tiny_model.checkpoint, [16], FLOAT, output).finish(),
            feeds,
            "tokens_16",
            tmp_path,
        )
        for output in (LOGITS, PROBABILITIES)
    )
    np.testing.assert_allclose(np.log(probabilities), log_softmax(logits), atol=1e-5)
