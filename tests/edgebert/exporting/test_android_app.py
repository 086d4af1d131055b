"""`edgebert app`: a whole project with the models and names that were given, or none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edgebert.cli import cli
from edgebert.errors import EdgebertError, ModelError, UsageError
from edgebert.exporting import android_app
from edgebert.exporting.android_app import LONGEST_NAME, project_files, write_app
from edgebert.exporting.artifact import export
from edgebert.exporting.kotlin_lines import kotlin_lines
from edgebert.models.task_model import TaskModel
from edgebert.settings import TASKS, ExportSettings

Models = Callable[[str], TaskModel]
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model(tiny_task_model: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("app") / "intents.tflite"
    return export(tiny_task_model("classification"), path, ExportSettings(length=16)).path


def app_name(folder: Path) -> str:
    """The name as Android reads it out of the string resources."""
    strings = ElementTree.parse(folder / "app/src/main/res/values/strings.xml")
    (found,) = [s.text or "" for s in strings.iter("string") if s.get("name") == "app_name"]
    text, escaped = "", False
    for character in found:
        if character == "\\" and not escaped:
            escaped = True
            continue
        text, escaped = text + character, False
    return text


def test_a_project_has_library_app_and_models(model: Path, tmp_path: Path) -> None:
    began = time.perf_counter()
    project = write_app([model], tmp_path / "MyApp", "My texts", "com.example.texts")
    assert time.perf_counter() - began < 3
    folder = project.folder
    assert (folder / "app/src/main/assets/intents.tflite").read_bytes() == model.read_bytes()
    for name in (
        "settings.gradle.kts",
        "gradle/libs.versions.toml",
        "gradle/wrapper/gradle-wrapper.properties",
        "text/src/main/kotlin/org/edgebert/TextModel.kt",
        "litert/src/main/kotlin/org/edgebert/litert/LiteRtEngine.kt",
        "app/src/main/kotlin/org/edgebert/demo/BenchmarkRunner.kt",
        "app/src/main/res/layout/main.xml",
    ):
        assert (folder / name).is_file(), name
    assert 'applicationId = "com.example.texts"' in (folder / "app/build.gradle.kts").read_text()
    assert 'rootProject.name = "My texts"' in (folder / "settings.gradle.kts").read_text()
    assert app_name(folder) == "My texts"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert not [name for name in names if "pom.xml" in name or "/test/" in name or "target" in name]
    assert names == {name for _, name in project_files()} | {"app/src/main/assets/intents.tflite"}


@hypothesis_settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=LONGEST_NAME + 1))
def test_any_name_is_taken_or_refused(
    model: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.mktemp("named") / "app"
    try:
        write_app([model], folder, name)
    except UsageError:
        assert not folder.exists()
        return
    assert app_name(folder) == name


def test_every_model_that_does_not_fit_is_named(
    model: Path, tmp_path: Path, tiny_task_model: Models
) -> None:
    other = tmp_path / "b" / "intents.tflite"
    other.parent.mkdir()
    other.write_bytes(model.read_bytes())
    any_length = tmp_path / "any.tflite"
    export(tiny_task_model("ner"), any_length, ExportSettings(dynamic_length=True))
    spaced = tmp_path / "my model.tflite"
    spaced.write_bytes(model.read_bytes())
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(model.read_bytes()[:100])
    missing = tmp_path / "missing.tflite"
    with pytest.raises(ModelError) as caught:
        write_app([model, other, any_length, spaced, broken, missing, tmp_path], tmp_path / "MyApp")
    told = str(caught.value)
    for words in (
        "2 files are named intents.tflite",
        "any.tflite: expected fixed token lengths",
        "my model.tflite: expected a file name of letters",
        "broken.tflite",
        "missing.tflite",
        "is a folder",
    ):
        assert words in told, words
    assert not (tmp_path / "MyApp").exists()


@pytest.mark.parametrize("app_id", ["texts", "com.1.texts", "com.example.new", "com..x", ""])
def test_ids_that_android_refuses_are_refused(model: Path, tmp_path: Path, app_id: str) -> None:
    with pytest.raises(UsageError, match=r"--id expects[\s\S]*Received"):
        write_app([model], tmp_path / "MyApp", app_id=app_id)


def test_a_folder_with_something_in_it_stays_as_it_is(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "MyApp"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="which has something in it"):
        write_app([model], folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_nothing_is_left_of_a_project_that_fails(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(android_app, "_rename", fail)
    with pytest.raises(OSError, match="No space"):
        write_app([model], tmp_path / "MyApp")
    assert not list(tmp_path.iterdir())


def test_an_installation_without_the_project_is_said(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(android_app, "PACKED", tmp_path / "none")
    monkeypatch.setattr(android_app, "SOURCE", tmp_path / "none")
    with pytest.raises(EdgebertError, match="install edgebert again"):
        write_app([model], tmp_path / "MyApp")


def test_a_wheel_has_the_same_project(tmp_path: Path) -> None:
    """Built from a copy, since a build leaves files beside the sources."""
    source = tmp_path / "source"
    skipped = shutil.ignore_patterns("target", "__pycache__", ".gradle", "build")
    for name in ("edgebert", "converters", "android_demo"):
        shutil.copytree(ROOT / name, source / name, ignore=skipped)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "No matching distribution" in done.stderr and "CI" not in os.environ:
        pytest.skip("setuptools can't be downloaded, which builds the wheel")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = "edgebert/exporting/android_project/"
    names = zipfile.ZipFile(wheel).namelist()
    built = {name.removeprefix(packed) for name in names if name.startswith(packed)}
    assert built == {name for _, name in project_files()}


def test_the_command_says_what_it_wrote_and_what_comes_next(model: Path, tmp_path: Path) -> None:
    folder = str(tmp_path / "MyApp")
    done = CliRunner().invoke(cli, ["app", str(model), "-o", folder, "--name", "Texts"])
    assert done.exit_code == 0, done.output
    assert "Texts (org.edgebert.demo)" in done.output
    assert "intents.tflite  classification" in done.output
    assert "Android Studio" in done.output
    again = CliRunner().invoke(cli, ["app", str(model), "-o", folder])
    assert again.exit_code == 2


def test_inspect_prints_the_lines_of_the_task(model: Path) -> None:
    done = CliRunner().invoke(cli, ["inspect", str(model)])
    assert 'val model = TextClassifier.openAsset(context, "intents.tflite")' in done.output


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_lines_that_the_library_knows(task: str) -> None:
    library = ROOT / "android_demo" / "text" / "src" / "main" / "kotlin" / "org" / "edgebert"
    kind, call, _ = kotlin_lines(task, "m.tflite")
    name = kind.split(" = ")[1].split(".")[0]
    source = (library / f"{name}.kt").read_text()
    assert f"class {name}" in source
    method = call.split("model.")[1].split("(")[0]
    assert f"fun {method}(" in source
