"""Puts the Android project into the wheel; all else stands in pyproject.toml."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SOURCE, TARGET = Path("android_demo"), Path("edgebert", "exporting", "android_project")
PROJECT = ("*.gradle.kts", "gradle.properties", "gradle/**/*", "*/build.gradle.kts", "*/*.pro")
MODULES = ("text", "litert", "app")


class BuildWithProject(build_py):
    """Copies what `edgebert.exporting.android_app` looks for, where a wheel is built."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        patterns = (*PROJECT, *(f"{module}/src/main/**/*" for module in MODULES))
        for path in {path for pattern in patterns for path in SOURCE.glob(pattern)}:
            if path.is_file():
                target = Path(self.build_lib) / TARGET / path.relative_to(SOURCE)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


setup(cmdclass={"build_py": BuildWithProject})
