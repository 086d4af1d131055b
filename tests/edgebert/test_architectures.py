"""Encoders that are no plain BERT go through every stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.bert_config import NO_POOLER, RELU, BertConfig
from converters.checkpoint import config_to_train
from converters.compaction import layer_widths
from converters.heads import CLASSIFIER
from converters.norm_folding import fold_norms
from converters.vocabulary import Vocabulary
from edgebert.distillation import distill
from edgebert.encoding.tokenizer import Tokenizer, pad
from edgebert.errors import ModelError, UsageError
from edgebert.evaluation.predictors import KerasPredictor
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.finetuning import finetune
from edgebert.models.attention import attention_weights
from edgebert.models.conversion import KERAS_HUB, convert
from edgebert.models.inspection import inspect_model
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.students import make_student
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning import prune
from edgebert.pruning.masks import sparsity_of
from edgebert.pruning.structured import prune_structure
from edgebert.pruning.vocabulary import trim_vocabulary
from edgebert.quantization.sensitivity import parts_of
from edgebert.searching.searching import search
from edgebert.settings import (
    DistillSettings,
    ExportSettings,
    FinetuneSettings,
    PruneSettings,
    SearchSettings,
    StructureSettings,
)
from edgebert.tasks.probabilities import log_softmax
from edgebert.training import fitting
from edgebert.training.stage_run import StageRun
from tests.converters.formats.test_huggingface import assert_same_checkpoint
from tests.edgebert.separable import separable
from tests.tiny_tasks import random_task_model

ARCHITECTURES = ("electra-small", "mobilebert")
TEXTS = ("the movie is great", "awful", "turn the lights off now please", "is it on", "a b c d e f")
QUICK = FinetuneSettings(epochs=1, batch_size=8, learning_rate=5e-3)


def config_of(architecture: str, tiny: BertConfig, layers: int) -> BertConfig:
    if architecture == "electra-small":
        return config_to_train(replace(tiny, num_layers=layers, embedding_size=8), CLASSIFIER)
    return replace(
        tiny,
        num_layers=layers,
        embedding_size=8,
        bottleneck_size=8,
        num_feed_forwards=2,
        activation=RELU,
        pooler_activation=NO_POOLER,
    )


def model_of(
    architecture: str, tiny: BertConfig, vocabulary: Vocabulary, task: str, layers: int = 1
) -> TaskModel:
    config = config_of(architecture, tiny, layers)
    model = random_task_model(config, Tokenizer(vocabulary), task)
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


@pytest.mark.parametrize("task", ["classification", "masked-lm"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_saved_reopened_and_exported(
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
    assert artifact.manifest.config["num_segments"] == 2
    assert all(each.partitions == 1 for each in inspect_model(artifact.path).delegation)


@pytest.mark.parametrize(
    ("architecture", "recipe", "lengths"),
    [
        ("electra-small", "int4", {"lengths": "8,40"}),
        ("mobilebert", "int4", {"lengths": "8,40"}),
        ("mobilebert", "dynamic-int8", {"dynamic_length": True}),
        ("mobilebert", "static-int8", {"lengths": "40"}),
    ],
)
def test_recipes_answer_like_keras(
    architecture: str,
    recipe: str,
    lengths: dict[str, Any],
    tiny_config: BertConfig,
    tiny_vocabulary: Vocabulary,
    tmp_path: Path,
) -> None:
    model = model_of(architecture, tiny_config, tiny_vocabulary, "classification")
    settings = ExportSettings(recipe=recipe, **lengths)
    texts = ExportTexts(calibration=TEXTS, checks=TEXTS)
    artifact = export(model, tmp_path / "m.tflite", settings, texts=texts)
    opened = LiteRtModel.open(artifact.path)
    encodings = opened.tokenizer.encode_batch(TEXTS, opened.max_length)
    expected = log_softmax(np.stack(KerasPredictor(model).outputs(encodings)))
    np.testing.assert_allclose(np.exp(opened.scores(encodings)), np.exp(expected), atol=0.1)
    if artifact.manifest.calibration:
        known = {part.name for part in parts_of(model.checkpoint)}
        assert {part["name"] for part in artifact.manifest.calibration["parts"]} & known


def test_mobilebert_is_trained_and_distilled(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    base = model_of("mobilebert", tiny_config, tiny_vocabulary, "classification")
    data = separable(24, seed=0)
    trained = finetune(base, data, data, QUICK, StageRun(tmp_path / "trained")).model
    teacher = open_model(tmp_path / "trained")
    assert_same_checkpoint(teacher.checkpoint, trained.checkpoint)
    assert changed_parts(base, teacher) == {"embeddings", "layers", "classifier"}
    student = make_student(teacher, "layers=1")
    settings = DistillSettings(epochs=1, batch_size=8)
    distilled = distill(teacher, student, data, data, settings, StageRun(tmp_path / "student"))
    assert open_model(tmp_path / "student").checkpoint.config.num_layers == 1
    assert "accuracy" in distilled.metrics


def changed_parts(before: TaskModel, after: TaskModel) -> set[str]:
    """The parts of a model of which all arrays changed in training."""
    own, other = before.checkpoint.weights, after.checkpoint.weights
    same = {name.split(".")[0] for name in own if np.array_equal(own[name], other.get(name))}
    return {name.split(".")[0] for name in other} - same


def test_the_packed_encoder_is_the_keras_model(classifier: TaskModel) -> None:
    encodings = classifier.tokenizer.encode_batch(TEXTS, 40)
    length = max(map(len, encodings))
    inputs = pad(encodings, length, classifier.tokenizer.pad_id)
    packed, plain = fitting.build_frozen(classifier), classifier.keras_model()
    np.testing.assert_allclose(packed(inputs), plain(inputs), atol=1e-5)


def test_electra_small_is_pruned(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    model = model_of("electra-small", tiny_config, tiny_vocabulary, "classification", layers=2)
    trimmed = trim_vocabulary(model, TEXTS).model
    assert trimmed.checkpoint.config.vocab_size < model.checkpoint.config.vocab_size
    fewer = StructureSettings(layers=1, heads=1, neurons=8, shots=1, calibration_rows=16, tokens=8)
    narrow = prune_structure(trimmed, separable(24, seed=0), fewer).model
    (width,) = layer_widths(narrow.checkpoint)
    assert (width.heads, width.neurons) == (1, 8)
    export(narrow, tmp_path / "m.tflite", ExportSettings(recipe="float32", lengths="16"))


def test_mobilebert_is_pruned_by_layers_weights_and_tokens(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    model = model_of("mobilebert", tiny_config, tiny_vocabulary, "classification", layers=2)
    data = separable(24, seed=0)
    trimmed = trim_vocabulary(model, TEXTS).model
    fewer = StructureSettings(layers=1, calibration_rows=16, tokens=8)
    result = prune_structure(trimmed, data, fewer)
    assert (result.model.checkpoint.config.num_layers, result.operations_left) == (1, 0.5)
    settings = PruneSettings(sparsity=0.5, epochs=0)
    sparse = prune(result.model, data, data, settings, StageRun(tmp_path / "sparse")).model
    kernels = (a for n, a in sparse.checkpoint.weights.items() if "feed_forwards.0.inner.k" in n)
    assert sparsity_of(kernels) == pytest.approx(0.5, abs=0.02)
    for wanted in ({"heads": 1}, {"neurons": 8}, {"target_speedup": 2.0}):
        with pytest.raises(UsageError, match=r"Received: \w+ [\d.]+\. Next: remove whole layers"):
            prune_structure(model, data, replace(fewer, **wanted))
    with pytest.raises(UsageError, match=r"Received: speedups 2,3\. Next: add --speedups '' to"):
        search(model, data, data, SearchSettings(speedups="2,3"), StageRun(tmp_path / "search"))


def test_a_trimmed_masked_lm_predicts_its_own_tokens(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    model = model_of("mobilebert", tiny_config, tiny_vocabulary, "masked-lm")
    result = trim_vocabulary(model, TEXTS)
    reopened = open_model(result.model.save(tmp_path / "trimmed"))
    text = f"the {model.tokenizer.vocabulary.mask_token} is great"
    before, after = (
        KerasPredictor(each).outputs([each.tokenizer.encode(text)])[0] for each in (model, reopened)
    )
    np.testing.assert_allclose(after, before[:, result.kept_ids], atol=1e-5)


def test_norms_are_folded_where_nothing_else_reads_the_sum(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary
) -> None:
    model = model_of("mobilebert", tiny_config, tiny_vocabulary, "classification")
    folded = fold_norms(model.checkpoint)
    kept = ("feed_forward.norm", "feed_forwards.0.norm", "bottleneck.output.norm")
    norms = [name for name in folded.weights if name.endswith("norm.scale")]
    changed = {name for name in norms if np.any(folded.weights[name] != 1)}
    assert changed == {name for name in norms if name.removesuffix(".scale").endswith(kept)}


@pytest.mark.parametrize("shape", ["tiny", "layers=1,neurons=12", "hidden=8"])
def test_a_student_of_mobilebert_has_fewer_layers_alone(
    shape: str, tiny_config: BertConfig, tiny_vocabulary: Vocabulary
) -> None:
    teacher = model_of("mobilebert", tiny_config, tiny_vocabulary, "classification")
    with pytest.raises(UsageError, match="a student of a MobileBERT has fewer layers alone"):
        make_student(teacher, shape)


def test_attention_is_a_distribution(classifier: TaskModel) -> None:
    weights = attention_weights(classifier, classifier.tokenizer.encode(TEXTS[0]))
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_keras_hub_does_not_take_it(classifier: TaskModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"keras-hub's BERT has no projection|no MobileBERT"):
        convert(classifier, tmp_path / "preset", KERAS_HUB)


def test_a_narrow_student_of_electra_small_keeps_the_embeddings(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary
) -> None:
    for task in ("classification", "masked-lm"):
        teacher = model_of("electra-small", tiny_config, tiny_vocabulary, task, layers=2)
        student = make_student(teacher, "layers=1/2,hidden=1/2,neurons=1/4")
        config = student.checkpoint.config
        assert (config.hidden_size, config.embedding_size) == (8, 8)
        outputs = KerasPredictor(student).outputs(student.tokenizer.encode_batch(["a b c"], 8))
        assert np.isfinite(outputs[0]).all()
