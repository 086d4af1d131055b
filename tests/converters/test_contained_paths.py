"""Paths that files name: inside their folder, or an error; no reader follows another one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.contained_paths import OutsideFolderError, path_inside
from converters.errors import ConversionError
from converters.formats.huggingface import INDEX_FILE, WEIGHTS_FILE
from converters.formats.model_folder import recognise
from tests.golden.checkpoints import CHECKPOINTS

OUTSIDE = (
    "../x",
    "a/../../x",
    "a/..",
    "/etc/passwd",
    "..\\x",
    "a\\..\\..\\x",
    "C:\\x",
    "C:x",
    "\\\\server\\share\\x",
    "\\x",
    "//server/share",
    "nul\0",
    "\ud800",
    "n" * 5000,
)


@pytest.mark.parametrize("name", OUTSIDE, ids=lambda name: ascii(name)[:20])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutsideFolderError, match=r"inside this folder.*Received: .*Next: "):
        path_inside(tmp_path, name)


@pytest.mark.parametrize("name", ["", ".", "x", "a/x", "./a/x", "a/..x", "x..", "Ünïcode"])
def test_a_name_inside_is_a_path(tmp_path: Path, name: str) -> None:
    assert path_inside(tmp_path, name) == tmp_path / name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.text(st.sampled_from("./\\ab:~ \0")) | st.text())
def test_no_accepted_name_leaves_the_folder(tmp_path: Path, name: str) -> None:
    try:
        path = path_inside(tmp_path, name)
    except OutsideFolderError:
        return
    assert path.resolve().is_relative_to(tmp_path.resolve())


def test_links_may_stay_inside_or_lead_to_the_blobs_of_the_hub(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    blobs = tmp_path / "models--a--b" / "blobs"
    for folder in (snapshot, blobs):
        folder.mkdir(parents=True)
    (blobs / "77").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"")
    for name, target in (
        ("of-hub", "../../blobs/77"),
        ("inside", "of-hub"),
        ("outside", str(tmp_path / "secret")),
        ("folder", ".."),
        ("broken", "../../../nothing"),
        ("loop", "loop"),
    ):
        (snapshot / name).symlink_to(target)
    assert path_inside(snapshot, "of-hub").is_file()
    assert path_inside(snapshot, "inside").is_file()
    for name in ("outside", "folder/secret", "broken"):
        with pytest.raises(OutsideFolderError, match="symbolic link"):
            path_inside(snapshot, name)


def sharded(folder: Path, outside: Path) -> Path:
    """A checkpoint whose index names its weights, which lie outside the folder."""
    shutil.copytree(CHECKPOINTS / "BertForSequenceClassification", folder)
    shutil.move(folder / WEIGHTS_FILE, outside / "weights.safetensors")
    return folder


@pytest.mark.parametrize("kind", ["relative", "absolute", "link"])
def test_weights_outside_the_folder_are_not_read(tmp_path: Path, kind: str) -> None:
    folder = sharded(tmp_path / "model", tmp_path)
    weights = tmp_path / "weights.safetensors"
    names = {"relative": "../weights.safetensors", "absolute": str(weights), "link": "link"}
    (folder / "link").symlink_to(weights)
    index = {"weight_map": {"a": names[kind]}}
    (folder / INDEX_FILE).write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(OutsideFolderError, match="inside this folder"):
        recognise(folder).read(folder, False)
    shutil.move(weights, folder / "weights.safetensors")
    index = {"weight_map": {"a": "weights.safetensors"}}
    (folder / INDEX_FILE).write_text(json.dumps(index), encoding="utf-8")
    assert recognise(folder).read(folder, False).checkpoint.weights


@pytest.mark.parametrize("module", [0, 1, 2])
def test_modules_outside_the_folder_are_not_read(tmp_path: Path, module: int) -> None:
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINTS / "SentenceTransformer", folder)
    content = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    content[module]["path"] = os.path.relpath(folder, folder.parent / "other")
    (folder / "modules.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConversionError, match="inside this folder"):
        recognise(folder).read(folder, False)
