"""Zero-shot classification with a model of entailment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor
from edgebert.evaluation.zero_shot import classify
from edgebert.models.task_model import TaskModel
from edgebert.tasks import task_named


def test_the_logits_of_entailment_are_compared(tiny_model: TaskModel) -> None:
    checkpoint = replace(tiny_model.checkpoint, labels=("contradiction", "Entailment", "neutral"))
    model = replace(tiny_model, checkpoint=checkpoint, task=task_named("pairs"))
    predictor = KerasPredictor(model)
    text, candidates = "the movie is good", ["film", "weather", "music"]
    (answer,) = classify(predictor, [text], candidates)
    encode = model.tokenizer.encode
    logits = predictor.outputs([encode(text, f"This example is {each}.") for each in candidates])
    scores = np.exp([row[1] for row in logits])
    wanted = scores / scores.sum()
    np.testing.assert_allclose(list(answer["probabilities"].values()), wanted, atol=1e-5)
    assert answer["label"] == candidates[int(wanted.argmax())]
    with pytest.raises(UsageError, match="expected labels such as"):
        classify(predictor, [text], [])


def test_a_model_without_entailment(tiny_model: TaskModel) -> None:
    with pytest.raises(UsageError, match="expected a model of pairs with a label 'entailment'"):
        classify(KerasPredictor(tiny_model), ["a"], ["b"])
