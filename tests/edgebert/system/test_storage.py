"""No incomplete file is ever left under its final name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgebert.system.storage import atomic_folder, atomic_write


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    atomic_write(path, b"one")
    atomic_write(path, "zwölf")
    assert path.read_text(encoding="utf-8") == "zwölf"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = atomic_write(tmp_path / "file", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_keeps_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with atomic_folder(folder) as temporary:
        (temporary / "a").write_text("1")
        (temporary / "b").write_text("1")
    with pytest.raises(KeyboardInterrupt), atomic_folder(folder) as temporary:
        (temporary / "a").write_text("2")
        raise KeyboardInterrupt
    assert {p.name: p.read_text() for p in folder.iterdir()} == {"a": "1", "b": "1"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_keeps_files_that_the_new_one_does_not_have(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "notes").write_text("mine")
    with atomic_folder(folder) as temporary:
        (temporary / "a").write_text("2")
    assert {p.name: p.read_text() for p in folder.iterdir()} == {"a": "2", "notes": "mine"}
