"""Atomic writes of files and folders, and the cache folder.

Everything is written under a temporary name, `.NAME.PROCESS-xxxxxxxx` with one of three endings, in
the folder where it will be:

- `.part`: not complete. The next start removes it.
- `.ready`: a folder of complete files that belong together. The next start moves them to their
  names.
- `.old`: the folder NAME before its replacement, where the file system can't exchange two folders.
  If NAME is missing, the next start or `restore_folder` takes it back.

So a process that is killed at any moment never leaves old and new files side by side.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from edgebert.errors import OutputError
from edgebert.system.exchange import exchange

_PART, _READY, _OLD = ".part", ".ready", ".old"
_PREFIX_CHARACTERS = 80
_own: set[Path] = set()
"""The temporary files and folders that this process uses now."""


Content = bytes | str | Sequence[bytes | memoryview]
"""Bytes, text that is written as UTF-8, or parts of a file that follow each other."""


def atomic_write(path: Path | str, data: Content) -> Path:
    """Writes a file under a temporary name in the same folder, then renames it.

    A symbolic link stays: the file that it leads to is replaced.

    Args:
        path: the final path; missing parent folders are created.
        data: the content.

    Raises:
        OSError: The disk is full or the folder is not writable; no temporary file is left.
        OutputError: The path is a folder, a device, a pipe or a socket.
    """
    target = output_file(Path(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    finish_interrupted(target.parent, target.name)
    handle, name = tempfile.mkstemp(prefix=_prefix(target), suffix=_PART, dir=target.parent)
    with _in_use(Path(name)) as temporary:
        try:
            _fill(handle, data)
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return Path(path)


def atomic_files(contents: Mapping[Path, Content]) -> list[Path]:
    """Writes files of one folder that belong together, as `atomic_write`: all or none.

    A process that is killed leaves all old files, all new ones, or only the first of them, never
    old and new ones side by side; the next start in the folder completes them. Links that lead to
    different folders are the exception: there each folder is written on its own.

    Args:
        contents: by path; the first is the main file.

    Returns:
        The paths as given.

    Raises:
        OSError, OutputError: As for `atomic_write`.
    """
    by_folder: dict[Path, dict[str, Content]] = {}
    for path, data in contents.items():
        target = output_file(path)
        by_folder.setdefault(target.parent, {})[target.name] = data
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(_complete(folder, by_folder[folder])) for folder in by_folder]
        for part in parts:
            ready = part.with_suffix(_READY)
            with _in_use(ready):
                os.replace(part, ready)
                _move_out(ready)
    return list(contents)


@contextlib.contextmanager
def _complete(folder: Path, contents: Mapping[str, Content]) -> Iterator[Path]:
    """Yields a temporary folder with complete files, and removes it."""
    folder.mkdir(parents=True, exist_ok=True)
    first = folder / next(iter(contents))
    finish_interrupted(folder, first.name)
    made = tempfile.mkdtemp(prefix=_prefix(first), suffix=_PART, dir=folder)
    with _in_use(Path(made)) as part:
        try:
            for name, data in contents.items():
                _fill(os.open(part / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), data)
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _move_out(ready: Path) -> None:
    """Moves complete files to their names. It can be repeated after an interruption."""
    names = sorted(path.name for path in ready.iterdir() if _is_regular(path))
    for name in names[1:]:  # an old file must not stand beside a new one
        (ready.parent / name).unlink(missing_ok=True)
    for name in names:
        os.replace(ready / name, ready.parent / name)
    shutil.rmtree(ready, ignore_errors=True)


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


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
        if target.exists() and Path.cwd().is_relative_to(target):
            raise OutputError(
                f"{path}: expected a folder other than the current one, since it is replaced as a "
                "whole. Received: the current folder. Next: change to the folder above it, and "
                "give its name there."
            )
    except (OSError, RuntimeError) as error:
        raise _no_output(path, str(error)) from error
    return target


def _no_output(path: Path, received: str) -> OutputError:
    return OutputError(
        f"{path}: expected a path to write a file to. Received: {received}. "
        "Next: give the path of a new or an ordinary file."
    )


def _fill(handle: int, data: Content) -> None:
    """Writes a whole file, and waits until it is on the disk."""
    with os.fdopen(handle, "wb") as file:
        content = data.encode() if isinstance(data, str) else data
        file.writelines([content] if isinstance(content, (bytes, memoryview)) else content)
        file.flush()
        os.fsync(file.fileno())
        os.chmod(file.name, 0o666 & ~_umask())


@contextlib.contextmanager
def atomic_folder(
    path: Path | str, is_kept: Callable[[Path], bool] = lambda file: True
) -> Iterator[Path]:
    """Yields a temporary folder to fill; on success it takes the place of `path` as a whole.

    Files of an existing folder that the new one does not have stay. The two folders are exchanged
    in one step of the file system. A symbolic link stays: the folder that it leads to is filled.

    Args:
        path: the folder.
        is_kept: Whether an old file, by its path inside the folder, stays.

    Raises:
        OSError: As for `atomic_write`; the temporary folder is removed.
        OutputError: The path is no folder, or is the current one.
    """
    path = _output_folder(Path(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    finish_interrupted(path.parent, path.name)
    finish_interrupted(path)
    made = tempfile.mkdtemp(prefix=_prefix(path), suffix=_PART, dir=path.parent)
    with _in_use(Path(made)) as temporary:
        try:
            yield temporary
            if path.exists():
                for file in filter(_is_regular, temporary.rglob("*")):
                    _sync(file)
                _keep_others(path, temporary, is_kept)
                os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
                _swap(temporary, path)
            else:
                os.chmod(temporary, 0o777 & ~_umask())
                os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _sync(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _keep_others(old: Path, new: Path, is_kept: Callable[[Path], bool]) -> None:
    """Puts the other files of the old folder into the new one, as further links to them."""
    for folder, folders, files in os.walk(old):
        inside = Path(folder).relative_to(old)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in (*files, *links):
            source, target = old / inside / name, new / inside / name
            if not is_kept(inside / name) or _is_there(target):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink():
                os.symlink(os.readlink(source), target)
            else:
                _link(source, target)


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _link(source: Path, target: Path) -> None:
    """A further name of a file; a copy where the file system has no such links."""
    try:
        os.link(source, target)
    except OSError:
        if not _is_regular(source):
            raise
        shutil.copy2(source, target)


def _swap(new: Path, path: Path) -> None:
    """Puts a folder in the place of another one, which then has the temporary name."""
    if exchange(new, path):
        return
    old = new.with_suffix(_OLD)
    with _in_use(old):
        os.rename(path, old)
        try:
            os.rename(new, path)
        except BaseException:
            os.rename(old, path)
            raise
        shutil.rmtree(old, ignore_errors=True)


def restore_folder(path: Path) -> None:
    """Takes back a folder that is missing because its replacement was interrupted."""
    if path.name and not path.exists():
        finish_interrupted(path.parent, path.name)


def remove_folder(path: Path) -> None:
    """Removes a folder and all its files. It is gone as a whole before the first file is."""
    try:
        parent = path.parent.resolve()
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=_PART, dir=parent))
        with _in_use(temporary):
            with contextlib.suppress(OSError):
                os.rename(path, temporary)
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)


def finish_interrupted(folder: Path, name: str = "") -> None:
    """Completes or undoes what processes that were killed left in a folder.

    Args:
        folder: the folder to look into, not its subfolders; it may not exist.
        name: only what they left of this file or folder; empty for all.
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        found = _TEMPORARY.fullmatch(path.name)
        if found is None or (name and found["name"] != name[:_PREFIX_CHARACTERS]):
            continue
        if path in _own or _is_running(int(found["process"])):
            continue
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
            continue
        original = folder / (name or found["name"])
        if found["ending"] == _READY:
            _move_out(path)
        elif found["ending"] == _OLD and not _is_there(original):
            if len(original.name) < _PREFIX_CHARACTERS or name:  # else the name was cut
                os.rename(path, original)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _prefix(path: Path) -> str:
    """The start of a temporary name: it has the number of this process."""
    return f".{path.name[:_PREFIX_CHARACTERS]}.{os.getpid()}-"


@contextlib.contextmanager
def _in_use(path: Path) -> Iterator[Path]:
    """Marks a temporary path as one of this process."""
    _own.add(path)
    try:
        yield path
    finally:
        _own.discard(path)


def _is_running(process: int) -> bool:
    """Whether another process with this number runs: numbers are given again after a restart."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it belongs to another user
        return True
    return True


_TEMPORARY = re.compile(
    r"\.(?P<name>.+)\.(?P<process>[0-9]{1,10})-[a-z0-9_]{8}(?P<ending>\.part|\.ready|\.old)"
)


def cache_folder() -> Path:
    """The cache folder for downloads and generated files; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgebert"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
