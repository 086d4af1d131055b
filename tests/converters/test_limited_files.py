"""Files are read up to a limit, and sizes of configurations are checked before any allocation."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from converters.bert_config import MAX_WEIGHT_BYTES
from converters.checkpoint import LARGEST_SIZES, BertConfig
from converters.errors import ConversionError
from converters.formats.keras_hub_preset import _check_file_size
from converters.formats.model_folder import recognise
from converters.json_files import JsonFormat, short_repr
from converters.limited_files import UnreadableFileError, read_limited
from converters.weight_files import require_weight_files
from tests.golden.checkpoints import CHECKPOINTS

BASE = BertConfig(30522, 768, 12, 12, 3072, 512)
HUGE = (10**6 * 4, 10**18, 10**400)


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"four")
    assert read_limited(path, 4) == b"four"
    with pytest.raises(UnreadableFileError, match="4 bytes, more than the limit of 3"):
        read_limited(path, 3)


def test_devices_pipes_and_folders_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises(UnreadableFileError, match=r"a device or a pipe|a folder"):
            read_limited(tmp_path / name, 10)
        with pytest.raises(ConversionError, match="can't be read"):
            JsonFormat("a file", "go on").read(tmp_path / name)


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "tokenizer.json"])
def test_an_endless_file_of_a_checkpoint_is_an_error(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINTS / "BertForSequenceClassification", folder)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(ConversionError):
        recognise(folder).read(folder, False)


@pytest.mark.parametrize("size", HUGE, ids=["4e6", "1e18", "1e400"])
@pytest.mark.parametrize("name", LARGEST_SIZES)
def test_every_size_has_a_limit(name: str, size: int) -> None:
    with pytest.raises(ConversionError, match=f"{name} must be a whole number from 1 to"):
        BertConfig(**{**vars(BASE), name: size})


def test_sizes_together_have_a_limit() -> None:
    assert 80e6 < BASE.parameters < 130e6
    with pytest.raises(ConversionError, match="at most 2147483648 parameters"):
        BertConfig(2_000_000, 16_384, 12, 16, 65_536, 512)


@pytest.mark.parametrize(
    "key", ["vocab_size", "hidden_size", "num_hidden_layers", "max_position_embeddings"]
)
@pytest.mark.parametrize("size", [10**9, 10**18])
def test_a_config_that_asks_for_too_much_is_refused_at_once(
    tmp_path: Path, key: str, size: int
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINTS / "BertForSequenceClassification", folder)
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(content | {key: size}), encoding="utf-8")
    began = time.monotonic()
    with pytest.raises(ConversionError, match=str(size)):
        recognise(folder).read(folder, False)
    assert time.monotonic() - began < 5


def test_weights_that_are_smaller_than_a_preset_says_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    path.write_bytes(b"0" * 1000)
    with pytest.raises(ConversionError, match=r"parameters, the files have 1000 bytes"):
        _check_file_size(BASE, path, [path])


def test_weight_files_have_a_limit(tmp_path: Path) -> None:
    """The size is looked at, not read: the files here have no content on the disk."""
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINTS / "BertForSequenceClassification", folder)
    os.truncate(folder / "model.safetensors", MAX_WEIGHT_BYTES + 1)
    with pytest.raises(ConversionError, match=f"at most {MAX_WEIGHT_BYTES} bytes.*Next: save"):
        recognise(folder).read(folder, False)
    part = tmp_path / "part"
    part.write_bytes(b"")
    os.truncate(part, MAX_WEIGHT_BYTES // 2 + 1)
    require_weight_files([part])
    with pytest.raises(ConversionError, match="Received: "):
        require_weight_files([part, part])


def test_a_value_that_has_no_representation_has_a_name() -> None:
    nested: list[object] = []
    for _ in range(10**5):
        nested = [nested]
    assert short_repr(nested) == "a very long array"
    assert short_repr(10**5000) == "a very long number"
