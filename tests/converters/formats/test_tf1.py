"""Google's TF1 folders: outputs of modeling.py, skipped tensors, and broken files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import heads
from converters.checkpoint import GELU_TANH, BertConfig, Checkpoint
from converters.errors import ConversionError
from converters.formats.tf1 import read_folder
from converters.formats.weight_names import rows, turn_tf1
from edgebert.errors import ModelError
from edgebert.models.task_model import TaskModel, open_model
from edgebert.tasks import task_named
from edgebert.tasks.probabilities import log_softmax
from tests.conftest import random_checkpoint
from tests.converters.formats.test_huggingface import assert_same_checkpoint
from tests.converters.formats.test_huggingface_families import graph_outputs, masked_lm_outputs
from tests.golden.checkpoints import CHECKPOINTS, checkpoint_inputs, tf1_output
from tests.tiny_tasks import random_task_checkpoint

GOOGLE = CHECKPOINTS / "GoogleTF1"
SQUAD = CHECKPOINTS / "GoogleTF1Squad"
PRETRAINING = CHECKPOINTS / "GoogleTF1Pretraining"
TOKENS = checkpoint_inputs()["padding_mask"].astype(bool)
TAIL = ("weights", "bias")
SHARED = Path(__file__).resolve().parents[4] / "shared" / "checkpoints"


def write_tf1(folder: Path, config: BertConfig, tensors: Mapping[str, np.ndarray]) -> None:
    """A TF1 folder as TensorFlow's saver writes it."""
    import tensorflow as tf

    tf.raw_ops.SaveV2(
        prefix=str(folder / "bert_model.ckpt"),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(array) for array in tensors.values()],
    )
    content = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_positions,
        "type_vocab_size": config.num_segments,
    }
    (folder / "bert_config.json").write_text(json.dumps(content))


def tf1_tensors(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    table = {row.neutral: row for row in rows(checkpoint.config, checkpoint.head)}
    return {table[k].tf1: turn_tf1(v, table[k]) for k, v in checkpoint.weights.items()}


@pytest.fixture
def google(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOOGLE, tmp_path / "google"))


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "bert_config.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def test_outputs_equal_those_of_modeling_py() -> None:
    model = open_model(GOOGLE)
    assert model.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    logits = np.asarray(model.keras_model()(checkpoint_inputs()))
    np.testing.assert_allclose(logits, tf1_output("logits"), atol=1e-4)
    weights = {k: v for k, v in model.checkpoint.weights.items() if not heads.is_head_weight(k)}
    checkpoint = replace(model.checkpoint, weights=weights, labels=())
    encoder = replace(model, checkpoint=checkpoint, task=task_named("encoder"))
    hidden = np.asarray(encoder.keras_model()(checkpoint_inputs()))
    np.testing.assert_allclose(hidden[TOKENS], tf1_output("hidden_states")[TOKENS], atol=1e-4)


def test_spans_equal_those_of_run_squad(tmp_path: Path) -> None:
    model = open_model(SQUAD)
    assert model.task.name == "qa"
    assert not any(name.startswith("pooler.") for name in model.checkpoint.weights)
    for spans in (
        np.asarray(model.keras_model()(checkpoint_inputs())),
        graph_outputs(model.checkpoint, tmp_path),
    ):
        np.testing.assert_allclose(spans[TOKENS], tf1_output("spans")[TOKENS], atol=1e-4)


def test_pretraining_heads_equal_those_of_run_pretraining() -> None:
    model = open_model(PRETRAINING)
    assert model.task.name == "masked-lm"
    outputs = masked_lm_outputs(model.keras_model())
    tokens, following = (log_softmax(outputs[name]) for name in ("logits", "next_sentence"))
    np.testing.assert_allclose(tokens[TOKENS], tf1_output("masked_lm")[TOKENS], atol=1e-4)
    np.testing.assert_allclose(following, tf1_output("next_sentence"), atol=1e-4)


def test_the_history_has_format_and_assumptions() -> None:
    (entry,) = open_model(GOOGLE).history
    assert (entry["stage"], entry["format"]) == ("open", "Google TF1 checkpoint")
    assert "text is lower-cased, since no word has upper-case letters" in entry["notes"][0]


def test_labels_come_from_their_file(google: Path) -> None:
    (google / "labels.txt").write_text("bad\nso so\ngood\n")
    assert read_folder(google).labels == ("bad", "so so", "good")
    (google / "labels.txt").write_text("bad\ngood\n")
    with pytest.raises(ConversionError, match="expected 3 different labels, one per line"):
        read_folder(google)


@pytest.mark.parametrize("task", ["classification", "regression", "qa", "masked-lm", "encoder"])
def test_a_written_tf1_checkpoint_survives_a_round_trip(
    task: str, tiny_config: BertConfig, tmp_path: Path
) -> None:
    """Google's programs have heads for text classification, spans and pre-training."""
    config = replace(tiny_config, activation=GELU_TANH)
    checkpoint = random_checkpoint(config)
    if task != "encoder":
        checkpoint = random_task_checkpoint(config, task, seed=5)
    tensors = tf1_tensors(checkpoint)
    slots = {f"{name}/adam_m": array for name, array in tensors.items()}
    write_tf1(tmp_path, config, {**tensors, **slots, "global_step": np.int64(7)})
    (tmp_path / "labels.txt").write_text("\n".join(checkpoint.labels) + "\n")
    read = read_folder(tmp_path)
    assert_same_checkpoint(read, checkpoint)
    assert read.problem == checkpoint.problem
    assert bool(read.notes) == (task == "regression")


def test_a_fine_tuned_head_has_precedence_over_pretraining_heads(
    tiny_config: BertConfig, tmp_path: Path
) -> None:
    config = replace(tiny_config, activation=GELU_TANH)
    tensors = tf1_tensors(random_task_checkpoint(config, "masked-lm"))
    write_tf1(tmp_path, config, tensors | tf1_tensors(random_checkpoint(config, ("a", "b"))))
    read = read_folder(tmp_path)
    assert read.head == heads.CLASSIFIER
    assert read.notes == (f"{tmp_path} has a head of run_pretraining.py, which is left out.",)


def test_a_fixture_of_another_project_is_read() -> None:
    folder = SHARED / "keras_bert_tiny_tf1"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    model = open_model(folder)
    assert (model.task.name, model.checkpoint.has_next_sentence) == ("masked-lm", True)
    assert model.checkpoint.config.num_heads == 4
    assert {"pooler.kernel", "pooler.bias"} <= model.checkpoint.weights.keys()
    encoder = replace(model, task=task_named("encoder"))
    hidden = np.asarray(
        encoder.keras_model()(checkpoint_inputs() | {"token_ids": np.full((2, 12), 9)})
    )
    assert np.isfinite(hidden).all()


def test_all_missing_tensors_are_listed(tiny_config: BertConfig, tmp_path: Path) -> None:
    config = replace(tiny_config, activation=GELU_TANH)
    tensors = tf1_tensors(random_checkpoint(config, ("a", "b")))
    gone = (
        "bert/encoder/layer_1/attention/self/query/kernel",
        "bert/embeddings/LayerNorm/gamma",
        "bert/pooler/dense/bias",
    )
    write_tf1(tmp_path, config, {k: v for k, v in tensors.items() if k not in gone})
    with pytest.raises(ConversionError, match="3 tensors are missing") as caught:
        read_folder(tmp_path)
    assert all(name in str(caught.value) for name in gone)


def test_a_model_with_an_incomplete_head_is_a_base(tiny_config: BertConfig, tmp_path: Path) -> None:
    tensors = tf1_tensors(random_task_checkpoint(tiny_config, "masked-lm"))
    gone = ("cls/predictions/transform/dense/kernel", "cls/seq_relationship/output_bias")
    write_tf1(tmp_path, tiny_config, {k: v for k, v in tensors.items() if k not in gone})
    with pytest.raises(ConversionError, match=f"2 tensors are missing: {', '.join(gone)}"):
        read_folder(tmp_path)
    base = read_folder(tmp_path, as_base=True)
    assert base.head == heads.ENCODER
    assert base.notes == (f"{tmp_path} has a head of run_pretraining.py, which is left out.",)


def test_spans_of_another_width(tiny_config: BertConfig, tmp_path: Path) -> None:
    tensors = tf1_tensors(random_task_checkpoint(tiny_config, "qa"))
    wide = {f"cls/squad/output_{name}": tensors[f"cls/squad/output_{name}"] for name in TAIL}
    wide = {name: np.concatenate([array, array[:1]]) for name, array in wide.items()}
    write_tf1(tmp_path, tiny_config, tensors | wide)
    with pytest.raises(ConversionError, match=r"spans.kernel: expected \(2, 16\)"):
        read_folder(tmp_path)


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("kept", [0, 1000])
def test_a_truncated_file_is_an_error(google: Path, part: str, kept: int) -> None:
    path = google / f"bert_model.ckpt.{part}"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ConversionError, match=r"can't be read as a TF1 checkpoint.*truncated"):
        read_folder(google)


def test_a_changed_byte_is_an_error(google: Path) -> None:
    path = google / "bert_model.ckpt.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ConversionError, match="can't be read as a TF1 checkpoint"):
        read_folder(google)


def test_missing_files(google: Path) -> None:
    os.rename(google / "bert_config.json", google / "config")
    with pytest.raises(ModelError, match=r"has a TF1 checkpoint but no bert_config\.json"):
        open_model(google)
    os.rename(google / "config", google / "bert_config.json")
    (google / "bert_model.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(ModelError, match=r"no bert_model\.ckpt\.data-\* next to it"):
        open_model(google)
    (google / "bert_model.ckpt.index").unlink()
    with pytest.raises(ModelError, match=r"expected the files of one TF1 checkpoint.*none"):
        open_model(google)


def test_several_checkpoints_in_one_folder(google: Path) -> None:
    shutil.copy(google / "bert_model.ckpt.index", google / "model.ckpt-100.index")
    with pytest.raises(ConversionError, match=r"Received: bert_model\.ckpt, model\.ckpt-100"):
        read_folder(google)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "swish"}, "hidden_act must be one of gelu, relu. Received: 'swish'"),
        ({"hidden_size": None}, "hidden_size must be a whole number. Received: None"),
        ({"num_hidden_layers": 3}, "16 tensors are missing: bert/encoder/layer_2/attention"),
        ({"num_hidden_layers": 1}, "expected 1 layers, as in bert_config.json. Received: more"),
        ({"max_position_embeddings": 20}, r"embeddings.position: expected \(20, 8\)"),
        ({"type_vocab_size": "two"}, "type_vocab_size must be a whole number"),
    ],
)
def test_a_config_that_does_not_fit_the_weights(
    google: Path, changes: dict[str, Any], message: str
) -> None:
    edit(google, **changes)
    with pytest.raises(ConversionError, match=message):
        read_folder(google)


def test_a_vocabulary_of_another_size(google: Path) -> None:
    with (google / "vocab.txt").open("a") as file:
        file.write("surplus\n")
    with pytest.raises(
        ModelError, match="vocabulary has 27 tokens and the embedding table 26 rows"
    ):
        open_model(google)


def test_a_tf1_model_is_saved_as_a_hugging_face_folder(tmp_path: Path) -> None:
    model = open_model(GOOGLE)
    again = open_model(model.save(tmp_path / "saved"))
    assert isinstance(again, TaskModel)
    assert_same_checkpoint(again.checkpoint, model.checkpoint)
    assert again.history == model.history
