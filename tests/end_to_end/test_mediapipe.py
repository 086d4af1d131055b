"""MediaPipe's TextClassifier loads what we export and gives our scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.layer_choice import drop_layers
from edgebert.evaluation.predictors import open_predictor, predict
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.models.task_model import open_model
from edgebert.settings import ExportSettings
from edgebert.tasks import task_named
from tests.judges import mediapipe_tasks

TEXTS = [
    "A GORGEOUS, witty, seductive movie!",
    "it's 99.9% awful (really?) -- don't watch",
    "turn off the lights @home #now",
    "x",
    "word " * 200,
]


@pytest.mark.parametrize("recipe", ["dynamic-int8", "float32", "int4"])
def test_the_scores_are_ours(
    recipe: str, minilm_dir: Path, mediapipe_python: str, tmp_path: Path
) -> None:
    model = open_model(minilm_dir)
    rng = np.random.default_rng(5)
    hidden = model.checkpoint.config.hidden_size
    labels = ("alarm", "music", "weather")
    weights = {
        **model.checkpoint.weights,
        "classifier.kernel": rng.normal(0, 0.2, (3, hidden)).astype(np.float32),
        "classifier.bias": np.zeros(3, np.float32),
    }
    checkpoint = replace(model.checkpoint, weights=weights, labels=labels, sentence=None)
    if recipe != "dynamic-int8":
        checkpoint = drop_layers(checkpoint, (0, 5))  # the recipe is judged, and two are enough
    classifier = replace(model, checkpoint=checkpoint, task=task_named("classification"))
    settings = ExportSettings(recipe=recipe, length=64)
    path = export(
        classifier, tmp_path / "m.tflite", settings, texts=ExportTexts(calibration=TEXTS[:2])
    ).path
    judged = mediapipe_tasks.classify(mediapipe_python, path, TEXTS)
    ours = predict(open_predictor(path), TEXTS)
    for text, theirs, own in zip(TEXTS, judged, ours, strict=True):
        assert theirs == pytest.approx(own["probabilities"], abs=1e-5), text
    assert len({own["probability"] for own in ours}) == len(TEXTS)
