"""What tests of the Kotlin modules need: a JVM, the modules that Maven built, and LiteRT."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

ANDROID = Path(__file__).parents[2] / "android_demo"


def _missing(reason: str) -> None:
    """What is missing fails in CI and skips on a user's machine."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def desktop_class_path() -> str:
    """The class path of the desktop module, which `make android` builds."""
    if shutil.which("java") is None:
        _missing("no java: apt-get install openjdk-17-jre-headless")
    target = ANDROID / "desktop" / "target"
    jars = sorted(target.glob("desktop-*.jar"))
    if not jars or not (target / "lib").is_dir():
        _missing("the desktop module is not built: make android")
    return f"{jars[0]}{os.pathsep}{target / 'lib'}/*"


@pytest.fixture(scope="session")
def litert_library() -> Path:
    """`libLiteRt.so` of the installed ai-edge-litert."""
    spec = importlib.util.find_spec("ai_edge_litert")
    if spec is None or spec.origin is None:
        _missing("no ai-edge-litert: pip install ai-edge-litert")
    assert spec is not None
    assert spec.origin is not None
    library = Path(spec.origin).parent / "libLiteRt.so"
    if not library.is_file():
        _missing(f"no {library}: the desktop engine runs on Linux")
    return library
