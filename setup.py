"""Puts the Android project and the JavaScript into the wheel; the rest is in pyproject.toml.

With EDGEBERT_RUNTIME=1 the same code becomes the distribution `edgebert-runtime`, which does not
depend on TensorFlow, Keras and matplotlib. An extra of `edgebert` could not do that: extras add
packages, they never take any away.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

ANDROID, WEB = Path("android_demo"), Path("web")
ANDROID_TARGET, WEB_TARGET = Path("edgebert/exporting/android_project"), Path("edgebert/web")
PROJECT = ("*.gradle.kts", "gradle.properties", "gradle/**/*", "*/build.gradle.kts", "litert/*.pro")
MODULES = ("text", "litert", "app")
WEB_FOLDERS = ("src", "site")
NOT_IN_RUNTIME = {
    "h5py",
    "keras",
    "keras-hub",
    "matplotlib",
    "tensorflow",
    "tensorflow-model-optimization",
}
RUNTIME_EXTRAS = ("https",)


class RuntimeDistribution(Distribution):
    """`edgebert-runtime`: the code of `edgebert` with fewer dependencies."""

    def parse_config_files(self, *arguments: Any, **options: Any) -> None:
        super().parse_config_files(*arguments, **options)
        self.metadata.name = "edgebert-runtime"
        self.metadata.description = "edgebert for .tflite files alone, without TensorFlow."
        self.install_requires = [
            line
            for line in self.install_requires
            if re.split(r"[^\w-]", line, maxsplit=1)[0] not in NOT_IN_RUNTIME
        ]
        self.extras_require = {
            name: lines for name, lines in self.extras_require.items() if name in RUNTIME_EXTRAS
        }
        self.metadata.provides_extras = dict.fromkeys(RUNTIME_EXTRAS)
        self._finalize_requires()


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


setup(
    cmdclass={"build_py": BuildWithProjects},
    distclass=RuntimeDistribution if os.environ.get("EDGEBERT_RUNTIME") == "1" else Distribution,
)
