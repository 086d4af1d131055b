"""Calibration: the drawn texts, measurements of the float model, errors of outputs."""

from __future__ import annotations

import numpy as np
import pytest

from converters.tflite.inference_graph import HIDDEN_STATES, LOGITS, Precision
from edgebert.errors import DataError
from edgebert.evaluation.predictors import KerasPredictor
from edgebert.models.task_model import TaskModel
from edgebert.quantization.calibration import (
    FLOAT,
    Calibration,
    calibrate,
    kernel_moments,
    output_error,
    outputs_of,
)
from edgebert.settings import ExportSettings

TEXTS = tuple(f"the {a} is {b}" for a in ("movie", "alarm", "light") for b in ("on", "bad", "ok"))


def calibration_of(model: TaskModel, rows: int = 256) -> Calibration:
    settings = ExportSettings(recipe="int4", calibration_rows=rows)
    return calibrate(model, TEXTS, 40, settings)


def test_texts_are_drawn_by_seed(tiny_model: TaskModel) -> None:
    drawn = [
        calibrate(
            tiny_model,
            TEXTS,
            40,
            ExportSettings(calibration_rows=4, calibration_seed=seed),
        ).encodings
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert len(set(drawn[0])) == 4


@pytest.mark.parametrize("texts", [(), ("",), ("one",), ("one", "one", "  ")])
def test_fewer_than_two_different_texts_are_refused(
    texts: tuple[str, ...], tiny_model: TaskModel
) -> None:
    with pytest.raises(DataError, match=r"at least 2 different.*Next: add --calibration"):
        calibrate(tiny_model, texts, 40, ExportSettings())


@pytest.mark.parametrize("kind", ["tiny_model", "tiny_encoder"])
def test_outputs_equal_those_of_keras(kind: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(kind)
    calibration = calibration_of(model)
    assert calibration.output == (LOGITS if model.labels else HIDDEN_STATES)
    expected = KerasPredictor(model).outputs(calibration.encodings)
    got = outputs_of(calibration, FLOAT)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert calibration.error(got, got) == 0
    assert 0 < calibration.error(got, outputs_of(calibration, Precision())) < 0.05


def test_moments_belong_to_the_inputs_of_every_kernel(tiny_model: TaskModel) -> None:
    calibration = calibration_of(tiny_model)
    moments = kernel_moments(calibration)
    kernels = {
        name.removesuffix(".kernel")
        for name in tiny_model.checkpoint.weights
        if name.endswith(".kernel")
    }
    assert moments.keys() == kernels
    for name, moment in moments.items():
        inputs = tiny_model.checkpoint.weights[f"{name}.kernel"].shape[1]
        assert moment.shape == (inputs, inputs)
        np.testing.assert_allclose(moment, moment.T, atol=1e-5)
        assert np.linalg.eigvalsh(moment).min() > -1e-4
    np.testing.assert_array_equal(
        moments["layers.0.attention.query"], moments["layers.0.attention.value"]
    )
    # The first kernel reads the embeddings' LayerNorm: rows of mean 0 and variance 1, scaled.
    checkpoint = tiny_model.checkpoint
    scale, bias = (checkpoint.weights[f"embeddings.norm.{part}"] for part in ("scale", "bias"))
    energy = np.diag(moments["layers.0.attention.key"]).sum()
    assert energy == pytest.approx((scale**2).sum() + (bias**2).sum(), rel=0.3)


def test_error_is_noise_over_signal_without_the_mean_of_logits() -> None:
    reference = [np.array([3.0, -3.0]), np.array([-1.0, 1.0])]
    assert output_error(reference, [x + 5 for x in reference], -1) == pytest.approx(0)
    assert output_error(reference, [x * 1.1 for x in reference], -1) == pytest.approx(0.01)
    scores = [np.array([4.0]), np.array([2.0])]
    assert output_error(scores, [x * 1.1 for x in scores]) == pytest.approx(0.01)
    rows = [np.ones((4, 8)), np.ones((2, 8))]
    assert output_error(rows, [x * 0.9 for x in rows]) == pytest.approx(0.01)
