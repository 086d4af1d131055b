"""Shorter sentence vectors, by `truncate_dim` and by `--dimensions`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.formats.sentence_transformers import read_modules
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor, Predictor, predict
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.exporting.dimensions import (
    principal_directions,
    with_dimensions,
    with_projection,
)
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import ExportSettings
from tests.tiny_tasks import random_task_model

TEXTS = ["the movie is good", "turn on the lights"]


def vectors(predictor: Predictor) -> np.ndarray:
    return np.array([answer["embedding"] for answer in predict(predictor, TEXTS)])


@pytest.fixture
def embedder(tiny_model: TaskModel) -> TaskModel:
    return random_task_model(tiny_model.checkpoint.config, tiny_model.tokenizer, "embeddings")


def truncated(model: TaskModel, folder: Path, value: object) -> Path:
    model.save(folder)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"truncate_dim": value}))
    return folder


def test_truncate_dim_cuts_after_normalization_as_sentence_transformers(
    embedder: TaskModel, tmp_path: Path
) -> None:
    whole = vectors(KerasPredictor(embedder))
    opened = open_model(truncated(embedder, tmp_path / "model", 6))
    np.testing.assert_allclose(vectors(KerasPredictor(opened)), whole[:, :6], atol=1e-6)
    settings = ExportSettings(recipe="float32")
    file = LiteRtModel.open(export(opened, tmp_path / "m.tflite", settings).path)
    np.testing.assert_allclose(vectors(file), whole[:, :6], atol=1e-4)
    again = open_model(opened.save(tmp_path / "again"))
    assert again.checkpoint.sentence == opened.checkpoint.sentence


def test_dimensions_are_cut_and_normalized_again_in_the_file(
    embedder: TaskModel, tmp_path: Path
) -> None:
    settings = ExportSettings(recipe="float32", dimensions=4)
    wanted = vectors(KerasPredictor(embedder))[:, :4]
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    file = LiteRtModel.open(export(embedder, tmp_path / "m.tflite", settings).path)
    np.testing.assert_allclose(vectors(file), wanted, atol=1e-4)


def test_principal_directions_of_vectors_in_a_plane_lose_nothing() -> None:
    plane = np.random.default_rng(0).normal(size=(2, 5))
    found = np.random.default_rng(1).normal(size=(9, 2)) @ plane
    short = found @ principal_directions(found, 2).T
    np.testing.assert_allclose(short @ short.T, found @ found.T, atol=1e-9)
    assert not np.allclose(found[:, :2] @ found[:, :2].T, found @ found.T, atol=1e-2)


def test_a_projection_keeps_more_of_the_cosines_and_is_in_the_file(
    embedder: TaskModel, tmp_path: Path
) -> None:
    texts = [f"{a} the {b}" for a in ("turn", "stop", "play", "set") for b in ("music", "lights")]
    whole, first, projected = (
        np.array([answer["embedding"] for answer in predict(KerasPredictor(model), texts)])
        for model in (
            embedder,
            with_dimensions(embedder, 4),
            with_projection(embedder, 4, texts),
        )
    )
    errors = [np.square(short @ short.T - whole @ whole.T).mean() for short in (first, projected)]
    assert errors[1] < 0.5 * errors[0]
    settings = ExportSettings(recipe="float32", dimensions=4, dimensions_by="pca")
    made = export(embedder, tmp_path / "m.tflite", settings, texts=ExportTexts(calibration=texts))
    file = LiteRtModel.open(made.path)
    shown = np.array([answer["embedding"] for answer in predict(file, texts)])
    np.testing.assert_allclose(shown @ shown.T, projected @ projected.T, atol=1e-4)
    again = open_model(with_projection(embedder, 4, texts).save(tmp_path / "folder"))
    np.testing.assert_allclose(
        vectors(KerasPredictor(again)) @ vectors(KerasPredictor(again)).T,
        vectors(file) @ vectors(file).T,
        atol=1e-4,
    )
    with pytest.raises(UsageError, match="expected at least 4 texts with --calibration"):
        export(embedder, tmp_path / "m.tflite", settings)


def test_dimensions_that_a_model_does_not_have(
    embedder: TaskModel, tiny_model: TaskModel, tmp_path: Path
) -> None:
    settings = ExportSettings(dimensions=1000)
    with pytest.raises(UsageError, match=r"--dimensions: expected 1 to 16\. Received: 1000"):
        export(embedder, tmp_path / "m.tflite", settings)
    with pytest.raises(UsageError, match="expected a model for sentence embeddings"):
        export(tiny_model, tmp_path / "m.tflite", settings)


@pytest.mark.parametrize("value", [0, -1, "8", 2.5, True])
def test_a_truncate_dim_that_is_no_size(embedder: TaskModel, value: object, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="expected a truncate_dim of at least 1"):
        read_modules(truncated(embedder, tmp_path / "model", value))


def test_a_truncate_dim_above_the_size_keeps_all(embedder: TaskModel, tmp_path: Path) -> None:
    opened = open_model(truncated(embedder, tmp_path / "model", 999))
    assert opened.checkpoint.sentence == embedder.checkpoint.sentence
