"""Encoders that are no plain BERT go through every stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.bert_config import BertConfig
from converters.checkpoint import config_to_train
from converters.compaction import layer_widths
from converters.heads import CLASSIFIER
from converters.vocabulary import Vocabulary
from edgebert.data.datasets import Dataset
from edgebert.distillation import distill
from edgebert.encoding.tokenizer import Tokenizer, pad
from edgebert.errors import ModelError
from edgebert.evaluation.predictors import KerasPredictor
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.finetuning import finetune
from edgebert.models.attention import attention_weights
from edgebert.models.conversion import HUGGING_FACE, KERAS_HUB, convert
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.students import make_student
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning import prune
from edgebert.pruning.structured import prune_structure
from edgebert.pruning.vocabulary import trim_vocabulary
from edgebert.settings import (
    DistillSettings,
    ExportSettings,
    FinetuneSettings,
    PruneSettings,
    StructureSettings,
)
from edgebert.tasks.probabilities import log_softmax
from edgebert.training import fitting
from edgebert.training.stage_run import StageRun
from tests.converters.formats.test_huggingface import assert_same_checkpoint
from tests.edgebert.separable import separable
from tests.tiny_tasks import random_task_model

ARCHITECTURES = ("electra-small",)
TASKS = ("classification", "ner", "qa", "embeddings", "masked-lm")
TEXTS = ("the movie is great", "awful", "turn the lights off now please", "is it on", "a b c d e f")
QUICK = FinetuneSettings(epochs=1, batch_size=8, learning_rate=5e-3)


def config_of(architecture: str, tiny: BertConfig) -> BertConfig:
    return config_to_train(replace(tiny, embedding_size=8), CLASSIFIER)


def model_of(architecture: str, tiny: BertConfig, vocabulary: Vocabulary, task: str) -> TaskModel:
    model = random_task_model(config_of(architecture, tiny), Tokenizer(vocabulary), task)
    unread = ("next_sentence", "pooler") if task == "masked-lm" else ()
    weights = model.checkpoint.weights
    own = {name: array for name, array in weights.items() if not name.startswith(unread)}
    return replace(model, checkpoint=model.checkpoint.with_weights(own))


@pytest.fixture(params=ARCHITECTURES)
def classifier(
    request: pytest.FixtureRequest, tiny_config: BertConfig, tiny_vocabulary: Vocabulary
) -> TaskModel:
    """A classifier of each architecture with random weights and three labels."""
    return model_of(request.param, tiny_config, tiny_vocabulary, "classification")


def data_of(model: TaskModel) -> Dataset:
    return separable(24, seed=0)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_task_is_saved_reopened_and_exported(
    architecture: str,
    task: str,
    tiny_config: BertConfig,
    tiny_vocabulary: Vocabulary,
    tmp_path: Path,
) -> None:
    model = model_of(architecture, tiny_config, tiny_vocabulary, task)
    again = open_model(model.save(tmp_path / "saved"))
    assert (again.task.name, again.labels) == (task, model.labels)
    assert_same_checkpoint(again.checkpoint, model.checkpoint)
    settings = ExportSettings(recipe="float32", lengths="8,16")
    artifact = export(again, tmp_path / "m.tflite", settings)
    assert artifact.manifest.parity["float_max_error"] < 1e-4
    assert artifact.manifest.config["hidden_size"] == tiny_config.hidden_size


@pytest.mark.parametrize(
    ("recipe", "dynamic"),
    [
        ("float16", False),
        ("dynamic-int8", True),
        ("int4", False),
        ("static-int8", False),
    ],
)
def test_every_recipe_answers_like_keras(
    recipe: str, dynamic: bool, classifier: TaskModel, tmp_path: Path
) -> None:
    lengths = {"dynamic_length": True} if dynamic else {"lengths": "8,40"}
    settings = ExportSettings(recipe=recipe, **lengths)
    texts = ExportTexts(calibration=TEXTS)
    artifact = export(classifier, tmp_path / "m.tflite", settings, texts=texts)
    opened = LiteRtModel.open(artifact.path)
    encodings = opened.tokenizer.encode_batch(TEXTS, opened.max_length)
    expected = log_softmax(np.stack(KerasPredictor(classifier).outputs(encodings)))
    np.testing.assert_allclose(np.exp(opened.scores(encodings)), np.exp(expected), atol=0.1)


def test_it_is_trained_and_distilled(classifier: TaskModel, tmp_path: Path) -> None:
    data = data_of(classifier)
    trained = finetune(classifier, data, data, QUICK, StageRun(tmp_path / "trained")).model
    teacher = open_model(tmp_path / "trained")
    assert_same_checkpoint(teacher.checkpoint, trained.checkpoint)
    student = make_student(teacher, "layers=1")
    settings = DistillSettings(epochs=1, batch_size=8)
    distilled = distill(teacher, student, data, data, settings, StageRun(tmp_path / "student"))
    assert open_model(tmp_path / "student").checkpoint.config.num_layers == 1
    assert "accuracy" in distilled.metrics


def test_the_packed_encoder_is_the_keras_model(classifier: TaskModel) -> None:
    encodings = classifier.tokenizer.encode_batch(TEXTS, 40)
    length = max(map(len, encodings))
    inputs = pad(encodings, length, classifier.tokenizer.pad_id)
    packed, plain = fitting.build_frozen(classifier), classifier.keras_model()
    np.testing.assert_allclose(packed(inputs), plain(inputs), atol=1e-5)


def test_it_is_pruned(classifier: TaskModel, tmp_path: Path) -> None:
    data = data_of(classifier)
    settings = PruneSettings(sparsity=0.5, epochs=0)
    sparse = prune(classifier, data, data, settings, StageRun(tmp_path / "sparse")).model
    trimmed = trim_vocabulary(sparse, TEXTS).model
    assert trimmed.checkpoint.config.vocab_size < classifier.checkpoint.config.vocab_size
    fewer = StructureSettings(layers=1, heads=1, neurons=8, shots=1, calibration_rows=16, tokens=8)
    narrow = prune_structure(trimmed, data, fewer).model
    (width,) = layer_widths(narrow.checkpoint)
    assert (width.heads, width.neurons) == (1, 8)
    export(narrow, tmp_path / "m.tflite", ExportSettings(recipe="float32", lengths="16"))


def test_attention_is_a_distribution(classifier: TaskModel) -> None:
    weights = attention_weights(classifier, classifier.tokenizer.encode(TEXTS[0]))
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_hugging_face_takes_it_and_keras_hub_does_not(
    classifier: TaskModel, tmp_path: Path
) -> None:
    assert convert(classifier, tmp_path / "written", HUGGING_FACE).max_difference == 0
    with pytest.raises(ModelError, match="keras-hub's BERT has no"):
        convert(classifier, tmp_path / "preset", KERAS_HUB)


def test_a_narrow_student_of_electra_small_keeps_the_embeddings(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary
) -> None:
    for task in ("classification", "masked-lm"):
        teacher = model_of("electra-small", tiny_config, tiny_vocabulary, task)
        student = make_student(teacher, "layers=1/2,hidden=1/2,neurons=1/4")
        config = student.checkpoint.config
        assert (config.hidden_size, config.embedding_size) == (8, 8)
        outputs = KerasPredictor(student).outputs(student.tokenizer.encode_batch(["a b c"], 8))
        assert np.isfinite(outputs[0]).all()
