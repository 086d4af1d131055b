"""Multi-label classification: thresholds, metrics, loss, answers; from texts to answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import heads
from edgebert.data.datasets import Dataset, Example, split_dataset
from edgebert.errors import DataError, UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate, predict
from edgebert.finetuning import finetune
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import DataSettings, FinetuneSettings, TaskSettings
from edgebert.tasks import task_named
from edgebert.tasks.classification import f1_score
from edgebert.tasks.multi_label import MultiLabelExample, best_threshold
from edgebert.tasks.task import Features, ModelFacts
from edgebert.training.stage_run import StageRun

MULTI_LABEL = task_named("multi-label")
LABELS = ("lights", "music", "timer")


def features_of(*label_sets: tuple[str, ...]) -> Features:
    examples = [MultiLabelExample("x", labels) for labels in label_sets]
    return Features(examples, [], np.arange(len(examples), dtype=np.int32))


def log_odds(*rows: list[float]) -> list[np.ndarray]:
    return [np.log(np.array(row) / (1 - np.array(row))).astype(np.float32) for row in rows]


def dataset(*examples: Any) -> Dataset:
    return Dataset("made", examples, Path("made.jsonl"), "0" * 64, "multi-label")


# Thresholds

PROBABILITIES = st.integers(1, 9).map(lambda tenths: tenths / 10)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.tuples(PROBABILITIES, PROBABILITIES), st.tuples(st.booleans(), st.booleans())),
        min_size=1,
        max_size=12,
    )
)
def test_the_chosen_threshold_is_optimal(rows: list[Any]) -> None:
    probabilities, is_there = (np.array(column) for column in zip(*rows, strict=True))
    chosen = best_threshold(probabilities, is_there)
    assert 0 < chosen < 1
    reached = f1_score(probabilities > chosen, is_there)
    every = [f1_score(probabilities > tenths / 20, is_there) for tenths in range(1, 20)]
    assert reached == pytest.approx(max(every))


def test_a_threshold_is_midway_between_probabilities() -> None:
    probabilities = np.array([[0.9, 0.2], [0.1, 0.4]])
    assert best_threshold(probabilities, probabilities > 0.3) == pytest.approx(0.3)
    assert best_threshold(probabilities, np.zeros((2, 2), bool)) == 0.5


def test_the_decoding(tiny_task_model: Callable[[str], TaskModel]) -> None:
    assert MULTI_LABEL.decoding(TaskSettings()) == {}
    fixed = MULTI_LABEL.decoding(TaskSettings(threshold=0.7))
    assert fixed == {"threshold": 0.7}
    features, outputs = features_of(("music",), ()), log_odds([0.1, 0.4, 0.1], [0.1, 0.1, 0.2])
    assert MULTI_LABEL.choose_thresholds(outputs, features, ModelFacts(LABELS)) == {
        "threshold": pytest.approx(0.3)
    }
    assert MULTI_LABEL.choose_thresholds(outputs, features, ModelFacts(LABELS, fixed)) == fixed
    for wrong in (-0.1, 1.0):
        with pytest.raises(UsageError, match="threshold: expected at least 0"):
            MULTI_LABEL.decoding(TaskSettings(threshold=wrong))


# Metrics and answers


def test_metrics() -> None:
    features = features_of(("lights",), ("lights", "music"), ())
    outputs = log_odds([0.9, 0.6, 0.1], [0.8, 0.4, 0.1], [0.1, 0.1, 0.1])
    found = MULTI_LABEL.metrics(outputs, features, ModelFacts(LABELS))
    # Given: lights, music; lights; none. Hits: 2 of 3 given and 3 there; `timer` is nowhere.
    assert found == {
        "micro_f1": pytest.approx(2 * 2 / 6),
        "macro_f1": pytest.approx((1 + 0) / 2),
        "subset_accuracy": pytest.approx(1 / 3),
    }
    assert MULTI_LABEL.metric in found
    lower = MULTI_LABEL.metrics(outputs, features, ModelFacts(LABELS, {"threshold": 0.3}))
    assert lower["micro_f1"] == pytest.approx(2 * 3 / 7)
    nothing = MULTI_LABEL.metrics(outputs[2:], features_of(()), ModelFacts(LABELS))
    assert nothing == {"micro_f1": 0.0, "macro_f1": 0.0, "subset_accuracy": 1.0}


def test_answers() -> None:
    features = features_of((), ())
    outputs = log_odds([0.2, 0.9, 0.6], [0.2, 0.1, 0.3])
    first, second = MULTI_LABEL.answers(outputs, features, ModelFacts(LABELS))
    assert first["labels"] == ["music", "timer"] and second["labels"] == []
    assert first["probabilities"] == pytest.approx({"lights": 0.2, "music": 0.9, "timer": 0.6})
    json.dumps(first)
    assert MULTI_LABEL.format_answer(first, 1) == "music 0.900\ttimer 0.600\tx"
    assert MULTI_LABEL.format_answer(second, 1) == "no label\tx"
    assert MULTI_LABEL.format_answer(second, 2) == "no label\t(timer 0.300)\t(lights 0.200)\tx"


def test_log_probabilities_have_one_choice_per_label() -> None:
    found = MULTI_LABEL.log_probabilities(np.array([-2.0, 0.0, 30.0], np.float32))
    assert found.shape == (3, 2)
    np.testing.assert_allclose(np.exp(found).sum(-1), 1, atol=1e-12)
    np.testing.assert_allclose(np.exp(found[:2, 1]), [1 / (1 + np.e**2), 0.5], atol=1e-9)
    assert found[2].argmax() == 1 and np.exp(found[2, 0]) < 1e-3


# Training


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_the_loss_is_binary_cross_entropy(
    tiny_task_model: Callable[[str], TaskModel], weights: str
) -> None:
    keras = pytest.importorskip("keras")
    model = tiny_task_model("multi-label")
    examples = [MultiLabelExample("good", labels) for labels in (("music",), (), (), ())]
    features = MULTI_LABEL.features(model.tokenizer, examples, 16, {})
    recipe = FinetuneSettings(class_weights=weights)
    rows = MULTI_LABEL.rows(features, ModelFacts(LABELS), recipe, model.tokenizer)
    assert rows.targets.dtype == np.float32 and rows.targets.shape == (4, 3)
    assert rows.targets[0].tolist() == [0, 3 if weights == "balanced" else 1, 0]
    logits = np.array([[0.5, -1, 2]] * 4, np.float32)
    loss = float(MULTI_LABEL.loss(LABELS)(rows.targets, logits))
    there = (rows.targets > 0).astype(np.float32)
    each = np.logaddexp(0, np.where(there > 0, -logits, logits)) * np.maximum(rows.targets, 1)
    assert loss == pytest.approx(float(each.mean()), rel=1e-5)
    if weights == "none":
        plain = keras.losses.BinaryCrossentropy(from_logits=True)
        assert loss == pytest.approx(float(plain(there, logits)), rel=1e-5)


@pytest.mark.parametrize(("weights", "odds"), [("none", 1 / 3), ("balanced", 1)])
def test_a_new_head_starts_at_the_log_odds_of_its_labels(
    tiny_task_model: Callable[[str], TaskModel], weights: str, odds: float
) -> None:
    pytest.importorskip("keras_hub")
    model = tiny_task_model("multi-label")
    examples = [MultiLabelExample("good", ("music",) if i % 4 == 0 else ()) for i in range(400)]
    features = MULTI_LABEL.features(model.tokenizer, examples, 16, {})
    recipe = FinetuneSettings(class_weights=weights)
    rows = MULTI_LABEL.rows(features, ModelFacts(LABELS), recipe, model.tokenizer)
    keras_model = model.keras_model()
    MULTI_LABEL.start_head(keras_model, rows)
    bias = np.asarray(keras_model.get_layer("classifier").bias)
    assert bias[1] == pytest.approx(np.log(odds), abs=0.01)
    assert bias[0] == bias[2] < -6


def texts(rows: int, seed: int) -> Dataset:
    """The text contains the name of each of its labels."""
    rng = np.random.default_rng(seed)
    examples = []
    for _ in range(rows):
        labels = tuple(label for label in LABELS if rng.random() < 0.4)
        words = [*rng.choice(["the", "a", "is", "on", "it", "to"], 3), *labels]
        rng.shuffle(words)
        examples.append(MultiLabelExample(" ".join(words), labels))
    return replace(dataset(*examples), sha256=f"{seed:064d}")


@pytest.mark.graphs
def test_it_learns(one_layer_encoder: TaskModel, tmp_path: Path) -> None:
    train, dev = texts(480, 1), texts(80, 2)
    recipe = FinetuneSettings(epochs=5, batch_size=16, learning_rate=1e-2, max_length=16, seed=1)
    result = finetune(one_layer_encoder, train, dev, recipe, StageRun(tmp_path / "model"))
    assert result.metrics["micro_f1"] > 0.75  # all labels for every text: 0.57
    opened = open_model(tmp_path / "model")
    assert (opened.task.name, opened.labels) == ("multi-label", LABELS)
    assert opened.checkpoint.problem == heads.MULTI_LABEL
    assert 0 < opened.decoding["threshold"] < 1
    assert evaluate(KerasPredictor(opened), dev).metrics == pytest.approx(
        {name: value for name, value in result.metrics.items() if name != "loss"}
    )
    (answer,) = predict(KerasPredictor(opened), ["the lights on music"])
    over = {k for k, v in answer["probabilities"].items() if v > opened.decoding["threshold"]}
    assert set(answer["labels"]) == over


# Bad input


def test_unknown_labels_are_refused() -> None:
    data = dataset(MultiLabelExample("a", ("music", "rain")), MultiLabelExample("b", ("rain",)))
    with pytest.raises(DataError, match=r"Received also: 'rain' \(2x\)"):
        MULTI_LABEL.require_known(data, LABELS)
    MULTI_LABEL.require_known(dataset(MultiLabelExample("a", ())), LABELS)


def test_data_without_label_lists_is_refused() -> None:
    with pytest.raises(DataError, match="Received: examples of another task"):
        MULTI_LABEL.require_known(dataset(Example("a", "music")), LABELS)
    with pytest.raises(DataError, match="1 of 2 texts without"):
        MULTI_LABEL.label_names(dataset(MultiLabelExample("a", ("x",)), MultiLabelExample("b")))
    with pytest.raises(DataError, match="2 texts without any"):
        MULTI_LABEL.label_names(dataset(MultiLabelExample("a", ()), MultiLabelExample("b", ())))


def test_labels_are_sorted() -> None:
    data = dataset(MultiLabelExample("a", ("10", "9")), MultiLabelExample("b", ("9", "1")))
    assert MULTI_LABEL.label_names(data) == ("1", "9", "10")


def test_a_split_keeps_a_rare_label_in_the_first_part() -> None:
    rare = [MultiLabelExample(f"r{i}", ("music", "rain")) for i in range(2)]
    many = [MultiLabelExample(f"m{i}", ("music",) if i % 2 else ()) for i in range(18)]
    for seed in range(10):
        train, dev = split_dataset(dataset(*rare, *many), 0.5, seed)
        assert MULTI_LABEL.label_names(train) == ("music", "rain")
        assert len(dev) == 10 and sum(e.labels == () for e in dev.examples) in (4, 5)


def test_the_reader(tiny_task_file: Callable[[str], Path]) -> None:
    read = MULTI_LABEL.read(tiny_task_file("multi-label"), DataSettings(), "required")
    assert read.examples[-1] == MultiLabelExample("it is a great film today", ("lights", "music"))
    unlabelled = MULTI_LABEL.read(tiny_task_file("multi-label"), DataSettings(), "none")
    assert {example.labels for example in unlabelled.examples} == {None}
