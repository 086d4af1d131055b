"""Damaged `.tflite` files are an error before a native runtime sees them."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.errors import ConversionError
from converters.tflite.metadata import add_metadata_buffers, read_metadata_buffer
from converters.tflite.verification import verify_model
from edgebert.errors import EdgebertError, ModelError
from edgebert.exporting.artifact import export
from edgebert.models import litert_model, runtime_trial
from edgebert.models.inspection import inspect_model
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.manifest import MANIFEST_NAME, DamagedFileError, read_manifest
from edgebert.models.task_model import SIDECAR, TaskModel, open_model
from edgebert.profiling.plan import read_model_files
from edgebert.reporting.sources import read_sources
from edgebert.settings import ExportSettings
from tests.damaged_json import damaged

MUTATIONS = 400


@pytest.fixture(scope="module")
def exported(tiny_model: TaskModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "m.tflite"
    return export(tiny_model, path, ExportSettings(lengths="8,16")).path


def without_hash(data: bytes) -> bytes:
    """The file as an old version wrote it."""
    found = read_metadata_buffer(data, MANIFEST_NAME)
    assert found is not None
    content = json.loads(found)
    del content["file_sha256"]
    return add_metadata_buffers(data, {MANIFEST_NAME: json.dumps(content).encode()})


def mutated(data: bytes, seed: int) -> bytes:
    """A file with some changed bytes, a part of zeros, or without its end."""
    source, changed = random.Random(seed), bytearray(data)
    for _ in range(source.choice((1, 1, 4, 16))):
        # Half of the faults are in the last quarter, where the tables of the graph are.
        place = source.randrange(len(data) // 2 * (seed % 2), len(data))
        changed[place] = source.choice((0, 1, 127, 255, source.randrange(256)))
    if seed % 7 == 0:
        place = source.randrange(len(data))
        changed[place : place + 64] = bytes(64)[: len(data) - place]
    return bytes(changed[: source.randrange(8, len(data))] if seed % 11 == 0 else changed)


def test_the_hash_in_a_file_is_that_of_the_file_beside_it(exported: Path) -> None:
    beside = json.loads(exported.with_name("m.tflite.json").read_text(encoding="utf-8"))
    assert read_manifest(exported).file_sha256 == beside["file_sha256"]


def test_every_changed_byte_is_noticed(exported: Path, tmp_path: Path) -> None:
    data, path = exported.read_bytes(), tmp_path / "m.tflite"
    source = random.Random(0)
    for place in source.sample(range(len(data)), 100):
        changed = bytearray(data)
        changed[place] ^= 1 << source.randrange(8)
        with pytest.raises(ModelError):
            read_manifest(path, bytes(changed))
    for other in (data + b"x", data[:-1], data[:-4000]):
        with pytest.raises(ModelError):
            read_manifest(path, other)


def test_all_readers_name_a_damaged_file(exported: Path, tmp_path: Path) -> None:
    changed = bytearray(exported.read_bytes())
    span = changed.find(b"position")
    changed[span] ^= 1
    path = tmp_path / "m.tflite"
    path.write_bytes(changed)
    for read in (LiteRtModel.open, inspect_model, lambda p: read_model_files([p])):
        with pytest.raises(DamagedFileError, match=r"m\.tflite is damaged.*Next: "):
            read(path)
    with pytest.raises(Exception, match="damaged"):
        read_sources([path])


def test_a_file_of_an_old_version_is_read(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.tflite"
    path.write_bytes(without_hash(exported.read_bytes()))
    model, new = LiteRtModel.open(path), LiteRtModel.open(exported)
    assert not model.manifest.file_sha256
    assert model.classify("a good film") == new.classify("a good film")
    assert inspect_model(path).manifest is not None


def test_the_verification_of_a_damaged_file_ends_with_an_error(exported: Path) -> None:
    data = exported.read_bytes()
    verify_model(data)
    refused = 0
    for seed in range(MUTATIONS):
        try:
            verify_model(mutated(data, seed))
        except ConversionError as error:
            assert "Next: " in str(error)
            refused += 1
    assert refused > MUTATIONS // 10


def test_a_file_that_ends_the_runtime_is_an_error(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.tflite"
    path.write_bytes(without_hash(exported.read_bytes()))
    program = tmp_path / "python"
    for script, received in (("kill -SEGV $$", "SIGSEGV"), ("exec sleep 30", "did not return")):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        monkeypatch.setattr(runtime_trial, "TIMEOUT_SECONDS", 0.5)
        opened: tuple[Callable[[Path], object], ...] = (LiteRtModel.open, inspect_model)
        for read in opened:
            with pytest.raises(ModelError, match=received):
                read(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_manifest_is_read_or_an_error(exported: Path, data: st.DataObject) -> None:
    file = exported.read_bytes()
    found = read_metadata_buffer(file, MANIFEST_NAME)
    assert found is not None
    content = damaged(data, json.loads(found))
    if isinstance(content, dict):
        content.pop("file_sha256", None)
    changed = add_metadata_buffers(file, {MANIFEST_NAME: json.dumps(content).encode()})
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        contextlib.suppress(EdgebertError),
    ):
        path = Path(folder) / "m.tflite"
        path.write_bytes(changed)
        patch.setattr(litert_model, "require_loadable", lambda *_, **__: None)
        model = LiteRtModel.open(path)
        model.answer(model.task.example("a good film"))


@pytest.mark.parametrize("task", ["classification", "pos", "multi-label"])
def test_a_manifest_without_labels_contradicts_the_outputs(
    task: str, tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    file = export(tiny_task_model(task), tmp_path / "m.tflite", ExportSettings(lengths="8")).path
    data = file.read_bytes()
    content = json.loads(read_metadata_buffer(data, MANIFEST_NAME) or b"")
    content["labels"] = []
    del content["file_sha256"]
    file.write_bytes(add_metadata_buffers(data, {MANIFEST_NAME: json.dumps(content).encode()}))
    model = LiteRtModel.open(file)
    with pytest.raises(ModelError, match="with 0 labels"):
        model.answer(model.task.example("a good film"))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_sidecar_is_read_or_an_error(
    tiny_folder: Path, tmp_path: Path, data: st.DataObject
) -> None:
    folder = tmp_path / "model"
    if not folder.exists():
        shutil.copytree(tiny_folder, folder)
    content = json.loads((tiny_folder / SIDECAR).read_text(encoding="utf-8"))
    (folder / SIDECAR).write_text(json.dumps(damaged(data, content)), encoding="utf-8")
    with contextlib.suppress(EdgebertError):
        open_model(folder)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_weight_index_is_read_or_an_error(
    tiny_folder: Path, tmp_path: Path, data: st.DataObject
) -> None:
    folder = tmp_path / "model"
    if not folder.exists():
        shutil.copytree(tiny_folder, folder)
        shutil.move(folder / "model.safetensors", folder / "part.safetensors")
    content = {"metadata": {"total_size": 1}, "weight_map": {"a": "part.safetensors", "b": "."}}
    index = json.dumps(damaged(data, content))
    (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    with contextlib.suppress(EdgebertError):
        open_model(folder)


@pytest.mark.parametrize("text", ["[" * 10**5, "1" * 5000, '{"a":' * 10**4, '"\\ud800"', ""])
@pytest.mark.parametrize("name", [SIDECAR, "config.json", "tokenizer_config.json"])
def test_json_beyond_the_limits_of_python_is_an_error(
    tiny_folder: Path, tmp_path: Path, name: str, text: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="Received"):
        open_model(folder)
