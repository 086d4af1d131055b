"""The int4 recipe: the choice of kernels by their sensitivity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from converters.checkpoint import BertConfig
from converters.tflite.inference_graph import Precision
from edgebert.models.task_model import TaskModel
from edgebert.quantization.calibration import FLOAT, Calibration, calibrate, outputs_of
from edgebert.quantization.mixed_precision import Int4Choice, choose_int4
from edgebert.quantization.sensitivity import parts_of
from edgebert.settings import ExportSettings
from tests.conftest import random_checkpoint
from tests.edgebert.quantization.test_calibration import TEXTS

STORED = Precision("dynamic-int8", "int4")


@pytest.fixture(scope="module")
def calibration(tiny_model: TaskModel, tiny_config: BertConfig) -> Calibration:
    """A model whose second feed-forward has almost no effect on the outputs."""
    config = replace(tiny_config, hidden_size=32, intermediate_size=64)
    checkpoint = random_checkpoint(config, ("a", "b", "c"))
    weights = dict(checkpoint.weights)
    for part in ("inner", "output"):
        weights[f"layers.1.feed_forward.{part}.kernel"] = (
            weights[f"layers.1.feed_forward.{part}.kernel"] * 0.01
        ).astype(np.float32)
    settings = ExportSettings(recipe="int4")
    model = replace(tiny_model, checkpoint=checkpoint.with_weights(weights))
    return calibrate(model, TEXTS, 40, settings)


def choice_of(
    calibration: Calibration, int4_share: float = 1.0, max_error: float = 0.0
) -> Int4Choice:
    return choose_int4(calibration, int4_share, 0, max_error, STORED)


def test_a_share_of_1_puts_all_kernels_in_int4(calibration: Calibration) -> None:
    choice = choice_of(calibration, int4_share=1.0)
    assert choice.share == 1.0
    kernels = {name for part in parts_of(calibration.checkpoint) for name in part.kernels}
    assert choice.by_kernel.keys() == kernels
    assert len(choice.parts) == 2 * 4 + 2
    reference = outputs_of(calibration, FLOAT)
    stored = outputs_of(calibration, replace(STORED, by_kernel=choice.by_kernel))
    assert choice.error == calibration.error(reference, stored)


def test_the_most_sensitive_parts_per_weight_stay_in_int8(calibration: Calibration) -> None:
    choice = choice_of(calibration, int4_share=0.5)
    by_name = {part.name: part for part in choice.parts}
    assert by_name["layers.1.feed_forward.inner"].stored_as == "int4"
    assert by_name["layers.1.feed_forward.output"].stored_as == "int4"
    assert choice.share <= 0.5
    error_per_weight = {
        kind: [p.error / p.weights for p in choice.parts if p.stored_as == kind and p.error]
        for kind in ("int4", "dynamic-int8")
    }
    assert np.median(error_per_weight["int4"]) < np.median(error_per_weight["dynamic-int8"])


def test_the_error_stays_within_the_limit(calibration: Calibration) -> None:
    most, least = (choice_of(calibration, int4_share=share) for share in (1.0, 0.0))
    assert least.by_kernel == {}
    bound = (most.error * least.error) ** 0.5
    kept = choice_of(calibration, int4_share=1.0, max_error=bound)
    assert kept.error <= bound
    assert 0 < kept.share < 1


def test_blocks_apply_to_kernels_whose_inputs_they_divide(calibration: Calibration) -> None:
    choice = choose_int4(calibration, 1.0, 64, 0.0, STORED)
    blocks = {name: matrix.block for name, matrix in choice.by_kernel.items()}
    assert blocks["layers.0.feed_forward.output"] == 64
    assert blocks["layers.0.feed_forward.inner"] == 0


def test_the_same_seed_makes_the_same_choice(calibration: Calibration) -> None:
    first, second = (choice_of(calibration, int4_share=0.6) for _ in range(2))
    assert first.to_dict() == second.to_dict()
    for name, matrix in first.by_kernel.items():
        np.testing.assert_array_equal(matrix.values, second.by_kernel[name].values)


def test_an_odd_width_stays_in_int8(tiny_model: TaskModel, tiny_config: BertConfig) -> None:
    config = replace(tiny_config, num_layers=1, intermediate_size=25)
    checkpoint = random_checkpoint(config, ("a", "b"))
    settings = ExportSettings(recipe="int4")
    calibration = calibrate(replace(tiny_model, checkpoint=checkpoint), TEXTS, 40, settings)
    choice = choice_of(calibration)
    assert "layers.0.feed_forward.output" not in choice.by_kernel
    (odd,) = (part for part in choice.parts if part.name == "layers.0.feed_forward.output")
    assert (odd.stored_as, odd.error) == ("dynamic-int8", None)


def test_a_bare_encoder_is_measured_by_its_hidden_states(tiny_encoder: TaskModel) -> None:
    settings = ExportSettings(recipe="int4")
    calibration = calibrate(tiny_encoder, TEXTS, 40, settings)
    choice = choice_of(calibration)
    assert len(choice.parts) == 8
    assert 0 < choice.error < 0.2
