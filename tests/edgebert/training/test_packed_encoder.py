"""The packed encoder is keras-hub's `BertBackbone`: the same outputs, the same gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from converters.checkpoint import GELU_EXACT, GELU_TANH, RELU, BertConfig
from converters.formats import keras_hub
from tests.conftest import random_checkpoint

tf = pytest.importorskip("tensorflow")

from edgebert.tasks import classification  # noqa: E402
from edgebert.training import packing  # noqa: E402
from edgebert.training.packed_backbone import pack_backbone  # noqa: E402
from edgebert.training.packed_encoder import EncoderOptions  # noqa: E402
from edgebert.training.packing import PACK_MULTIPLE, pack, split_heads  # noqa: E402

LABELS = ("no", "yes")
TASK = classification.Classification()
TARGETS = np.array([0, 1, 1, 0, 1, 0], np.int32)


def inputs_of(lengths: Sequence[int], columns: int, vocab_size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    mask = (np.arange(columns) < np.array(lengths)[:, None]).astype(np.int32)
    return {
        "token_ids": rng.integers(1, vocab_size, mask.shape).astype(np.int32) * mask,
        "padding_mask": mask,
        "segment_ids": rng.integers(0, 2, mask.shape).astype(np.int32) * mask,
    }


def build(
    config: BertConfig, packed: bool, dropout: float = 0.0, precision: str = "float32"
) -> Any:
    checkpoint = random_checkpoint(config, LABELS)
    body = keras_hub.build_backbone(config, dropout)
    if packed:
        options = EncoderOptions(dropout=dropout, seed=3, precision=precision)
        body = pack_backbone(body, config, options)
    model = TASK.add_head(body, checkpoint, len(LABELS), 0.0, 0)
    assert not keras_hub.load_weights(model, checkpoint.weights, config)
    return model


def logits_and_gradients(
    model: Any, config: BertConfig, inputs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    variables = keras_hub.variables(model, config)
    with tf.GradientTape() as tape:
        logits = model(inputs, training=True)
        loss = TASK.loss(LABELS)(TARGETS, logits)
    gradients = tape.gradient(loss, [variable.value for _, variable in variables.values()])
    named = dict(zip(variables, gradients, strict=True))
    return {"logits": logits.numpy()} | {
        name: tf.convert_to_tensor(gradient).numpy() for name, gradient in named.items()
    }


@pytest.mark.parametrize(
    ("activation", "lengths"),
    [
        (GELU_EXACT, (3, 9, 12, 16, 5, 4)),
        (GELU_EXACT, (16, 16, 16, 16, 16, 16)),
        (GELU_EXACT, (2, 2, 2, 2, 2, 2)),
        (GELU_TANH, (3, 9, 12, 16, 5, 4)),
        (RELU, (3, 9, 12, 16, 5, 4)),
    ],
)
def test_outputs_and_gradients_are_those_of_the_backbone(
    tiny_config: BertConfig, activation: str, lengths: tuple[int, ...]
) -> None:
    config = replace(tiny_config, activation=activation)
    inputs = inputs_of(lengths, 16, config.vocab_size)
    ours = logits_and_gradients(build(config, packed=True), config, inputs)
    theirs = logits_and_gradients(build(config, packed=False), config, inputs)
    assert set(ours) == set(theirs)
    for name, expected in theirs.items():
        np.testing.assert_allclose(
            ours[name], expected, rtol=1e-3, atol=2e-5 + 1e-5 * np.abs(expected).max(), err_msg=name
        )


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_low_precision_is_close(tiny_config: BertConfig, precision: str) -> None:
    inputs = inputs_of((3, 9, 12, 16, 5, 4), 16, tiny_config.vocab_size)
    exact = build(tiny_config, packed=True)(inputs).numpy()
    low = build(tiny_config, packed=True, precision=precision)(inputs).numpy()
    assert 0 < np.abs(low - exact).max() < 0.1 * np.abs(exact).max()


def test_the_tokens_gradient_is_sparse(tiny_config: BertConfig) -> None:
    model, inputs = build(tiny_config, packed=True), inputs_of((3,) * 6, 8, tiny_config.vocab_size)
    table = keras_hub.variables(model, tiny_config)["embeddings.token"][1]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs))
    assert isinstance(tape.gradient(loss, table.value), tf.IndexedSlices)


def test_dropout_continues_from_its_counter(tiny_config: BertConfig) -> None:
    inputs = inputs_of((3, 9, 12, 16, 5, 4), 16, tiny_config.vocab_size)
    model = build(tiny_config, packed=True, dropout=0.3)
    counter = model.get_layer("packed_encoder").non_trainable_variables
    counter = next(v for v in counter if v.path.startswith("seed_generator") and len(v.shape) == 1)
    np.testing.assert_array_equal(model(inputs).numpy(), model(inputs).numpy())
    before = counter.value.numpy()
    first, second = (model(inputs, training=True).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    counter.assign(before)
    np.testing.assert_array_equal(model(inputs, training=True).numpy(), first)


@pytest.mark.parametrize("lengths", [(1, 1), (40, 40), (40, 1), (17, 16)])
def test_packing_has_every_token_and_whole_multiples(lengths: tuple[int, int]) -> None:
    mask = (np.arange(40) < np.array(lengths)[:, None]).astype(np.int32)
    packing = pack(tf.constant(mask))
    position, row = packing.position.numpy(), packing.row.numpy().reshape(-1)
    assert set(np.flatnonzero(mask)) <= set(position)
    assert len(position) % PACK_MULTIPLE == 0 or len(position) == mask.size
    np.testing.assert_array_equal(row[position], np.arange(len(position)))
    left_out = np.setdiff1d(np.arange(mask.size), position)
    assert (row[left_out] == len(position) - 1).all()
    assert not len(left_out) or not mask.reshape(-1)[position[-1]]


def test_the_example_of_the_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACK_MULTIPLE", 4)
    tables = pack(tf.constant([[1, 1, 1, 0], [1, 1, 0, 0]]))
    assert tables.position.numpy().tolist() == [0, 1, 2, 4, 5, 3, 6, 7]
    assert tables.row.numpy().tolist() == [[[0, 1, 2, 5]], [[3, 4, 6, 7]]]
    x = tf.reshape(tf.range(8 * 3 * 2), [8, 6])  # heads of size 1: each number is its own row
    _, key, _ = split_heads(x, tables, parts=3, heads=2)
    assert int(key[1, 0, 1, 0]) == 26


@pytest.mark.parametrize("aware_of", ["int8", "int4"])
def test_quantization_aware_logits_are_those_of_rounded_weights(
    tiny_config: BertConfig, aware_of: str
) -> None:
    """Rounding the weights beforehand changes nothing, and the gradients pass straight through."""
    weights = random_checkpoint(tiny_config, LABELS).weights
    levels = {"int8": 127, "int4": 7}[aware_of]

    def rounded(array: np.ndarray) -> np.ndarray:
        scale = np.abs(array).max(-1, keepdims=True) / levels
        return np.rint(array / scale) * scale

    inputs = inputs_of((3, 9, 12, 5), 12, tiny_config.vocab_size)

    def logits(own: dict[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        body = keras_hub.build_backbone(tiny_config, 0.0)
        body = pack_backbone(body, tiny_config, EncoderOptions(quantization_aware=aware_of))
        model = TASK.add_head(body, random_checkpoint(tiny_config, LABELS), len(LABELS), 0.0, 0)
        keras_hub.load_weights(model, own, tiny_config)
        with tf.GradientTape() as tape:
            out = model(inputs, training=True)
            loss = tf.reduce_sum(out[:, 0])
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        return out.numpy(), [tf.convert_to_tensor(g).numpy() for g in gradients]

    already = {
        name: rounded(array)
        if (name.endswith(".kernel") and not name.startswith("classifier"))
        or name == "embeddings.token"
        else array
        for name, array in weights.items()
    }
    (plain, gradients), (again, same) = logits(weights), logits(already)
    np.testing.assert_allclose(plain, again, atol=1e-4)
    for one, other in zip(gradients, same, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    assert sum(np.abs(g).sum() > 0 for g in gradients) > len(gradients) / 2
