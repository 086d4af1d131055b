"""The graph of a masked language model: Keras' logits for the first [MASK]s, one partition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.checkpoint import RELU, Checkpoint
from converters.errors import ConversionError
from converters.heads import MaskedTokens
from converters.tflite.inference_graph import (
    DYNAMIC_LENGTH,
    LOGITS,
    Precision,
    build_inference_graph,
    signature_key,
)
from converters.tflite.quantized_matrix import int4_block, quantize_int4
from converters.tflite.tflite_file import read_model
from edgebert.models.litert_runtime import load_interpreter
from edgebert.models.task_model import TaskModel
from tests.converters.tflite.test_inference_graph import FLOAT, run
from tests.tiny_tasks import random_task_checkpoint

MASK_ID = 4
MASKS = 3
PLACES = {"none": (), "one": (5,), "three": (1, 4, 9), "more than the file answers": (1, 2, 6, 8)}


@pytest.fixture(scope="module")
def model(tiny_task_model: Callable[[str], TaskModel]) -> TaskModel:
    return tiny_task_model("masked-lm")


@pytest.fixture(scope="module")
def checkpoint(model: TaskModel) -> Checkpoint:
    return replace(model.checkpoint, masked=MaskedTokens(MASK_ID, MASKS))


def feeds_with(places: tuple[int, ...], length: int, used: int = 11) -> dict[str, np.ndarray]:
    ids = np.zeros((1, length), np.int32)
    ids[0, :used] = np.random.default_rng(used).integers(5, 60, used)
    ids[0, list(places)] = MASK_ID
    mask = (np.arange(length) < used).astype(np.int32)[None]
    segments = ((np.arange(length) > 5) & (np.arange(length) < used)).astype(np.int32)[None]
    return {"token_ids": ids, "padding_mask": mask, "segment_ids": segments}


def keras_logits(model: TaskModel, feeds: dict[str, np.ndarray], places: tuple[int, ...]) -> object:
    asked = np.array([places or (-1,)], np.int32)
    return np.asarray(model.keras_model()({**feeds, "mask_places": asked})[LOGITS])[0]


@pytest.mark.parametrize("case", PLACES)
@pytest.mark.parametrize("length", [12, DYNAMIC_LENGTH])
def test_logits_are_those_of_the_first_masks(
    case: str, length: int, model: TaskModel, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    places = PLACES[case]
    feeds = feeds_with(places, 11 if length == DYNAMIC_LENGTH else length)
    data = build_inference_graph(checkpoint, [length], FLOAT, LOGITS).finish()
    got = run(data, feeds, signature_key(length), tmp_path)
    assert got.shape == (1, MASKS, checkpoint.config.vocab_size)
    assert np.isfinite(got).all()
    count = min(len(places), MASKS)
    expected = keras_logits(model, feeds, places)
    np.testing.assert_allclose(got[0, :count], expected[:count], atol=1e-4)  # type: ignore[index]


def test_a_head_with_an_activation_and_an_epsilon_of_its_own(
    model: TaskModel, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    config = replace(checkpoint.config, masked_lm_activation=RELU, masked_lm_epsilon=0.1)
    other = replace(checkpoint, config=config)
    feeds = feeds_with((3, 7), 12)
    data = build_inference_graph(other, [12], FLOAT, LOGITS).finish()
    got = run(data, feeds, "tokens_12", tmp_path)[0, :2]
    expected = keras_logits(replace(model, checkpoint=other), feeds, (3, 7))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.abs(got - keras_logits(model, feeds, (3, 7))).max() > 0.01


@pytest.mark.parametrize("kernels", ["float32", "float16", "dynamic-int8", "weight-int8"])
@pytest.mark.parametrize("embeddings", ["float32", "float16", "int8", "int4"])
@pytest.mark.parametrize("length", [12, DYNAMIC_LENGTH])
def test_every_precision_is_near_and_in_one_partition(
    kernels: str, embeddings: str, length: int, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    feeds = feeds_with((2, 6, 8), 12)
    lengths = [length] if length == DYNAMIC_LENGTH else [12, 40]
    data = build_inference_graph(checkpoint, lengths, Precision(kernels, embeddings), LOGITS)
    got = run(data.finish(), feeds, signature_key(length), tmp_path)
    nodes = load_interpreter(tmp_path / "graph.tflite", 1)._get_ops_details()
    assert sum(node["op_name"] == "DELEGATE" for node in nodes) == 1
    reference = build_inference_graph(checkpoint, [12], FLOAT, LOGITS).finish()
    expected = run(reference, feeds, "tokens_12", tmp_path)
    error = ((got - expected) ** 2).sum() / (expected**2).sum()
    assert error < (0.05 if embeddings == "int4" else 0.002)


def test_the_table_stands_in_the_file_once(checkpoint: Checkpoint) -> None:
    info = read_model(build_inference_graph(checkpoint, [8, 12], Precision(), LOGITS).finish())
    for subgraph in info.subgraphs:
        (table,) = (t for t in subgraph.tensors if t.name == "embeddings/token_table")
        number = subgraph.tensors.index(table)
        readers = [operator.name for operator in subgraph.operators if number in operator.inputs]
        assert readers == ["EMBEDDING_LOOKUP", "FULLY_CONNECTED"]
    size = checkpoint.config.vocab_size * checkpoint.config.hidden_size
    assert sum(t.size_bytes == size for t in info.subgraphs[0].tensors) == 1


def test_nibbles_are_shared_where_their_blocks_can_be_multiplied(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    config = replace(checkpoint.config, hidden_size=64, num_heads=2)
    wide = random_task_checkpoint(config, "masked-lm", seed=1)
    wide = replace(wide, masked=MaskedTokens(MASK_ID, MASKS))
    feeds = feeds_with((2, 6, 8), 12)
    table = wide.weights["embeddings.token"]
    rounded = quantize_int4(table, int4_block(64)).dequantized()
    as_stored = wide.with_weights({**wide.weights, "embeddings.token": rounded})
    reference = build_inference_graph(as_stored, [12], FLOAT, LOGITS).finish()
    expected = run(reference, feeds, "tokens_12", tmp_path)
    sizes = {}
    for kernels in ("dynamic-int8", "weight-int8"):
        data = build_inference_graph(wide, [12], Precision(kernels, "int4"), LOGITS).finish()
        got = run(data, feeds, "tokens_12", tmp_path)
        nodes = load_interpreter(tmp_path / "graph.tflite", 1)._get_ops_details()
        assert sum(node["op_name"] == "DELEGATE" for node in nodes) == 1
        error = ((got - expected) ** 2).sum() / (expected**2).sum()
        assert error < 0.03
        sizes[kernels] = len(data)
    assert sizes["weight-int8"] - sizes["dynamic-int8"] > config.vocab_size * config.hidden_size


def test_a_graph_must_know_which_token_the_mask_is(model: TaskModel) -> None:
    with pytest.raises(ConversionError, match=r"must know the id of \[MASK\]"):
        build_inference_graph(model.checkpoint, [12], FLOAT, LOGITS)


def test_the_tiny_checkpoint_has_both_heads(checkpoint: Checkpoint) -> None:
    assert checkpoint.has_next_sentence
    assert random_task_checkpoint(checkpoint.config, "masked-lm").head == "masked-lm"
