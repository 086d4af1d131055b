"""Atomic writes of files and folders, and the cache folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgebert.errors import OutputError

_PART = ".part"
_PREFIX_CHARACTERS = 80


def atomic_write(path: Path | str, data: bytes | str) -> Path:
    """Writes a file under a temporary name in the same folder, then renames it.

    A symbolic link stays: the file that it leads to is replaced.

    Args:
        path: the final path; missing parent folders are created.
        data: bytes, or text that is written as UTF-8.

    Raises:
        OSError: The disk is full or the folder is not writable; no temporary file is left.
        OutputError: The path is a folder, a device, a pipe or a socket.
    """
    (written,) = atomic_files({Path(path): data})
    return written


def atomic_files(contents: Mapping[Path, bytes | str]) -> list[Path]:
    """Writes files that belong together, as `atomic_write`: all or none if writing fails.

    All files are complete under temporary names before the first one is renamed.

    Args:
        contents: bytes or text by path.

    Returns:
        The paths as given.

    Raises:
        OSError, OutputError: As for `atomic_write`.
    """
    targets = {path: output_file(path) for path in contents}
    temporaries: dict[Path, str] = {}
    try:
        for path, data in contents.items():
            temporaries[path] = _write_beside(targets[path], data)
        for path, temporary in temporaries.items():
            os.replace(temporary, targets[path])
    except BaseException:
        for temporary in temporaries.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        raise
    return list(contents)


def output_file(path: Path) -> Path:
    """The file that a path of an output means: the target of a symbolic link.

    Raises:
        OutputError: The path is a folder, a device, a pipe or a socket, or a link in a circle.
    """
    try:
        target = path.resolve()
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target
    except (OSError, RuntimeError) as error:
        raise _no_output(path, str(error)) from error
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        raise _no_output(path, kinds.get(stat.S_IFMT(mode), "a device"))
    return target


def _output_folder(path: Path) -> Path:
    try:
        target = path.resolve()
        if target.exists() and not target.is_dir():
            raise _no_output(path, "a path that is no folder")
    except (OSError, RuntimeError) as error:
        raise _no_output(path, str(error)) from error
    return target


def _no_output(path: Path, received: str) -> OutputError:
    return OutputError(
        f"{path}: expected a path to write a file to. Received: {received}. "
        "Next: give the path of a new or an ordinary file."
    )


def _write_beside(target: Path, data: bytes | str) -> str:
    """Writes a complete temporary file in the folder of the target, and returns its path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=_prefix(target), suffix=_PART, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return temporary


@contextlib.contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yields a temporary folder to fill; on success its files replace those of `path`.

    An existing folder keeps files that the new one does not have. If it exists, each file is
    replaced atomically, but not all files together. A symbolic link stays: the folder that it leads
    to is filled.

    Raises:
        OSError: As for `atomic_write`; the temporary folder is removed.
        OutputError: The path is no folder.
    """
    path = _output_folder(Path(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    temporary = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=_PART, dir=path.parent))
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


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Removes temporary files and folders of processes that were killed.

    Args:
        folder: the folder to look into, not its subfolders; it may not exist.
        name: only those of this file or folder; empty for all.
    """
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        found = _TEMPORARY.fullmatch(path.name)
        if found is None or (name and found["name"] != name[:_PREFIX_CHARACTERS]):
            continue
        if _is_running(int(found["process"])):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    """The start of a temporary name: it has the number of this process."""
    return f".{path.name[:_PREFIX_CHARACTERS]}.{os.getpid()}-"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it belongs to another user
        return True
    return True


_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<process>[0-9]{1,10})-[a-z0-9_]{8}" + re.escape(_PART))


def cache_folder() -> Path:
    """The cache folder for downloads and generated files; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgebert"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
