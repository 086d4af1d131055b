"""The limits on a file's difference from its model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgebert.cli import cli
from edgebert.exporting.artifact import export
from edgebert.exporting.final_check import Limits, limits_of, problem_of
from edgebert.exporting.parity import Certificate
from edgebert.models.task_model import TaskModel
from edgebert.quantization.recipes import Agreement
from edgebert.settings import ExportSettings

LIMITS = Limits(probability_error=0.05, agreement=0.9, cosine=0.9, score_error=0.1)


def certificate(final: Agreement | None, cosine: float | None, error: float) -> Certificate:
    return Certificate(10, True, 0.0, error, final, cosine, (), largest_score=2.0)


@pytest.mark.parametrize(
    ("given", "is_within"),
    [
        (certificate(Agreement(10, 1.0, 0.01, 0.0, 0.0), None, 0.0), True),
        (certificate(Agreement(10, 0.95, 0.2, 0.0, 0.0), None, 0.0), True),
        (certificate(Agreement(10, 0.8, 0.2, 0.0, 0.0), None, 0.0), False),
        (certificate(Agreement(10, 1.0, np.nan, np.nan, np.nan), None, np.nan), False),
        (certificate(None, 0.95, 0.0), True),
        (certificate(None, 0.5, 0.0), False),
        (certificate(None, np.nan, 0.0), False),
        (certificate(None, None, 0.1), True),
        (certificate(None, None, 0.5), False),
        (certificate(None, None, np.nan), False),
    ],
)
def test_a_file_beyond_the_limits_or_with_nan_is_refused(
    given: Certificate, is_within: bool
) -> None:
    assert (problem_of(given, LIMITS) == "") is is_within


def test_the_embedding_setting_counts() -> None:
    exact, half, coarse = (
        limits_of(ExportSettings(recipe="float32", embedding=name))
        for name in ("recipe", "float16", "int4")
    )
    assert exact.cosine > half.cosine > coarse.cosine


def test_an_overflow_in_float16_writes_nothing_and_names_a_recipe_that_holds(
    tiny_model: TaskModel, tmp_path: Path
) -> None:
    weights = {name: array.copy() for name, array in tiny_model.checkpoint.weights.items()}
    weights["layers.0.feed_forward.inner.kernel"][2] = 1e6
    weights["layers.0.feed_forward.output.kernel"][:, 2] = 1e-9
    checkpoint = tiny_model.checkpoint.with_weights(weights)
    folder = replace(tiny_model, checkpoint=checkpoint).save(tmp_path / "model")
    out = tmp_path / "model.tflite"
    result = CliRunner().invoke(cli, ["export", str(folder), "-o", str(out), "--recipe", "float16"])
    assert result.exit_code == 3, result.output
    assert "Nothing was written" in result.output
    assert not out.exists()
    named = result.output.split("use --recipe ")[1].split(",")[0]
    artifact = export(replace(tiny_model, checkpoint=checkpoint), out, ExportSettings(recipe=named))
    assert artifact.warning == ""
    json.dumps(artifact.manifest.to_dict(), allow_nan=False)
