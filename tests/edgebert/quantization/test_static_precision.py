"""The static recipes: the choice of integer operators by their sensitivity."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from converters.tflite.inference_graph import PROBABILITIES, Precision
from edgebert.errors import MissingExtraError
from edgebert.models.task_model import TaskModel
from edgebert.quantization.calibration import FLOAT, Calibration, outputs, outputs_of
from edgebert.quantization.static_precision import choose_static
from tests.edgebert.quantization.test_calibration import calibration_of

STORED = Precision("dynamic-int8", "int8")


@pytest.fixture(scope="module")
def calibration(tiny_model: TaskModel) -> Calibration:
    return calibration_of(tiny_model)


def test_without_a_limit_all_groups_are_static(calibration: Calibration) -> None:
    choice = choose_static(calibration, 8, 0.0, STORED)
    assert {part.stored_as for part in choice.parts} == {"static-int8"}
    assert len(choice.parts) == 2 * 6 + 2 + 3
    assert all(part.error is not None and part.error > 0 for part in choice.parts)
    body = choice.graph(calibration, calibration.lengths, calibration.output, STORED)
    received = outputs(calibration, body, calibration.lengths)
    assert choice.error == calibration.error(outputs_of(calibration, FLOAT), received)


def test_the_most_sensitive_groups_stay_in_float(calibration: Calibration) -> None:
    everything = choose_static(calibration, 8, 0.0, STORED)
    choice = choose_static(calibration, 8, everything.error / 4, STORED)
    assert choice.error <= everything.error / 4
    static = [part.error for part in choice.parts if part.stored_as == "static-int8"]
    kept = [part.error for part in choice.parts if part.stored_as != "static-int8"]
    assert static
    assert max(error for error in static if error) <= min(error for error in kept if error)
    assert {part.stored_as for part in choice.parts} <= {"static-int8", "dynamic-int8", "float32"}


def test_sixteen_bits_have_a_smaller_error(calibration: Calibration) -> None:
    eight, sixteen = (choose_static(calibration, bits, 0.0, STORED) for bits in (8, 16))
    assert {part.stored_as for part in sixteen.parts} == {"static-int16"}
    assert sixteen.error < 0.2 * eight.error


def test_an_encoder_has_no_head(tiny_encoder: TaskModel) -> None:
    calibration = calibration_of(tiny_encoder)
    choice = choose_static(calibration, 8, 0.0, STORED)
    assert not {"pooler", "classifier"} & {part.name for part in choice.parts}


def test_the_exported_output_may_differ_from_the_measured_one(calibration: Calibration) -> None:
    choice = choose_static(calibration, 8, 0.0, STORED)
    assert choice.graph(calibration, [8, 16], PROBABILITIES, STORED)


def test_a_missing_package_is_reported_with_its_install_line(
    calibration: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec

    def missing(name: str, *arguments: Any) -> Any:
        return None if name == "ai_edge_quantizer" else find_spec(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    with pytest.raises(MissingExtraError, match=r"Next: pip install 'edgebert\[static\]'"):
        choose_static(calibration, 8, 0.0, STORED)
