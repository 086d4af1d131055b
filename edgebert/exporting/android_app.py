"""`edgebert app`: an Android project with the Kotlin library, the demo app and models.

The project is android_demo/ of the repository without its tests and its Maven build. A wheel has it
as files of this package.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from edgebert.errors import EdgebertError, ModelError, UsageError
from edgebert.exporting.app_readers import require_app_tokenizer
from edgebert.models.manifest import read_manifest
from edgebert.system.storage import atomic_folder
from edgebert.tasks import task_named

APP_NAME, APP_ID = "edgebert", "org.edgebert.demo"
"""The name and the id of the project as it is. `edgebert profile --app` asks the app of this id."""

PACKED = Path(__file__).parent / "android_project"
"""Where a wheel has the project."""
SOURCE = Path(__file__).parents[2] / "android_demo"
"""Where the repository has it."""
PROJECT_FILES = (
    "settings.gradle.kts",
    "build.gradle.kts",
    "gradle.properties",
    "gradle/libs.versions.toml",
    "gradle/wrapper/gradle-wrapper.properties",
    "*/build.gradle.kts",
    "litert/consumer-rules.pro",
)
MODULES = ("text", "litert", "app")
LONGEST_NAME = 50
_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z][a-zA-Z0-9_]*)+")
_JAVA_WORDS = frozenset(
    [
        "abstract",
        "assert",
        "boolean",
        "break",
        "byte",
        "case",
        "catch",
        "char",
        "class",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extends",
        "final",
        "finally",
        "float",
        "for",
        "goto",
        "if",
        "implements",
        "import",
        "instanceof",
        "int",
        "interface",
        "long",
        "native",
        "new",
        "package",
        "private",
        "protected",
        "public",
        "return",
        "short",
        "static",
        "strictfp",
        "super",
        "switch",
        "synchronized",
        "this",
        "throw",
        "throws",
        "transient",
        "try",
        "void",
        "volatile",
        "while",
        "true",
        "false",
        "null",
    ]
)
_ASSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class AppModel:
    """A model in a project.

    Attributes:
        asset: name of the file among the app's assets.
        task: what it does.
        manifest: of the file.
        size_bytes: its size.
    """

    asset: str
    task: str
    manifest: dict[str, Any]
    size_bytes: int


@dataclass(frozen=True)
class AppProject:
    """A project that was written.

    Attributes:
        folder: where.
        name: of the app, for people.
        app_id: of the app, for Android.
        models: among its assets, in the order given.
    """

    folder: Path
    name: str
    app_id: str
    models: tuple[AppModel, ...]


def project_files() -> Iterator[tuple[Path, str]]:
    """Each file of the project, with its path in it.

    Raises:
        EdgebertError: the project is not there, as in a damaged installation.
    """
    root = PACKED if PACKED.is_dir() else SOURCE
    found = [path for pattern in PROJECT_FILES for path in root.glob(pattern)]
    for module in MODULES:
        found += [path for path in (root / module / "src" / "main").rglob("*") if path.is_file()]
    kept = sorted((path, path.relative_to(root).as_posix()) for path in found)
    if not any(name == "app/src/main/AndroidManifest.xml" for _, name in kept):
        raise EdgebertError(
            f"Expected the Android project in {PACKED}. Received: none. Next: install edgebert "
            "again."
        )
    yield from kept


def write_app(
    models: Sequence[Path], folder: Path, name: str = APP_NAME, app_id: str = APP_ID
) -> AppProject:
    """Writes a Gradle project for Android Studio, whole or not at all.

    Args:
        models: files of `edgebert export`.
        folder: a new one, or one that is empty.
        name: of the app, for people.
        app_id: of the app, for Android, such as `com.example.texts`.

    Raises:
        UsageError: names that Android does not take, a folder that has something in it.
        ModelError: files that the app can't answer with; all of them are named.
    """
    _refuse_names(name, app_id)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"Expected a new folder. Received: {folder}, which has something in it. Next: name "
            "another one with -o, or remove it."
        )
    described = _described(models)
    with atomic_folder(folder) as made:
        for path, relative in project_files():
            target = made / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        _rename(made, name, app_id)
        assets = made / "app" / "src" / "main" / "assets"
        assets.mkdir(parents=True, exist_ok=True)
        for path, model in zip(models, described, strict=True):
            shutil.copyfile(path, assets / model.asset)
    return AppProject(folder, name, app_id, described)


def _described(models: Sequence[Path]) -> tuple[AppModel, ...]:
    problems: list[str] = []
    found: list[AppModel] = []
    for path in models:
        try:
            found.append(_describe(path))
        except ModelError as error:
            problems.append(str(error))
    counts = Counter(model.asset for model in found)
    problems += [
        f"{count} files are named {asset}: give each a name of its own"
        for asset, count in counts.items()
        if count > 1
    ]
    if problems:
        raise ModelError("\n".join(problems))
    return tuple(found)


def _describe(path: Path) -> AppModel:
    if path.is_dir():
        raise ModelError(
            f"{path} is a folder. Expected a .tflite. Next: export it with `edgebert export`."
        )
    manifest = read_manifest(path)
    require_app_tokenizer(path, manifest)
    task = task_named(manifest.task)
    if not task.has_answers:
        raise ModelError(
            f"{path}: expected a model with a task. Received: a bare encoder, which has no "
            "answers. Next: fine-tune it with `edgebert finetune`."
        )
    if not manifest.lengths:
        raise ModelError(
            f"{path}: expected fixed token lengths. Received: a file of any length, which LiteRT's "
            "Kotlin API can't run. Next: export it with --lengths auto instead of --dynamic-length."
        )
    asset = path.name if path.name.endswith(".tflite") else f"{path.name}.tflite"
    if not _ASSET.fullmatch(asset):
        raise ModelError(
            f"{path}: expected a file name of letters, digits, '.', '_' and '-'. Received: "
            f"{path.name!r}. Next: rename the file."
        )
    return AppModel(asset, task.name, manifest.to_dict(), path.stat().st_size)


def _refuse_names(name: str, app_id: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(
            f"--name expects 1 to {LONGEST_NAME} characters that can be printed. "
            f"Received: {name!r}."
        )
    if not _ID.fullmatch(app_id) or set(app_id.split(".")) & _JAVA_WORDS:
        raise UsageError(
            "--id expects two or more words of letters, digits and _ with dots between them, none "
            f"of them a word of Java's own, such as com.example.texts. Received: {app_id!r}."
        )


def _rename(folder: Path, name: str, app_id: str) -> None:
    """Puts the app's name and id into the project's files."""
    quoted = re.sub(r"[^A-Za-z0-9_. -]", "", name).strip(" .") or APP_NAME
    _replace(
        folder / "settings.gradle.kts",
        f'rootProject.name = "{APP_NAME}"',
        f'rootProject.name = "{quoted}"',
    )
    _replace(
        folder / "app" / "build.gradle.kts",
        f'applicationId = "{APP_ID}"',
        f'applicationId = "{app_id}"',
    )
    _replace(
        folder / "app" / "src" / "main" / "res" / "values" / "strings.xml",
        f'<string name="app_name">{APP_NAME}</string>',
        f'<string name="app_name">{_resource_text(name)}</string>',
    )


def _resource_text(text: str) -> str:
    """A text as Android's string resources want it."""
    plain = text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
    plain = f"\\{plain}" if plain[0] in "@?" else plain
    return escape(plain)


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise EdgebertError(
            f"Expected {old!r} once in {path.name} of the project. Received: {text.count(old)} "
            "times. Next: install edgebert again."
        )
    path.write_text(text.replace(old, new), encoding="utf-8")
