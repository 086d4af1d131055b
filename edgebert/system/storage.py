"""Atomic writes of files and folders, and the cache folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def atomic_write(path: Path | str, data: bytes | str) -> Path:
    """Writes a file under a temporary name in the same folder, then renames it.

    Args:
        path: the final path; missing parent folders are created.
        data: bytes, or text that is written as UTF-8.

    Raises:
        OSError: The disk is full or the folder is not writable; no temporary file is left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return path


@contextlib.contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yields a temporary folder to fill; on success its files replace those of `path`.

    An existing folder keeps files that the new one does not have. If it exists, each file is
    replaced atomically, but not all files together.

    Raises:
        OSError: As for `atomic_write`; the temporary folder is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield temporary
        if path.exists():
            for item in sorted(temporary.rglob("*")):
                target = path / item.relative_to(temporary)
                if item.is_dir():
                    target.mkdir(exist_ok=True)
                else:
                    os.replace(item, target)
            shutil.rmtree(temporary)
        else:
            os.chmod(temporary, 0o777 & ~_umask())
            os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def cache_folder() -> Path:
    """The cache folder for downloads and generated files; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgebert"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
