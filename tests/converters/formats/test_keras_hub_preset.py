"""keras-hub presets: what keras-hub itself saves and opens gives the same outputs here."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.checkpoint import GELU_EXACT, GELU_TANH, RELU, BertConfig
from converters.errors import ConversionError
from converters.formats.keras_hub_preset import read_folder, write_folder
from converters.heads import SentenceHead
from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Tokenizer, pad
from edgebert.errors import ModelError
from edgebert.models.task_model import TaskModel, open_model
from edgebert.tasks import task_of_checkpoint
from tests.conftest import TINY_TOKENS, random_checkpoint
from tests.converters.formats.test_huggingface import assert_same_checkpoint
from tests.tiny_tasks import random_task_checkpoint, random_task_model

TEXTS = ("The movie is not good!", "play music now, please", "a nice film: 3 lights")


def keras_hub_tokenizer() -> Any:
    import keras_hub

    return keras_hub.models.BertTokenizer(
        vocabulary=list(TINY_TOKENS), lowercase=True, strip_accents=True
    )


def keras_hub_backbone() -> Any:
    import keras_hub

    return keras_hub.models.BertBackbone(
        vocabulary_size=len(TINY_TOKENS),
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=24,
        max_sequence_length=40,
    )


def with_random_weights(model: Any) -> Any:
    """The model with random weights that are not near zero."""
    import keras

    rng = np.random.default_rng(2)
    for variable in model.weights:
        value = rng.normal(0, 0.3, variable.shape) + (1 if variable.path.endswith("gamma") else 0)
        variable.assign(keras.ops.convert_to_tensor(value, "float32"))
    return model


def keras_hub_classifier(activation: str | None = None, count: int = 3) -> Any:
    """A classifier of keras-hub."""
    import keras_hub

    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(
        keras_hub_tokenizer(), sequence_length=24
    )
    return with_random_weights(
        keras_hub.models.BertTextClassifier(
            keras_hub_backbone(), count, preprocessor=preprocessor, activation=activation
        )
    )


@pytest.fixture(scope="module")
def classifier() -> Any:
    return keras_hub_classifier()


@pytest.fixture(scope="module")
def saved(classifier: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("presets") / "saved"
    classifier.save_to_preset(str(folder))
    return folder


@pytest.fixture
def preset(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "preset"))


def batch(model: TaskModel, length: int = 24) -> dict[str, np.ndarray]:
    return pad(model.tokenizer.encode_batch(TEXTS), length, model.tokenizer.pad_id)


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    top = {key: changes.pop(key) for key in ("registered_name", "class_name") if key in changes}
    content["config"] |= changes
    path.write_text(json.dumps(content | top))


def test_a_classifier_computes_what_keras_hub_does(preset: Path, classifier: Any) -> None:
    model = open_model(preset)
    assert model.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert model.checkpoint.config.activation == GELU_TANH
    assert model.max_length == 24
    assert model.history[0]["format"] == "keras-hub preset"
    ours = batch(model)
    theirs = classifier.preprocessor(list(TEXTS))
    for name in ("token_ids", "segment_ids"):
        np.testing.assert_array_equal(np.asarray(theirs[name]), ours[name], err_msg=name)
    expected = classifier.predict(list(TEXTS), verbose=0)
    np.testing.assert_allclose(np.asarray(model.keras_model()(ours)), expected, atol=1e-4)


def test_a_backbone_computes_what_keras_hub_does(classifier: Any, tmp_path: Path) -> None:
    classifier.backbone.save_to_preset(str(tmp_path))
    with pytest.raises(ModelError, match=r"has no tokenizer\.json: only a backbone was saved"):
        open_model(tmp_path)
    keras_hub_tokenizer().save_to_preset(str(tmp_path))
    model = open_model(tmp_path)
    assert not model.checkpoint.is_classifier
    inputs = batch(model)
    expected = np.asarray(classifier.backbone(inputs)["sequence_output"])
    np.testing.assert_allclose(np.asarray(model.keras_model()(inputs)), expected, atol=1e-4)


def test_several_labels_per_text(tmp_path: Path) -> None:
    """A sigmoid activation means that labels do not exclude each other."""
    classifier = keras_hub_classifier("sigmoid")
    classifier.save_to_preset(str(tmp_path))
    model = open_model(tmp_path)
    assert model.task.name == "multi-label"
    logits = np.asarray(model.keras_model()(batch(model)))
    expected = classifier.predict(list(TEXTS), verbose=0)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), expected, atol=1e-4)


def test_one_output_is_a_regression(tmp_path: Path) -> None:
    classifier = keras_hub_classifier(count=1)
    classifier.save_to_preset(str(tmp_path))
    model = open_model(tmp_path)
    assert (model.task.name, model.labels) == ("regression", ())
    expected = classifier.predict(list(TEXTS), verbose=0)
    np.testing.assert_allclose(np.asarray(model.keras_model()(batch(model))), expected, atol=1e-4)


def test_a_masked_lm_predicts_the_same_tokens_as_keras_hub(tmp_path: Path) -> None:
    """Its head has the exact GELU and a separate epsilon, independent of the encoder."""
    import keras_hub

    preprocessor = keras_hub.models.BertMaskedLMPreprocessor(
        keras_hub_tokenizer(), sequence_length=24
    )
    theirs = with_random_weights(
        keras_hub.models.BertMaskedLM(keras_hub_backbone(), preprocessor=preprocessor)
    )
    theirs.save_to_preset(str(tmp_path))
    model = open_model(tmp_path)
    assert (model.task.name, model.max_length) == ("masked-lm", 24)
    inputs = batch(model)
    places = np.tile(np.arange(24, dtype=np.int32), (len(TEXTS), 1))
    ours = np.asarray(model.keras_model()({**inputs, "mask_places": places})["logits"])
    expected = np.asarray(theirs({**inputs, "mask_positions": places}))
    tokens = inputs["padding_mask"].astype(bool)
    np.testing.assert_allclose(ours[tokens], expected[tokens], atol=1e-4)


@pytest.mark.parametrize(("pooling", "normalize"), [("mean", True), ("max", False)])
def test_an_embedder_gives_the_same_vectors_as_keras_hub(
    pooling: str, normalize: bool, tmp_path: Path
) -> None:
    import keras_hub

    preprocessor = keras_hub.models.BertTextEmbedderPreprocessor(
        keras_hub_tokenizer(), sequence_length=24
    )
    theirs = with_random_weights(
        keras_hub.models.BertTextEmbedder(
            keras_hub_backbone(),
            preprocessor=preprocessor,
            pooling_mode=pooling,
            normalize=normalize,
        )
    )
    theirs.save_to_preset(str(tmp_path))
    model = open_model(tmp_path)
    assert model.task.name == "embeddings"
    assert model.checkpoint.sentence == SentenceHead((pooling,), (), normalize)
    expected = theirs.predict(list(TEXTS), verbose=0)
    np.testing.assert_allclose(np.asarray(model.keras_model()(batch(model))), expected, atol=1e-4)


@pytest.mark.parametrize("task", ["classification", "multi-label", "regression"])
def test_keras_hub_opens_written_presets(
    task: str, tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    import keras_hub

    config = replace(tiny_config, activation=GELU_TANH)
    model = random_task_model(config, Tokenizer(tiny_vocabulary), task)
    write_folder(model.checkpoint, tiny_vocabulary, tmp_path, 24)
    theirs = keras_hub.models.TextClassifier.from_preset(str(tmp_path))
    expected = np.asarray(model.keras_model()(batch(model)))
    if task == "multi-label":
        expected = 1 / (1 + np.exp(-expected))
    np.testing.assert_allclose(theirs.predict(list(TEXTS), verbose=0), expected, atol=1e-4)
    read = read_folder(tmp_path)
    assert read.problem == model.checkpoint.problem
    assert_same_checkpoint(read, model.checkpoint)
    assert open_model(tmp_path).tokenizer.vocabulary.tokens == tiny_vocabulary.tokens


def test_keras_hub_opens_a_written_masked_lm(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    import keras_hub

    own = {"masked_lm_activation": GELU_EXACT, "masked_lm_epsilon": 1e-5}
    config = replace(tiny_config, activation=GELU_TANH, **own)
    model = random_task_model(config, Tokenizer(tiny_vocabulary), "masked-lm")
    write_folder(model.checkpoint, tiny_vocabulary, tmp_path, 24)
    theirs = keras_hub.models.MaskedLM.from_preset(str(tmp_path))
    inputs = batch(model)
    places = np.tile(np.arange(24, dtype=np.int32), (len(TEXTS), 1))
    ours = np.asarray(model.keras_model()({**inputs, "mask_places": places})["logits"])
    expected = np.asarray(theirs({**inputs, "mask_positions": places}))
    tokens = inputs["padding_mask"].astype(bool)
    np.testing.assert_allclose(ours[tokens], expected[tokens], atol=1e-4)
    weights = model.checkpoint.weights
    kept = {k: v for k, v in weights.items() if not k.startswith("next_sentence.")}
    assert_same_checkpoint(read_folder(tmp_path), model.checkpoint.with_weights(kept))


def test_keras_hub_opens_a_written_embedder(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    import keras_hub

    config = replace(tiny_config, activation=GELU_TANH)
    model = random_task_model(config, Tokenizer(tiny_vocabulary), "embeddings")
    write_folder(model.checkpoint, tiny_vocabulary, tmp_path, 24)
    theirs = keras_hub.models.TextEmbedder.from_preset(str(tmp_path))
    expected = np.asarray(model.keras_model()(batch(model)))
    np.testing.assert_allclose(theirs.predict(list(TEXTS), verbose=0), expected, atol=1e-4)
    assert_same_checkpoint(read_folder(tmp_path), model.checkpoint)


@pytest.mark.parametrize(
    ("task", "changes", "message"),
    [
        ("ner", {}, "for BERT, and the model has the head 'token-classifier'"),
        ("qa", {}, "for BERT, and the model has the head 'spans'"),
        (
            "embeddings",
            {"sentence": SentenceHead(("mean", "max"))},
            "one pooling of mean, cls, max, the model mean and max",
        ),
        (
            "embeddings",
            {"sentence": SentenceHead(("last",), ("tanh",))},
            "has no dense layers, the model 1",
        ),
    ],
)
def test_tasks_that_keras_hub_does_not_have(
    task: str,
    changes: dict[str, Any],
    message: str,
    tiny_config: BertConfig,
    tiny_vocabulary: Vocabulary,
    tmp_path: Path,
) -> None:
    checkpoint = replace(random_task_checkpoint(tiny_config, task), **changes)
    with pytest.raises(ConversionError, match=message):
        write_folder(checkpoint, tiny_vocabulary, tmp_path, 24)


def test_an_encoder_without_a_pooler_is_written(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    import keras_hub

    checkpoint = random_checkpoint(replace(tiny_config, activation=GELU_TANH))
    write_folder(checkpoint, tiny_vocabulary, tmp_path, 24)
    model = TaskModel(checkpoint, Tokenizer(tiny_vocabulary), 24, task_of_checkpoint(checkpoint))
    theirs = keras_hub.models.Backbone.from_preset(str(tmp_path))(batch(model))
    expected = np.asarray(model.keras_model()(batch(model)))
    np.testing.assert_allclose(np.asarray(theirs["sequence_output"]), expected, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(theirs["pooled_output"]), 0)


@pytest.mark.parametrize(
    ("config", "vocabulary", "message"),
    [
        ({"activation": RELU}, {}, "keras-hub's BERT has GELU, the model ReLU"),
        ({"pooler_activation": RELU}, {}, "keras-hub's pooler has tanh, the model's relu"),
        ({}, {"cls_token": "the"}, "keras-hub's special tokens are"),
        ({}, {"split_chinese_characters": False}, "splits Chinese characters"),
    ],
)
def test_models_that_a_preset_cannot_represent(
    config: dict[str, Any],
    vocabulary: dict[str, Any],
    message: str,
    tiny_config: BertConfig,
    tiny_vocabulary: Vocabulary,
    tmp_path: Path,
) -> None:
    checkpoint = random_checkpoint(replace(tiny_config, **config), ("a", "b"))
    with pytest.raises(ConversionError, match=message):
        write_folder(checkpoint, replace(tiny_vocabulary, **vocabulary), tmp_path, 24)


@pytest.mark.parametrize("file", ["model.weights.h5", "task.weights.h5"])
def test_a_truncated_file_is_an_error(preset: Path, file: str) -> None:
    path = preset / file
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=rf"{file} can't be read \(.*truncated"):
        open_model(preset)
    path.unlink()
    with pytest.raises(ModelError, match="has no "):
        open_model(preset)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "config.json",
            {"registered_name": "keras_hub>GemmaBackbone", "class_name": "GemmaBackbone"},
            "expected keras-hub's BertBackbone. Received: 'keras_hub>GemmaBackbone'",
        ),
        ("config.json", {"registered_name": "mine>BertBackbone"}, "Received: 'mine>BertBackbone'"),
        ("config.json", {"num_layers": None}, "num_layers must be a whole number"),
        ("config.json", {"num_layers": 1}, r"metadata\.json states \d+ parameters"),
        ("config.json", {"num_layers": 3}, r"model\.weights\.h5 can't be read"),
        ("config.json", {"hidden_dim": 18}, r"model\.weights\.h5 can't be read"),
        ("task.json", {"class_name": "BertMine"}, "BertMine, whose head is not supported"),
        ("task.json", {"activation": "tanh"}, "Received: num_classes 3 and activation 'tanh'"),
        ("task.json", {"num_classes": 0}, "Received: num_classes 0"),
        ("tokenizer.json", {"class_name": "Other"}, "expected keras-hub's BertTokenizer"),
        ("tokenizer.json", {"split": False}, "does not split text into words"),
    ],
)
def test_files_that_do_not_fit_together(
    preset: Path, file: str, changes: dict[str, Any], message: str
) -> None:
    edit(preset / file, **changes)
    with pytest.raises(ModelError, match=message):
        open_model(preset)


def test_a_file_with_missing_arrays_is_an_error(preset: Path) -> None:
    import h5py

    with h5py.File(preset / "model.weights.h5", "r+") as file:
        gone = [name for name in file["layers"] if "layer_norm" in name]
        for name in gone:
            del file["layers"][name]
    with pytest.raises(ModelError, match=r"model\.weights\.h5 can't be read"):
        open_model(preset)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_name": "BertMine"}, "Received: BertMine, whose head is not supported"),
        ({"activation": "tanh"}, "activation 'tanh'"),
    ],
)
def test_another_head_is_left_out_of_a_base(
    preset: Path, changes: dict[str, Any], message: str
) -> None:
    edit(preset / "task.json", **changes)
    with pytest.raises(ModelError, match=message):
        open_model(preset)
    (note,) = open_model(preset, as_base=True).checkpoint.notes
    assert "the head is left out" in note
    assert message in note


def test_a_softmax_classifier_has_the_same_logits(tmp_path: Path) -> None:
    softmax = keras_hub_classifier("softmax")
    softmax.save_to_preset(str(tmp_path))
    model = open_model(tmp_path)
    logits = np.asarray(model.keras_model()(batch(model)))
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = softmax.predict(list(TEXTS), verbose=0)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
