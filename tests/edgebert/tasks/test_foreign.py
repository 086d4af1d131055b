"""The task of a model from another source: label names, CrossEncoders, and --task."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.checkpoint import Checkpoint
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor, predict
from edgebert.exporting.artifact import export
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import ExportSettings
from edgebert.tasks.foreign import TaskRequest
from edgebert.tasks.recognition import task_of_head
from tests.tiny_tasks import random_task_model


def foreign(model: TaskModel, folder: Path, **config: Any) -> Path:
    """The model as another library saves it, with changes of its config.json."""
    model.save(folder)
    (folder / "edgebert.json").unlink()
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return folder


@pytest.fixture
def reranker(tiny_model: TaskModel) -> TaskModel:
    return random_task_model(tiny_model.checkpoint.config, tiny_model.tokenizer, "regression")


def score(model: TaskModel) -> float:
    (answer,) = predict(KerasPredictor(model), [("where is paris", "a river in paris")])
    return float(answer["score"])


@pytest.mark.parametrize(
    "config",
    [
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}},
        {"sentence_transformers": {}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"},
    ],
)
def test_a_cross_encoder_gives_one_score_of_a_pair_through_its_sigmoid(
    reranker: TaskModel, config: dict[str, Any], tmp_path: Path
) -> None:
    logit = score(replace(reranker, decoding={"texts": 2}))
    opened = open_model(foreign(reranker, tmp_path / "model", **config))
    assert opened.task.texts_of(opened.decoding) == 2
    assert any("CrossEncoder" in note for note in opened.checkpoint.notes)
    assert score(opened) == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)
    artifact = export(opened, tmp_path / "model.tflite", ExportSettings(recipe="float32"))
    assert artifact.certificate["final_max_error"] < 1e-4
    in_file = LiteRtModel.open(artifact.path)
    (answer,) = predict(in_file, [("where is paris", "a river in paris")])
    assert answer["score"] == pytest.approx(score(opened), abs=1e-4)
    again = open_model(opened.save(tmp_path / "again"))
    assert score(again) == pytest.approx(score(opened), abs=1e-6)


def test_a_cross_encoder_with_a_file_of_modules(reranker: TaskModel, tmp_path: Path) -> None:
    folder = foreign(reranker, tmp_path / "model")
    transformer = "sentence_transformers.base.modules.transformer.Transformer"
    modules = [{"idx": 0, "name": "0", "path": "", "type": transformer}]
    (folder / "modules.json").write_text(json.dumps(modules))
    logit = score(replace(reranker, decoding={"texts": 2}))
    shares = {"Sigmoid": 1 / (1 + np.exp(-logit)), "Identity": logit, "Tanh": logit}
    for name, expected in shares.items():
        settings = {"model_type": "CrossEncoder", "activation_fn": f"torch.nn.modules.{name}"}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
        opened = open_model(folder)
        assert opened.task.texts_of(opened.decoding) == 2
        assert score(opened) == pytest.approx(expected, abs=1e-6)
        has_note = any("through Tanh, which is left out" in n for n in opened.checkpoint.notes)
        assert has_note == (name == "Tanh")


def test_a_cross_encoder_without_an_activation(reranker: TaskModel, tmp_path: Path) -> None:
    identity = {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}
    opened = open_model(foreign(reranker, tmp_path / "model", **identity))
    assert score(opened) == pytest.approx(score(reranker), abs=1e-6)


def test_a_regression_asks_whether_it_reads_pairs(reranker: TaskModel, tmp_path: Path) -> None:
    folder = foreign(reranker, tmp_path / "model")
    opened = open_model(folder)
    assert opened.task.texts_of(opened.decoding) == 1
    assert any("add --pairs" in note for note in opened.checkpoint.notes)
    told = open_model(folder, request=TaskRequest(pairs=True))
    assert told.task.texts_of(told.decoding) == 2
    assert told.checkpoint.notes == ()


@pytest.mark.parametrize(
    "labels",
    [
        ("contradiction", "entailment", "neutral"),
        ("ENTAILMENT", "NEUTRAL", "CONTRADICTION"),
        ("entailment", "not_entailment", "other"),
        ("not duplicate", "duplicate", "unsure"),
    ],
)
def test_labels_of_pairs_are_seen(
    tiny_model: TaskModel, labels: tuple[str, ...], tmp_path: Path
) -> None:
    checkpoint = replace(tiny_model.checkpoint, labels=labels)
    folder = foreign(replace(tiny_model, checkpoint=checkpoint), tmp_path / "model")
    opened = open_model(folder)
    assert opened.task.name == "pairs"
    assert any("pair of texts, by the labels" in note for note in opened.checkpoint.notes)
    single = open_model(folder, request=TaskRequest("classification"))
    assert single.task.name == "classification"


def test_a_saved_model_keeps_its_task(tiny_model: TaskModel, tmp_path: Path) -> None:
    checkpoint = replace(tiny_model.checkpoint, labels=("entailment", "b", "c"))
    folder = replace(tiny_model, checkpoint=checkpoint).save(tmp_path / "model")
    assert open_model(folder).task.name == "classification"
    assert open_model(folder, request=TaskRequest("pairs")).task.name == "pairs"


def test_a_task_that_does_not_fit_the_head(tiny_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a task of the model's head \(classification"):
        open_model(tiny_folder, request=TaskRequest("ner"))
    with pytest.raises(UsageError, match="--pairs: expected a classifier or a regression"):
        model = open_model(tiny_folder)
        tagger = random_task_model(model.checkpoint.config, model.tokenizer, "ner")
        open_model(tagger.save(tiny_folder.parent / "tagger"), request=TaskRequest(pairs=True))


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (("O", "B-PER", "I-PER", "X", "[CLS]", "[SEP]"), "ner"),
        (("[PAD]", "O", "PER", "LOC", "ORG"), "ner"),
        (("O", "B-PER", "I-PER", "MISC"), "ner"),
        (("S-PER", "B-PER", "I-PER", "E-PER", "O"), "ner"),
        (("NOUN", "VERB", "X", "PUNCT"), "pos"),
        (("PER", "LOC", "MISC"), "ner"),
        (("organization", "product"), "ner"),
        (("N", "O", "V", "S", "Z"), "pos"),
        (("NN", "VBZ", "DT"), "pos"),
    ],
)
def test_labels_of_entities(tiny_model: TaskModel, labels: tuple[str, ...], task: str) -> None:
    size = tiny_model.checkpoint.config.hidden_size
    weights = dict(
        random_task_model(
            tiny_model.checkpoint.config, tiny_model.tokenizer, "ner"
        ).checkpoint.weights
    )
    weights["token_classifier.kernel"] = np.zeros((len(labels), size), np.float32)
    checkpoint = Checkpoint(tiny_model.checkpoint.config, weights, labels)
    assert task_of_head(checkpoint) == task


def test_tags_of_words_are_told_in_a_line(tiny_model: TaskModel, tmp_path: Path) -> None:
    tagger = random_task_model(tiny_model.checkpoint.config, tiny_model.tokenizer, "pos")
    for labels, is_said in ((("NN", "VB", "DT", "JJ"), True), (tagger.labels, False)):
        model = replace(tagger, checkpoint=replace(tagger.checkpoint, labels=labels))
        opened = open_model(foreign(model, tmp_path / labels[0]))
        assert opened.task.name == "pos"
        assert any("--task ner takes them" in n for n in opened.checkpoint.notes) == is_said


def test_types_without_a_prefix_and_special_labels(tiny_model: TaskModel, tmp_path: Path) -> None:
    """Consecutive words of one type are one entity, as with `aggregation_strategy="first"`."""
    tagger = random_task_model(tiny_model.checkpoint.config, tiny_model.tokenizer, "ner")
    labels = ("O", "PER", "X", "LOC", "[SEP]")
    checkpoint = replace(tagger.checkpoint, labels=labels)
    opened = open_model(foreign(replace(tagger, checkpoint=checkpoint), tmp_path / "model"))
    assert opened.task.name == "ner"
    assert opened.labels == ("O", "I-PER", "X", "I-LOC", "[SEP]")
    assert any("X, [SEP] are taken as outside" in note for note in opened.checkpoint.notes)
    task: Any = opened.task
    tags = ["I-PER", "I-PER", "X", "I-LOC", "I-PER", "[SEP]"]
    words = [
        {"text": "a", "tag": tag, "start": 2 * i, "end": 2 * i + 1, "score": 0.5}
        for i, tag in enumerate(tags)
    ]
    found = task.extra_fields("a b c d e f", words)["entities"]
    assert [(each["type"], each["start"], each["end"]) for each in found] == [
        ("PER", 0, 3),
        ("LOC", 6, 7),
        ("PER", 8, 9),
    ]


def test_one_text_is_one_input(tiny_model: TaskModel) -> None:
    predictor = KerasPredictor(tiny_model)
    assert predict(predictor, "the movie") == predict(predictor, ["the movie"])
