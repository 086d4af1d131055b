"""Conversion to other libraries' folders: equal outputs, or an error with the difference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from converters.checkpoint import GELU_TANH, RELU, BertConfig
from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import ModelError, QualityGateError, UsageError
from edgebert.models.conversion import HUGGING_FACE, KERAS_HUB, convert
from edgebert.models.task_model import TaskModel, open_model
from tests.conftest import random_checkpoint
from tests.edgebert.cli.test_commands import call
from tests.golden.checkpoints import CHECKPOINTS
from tests.tiny_tasks import random_task_model


def with_config(model: TaskModel, **changes: object) -> TaskModel:
    config = replace(model.checkpoint.config, **changes)  # type: ignore[arg-type]
    return replace(model, checkpoint=random_checkpoint(config, model.labels))


def test_a_model_without_differences_is_written(tiny_model: TaskModel, tmp_path: Path) -> None:
    model = with_config(tiny_model, activation=GELU_TANH)
    result = convert(model, tmp_path / "preset", KERAS_HUB)
    assert (result.max_difference, result.notes) == (0.0, ())
    assert open_model(tmp_path / "preset").labels == tiny_model.labels


def test_the_exact_gelu_is_refused_with_its_difference(
    tiny_model: TaskModel, tmp_path: Path
) -> None:
    out = tmp_path / "preset"
    with pytest.raises(QualityGateError, match=r"would differ by .*tanh approximation") as caught:
        convert(tiny_model, out, KERAS_HUB)
    assert not out.exists()
    measured = float(str(caught.value).split("differ by ")[1].split(",")[0])
    result = convert(tiny_model, out, KERAS_HUB, max_difference=1.1 * measured)
    assert 1e-4 < result.max_difference == pytest.approx(measured, rel=0.05)
    assert result.notes == ("its GELU is the tanh approximation, the model's is exact",)


@pytest.mark.parametrize("task", ["regression", "ner", "qa", "embeddings", "masked-lm"])
def test_any_task_becomes_a_hugging_face_folder(
    task: str, tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    model = random_task_model(tiny_config, Tokenizer(tiny_vocabulary), task)
    result = convert(model, tmp_path / "folder", HUGGING_FACE)
    assert (result.max_difference, result.notes) == (0.0, ())
    assert open_model(tmp_path / "folder").task.name == task


@pytest.mark.parametrize("task", ["multi-label", "embeddings"])
def test_supported_tasks_become_presets(
    task: str, tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    config = replace(tiny_config, activation=GELU_TANH)
    model = random_task_model(config, Tokenizer(tiny_vocabulary), task)
    assert convert(model, tmp_path / "preset", KERAS_HUB).max_difference == 0
    assert open_model(tmp_path / "preset").task.name == task


def test_a_masked_lm_loses_its_next_sentence_in_keras_hub(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    config = replace(tiny_config, activation=GELU_TANH)
    model = random_task_model(config, Tokenizer(tiny_vocabulary), "masked-lm")
    with pytest.raises(QualityGateError, match="the GELU of its masked LM's head is exact"):
        convert(model, tmp_path / "preset", KERAS_HUB)
    result = convert(model, tmp_path / "preset", KERAS_HUB, max_difference=0.1)
    assert 1e-4 < result.max_difference < 0.1
    assert "no head for the next sentence: it is left out" in result.notes[0]
    assert not open_model(tmp_path / "preset").checkpoint.has_next_sentence


@pytest.mark.parametrize("task", ["ner", "qa"])
def test_tasks_without_a_keras_hub_class_are_refused(
    task: str, tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    model = random_task_model(tiny_config, Tokenizer(tiny_vocabulary), task)
    with pytest.raises(ModelError, match=r"keras-hub has BertTextClassifier, .* for BERT"):
        convert(model, tmp_path / "preset", KERAS_HUB)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_without_a_pooler(tiny_encoder: TaskModel, tmp_path: Path) -> None:
    model = with_config(tiny_encoder, activation=GELU_TANH)
    (note,) = convert(model, tmp_path / "preset", KERAS_HUB).notes
    assert "pooled_output is 0" in note


def test_a_model_that_a_preset_does_not_support(tiny_model: TaskModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="keras-hub's BERT has GELU, the model ReLU"):
        convert(with_config(tiny_model, activation=RELU), tmp_path / "preset", KERAS_HUB)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused(tiny_model: TaskModel, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("here")
    for out in (tmp_path, tmp_path / "mine"):
        with pytest.raises(UsageError, match="exists"):
            convert(tiny_model, out, HUGGING_FACE)
    with pytest.raises(UsageError, match="Received: 'onnx'"):
        convert(tiny_model, tmp_path / "new", "onnx")


def test_the_command_turns_a_tf1_checkpoint_into_a_hugging_face_folder(tmp_path: Path) -> None:
    out = tmp_path / "new"
    result = call("convert", CHECKPOINTS / "GoogleTF1", "-o", out, "--to", "hugging-face", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "path": str(out),
        "to": "hugging-face",
        "max_difference": 0.0,
        "notes": [],
    }
    assert "Opened a Google TF1 checkpoint: classification, 2 layers of 8." in result.stderr
    assert json.loads((out / "config.json").read_text())["hidden_act"] == "gelu_new"
