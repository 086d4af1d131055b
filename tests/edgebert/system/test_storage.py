"""No incomplete file is ever left under its final name."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgebert.errors import OutputError
from edgebert.system.storage import atomic_files, atomic_folder, atomic_write, finish_interrupted


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


def test_files_that_belong_together_are_all_written_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = tmp_path / "m.tflite", tmp_path / "m.tflite.json"
    written: list[int] = []

    def full_for_the_second(handle: int) -> None:
        written.append(handle)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full_for_the_second)
    with pytest.raises(OSError, match="No space left"):
        atomic_files(dict.fromkeys(paths, b"new"))
    assert list(tmp_path.iterdir()) == []
    assert atomic_files(dict.fromkeys(paths, b"new")) == list(paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_devices_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    before = os.stat("/dev/null")
    for path in (Path("/dev/null"), *(tmp_path / n for n in ("pipe", "folder", "link", "loop"))):
        with pytest.raises(OutputError, match=r"Received: .*Next: "):
            atomic_write(path, b"new")
    assert os.stat("/dev/null").st_rdev == before.st_rdev
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "link", "loop", "pipe"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError), atomic_folder(tmp_path / "file") as temporary:
        (temporary / "a").write_text("1")


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "other" / "file", tmp_path / "link"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    assert atomic_write(link, "new") == link
    assert link.is_symlink() and target.read_text() == "new"
    folder = tmp_path / "folder-link"
    folder.symlink_to(tmp_path / "new-folder")
    with atomic_folder(folder) as temporary:
        (temporary / "a").write_text("1")
    assert folder.is_symlink() and (tmp_path / "new-folder" / "a").read_text() == "1"


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    code = (
        "import os, pathlib; from edgebert.system.storage import atomic_folder\n"
        f"with atomic_folder(pathlib.Path({str(tmp_path / 'model')!r})) as t:\n"
        "    (t / 'a').write_text('1'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = tmp_path.iterdir()
    with atomic_folder(tmp_path / "other"):
        assert left.exists()
        finish_interrupted(tmp_path)
        assert not left.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["other"]
