"""Puts the Android project and the JavaScript into the wheel; the rest is in pyproject.toml."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ANDROID, WEB = Path("android_demo"), Path("web")
ANDROID_TARGET, WEB_TARGET = Path("edgebert/exporting/android_project"), Path("edgebert/web")
PROJECT = ("*.gradle.kts", "gradle.properties", "gradle/**/*", "*/build.gradle.kts", "litert/*.pro")
MODULES = ("text", "litert", "app")
WEB_FOLDERS = ("src", "site")


class BuildWithProjects(build_py):
    """Copies what `edgebert.exporting.android_app` and `edgebert.system.web_files` look for.

    An editable install reads both where they are.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        android = (*PROJECT, *(f"{module}/src/main/**/*" for module in MODULES))
        self._copy(ANDROID, ANDROID_TARGET, android)
        self._copy(WEB, WEB_TARGET, (f"{folder}/*" for folder in WEB_FOLDERS))

    def _copy(self, source: Path, target: Path, patterns: Iterable[str]) -> None:
        for path in {path for pattern in patterns for path in source.glob(pattern)}:
            if path.is_file():
                copy = Path(self.build_lib) / target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


setup(cmdclass={"build_py": BuildWithProjects})
