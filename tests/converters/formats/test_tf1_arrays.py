"""TensorFlow's checkpoints without TensorFlow: the golden ones, and damaged indexes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from converters.formats.tf1_arrays import TensorBundle
from tests.golden.checkpoints import CHECKPOINTS


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(CHECKPOINTS / "GoogleTF1", tmp_path / "tf1"))
    return copy / "bert_model.ckpt"


def index_of(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.index")


def test_shapes_and_values(prefix: Path) -> None:
    bundle = TensorBundle(prefix)
    assert bundle.shapes["bert/embeddings/LayerNorm/beta"] == [8]
    for name in bundle.shapes:
        array = bundle.read(name)
        assert (array.dtype, list(array.shape)) == (np.float32, bundle.shapes[name])
    assert np.abs(bundle.read("bert/embeddings/word_embeddings")).max() < 10


@pytest.mark.parametrize("place", range(0, 1588, 97))
def test_a_changed_index_is_an_error(place: int, prefix: Path) -> None:
    path = index_of(prefix)
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(data)
    try:
        TensorBundle(prefix)
    except ValueError as error:
        assert str(error)
    else:  # only the padding of the footer has no checksum
        assert place >= len(data) - 48


def test_an_array_that_is_larger_than_the_files(prefix: Path) -> None:
    """The sizes are compared before anything is read."""
    size = prefix.with_name("bert_model.ckpt.data-00000-of-00001").stat().st_size
    with prefix.with_name("bert_model.ckpt.data-00000-of-00001").open("r+b") as file:
        file.truncate(size // 2)
    with pytest.raises(ValueError, match="more bytes than the data files"):
        TensorBundle(prefix)
