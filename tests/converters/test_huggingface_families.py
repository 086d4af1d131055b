"""BERT, DistilBERT and ELECTRA as `transformers` saves them: read, computed and written alike."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from converters.checkpoint import GELU_EXACT, RELU, TANH, Checkpoint
from converters.errors import ConversionError
from converters.huggingface import read_folder, write_folder
from converters.inference_graph import LOGITS, build_inference_graph, signature_key
from edgebert.errors import ModelError
from edgebert.model import open_model
from tests.converters.test_huggingface import assert_same_checkpoint, edit_config
from tests.converters.test_inference_graph import FLOAT, run
from tests.golden.checkpoints import CHECKPOINTS, checkpoint_inputs, checkpoint_output

CLASSIFIERS = {
    "BertForSequenceClassification": TANH,
    "DistilBertForSequenceClassification": RELU,
    "ElectraForSequenceClassification": GELU_EXACT,
}
ENCODERS = ("BertModel", "DistilBertModel", "ElectraModel", "ElectraForPreTraining")
OTHER_HEADS = ("BertForTokenClassification", "DistilBertForQuestionAnswering")
TOLERANCE = 1e-4


def own_inputs(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The golden inputs; a model without segments has one row for them."""
    inputs = checkpoint_inputs()
    if checkpoint.config.num_segments == 1:
        inputs["segment_ids"][:] = 0
    return inputs


def assert_same_tokens(output: np.ndarray, expected: np.ndarray) -> None:
    """Hidden states of padding are nobody's business."""
    tokens = checkpoint_inputs()["padding_mask"].astype(bool)
    np.testing.assert_allclose(output[tokens], expected[tokens], atol=TOLERANCE)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_equal_those_of_transformers(name: str) -> None:
    model = open_model(CHECKPOINTS / name)
    assert model.labels == ("bad", "so so", "good")
    assert model.checkpoint.config.pooler_activation == CLASSIFIERS[name]
    output = np.asarray(model.keras_model()(own_inputs(model.checkpoint)))
    np.testing.assert_allclose(output, checkpoint_output(name), atol=TOLERANCE)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_tflite_graph_and_the_training_graph_compute_the_same(
    name: str, tmp_path: Path
) -> None:
    from edgebert.training.fitting import build_frozen

    model = open_model(CHECKPOINTS / name)
    inputs, expected = own_inputs(model.checkpoint), checkpoint_output(name)
    np.testing.assert_allclose(np.asarray(build_frozen(model)(inputs)), expected, atol=TOLERANCE)
    graph = build_inference_graph(model.checkpoint, [12], FLOAT, LOGITS).finish()
    for row in range(len(expected)):
        feeds = {key: value[row : row + 1] for key, value in inputs.items()}
        logits = run(graph, feeds, signature_key(12), tmp_path)
        np.testing.assert_allclose(logits, expected[row : row + 1], atol=TOLERANCE)


@pytest.mark.parametrize("name", ENCODERS)
def test_hidden_states_equal_those_of_transformers(name: str) -> None:
    model = open_model(CHECKPOINTS / name)
    inputs = checkpoint_inputs()
    assert_same_tokens(np.asarray(model.keras_model()(inputs)), checkpoint_output(name))


@pytest.mark.parametrize("name", OTHER_HEADS)
def test_another_head_is_refused_unless_a_base_is_wanted(name: str) -> None:
    with pytest.raises(ModelError, match=f"Received: {name}, whose head is not read; as a base"):
        open_model(CHECKPOINTS / name)
    base = open_model(CHECKPOINTS / name, as_base=True)
    assert base.checkpoint.notes == (f"{CHECKPOINTS / name} is a {name}: its head is left out.",)
    assert not base.checkpoint.is_classifier
    output = np.asarray(base.keras_model()(checkpoint_inputs()))
    assert_same_tokens(output, checkpoint_output(name))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_with_another_decoding_is_a_base(name: str, tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINTS / name, tmp_path, dirs_exist_ok=True)
    edit_config(tmp_path, problem_type="multi_label_classification")
    with pytest.raises(ConversionError, match="one label a text"):
        read_folder(tmp_path)
    base = read_folder(tmp_path, as_base=True)
    assert base.notes[0].endswith(
        "'multi_label_classification' and 3 outputs: its head is left out."
    )
    assert base.config.pooler_activation == TANH
    assert not base.is_classifier


@pytest.mark.parametrize("name", [*CLASSIFIERS, "BertModel", "ElectraModel"])
def test_what_is_written_has_the_arrays_and_the_config_of_transformers(
    name: str, tmp_path: Path
) -> None:
    source = CHECKPOINTS / name
    checkpoint = read_folder(source)
    write_folder(checkpoint, tmp_path)
    assert_same_checkpoint(read_folder(tmp_path), checkpoint)
    if name == "ElectraModel":  # written as BertModel, which computes the same
        return
    theirs = load_file(source / "model.safetensors")
    ours = load_file(tmp_path / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for key, array in theirs.items():
        np.testing.assert_array_equal(ours[key], array, err_msg=key)
    expected = json.loads((source / "config.json").read_text())
    written = json.loads((tmp_path / "config.json").read_text())
    free = {"problem_type", "position_embedding_type", "seq_classif_dropout"}
    assert {key: expected.get(key) for key in written if key not in free} == {
        key: value for key, value in written.items() if key not in free
    }


def test_segments_that_distilbert_learnt_go_into_its_positions(tmp_path: Path) -> None:
    checkpoint = read_folder(CHECKPOINTS / "DistilBertForSequenceClassification")
    row = np.arange(8, dtype=np.float32)[None]
    trained = checkpoint.with_weights({**checkpoint.weights, "embeddings.segment": row})
    write_folder(trained, tmp_path)
    written = load_file(tmp_path / "model.safetensors")[
        "distilbert.embeddings.position_embeddings.weight"
    ]
    np.testing.assert_array_equal(written, checkpoint.weights["embeddings.position"] + row)


def test_a_distilbert_classifier_tells_no_segments_apart() -> None:
    model = open_model(CHECKPOINTS / "DistilBertForSequenceClassification")
    assert set(model.tokenizer.encode("good movie", "bad movie").segment_ids) == {0}
    (batch,) = model.tokenizer.encode_batch(["good movie"], 5, ["bad movie"])
    assert (len(batch), set(batch.segment_ids)) == (5, {0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_segments": 2}, "2 segments, where DistilBert has none"),
        ({"layer_norm_epsilon": 1e-6}, "a LayerNorm epsilon other than 1e-12: 1e-06"),
    ],
)
def test_what_distilbert_can_not_hold(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    checkpoint = read_folder(CHECKPOINTS / "DistilBertForSequenceClassification")
    with pytest.raises(ConversionError, match=message):
        write_folder(replace(checkpoint, config=replace(checkpoint.config, **changes)), tmp_path)


def test_a_small_electra_is_refused(tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINTS / "ElectraModel", tmp_path, dirs_exist_ok=True)
    edit_config(tmp_path, embedding_size=4)
    with pytest.raises(
        ConversionError, match=r"embedding_size must be hidden_size.*Received: 4 and 8"
    ):
        read_folder(tmp_path)


def test_a_saved_model_says_its_own_padding(tmp_path: Path) -> None:
    model = open_model(CHECKPOINTS / "BertModel")
    tokens = list(model.tokenizer.vocabulary.tokens)
    tokens[0], tokens[7] = tokens[7], tokens[0]
    moved = replace(
        model,
        tokenizer=type(model.tokenizer)(replace(model.tokenizer.vocabulary, tokens=tuple(tokens))),
    )
    moved.save(tmp_path / "moved")
    assert json.loads((tmp_path / "moved" / "config.json").read_text())["pad_token_id"] == 7
