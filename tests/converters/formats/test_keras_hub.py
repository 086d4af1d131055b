"""keras-hub's backbone computes the original outputs, and weights survive a round trip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.checkpoint import GELU_EXACT, GELU_TANH, RELU, BertConfig, Checkpoint
from converters.formats.keras_hub import read_weights
from converters.formats.weight_names import HEADS, from_keras_hub, rows, to_keras_hub
from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Tokenizer, pad
from edgebert.models.task_model import TaskModel, open_model
from edgebert.tasks import task_named, task_of_checkpoint
from tests.golden.reference import REFERENCE_CONFIG, TEXTS, random_weights, reference

ACTIVATIONS = {"gelu": GELU_EXACT, "gelu_new": GELU_TANH, "relu": RELU}


@pytest.mark.parametrize("transform", ["same", "transpose", "heads_out", "heads_in", "heads_bias"])
def test_transforms_have_an_inverse(transform: str) -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(size=(12,) if transform == "heads_bias" else (12, 12))
    turned = to_keras_hub(array, transform, head_size=4)
    np.testing.assert_array_equal(from_keras_hub(turned, transform), array)


@pytest.mark.parametrize("head", HEADS)
def test_every_name_is_there_once(head: str, tiny_config: BertConfig) -> None:
    config = replace(tiny_config, embedding_size=4)
    for column in ("neutral", "huggingface", "keras_hub"):
        names = [getattr(row, column) for row in rows(config, head)]
        assert len(names) == len(set(names))


def test_neutral_names_and_keras_names_identify_the_heads(tiny_config: BertConfig) -> None:
    config = replace(tiny_config, embedding_size=4)
    for column in ("neutral", "keras_hub"):
        names = [getattr(row, column) for row in rows(config)]
        assert len(names) == len(set(names))


def test_weights_survive_a_round_trip(tiny_model: TaskModel) -> None:
    keras_model = tiny_model.keras_model()
    weights = read_weights(keras_model, tiny_model.checkpoint.config)
    assert weights.keys() == tiny_model.checkpoint.weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(array, tiny_model.checkpoint.weights[name], err_msg=name)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_logits_equal_those_of_transformers(activation: str, tiny_vocabulary: Vocabulary) -> None:
    config = replace(REFERENCE_CONFIG, activation=ACTIVATIONS[activation])
    labels = tuple("abcde")
    checkpoint = Checkpoint(config, random_weights(config), labels)
    tokenizer, task = Tokenizer(tiny_vocabulary), task_of_checkpoint(checkpoint)
    model = TaskModel(checkpoint, tokenizer, 32, task).keras_model()
    expected, inputs = reference(f"random_{activation}_logits"), random_inputs()
    np.testing.assert_allclose(np.asarray(model(inputs)), expected, atol=1e-4)


def random_inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    token_ids = rng.integers(0, 50, (2, 12)).astype(np.int32)
    padding_mask, segment_ids = np.ones_like(token_ids), np.zeros_like(token_ids)
    padding_mask[1, 8:] = 0
    segment_ids[:, 5:] = 1
    return {"token_ids": token_ids, "padding_mask": padding_mask, "segment_ids": segment_ids}


def test_minilm_equals_transformers(minilm_dir: Path) -> None:
    model = open_model(minilm_dir)
    bare = replace(model.checkpoint, sentence=None)
    encoder = replace(model, checkpoint=bare, task=task_named("encoder"))
    keras_model = encoder.keras_model()
    for i, text in enumerate(TEXTS):
        encoding = model.tokenizer.encode(text)
        assert list(encoding.token_ids) == reference(f"minilm_{i}_ids").tolist()
        hidden = np.asarray(keras_model(pad([encoding], len(encoding))))[0]
        expected = reference(f"minilm_{i}_hidden")
        np.testing.assert_allclose(hidden[:, : expected.shape[1]], expected, atol=1e-4)
