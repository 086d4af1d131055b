"""A package that is not installed is one line with the command that installs it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from edgebert.system import missing_packages
from edgebert.system.missing_packages import PACKAGES, RUNTIME, install_whole, missing_package

ROOT = Path(__file__).resolve().parents[3]


def test_a_submodule_names_its_package() -> None:
    error = missing_package(ModuleNotFoundError(name="ai_edge_litert.interpreter"))
    assert str(error) == (
        "Expected the package ai-edge-litert. Received: it is not installed. "
        "Next: pip install 'ai-edge-litert>=2.2,<3'"
    )


def test_a_module_that_is_not_a_dependency_is_no_error_for_users() -> None:
    assert missing_package(ModuleNotFoundError(name="edgebert.no_such_module")) is None
    assert missing_package(ImportError("cannot import name 'x'")) is None


def test_the_runtime_distribution_is_replaced_by_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        if name != RUNTIME:
            raise metadata.PackageNotFoundError(name)
        return "0.1.0"

    monkeypatch.setattr(missing_packages.metadata, "version", version)
    assert install_whole() == "pip uninstall --yes edgebert-runtime && pip install edgebert"
    error = missing_package(ModuleNotFoundError(name="tensorflow"))
    assert str(error).endswith(f"Next: {install_whole()}")


def test_the_ranges_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {line.name: line.specifier for line in map(Requirement, project["dependencies"])}
    for module, install in PACKAGES.items():
        wanted = Requirement(install.strip("'"))
        if not wanted.extras:
            assert wanted.name == module.replace("_", "-")
            assert wanted.specifier in (needed[wanted.name], SpecifierSet()), install


def test_the_command_line_without_click_says_so() -> None:
    code = "import sys; sys.modules['click'] = None\nfrom edgebert.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: Expected the package click. Received: it is not installed. "
        "Next: pip install 'click>=8.2.1,<9'\n"
    )
