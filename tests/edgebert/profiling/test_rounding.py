"""The effect of rounding on a file's scores, and device checks that use it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgebert.data.datasets import Dataset, Example
from edgebert.exporting.artifact import export
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel
from edgebert.profiling.device_check import LARGEST_ROUNDINGS, DeviceCheck, HostReference
from edgebert.profiling.rounding import MAX_ULPS, number_error, perturb_vectors, rounding_error
from edgebert.settings import ExportSettings

TEXTS = ("the movie is great", "awful", "turn the lights off now please", "is it on")
FACTS = {
    "model": "m.tflite",
    "name": "m",
    "sha256": "0" * 64,
    "target": "a board",
    "device": "",
    "runtime": "",
}


@pytest.fixture(scope="module")
def files(tiny_model: TaskModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    return {
        recipe: export(
            tiny_model, folder / f"{recipe}.tflite", ExportSettings(recipe=recipe, lengths="16")
        ).path
        for recipe in ("float32", "dynamic-int8")
    }


@pytest.fixture
def reference(files: dict[str, Path]) -> HostReference:
    rows = tuple(Example(text, "neutral") for text in TEXTS)
    return HostReference(files["dynamic-int8"], Dataset("texts", rows, Path("none"), "0" * 64))


def constants(data: bytes) -> dict[str, tuple[int, int, np.ndarray]]:
    """Type, number of axes and bytes of the constant tensors, by name."""
    model = schema.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(place) for place in range(graph.TensorsLength())]
    return {
        tensor.Name().decode(): (
            tensor.Type(),
            tensor.ShapeLength(),
            model.Buffers(tensor.Buffer()).DataAsNumpy(),
        )
        for tensor in tensors
        if model.Buffers(tensor.Buffer()).DataLength()
    }


def test_only_the_last_bits_of_biases_change(files: dict[str, Path]) -> None:
    data = files["dynamic-int8"].read_bytes()
    before, after = constants(data), constants(perturb_vectors(data, 0))
    largest = []
    for name, (kind, axes, value) in before.items():
        if (kind, axes) == (schema.TensorType.FLOAT32, 1):
            steps = after[name][2].view(np.int32).astype(int) - value.view(np.int32)
            largest.append(np.abs(steps).max())
        else:
            np.testing.assert_array_equal(after[name][2], value)
    assert max(largest) == MAX_ULPS
    assert len(perturb_vectors(data, 0)) == len(data)
    assert perturb_vectors(data, 0) == perturb_vectors(data, 0) != perturb_vectors(data, 1)


def test_zeros_and_the_largest_numbers_do_not_change(files: dict[str, Path]) -> None:
    data = bytearray(files["float32"].read_bytes())
    bias = "layer_0/attention/query_key_value/bias"
    odd = (0.0, -0.0, np.inf, -np.inf, np.finfo(np.float32).max)
    constants(data)[bias][2].view(np.float32)[: len(odd)] = odd  # shares the memory of `data`
    for seed in range(4):
        after = constants(perturb_vectors(bytes(data), seed))[bias][2].view(np.float32)
        np.testing.assert_array_equal(after[: len(odd)], odd)
        assert (after != constants(data)[bias][2].view(np.float32)).any()


def test_rounding_affects_int8_files_more_than_float_files(files: dict[str, Path]) -> None:
    words, rng = " ".join(TEXTS).split(), np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, 14)) for _ in range(400)]
    errors = {}
    for recipe, path in files.items():
        model = LiteRtModel.open(path)
        errors[recipe] = rounding_error(model, model.tokenizer.encode_batch(texts, 16))
    assert 0 < errors["float32"] < 1e-5
    assert errors["dynamic-int8"] > 50 * errors["float32"]


def test_a_constant_offset_of_logits_is_no_error() -> None:
    logits = [np.array([[1.0, 2.0, 4.0]]), np.array([[0.0, 1.0, 5.0]])]
    lifted = [logits[0] + 3.0, logits[1] - 2.0]
    assert number_error(logits, lifted, distributions=True) == pytest.approx(0)
    assert number_error(logits, lifted, distributions=False) == pytest.approx(np.sqrt(6.5))
    others = [logits[0] + np.array([1.0, -1.0, 0.0]), logits[1]]
    assert number_error(logits, others, distributions=True) == pytest.approx(np.sqrt(2 / 6))


def test_equal_infinities_are_no_difference() -> None:
    ours = [np.array([[0.0, -np.inf]])]
    assert number_error(ours, ours, distributions=True) == 0
    assert not number_error(ours, [np.array([[0.0, -3.0]])], distributions=True) < np.inf


def answer(reference: HostReference, error: float) -> DeviceCheck:
    """A device whose logits differ by this value, one up and one down."""
    logits = [numbers[0] + error * np.array([1.0, -1.0, 0.0]) for numbers in reference.numbers]
    return reference.compare([np.exp(row) / np.exp(row).sum() for row in logits], FACTS)


def test_different_scores_are_compared_with_rounding(reference: HostReference) -> None:
    vars(reference)["rounding_error"] = 0.02
    near = answer(reference, 0.02)
    assert near.max_score_error > 1e-3 and near.logit_error == pytest.approx(0.02 * (2 / 3) ** 0.5)
    assert near.passed and not near.same_scores
    assert "m on a board: logits differ by 0.016" in near.notes[0]
    far = answer(reference, 0.02 * LARGEST_ROUNDINGS * 1.5**0.5 + 1e-3)
    assert not far.passed
    assert far.notes and far.rounding_error == 0.02
    assert not DeviceCheck.from_dict({**near.to_dict(), "token_ids_equal": False}).passed
    assert DeviceCheck.from_dict(near.to_dict()) == near


def test_equal_scores_need_no_rounding_error(reference: HostReference) -> None:
    same = answer(reference, 1e-5)
    assert same.passed and same.notes == () and same.rounding_error is None
    assert "rounding_error" not in vars(reference)


def test_nan_never_passes(reference: HostReference) -> None:
    check = reference.compare(np.full((len(TEXTS), 3), np.nan), FACTS)
    assert not check.passed
