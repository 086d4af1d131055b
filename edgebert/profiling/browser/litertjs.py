"""LiteRT.js on this machine: fetched once through npm into our cache, or a folder that is given.

The version is pinned, and so is the SHA-512 of what npm fetches. A phone's page gets it from us; it
loads nothing from anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.json_files import JsonFormat
from edgebert.errors import EdgebertError, UsageError
from edgebert.system.storage import cache_folder

FETCH_SECONDS = 300.0
STDERR_CHARACTERS = 600
WASM_FILES = "litert_wasm_*.js", "litert_wasm_*.wasm"
_PACKAGE_FILE = JsonFormat("the package.json of an npm package", "install it again", UsageError)


@dataclass(frozen=True)
class NpmPackage:
    """A package of npm's registry.

    Attributes:
        name: its name, with the scope.
        version: the one we run.
        sha512: of its tarball, base64, as in npm's `dist.integrity`.
    """

    name: str
    version: str
    sha512: str

    @property
    def folder(self) -> str:
        """Where it lies below the folder of the packages that were fetched together."""
        return self.name.rpartition("/")[2]


CORE = NpmPackage(
    "@litertjs/core",
    "2.5.3",
    "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
)
WASM_UTILS = NpmPackage(
    "@litertjs/wasm-utils",
    "2.5.3",
    "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
)


@dataclass(frozen=True)
class LiteRtJs:
    """LiteRT.js, ready to be served.

    Attributes:
        version: of `@litertjs/core`.
        files: by the path below `litertjs/` that the page asks for, where the file lies.
    """

    version: str
    files: dict[str, Path]


def find_litertjs(folder: str = "") -> LiteRtJs:
    """LiteRT.js from a folder of `@litertjs/core`; ours, fetched where it must be, when empty.

    Args:
        folder: has `package.json`, `dist` and `wasm`; `@litertjs/wasm-utils` lies below it in
            `node_modules`, or beside it, as npm puts it.

    Raises:
        UsageError: the folder lacks a part.
        EdgebertError: it can't be fetched.
    """
    if folder:
        return _read(Path(folder))
    return _read(fetch("litertjs", [CORE, WASM_UTILS]) / CORE.folder)


def _read(core: Path) -> LiteRtJs:
    beside = (core / "node_modules" / "@litertjs", core.parent)
    utils = next((f / "wasm-utils" for f in beside if (f / "wasm-utils").is_dir()), None)
    files = {"core.js": core / "dist" / "index.js"}
    if utils is not None:
        files["wasm-utils.js"] = utils / "dist" / "index.js"
    wasm = [path for pattern in WASM_FILES for path in sorted((core / "wasm").glob(pattern))]
    files |= {f"wasm/{path.name}": path for path in wasm}
    lacking = [str(path) for path in files.values() if not path.is_file()]
    lacking += [] if utils else ["@litertjs/wasm-utils"]
    lacking += [] if wasm else [f"{core / 'wasm'}/litert_wasm_*"]
    package = core / "package.json"
    if lacking or not package.is_file():
        raise UsageError(
            f"--litertjs expects a folder of {CORE.name}, with {WASM_UTILS.name} beside it. "
            f"Received: {core}, without {', '.join(lacking) or 'package.json'}. "
            f"Next: npm install {CORE.name}@{CORE.version}, and give node_modules/{CORE.name}."
        )
    version = _PACKAGE_FILE.read(package).get("version", "unknown")
    return LiteRtJs(str(version), files)


def fetch(name: str, packages: Sequence[NpmPackage], cache: Path | None = None) -> Path:
    """The folder with the unpacked packages, fetched through npm where it isn't there yet.

    No script of a package is run. The folder appears under its name once it is whole.

    Args:
        name: of the folder, to which the versions are added.
        packages: what it holds, each in a folder of its own.
        cache: where it is kept; edgebert's cache when None.

    Raises:
        EdgebertError: npm is missing or fails, or what it fetched is not what was pinned.
    """
    cache = cache_folder() if cache is None else cache
    versions = dict.fromkeys(package.version for package in packages)
    folder = cache / "-".join([name, *versions])
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise EdgebertError(
            f"npm is needed once, to fetch {packages[0].name}. Received: no npm on the path. Next: "
            "install Node.js, or give a folder of the unpacked package by --litertjs."
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=cache) as temporary:
        whole = Path(temporary) / "whole"
        for package in packages:
            _unpack(_download(npm, package, Path(temporary)), whole / package.folder)
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    return folder


def _download(npm: str, package: NpmPackage, folder: Path) -> Path:
    spelled = f"{package.name}@{package.version}"
    command = [npm, "pack", spelled, "--ignore-scripts", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
        )
        problem = " ".join(done.stderr.split())[:STDERR_CHARACTERS] if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"no answer for {FETCH_SECONDS:g} s"
    found = sorted(folder.glob("*.tgz"))
    if problem or not found:
        raise EdgebertError(
            f"npm could not fetch {spelled}. Received: {problem or 'no tarball'}. Next: see that "
            "the registry can be reached, or give a folder of the unpacked package by --litertjs."
        )
    tarball = found[0].rename(folder / f"{package.folder}.tar")
    sha512 = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if sha512 != package.sha512:
        raise EdgebertError(
            f"{spelled} is expected to have the SHA-512 {package.sha512}. Received: {sha512}. "
            "Next: your registry gives another file of that name; fetch it from npm's own."
        )
    return tarball


def _unpack(tarball: Path, folder: Path) -> None:
    """Takes the tarball's `package/` apart; names that lead out of the folder are refused."""
    with tarfile.open(tarball) as archive:
        archive.extractall(folder.parent / f"{folder.name}.tar", filter="data")
    (folder.parent / f"{folder.name}.tar" / "package").rename(folder)
    (folder.parent / f"{folder.name}.tar").rmdir()
