"""Pairs of texts: the second text is used from the file to the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebert.data.datasets import Dataset, Example, label_names
from edgebert.errors import DataError, UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate, predict
from edgebert.finetuning import finetune
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import DataSettings, FinetuneSettings
from edgebert.tasks import task_named
from edgebert.tasks.task import Features, ModelFacts
from edgebert.training.stage_run import StageRun

PAIRS = task_named("pairs")


def made(rows: int, seed: int) -> Dataset:
    """The label depends on the second text only."""
    rng = np.random.default_rng(seed)
    examples = tuple(
        Example(f"the movie is {a}", "yes" if b == "good" else "no", f"a {b} film")
        for a, b in rng.choice(["good", "bad"], (rows, 2))
    )
    return Dataset("made", examples, Path("made.tsv"), f"{seed:064d}", "pairs")


def test_metrics_have_f1_of_the_second_label() -> None:
    examples = [Example("a", label, "b") for label in ("1", "1", "0", "0", "1")]
    features = Features(examples, [], np.arange(5, dtype=np.int32))
    outputs = [np.array(row, np.float32) for row in ([0, 1], [1, 0], [0, 1], [1, 0], [0, 1])]
    found = PAIRS.metrics(outputs, features, ModelFacts(("0", "1")))
    assert found["accuracy"] == pytest.approx(0.6)
    assert found["f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    three = [np.append(row, -9) for row in outputs]
    assert "f1" not in PAIRS.metrics(three, features, ModelFacts(("0", "1", "2")))


@pytest.mark.graphs
def test_it_learns(one_layer_encoder: TaskModel, tmp_path: Path) -> None:
    train, dev = made(480, 1), made(60, 2)
    recipe = FinetuneSettings(epochs=4, batch_size=16, learning_rate=1e-2, max_length=16, seed=1)
    result = finetune(one_layer_encoder, train, dev, recipe, StageRun(tmp_path / "model"))
    assert result.metrics["accuracy"] > 0.95 and result.metrics["f1"] > 0.95
    opened = open_model(tmp_path / "model")
    assert (opened.task.name, opened.labels) == ("pairs", ("no", "yes"))
    predictor = KerasPredictor(opened)
    assert evaluate(predictor, dev).metrics["f1"] == result.metrics["f1"]
    first, second = predict(
        predictor, [("the movie is bad", "a good film"), ("the movie is bad", "a bad film")]
    )
    assert (first["label"], second["label"]) == ("yes", "no")
    assert (first["text"], first["pair"]) == ("the movie is bad", "a good film")
    assert PAIRS.format_answer(first, 1).endswith("\tthe movie is bad\ta good film")
    with pytest.raises(UsageError, match=r"Expected two texts\. Received: 1"):
        predict(predictor, ["the movie is bad"])
    with pytest.raises(DataError, match="1 of 1 examples with one text"):
        predict(predictor, [Example("the movie is bad")])


def test_classification_takes_pairs_too(one_layer_encoder: TaskModel, tmp_path: Path) -> None:
    task = task_named("classification")
    assert task.example("a", "b") == Example("a", pair="b")
    path = tmp_path / "pairs.tsv"
    path.write_text("premise\thypothesis\tlabel\none\ttwo\tyes\nthree\tfour\tno\n")
    read = task.read(path, DataSettings(), "required")
    assert read.examples == PAIRS.read(path, DataSettings(), "required").examples
    assert label_names(read) == ("no", "yes")
    features = task.features(one_layer_encoder.tokenizer, read.examples, 20, {})
    assert all(1 in encoding.segment_ids for encoding in features.encodings)


def test_check_examples_are_pairs() -> None:
    assert PAIRS.check_examples(["a", "b"]) == [Example("a", pair="b"), Example("b", pair="a")]


def test_the_reader(tiny_task_file: Callable[[str], Path]) -> None:
    read = PAIRS.read(tiny_task_file("pairs"), DataSettings(), "required")
    assert read.task == "pairs" and read.labels[0] == "same"
    assert read.examples[-1] == Example(
        "it is a great film today", "different", "turn the lights on today"
    )
    single = tiny_task_file("classification")
    with pytest.raises(DataError, match="expected two columns for the texts"):
        PAIRS.read(single, DataSettings(), "required")
