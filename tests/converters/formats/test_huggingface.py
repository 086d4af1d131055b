"""Hugging Face folders: all forms of stored weights, and broken folders."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from converters.checkpoint import Checkpoint
from converters.errors import ConversionError
from converters.formats.huggingface import read_folder, write_folder
from converters.formats.model_folder import recognise
from edgebert.models.task_model import TaskModel
from tests.golden.reference import REFERENCE_CONFIG, random_weights, reference_shapes


@pytest.fixture
def folder(tiny_model: TaskModel, tmp_path: Path) -> Path:
    write_folder(tiny_model.checkpoint, tmp_path)
    return tmp_path


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def assert_same_checkpoint(a: Checkpoint, b: Checkpoint, tolerance: float = 0.0) -> None:
    assert a.config == b.config
    assert a.labels == b.labels
    assert a.weights.keys() == b.weights.keys()
    for name in a.weights:
        np.testing.assert_allclose(a.weights[name], b.weights[name], atol=tolerance, err_msg=name)


def test_written_files_are_read_back(folder: Path, tiny_model: TaskModel) -> None:
    assert_same_checkpoint(read_folder(folder), tiny_model.checkpoint)


def test_written_files_have_all_arrays_of_transformers(tmp_path: Path) -> None:
    """Names and shapes equal those of the state dict of transformers."""
    weights = random_weights(REFERENCE_CONFIG)
    write_folder(Checkpoint(REFERENCE_CONFIG, weights, tuple("abcde")), tmp_path)
    written = {k: list(v.shape) for k, v in load_file(tmp_path / "model.safetensors").items()}
    assert written == reference_shapes()


def test_a_bare_encoder_is_read(tiny_encoder: TaskModel, tmp_path: Path) -> None:
    write_folder(tiny_encoder.checkpoint, tmp_path)
    read = read_folder(tmp_path)
    assert_same_checkpoint(read, tiny_encoder.checkpoint)
    assert not read.is_classifier


@pytest.mark.parametrize(("kind", "tolerance"), [("F16", 2e-3), ("BF16", 2e-2)])
def test_half_precision_weights_are_read(
    folder: Path, tiny_model: TaskModel, kind: str, tolerance: float
) -> None:
    arrays = load_file(folder / "model.safetensors")
    encode: Callable[[np.ndarray], bytes] = {
        "F16": lambda a: a.astype("<f2").tobytes(),
        "BF16": lambda a: (a.view(np.uint32) >> 16).astype("<u2").tobytes(),
    }[kind]
    header, data = {}, b""
    for name, array in arrays.items():
        part = encode(array)
        offsets = [len(data), len(data) + len(part)]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": offsets}
        data += part
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    read = read_folder(folder)
    assert all(array.dtype == np.float32 for array in read.weights.values())
    assert_same_checkpoint(read, tiny_model.checkpoint, tolerance)


def test_shards_are_read(folder: Path, tiny_model: TaskModel) -> None:
    arrays = load_file(folder / "model.safetensors")
    names = sorted(arrays)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, members in parts.items():
        save_file({name: arrays[name] for name in members}, folder / file)
    weight_map = {name: file for file, members in parts.items() for name in members}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    (folder / "model.safetensors").unlink()
    assert_same_checkpoint(read_folder(folder), tiny_model.checkpoint)
    (folder / "b.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"Missing: b\.safetensors"):
        read_folder(folder)


def test_array_names_of_old_files_are_read(folder: Path, tiny_model: TaskModel) -> None:
    arrays = load_file(folder / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): array
        for name, array in arrays.items()
    }
    save_file({**old, "bert.embeddings.position_ids": np.arange(40)}, folder / "model.safetensors")
    assert_same_checkpoint(read_folder(folder), tiny_model.checkpoint)


def test_a_pickle_is_an_error(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConversionError, match=r"pytorch_model\.bin, a pickle.*save_pretrained"):
        read_folder(folder)


@pytest.mark.parametrize("kept", [0, 5, 200, -100])
def test_a_truncated_file_is_an_error(folder: Path, kept: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ConversionError, match=r"can't be read as safetensors.*truncated"):
        read_folder(folder)


def test_missing_weights_config_and_folder(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"has no model\.safetensors"):
        read_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ConversionError, match=r"has no config\.json"):
        read_folder(folder)
    with pytest.raises(ConversionError, match=r"is no folder"):
        read_folder(folder / "nothing")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "funnel"},
            "model_type must be one of bert, distilbert, electra, mobilebert. Received: 'funnel'",
        ),
        (
            {"model_type": "roberta"},
            "RoBERTa is no BERT: it splits text by byte pairs, and positions start at 2. Next: use",
        ),
        (
            {"model_type": None, "architectures": ["RobertaForSequenceClassification"]},
            "model_type must be one of bert, distilbert, electra, mobilebert. Received: None",
        ),
        ({"architectures": ["JointBERT"]}, "Received: JointBERT, whose head is not supported; it"),
        (
            {"architectures": ["BertForMultipleChoice"]},
            "Received: BertForMultipleChoice, whose head is not supported; it can",
        ),
        (
            {"architectures": ["BertForQuestionAnswering"]},
            r"names BertForQuestionAnswering, but the weights have no 'qa_outputs\.weight'",
        ),
        ({"architectures": ["GPT"], "hidden_act": "swish"}, "hidden_act must be one of"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"is_decoder": True}, "Received: a decoder"),
        ({"hidden_size": None, "vocab_size": "many"}, "hidden_size must be a whole number"),
        ({"num_attention_heads": 3}, "hidden_size must be a multiple of num_heads"),
        ({"num_hidden_layers": 3}, "16 arrays are missing: layers.2.attention.query.kernel"),
        ({"num_hidden_layers": 1}, "expected 1 layers, as in config.json. Received: more"),
        ({"vocab_size": 7}, r"embeddings.token: expected \(7, 16\)"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label must name the outputs 0 to 2"),
        (
            {"id2label": {"0": "a", "1": "b"}},
            "must name the outputs 0 to 2. Received: {'0': 'a', '1': 'b'}",
        ),
        ({"id2label": {str(i): str(i) for i in range(4)}}, "Received: {'0': '0', '1': '1', "),
        ({"id2label": ["a", "b", "c"]}, "must name the outputs 0 to 2"),
        ({"id2label": {"0": "a", "1": "a", "2": "b"}}, "2 different ones"),
        ({"problem_type": "regression"}, "Received: problem_type 'regression' and 3 outputs"),
        ({"problem_type": "ranking"}, "Received: problem_type 'ranking' and 3 outputs"),
    ],
)
def test_a_config_that_does_not_fit_the_weights(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    edit_config(folder, **changes)
    with pytest.raises(ConversionError, match=message):
        read_folder(folder)


def test_all_problems_of_a_config_at_once(folder: Path) -> None:
    edit_config(folder, model_type="gpt2", hidden_act="swish", hidden_size="wide")
    with pytest.raises(ConversionError) as caught:
        read_folder(folder)
    for part in ("model_type", "hidden_act", "hidden_size"):
        assert part in str(caught.value)


def test_a_config_that_is_not_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(ConversionError, match="Received: no JSON"):
        read_folder(folder)


def test_a_classifier_without_its_head(folder: Path) -> None:
    arrays = load_file(folder / "model.safetensors")
    save_file(
        {k: v for k, v in arrays.items() if not k.startswith("classifier")},
        folder / "model.safetensors",
    )
    with pytest.raises(ConversionError, match=r"no 'classifier\.weight'"):
        read_folder(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["bert.encoder.layer.1.output.dense.weight", "classifier.bias"])
def test_weights_that_are_not_finite_are_named(folder: Path, name: str, value: float) -> None:
    arrays = load_file(folder / "model.safetensors")
    arrays[name] = arrays[name].copy()
    arrays[name].flat[0] = value
    save_file(arrays, folder / "model.safetensors")
    with pytest.raises(ConversionError, match=rf"NaN or infinity in {name} \(1 of \d+\)"):
        read_folder(folder)


@pytest.mark.parametrize("classes", [["BertForSequenceClassification"], None])
def test_a_config_without_model_type(
    folder: Path, tiny_model: TaskModel, classes: list[str] | None
) -> None:
    edit_config(folder, model_type=None, architectures=classes, hidden_act="gelu_python")
    assert_same_checkpoint(read_folder(folder), tiny_model.checkpoint)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_with_the_prefix_of_a_wrapper(
    folder: Path, tiny_model: TaskModel, prefix: str
) -> None:
    arrays = load_file(folder / "model.safetensors")
    save_file({prefix + name: a for name, a in arrays.items()}, folder / "model.safetensors")
    assert_same_checkpoint(read_folder(folder), tiny_model.checkpoint)


@pytest.mark.parametrize("prefix", ["bert.", "encoder.", "model.text_encoder."])
def test_a_class_of_another_project_as_a_base(
    folder: Path, tiny_model: TaskModel, prefix: str
) -> None:
    """Its encoder is read, whatever stands before the names."""
    arrays = load_file(folder / "model.safetensors")
    renamed = {name.replace("bert.", prefix, 1): array for name, array in arrays.items()}
    renamed["slot_classifier.linear.weight"] = np.zeros((3, 16), np.float32)
    save_file(renamed, folder / "model.safetensors")
    edit_config(folder, architectures=["JointBERT"])
    read = read_folder(folder, as_base=True)
    assert read.head == "encoder"
    assert any("JointBERT, whose head is not supported" in note for note in read.notes)
    for name, array in read.weights.items():
        np.testing.assert_array_equal(array, tiny_model.checkpoint.weights[name], err_msg=name)


def test_a_base_with_two_encoders_is_refused(folder: Path) -> None:
    arrays = load_file(folder / "model.safetensors")
    both = {
        f"{part}.{name}": array for part in ("query", "passage") for name, array in arrays.items()
    }
    save_file(both, folder / "model.safetensors")
    edit_config(folder, architectures=["BiEncoder"])
    with pytest.raises(
        ConversionError, match=r"Received: 2 encoders, passage\.bert\., query\.bert\."
    ):
        read_folder(folder, as_base=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tf_model.h5", "weights for TensorFlow. Next: convert them once"),
        ("flax_model.msgpack", "weights for Flax. Next: convert them once"),
        ("model.onnx", "a graph without named weights. Next: take the checkpoint"),
        ("adapter_model.safetensors", r"LoRA adapter without its base.*merge_and_unload\(\)"),
    ],
)
def test_weights_of_other_libraries_have_a_next_step(folder: Path, name: str, message: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(ConversionError, match=message):
        read_folder(folder)


def test_an_adapter_alone_has_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConversionError, match=r"a LoRA adapter without its base.*merge_and_unload"):
        recognise(tmp_path)
