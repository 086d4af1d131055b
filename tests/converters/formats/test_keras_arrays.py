"""Arrays of Keras's HDF5 files: read by name and shape, or an error that names the file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from converters.bert_config import BertConfig
from converters.checkpoint import GELU_EXACT, GELU_TANH
from converters.errors import ConversionError
from converters.formats.keras_arrays import ArrayFiles, dataset_path
from converters.formats.keras_hub_preset import read_folder
from converters.formats.weight_names import CLASSIFIER
from converters.vocabulary import Vocabulary
from tests.conftest import TINY_TOKENS
from tests.tiny_presets import write_arrays, write_preset
from tests.tiny_tasks import random_task_checkpoint

CONFIG = BertConfig(len(TINY_TOKENS), 8, 2, 2, 8, 24, activation=GELU_TANH)
SHAPES = {"classifier.kernel": (3, 8), "classifier.bias": (3,)}
KERNEL, BIAS = (dataset_path(row.keras_hub) for row in CLASSIFIER)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    file = tmp_path / "task.weights.h5"
    write_arrays(file, {KERNEL: rng.normal(size=(8, 3)), BIAS: rng.normal(size=3)})
    return file


def read(*paths: Path) -> dict[str, np.ndarray]:
    with ArrayFiles(paths, paths[0]) as arrays:
        return arrays.read(CLASSIFIER, SHAPES, CONFIG)


@pytest.mark.parametrize("task", ["classification", "masked-lm", "embeddings"])
def test_a_preset_is_read_without_keras(task: str, tmp_path: Path) -> None:
    checkpoint = random_task_checkpoint(CONFIG, task)
    write_preset(checkpoint, Vocabulary(tokens=TINY_TOKENS, lowercase=True), tmp_path)
    found = read_folder(tmp_path)
    assert found.config.transform_activation in (GELU_EXACT, GELU_TANH)
    for name, array in found.weights.items():
        np.testing.assert_array_equal(array, checkpoint.weights[name], err_msg=name)


def test_arrays_of_several_files_are_put_together(path: Path, tmp_path: Path) -> None:
    whole, second = read(path), tmp_path / "second.h5"
    with h5py.File(path, "r+") as file:
        write_arrays(second, {BIAS: file[BIAS][()]})
        del file[BIAS]
    found = read(path, second)
    for name, array in whole.items():
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(ConversionError, match=r"1 arrays are missing: classifier\.bias"):
        read(path)


@pytest.mark.parametrize("kind", ["float16", "float64", "bfloat16"])
def test_types_of_floats(kind: str, path: Path) -> None:
    import ml_dtypes

    values = np.float32([0.5, -2, 96])
    with h5py.File(path, "r+") as file:
        del file[BIAS]
        file[BIAS] = values.astype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind)
    found = read(path)["classifier.bias"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)


def _linked(file: h5py.File) -> None:
    file[BIAS] = h5py.ExternalLink("other.h5", BIAS)


def _soft(file: h5py.File) -> None:
    file[BIAS] = h5py.SoftLink(f"/{KERNEL}")


def _outside(file: h5py.File) -> None:
    file.create_dataset(BIAS, (3,), "f4", external=[("/etc/passwd", 0, 12)])


def _huge(file: h5py.File) -> None:
    file.create_dataset(BIAS, (2**40,), "f4", chunks=(2**20,), compression="gzip")


def _group(file: h5py.File) -> None:
    file.create_group(BIAS)


def _integers(file: h5py.File) -> None:
    file[BIAS] = np.arange(3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_linked, "a link to another place"),
        (_soft, "a link to another place"),
        (_outside, "its values are in another file"),
        (_huge, r"classifier\.bias: expected \(3,\)\. Received: \(1099511627776,\)"),
        (_group, r"are missing: classifier\.bias"),
        (_integers, "expected float values"),
    ],
)
def test_what_is_refused(change, message: str, path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[BIAS]
        change(file)
    with pytest.raises(ConversionError, match=message):
        read(path)


@pytest.mark.parametrize("place", range(0, 4000, 250))
def test_a_damaged_file_is_an_error_or_read(place: int, path: Path) -> None:
    """A damaged group, heap or header: h5py raises errors of several classes."""
    data = bytearray(path.read_bytes())
    data[place : place + 64] = b"\xff" * 64
    path.write_bytes(data)
    try:
        assert read(path).keys() == SHAPES.keys()
    except ConversionError as error:
        assert "task.weights.h5 can't be read" in str(error)
