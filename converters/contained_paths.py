"""The guard of every path that a file names: it must stay inside the folder of that file.

A checkpoint, a preset or a record of a run is data from anywhere. A path in it may only refer to
files of the same folder. Paths that the user gives on the command line or in a TOML file are not
read through this module.
"""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from converters.errors import ConversionError
from converters.json_files import short_repr


class OutsideFolderError(ConversionError):
    """A file names a path outside its folder."""


def path_inside(folder: Path, name: str) -> Path:
    """The path of a file inside a folder, by a name that another file gives.

    Refused are absolute paths, `..`, drives and network shares of Windows (also with backslashes),
    names that no file system takes, and names that lead out of the folder through symbolic links.
    A link to `blobs` in the cache of Hugging Face's hub is accepted: its snapshots have such links.

    Args:
        folder: the folder.
        name: a relative path; empty for the folder itself.

    Raises:
        OutsideFolderError: the name is refused.
    """
    windows = PureWindowsPath(name)  # both slashes separate its parts
    if windows.drive or windows.root or ".." in windows.parts:
        raise _outside(folder, name, "a path that leaves the folder")
    path = folder / name
    try:
        root, target = folder.resolve(), path.resolve()
        target.exists()  # raises for a name that is too long
    except (OSError, RuntimeError, ValueError) as error:
        raise _outside(folder, name, f"a name that can't be used ({error})") from error
    if not target.is_relative_to(root) and not _is_hub_blob(root, target):
        raise _outside(folder, name, "a symbolic link that leaves the folder")
    return path


def _is_hub_blob(root: Path, target: Path) -> bool:
    """Whether a link from `REPOSITORY/snapshots/REVISION` leads to `REPOSITORY/blobs`."""
    return any(
        base.parent.name == "snapshots" and target.parent == base.parent.parent / "blobs"
        for base in (root, *root.parents)
    )


def _outside(folder: Path, name: str, what: str) -> OutsideFolderError:
    return OutsideFolderError(
        f"{folder}: expected only paths inside this folder. Received: {short_repr(name)}, {what}. "
        "Next: if you trust the source, copy the file into the folder and name it there."
    )
