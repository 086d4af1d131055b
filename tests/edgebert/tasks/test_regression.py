"""Regression: rank correlation, preparation of a checkpoint, and training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import heads
from converters.vocabulary import Vocabulary
from edgebert.data.datasets import Dataset, Example
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import DataError, UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate, predict
from edgebert.finetuning import finetune
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import DataSettings, FinetuneSettings, TaskSettings
from edgebert.tasks import task_named
from edgebert.tasks.regression import ScoredExample, pearson, ranks, spearman
from edgebert.tasks.task import ModelFacts
from edgebert.training.stage_run import StageRun

REGRESSION = task_named("regression")
NUMBERS = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=30)


def test_equal_values_share_their_rank() -> None:
    assert ranks([10, 20, 20, 5, 20]).tolist() == [2, 4, 4, 1, 4]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # scipy.stats.spearmanr
        ([1, 2, 3, 4, 5], [5, 6, 7, 8, 7], 0.8207826816681233),
        ([1, 2, 2, 3, 3, 3], [3, 1, 2, 2, 5, 4], 0.42270139648247596),
        ([1, 2, 3], [3, 2, 1], -1),
        ([1, 1, 1], [1, 2, 3], 0),
        ([0.1 + 0.2, 0.3, 0.3], [1, 2, 3], -0.8660254037844387),
    ],
)
def test_spearman(a: list[float], b: list[float], expected: float) -> None:
    assert spearman(a, b) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(a=NUMBERS, data=st.data())
def test_correlations_are_those_of_scipy(a: list[float], data: st.DataObject) -> None:
    stats = pytest.importorskip("scipy.stats", reason="no SciPy to compare with")
    b = data.draw(st.lists(st.integers(-3, 3).map(float), min_size=len(a), max_size=len(a)))
    constant = len(set(a)) == 1 or len(set(b)) == 1
    for ours, theirs in ((spearman, stats.spearmanr), (pearson, stats.pearsonr)):
        expected = 0.0 if constant else theirs(a, b).statistic
        assert ours(a, b) == pytest.approx(expected, abs=1e-9)


@given(a=NUMBERS)
def test_ranks_depend_on_the_order_only(a: list[float]) -> None:
    assert spearman(a, np.exp(a)) == pytest.approx(0.0 if len(set(a)) == 1 else 1.0)


def test_metrics(tiny_task_model: Callable[[str], TaskModel]) -> None:
    model = tiny_task_model("regression")
    examples = [ScoredExample("good", 1.0), ScoredExample("bad", 3.0), ScoredExample("now", 2.0)]
    features = REGRESSION.features(model.tokenizer, examples, 16, {})
    outputs = [np.array([value], np.float32) for value in (0.0, 3.0, 1.0)]
    found = REGRESSION.metrics(outputs, features, ModelFacts())
    assert found == {
        "spearman": pytest.approx(1.0),
        "pearson": pytest.approx(0.9819805060619657),
        "mean_squared_error": pytest.approx(2 / 3),
    }
    assert REGRESSION.metric in found


@pytest.mark.parametrize("task", ["classification", "multi-label", "ner", "embeddings"])
def test_a_head_for_another_problem_is_removed(
    tiny_task_model: Callable[[str], TaskModel], task: str
) -> None:
    base = tiny_task_model(task).checkpoint
    prepared = REGRESSION.prepare_checkpoint(base, TaskSettings())
    assert prepared.problem == heads.REGRESSION and prepared.labels == ()
    assert prepared.head == heads.ENCODER
    own = tiny_task_model("regression").checkpoint
    assert REGRESSION.prepare_checkpoint(own, TaskSettings()).head == heads.CLASSIFIER
    back = task_named("classification").prepare_checkpoint(own, TaskSettings())
    assert back.problem == heads.SINGLE_LABEL and "classifier.kernel" not in back.weights


def scored(rows: int, seed: int, pairs: bool) -> Dataset:
    """The score is 60 or 90, depending on one word of the text or of the second text."""
    rng = np.random.default_rng(seed)
    words = rng.choice(["good", "bad"], (rows, 2))
    examples = []
    for first, second in words:
        score = 90.0 if (second if pairs else first) == "good" else 60.0
        pair = f"a {second} film" if pairs else None
        examples.append(ScoredExample(f"the movie is {first}", score, pair))
    return Dataset("scored", tuple(examples), Path("scored.tsv"), f"{seed:064d}", "regression")


@pytest.mark.graphs
@pytest.mark.parametrize("pairs", [False, True])
def test_it_learns(one_layer_encoder: TaskModel, tmp_path: Path, pairs: bool) -> None:
    train, dev = scored(480, 1, pairs), scored(60, 2, pairs)
    recipe = FinetuneSettings(epochs=4, batch_size=16, learning_rate=1e-2, max_length=16, seed=1)
    result = finetune(one_layer_encoder, train, dev, recipe, StageRun(tmp_path / "model"))
    assert result.metrics["spearman"] > 0.8
    assert result.metrics["mean_squared_error"] < 50
    opened = open_model(tmp_path / "model")
    assert (opened.task.name, opened.labels, opened.decoding) == (
        "regression",
        (),
        {"texts": 2 if pairs else 1},
    )
    again = evaluate(KerasPredictor(opened), dev).metrics
    assert again == pytest.approx({name: result.metrics[name] for name in again}, abs=1e-4)
    single = [("the movie is good", "a good film") if pairs else "the movie is good"]
    (answer,) = predict(KerasPredictor(opened), single)
    assert answer["score"] == pytest.approx(90, abs=8)
    if pairs:
        assert answer["pair"] == "a good film"
        with pytest.raises(DataError, match="Expected pairs of texts"):
            predict(KerasPredictor(opened), ["the movie is good"])


def test_bad_data_and_settings(one_layer_encoder: TaskModel, tmp_path: Path) -> None:
    train = scored(40, 1, False)
    lacking = replace(train, examples=(*train.examples, ScoredExample("good")))
    with pytest.raises(DataError, match="1 of 41 texts without one"):
        REGRESSION.label_names(lacking)
    labelled = replace(train, examples=(Example("good", "1"),))
    with pytest.raises(DataError, match="1 of 1 texts without one"):
        REGRESSION.require_known(labelled, ())
    recipe = FinetuneSettings(class_weights="balanced", max_length=16)
    with pytest.raises(UsageError, match="class_weights: expected none for regression"):
        finetune(one_layer_encoder, train, train, recipe, StageRun(tmp_path / "model"))
    with pytest.raises(UsageError, match=r"a text or a pair of texts\. Received: 3"):
        REGRESSION.example("a", "b", "c")


def test_the_reader(tiny_task_file: Callable[[str], Path]) -> None:
    read = REGRESSION.read(tiny_task_file("regression"), DataSettings(), "required")
    assert read.task == "regression" and read.labels == (None,) * len(read)
    assert read.examples[0] == ScoredExample(
        "turn the lights on today", 5.0, "turn the lights on today"
    )


def test_check_examples_use_both_segments(tiny_vocabulary: Vocabulary) -> None:
    examples = REGRESSION.check_examples(["a", "b", "c"])
    assert [(e.text, e.pair) for e in examples] == [("a", "b"), ("b", "c"), ("c", "a")]
    features = REGRESSION.features(Tokenizer(tiny_vocabulary), examples, 16, {})
    assert all(1 in encoding.segment_ids for encoding in features.encodings)


def test_format_answer() -> None:
    assert REGRESSION.format_answer({"text": "a", "pair": "b", "score": 2.5}, 1) == "2.500\ta\tb"
