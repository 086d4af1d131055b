"""The format of a folder is detected from its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.formats.model_folder import FORMATS, recognise
from tests.golden.checkpoints import CHECKPOINTS


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text("{}")
    return folder


def test_formats_of_golden_folders_are_detected() -> None:
    assert recognise(CHECKPOINTS / "GoogleTF1").name == "Google TF1 checkpoint"
    assert recognise(CHECKPOINTS / "ElectraModel").name == "Hugging Face folder"


def test_a_preset_and_sentence_transformers_have_a_config_json_too(tmp_path: Path) -> None:
    files(tmp_path, "config.json")
    assert recognise(tmp_path).name == "Hugging Face folder"
    (tmp_path / "config.json").write_text('{"registered_name": "keras_hub>BertBackbone"}')
    assert recognise(tmp_path).name == "keras-hub preset"
    files(tmp_path, "modules.json")
    assert recognise(tmp_path).name == "sentence-transformers folder"


def test_hugging_face_files_have_precedence_over_those_of_google(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(CHECKPOINTS / "GoogleTF1", tmp_path / "both"))
    shutil.copy(CHECKPOINTS / "BertModel" / "config.json", folder)
    assert recognise(folder).name == "Hugging Face folder"


def test_a_folder_of_no_known_format_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        recognise(files(tmp_path, "notes.txt"))
    message = str(caught.value)
    assert all(f"a {known.name} ({known.marks})" in message for known in FORMATS)
    assert message.endswith("Received a folder with: notes.txt.")
    with pytest.raises(ConversionError, match="is no folder"):
        recognise(tmp_path / "notes.txt")
