"""LiteRT.js is fetched with the real npm and has the pinned hash."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edgebert.errors import EdgebertError, UsageError
from edgebert.system import litertjs
from edgebert.system.litertjs import CORE, WASM_UTILS, fetch, find_litertjs


@pytest.fixture(scope="module")
def npm() -> None:
    from tests.conftest import _missing_judge

    if shutil.which("npm") is None:
        _missing_judge("no npm: apt-get install npm")


def test_a_package_is_fetched_once(
    npm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch("utils", [WASM_UTILS], tmp_path)
    assert folder == tmp_path / "utils-2.5.3"
    assert (folder / "wasm-utils" / "dist" / "index.js").is_file()
    assert list(tmp_path.iterdir()) == [folder]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert fetch("utils", [WASM_UTILS], tmp_path) == folder


def test_a_package_with_another_hash_is_refused(npm: None, tmp_path: Path) -> None:
    forged = replace(WASM_UTILS, sha512=CORE.sha512)
    with pytest.raises(EdgebertError, match=r"SHA-512 PlGmbMO.*Received: 4fJiw6"):
        fetch("utils", [forged], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_version(npm: None, tmp_path: Path) -> None:
    with pytest.raises(EdgebertError, match=r"could not fetch .*@0\.0\.0-none.*Next"):
        fetch("utils", [replace(WASM_UTILS, version="0.0.0-none")], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(EdgebertError, match=r"no npm on PATH.*--litertjs"):
        fetch("utils", [WASM_UTILS], tmp_path)


def test_a_given_folder(npm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = fetch("litertjs", [CORE, WASM_UTILS])
    found = find_litertjs(str(ours / CORE.folder))
    assert found == find_litertjs()
    assert found.version == CORE.version
    assert "wasm/litert_wasm_internal.wasm" in found.files
    installed = tmp_path / "node_modules" / "@litertjs" / "core"
    shutil.copytree(ours / "wasm-utils", installed / "node_modules" / "@litertjs" / "wasm-utils")
    with pytest.raises(UsageError, match=r"without .*index\.js.*npm install"):
        find_litertjs(str(installed))
    monkeypatch.setattr(litertjs, "WASM_FILES", ("nothing_*",))
    with pytest.raises(UsageError, match="litert_wasm_"):
        find_litertjs(str(ours / CORE.folder))
