"""Arrays that stay in their file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save, save_file

from converters.errors import ConversionError
from converters.formats.huggingface import read_safetensors
from converters.mapped_weights import forget_pages, parts_of, write_arrays


def _written(folder: Path) -> tuple[Path, np.ndarray]:
    """A file whose large array has many pages, none of which it starts at."""
    large = np.random.default_rng(0).normal(size=(2048, 512)).astype(np.float32)
    path = folder / "model.safetensors"
    save_file({"a": np.ones(3, np.float32), "half": large.astype(np.float16), "large": large}, path)
    return path, large


def _pages_in_memory() -> int:
    """Bytes of files in the memory of this process."""
    status = Path("/proc/self/status").read_text("ascii").splitlines()
    line = next(line for line in status if line.startswith("RssFile"))
    return 1024 * int(line.split()[1])


def test_forgotten_arrays_keep_their_values(tmp_path: Path) -> None:
    path, large = _written(tmp_path)
    arrays = read_safetensors(path)
    view = arrays["large"][1:]
    forget_pages([*arrays.values(), view, large, np.zeros(0, np.float32)])
    np.testing.assert_array_equal(arrays["large"], large)
    np.testing.assert_array_equal(view, large[1:])
    np.testing.assert_array_equal(arrays["half"], large.astype(np.float16).astype(np.float32))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_forgotten_arrays_take_no_memory(tmp_path: Path) -> None:
    path, large = _written(tmp_path)
    array = read_safetensors(path)["large"]
    assert array.sum()
    before = _pages_in_memory()
    forget_pages([array])
    assert before - _pages_in_memory() > 0.9 * large.nbytes


def test_arrays_in_a_file_are_not_written_to(tmp_path: Path) -> None:
    array = read_safetensors(_written(tmp_path)[0])["large"]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_arrays_outlive_a_replaced_file(tmp_path: Path) -> None:
    path, large = _written(tmp_path)
    array = read_safetensors(path)["large"]
    new = tmp_path / "new"
    save_file({"large": np.zeros(3, np.float32)}, new)
    new.replace(path)
    forget_pages([array])
    np.testing.assert_array_equal(array, large)


def test_written_files_are_those_of_the_library(tmp_path: Path) -> None:
    _, large = _written(tmp_path)
    arrays = {
        "b.weight": large.T,
        "a": np.arange(3, dtype=np.float64),
        "none": np.zeros((0, 3), np.float32),
    }
    path, metadata = tmp_path / "own.safetensors", {"format": "pt"}
    write_arrays(path, arrays, metadata)
    stored = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    assert path.read_bytes() == save(stored, metadata=metadata)


def test_the_library_reads_the_parts_of_a_file() -> None:
    arrays = {
        "mask": np.array([True, False]),
        "step": np.array(7, np.int64),
        "none": np.zeros((0, 3), np.float16),
        "columns": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "seed": np.array([1, 2], np.uint32),
    }
    found = load(b"".join(parts_of(arrays, {"format": "pt"})))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("kept", [0, 4, 20, 5000])
def test_a_truncated_file_is_refused(kept: int, tmp_path: Path) -> None:
    path, _ = _written(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ConversionError, match="can't be read as safetensors"):
        read_safetensors(path)
