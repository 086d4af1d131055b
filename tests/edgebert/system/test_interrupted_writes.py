"""A process that is killed at any change of a file leaves old or new files, never both."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert.errors import OutputError
from edgebert.system import storage
from edgebert.system.exchange import exchange
from edgebert.system.storage import (
    atomic_files,
    atomic_folder,
    finish_interrupted,
    remove_folder,
    restore_folder,
)
from tests.torture.killing import run

OLD = {"a": "old", "b": "old", "sub/c": "old"}
NEW = {"a": "new", "b": "new", "sub/c": "new"}
KEPT = {"mine": "kept", "sub/mine": "kept", ".state/d": "kept"}
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def replaced(folder: Path) -> None:
    with atomic_folder(folder) as made:
        write(made, NEW)


def kill_everywhere(work: Callable[[], object], scratch: Path, check: Callable[[], None]) -> int:
    """Kills work at each change of a file, checks what is left, and returns the number of kills."""
    at = 1
    while run(work, scratch, kill_at=at).killed:
        check()
        at += 1
    return at - 1


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_old_or_new_wherever_the_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    folder = tmp_path / "model"
    if not can_exchange:
        monkeypatch.setattr(storage, "exchange", lambda first, second: False)
    write(folder, OLD | KEPT)
    seen: list[str] = []

    def check() -> None:
        restore_folder(folder)
        found = read(folder)
        assert found in (OLD | KEPT, NEW | KEPT)
        seen.append(found["a"])
        shutil.rmtree(folder)
        write(folder, OLD | KEPT)

    assert kill_everywhere(lambda: replaced(folder), tmp_path, check) > 5
    assert set(seen) == {"old", "new"}
    replaced(folder)
    assert read(tmp_path) == {f"model/{name}": text for name, text in (NEW | KEPT).items()}


def test_files_that_belong_together_never_stand_beside_old_ones(tmp_path: Path) -> None:
    paths = [tmp_path / "m.tflite", tmp_path / "m.tflite.json"]
    states: set[tuple[str, ...]] = set()

    def check() -> None:
        found = tuple(path.read_text() if path.exists() else "" for path in paths)
        assert set(found) - {""} in ({"old"}, {"new"}), found
        finish_interrupted(tmp_path)
        after = read(tmp_path)
        assert len(after) == 2 and len(set(after.values())) == 1
        states.add(found)
        for path in paths:
            path.write_text("old")

    for path in paths:
        path.write_text("old")
    kill_everywhere(lambda: atomic_files(dict.fromkeys(paths, "new")), tmp_path, check)
    assert {("old", "old"), ("old", ""), ("new", "")} <= states


def test_a_removed_folder_is_gone_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    write(folder, OLD)

    def check() -> None:
        assert not folder.exists() or read(folder) == OLD
        write(folder, OLD)

    kill_everywhere(lambda: remove_folder(folder), tmp_path, check)
    finish_interrupted(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_old_files_that_are_not_kept_are_gone(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write(folder, OLD | KEPT)
    with atomic_folder(folder, is_kept=lambda file: file.name != "mine") as made:
        write(made, {"a": "new"})
    assert read(folder) == {"a": "new", "b": "old", "sub/c": "old", ".state/d": "kept"}


def test_links_and_permissions_of_a_folder_stay(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write(folder, OLD)
    (folder / "link").symlink_to("a")
    folder.chmod(0o750)
    replaced(folder)
    assert os.readlink(folder / "link") == "a"
    assert folder.stat().st_mode & 0o777 == 0o750


def test_the_current_folder_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    write(folder, OLD)
    monkeypatch.chdir(folder)
    with pytest.raises(OutputError, match="other than the current one"), atomic_folder("."):
        pass
    assert read(folder) == OLD


def test_a_planted_folder_of_complete_files_writes_no_links(tmp_path: Path) -> None:
    """A downloaded folder may hold names like those of interrupted writes."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    ready = tmp_path / "run" / ".m.tflite.99999999-abcdefgh.ready"
    ready.mkdir(parents=True)
    (ready / "m.tflite").symlink_to(victim)
    finish_interrupted(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == [] and victim.read_text() == "mine"


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="other systems can't")
def test_two_folders_are_exchanged(tmp_path: Path) -> None:
    write(tmp_path / "one", {"a": "1"})
    write(tmp_path / "two", {"a": "2"})
    if not exchange(tmp_path / "one", tmp_path / "two"):
        pytest.skip("this file system can't exchange two folders")
    assert read(tmp_path) == {"one/a": "2", "two/a": "1"}
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "one", tmp_path / "none")
