"""MediaPipe's TextEmbedder loads the embedders that we export and gives our vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebert.evaluation.predictors import open_predictor, predict
from edgebert.exporting.artifact import export
from edgebert.models.task_model import open_model
from edgebert.settings import ExportSettings
from tests.judges import judge_process, mediapipe_tasks

TEXTS = [
    "A GORGEOUS, witty, seductive movie!",
    "it's 99.9% awful (really?) -- don't watch",
    "turn off the lights @home #now",
    "x",
    "word " * 200,
]


@pytest.mark.parametrize("recipe", ["dynamic-int8", "float32"])
def test_the_vectors_are_ours(
    recipe: str, minilm_dir: Path, mediapipe_python: str, tmp_path: Path
) -> None:
    settings = ExportSettings(recipe=recipe, length=64)
    path = export(open_model(minilm_dir), tmp_path / "m.tflite", settings).path
    judged = mediapipe_tasks.embed(mediapipe_python, path, TEXTS)
    ours = predict(open_predictor(path), TEXTS)
    for text, theirs, own in zip(TEXTS, judged, ours, strict=True):
        assert theirs["head"] == "embedding"
        np.testing.assert_allclose(theirs["embedding"], own["embedding"], atol=1e-6, err_msg=text)
        assert np.linalg.norm(theirs["embedding"]) == pytest.approx(1, abs=1e-5)


def test_several_lengths_are_refused(
    minilm_dir: Path, mediapipe_python: str, tmp_path: Path
) -> None:
    settings = ExportSettings(lengths="16,64")
    path = export(open_model(minilm_dir), tmp_path / "m.tflite", settings).path
    with pytest.raises(judge_process.Refused):
        mediapipe_tasks.embed(mediapipe_python, path, TEXTS[:1])
