"""LiteRT.js on this machine: fetched once through npm into the cache folder, or a given folder.

The version and the SHA-512 of the npm packages are pinned. The page loads LiteRT.js from this
machine only.
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
        name: Name of the package, with its scope.
        version: Pinned version.
        sha512: SHA-512 of the tarball, base64, as in npm's `dist.integrity`.
    """

    name: str
    version: str
    sha512: str

    @property
    def folder(self) -> str:
        """Its folder, below the folder of the packages that are fetched together."""
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
    """The files of LiteRT.js for the web server.

    Attributes:
        version: Version of `@litertjs/core`.
        files: The file on disk, by the path below `litertjs/` that the page requests.
    """

    version: str
    files: dict[str, Path]


def find_litertjs(folder: str = "") -> LiteRtJs:
    """Finds LiteRT.js in a folder, or in the cache folder after fetching it if necessary.

    Args:
        folder: Folder of `@litertjs/core` with `package.json`, `dist` and `wasm`.
            `@litertjs/wasm-utils` is in its `node_modules`, or next to it, where npm installs it.
            Empty takes the cache folder.

    Raises:
        UsageError: A part of the folder is missing.
        EdgebertError: LiteRT.js cannot be fetched.
    """
    if folder:
        return _read(Path(folder))
    return _read(fetch("litertjs", [CORE, WASM_UTILS]) / CORE.folder)


def _read(core: Path) -> LiteRtJs:
    parents = (core / "node_modules" / "@litertjs", core.parent)
    utils = next((f / "wasm-utils" for f in parents if (f / "wasm-utils").is_dir()), None)
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
            f"--litertjs expects a folder of {CORE.name}, with {WASM_UTILS.name} next to it. "
            f"Received: {core}, without {', '.join(lacking) or 'package.json'}. "
            f"Next: npm install {CORE.name}@{CORE.version}, and give node_modules/{CORE.name}."
        )
    version = _PACKAGE_FILE.read(package).get("version", "unknown")
    return LiteRtJs(str(version), files)


def fetch(name: str, packages: Sequence[NpmPackage], cache: Path | None = None) -> Path:
    """The folder with the unpacked packages, which are fetched through npm if necessary.

    No script of a package is run. The folder gets its final name when it is complete.

    Args:
        name: Name of the folder; the versions are appended.
        packages: The packages, each in its own subfolder.
        cache: Parent folder. None takes edgebert's cache folder.

    Raises:
        EdgebertError: npm is missing or fails, or a package does not match its pinned hash.
    """
    cache = cache_folder() if cache is None else cache
    versions = dict.fromkeys(package.version for package in packages)
    folder = cache / "-".join([name, *versions])
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise EdgebertError(
            f"npm is needed once to fetch {packages[0].name}. Received: no npm on PATH. Next: "
            "install Node.js, or give a folder of the unpacked package with --litertjs."
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=cache) as temporary:
        whole = Path(temporary) / "whole"
        for package in packages:
            _unpack(_download(npm, package, Path(temporary)), whole / package.folder)
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was faster
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
            f"npm could not fetch {spelled}. Received: {problem or 'no tarball'}. Next: check the "
            "connection to the registry, or give a folder of the unpacked package with --litertjs."
        )
    tarball = found[0].rename(folder / f"{package.folder}.tar")
    sha512 = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if sha512 != package.sha512:
        raise EdgebertError(
            f"{spelled} is expected to have the SHA-512 {package.sha512}. Received: {sha512}. "
            "Next: your registry serves another file; fetch it from npm's own registry."
        )
    return tarball


def _unpack(tarball: Path, folder: Path) -> None:
    """Unpacks the tarball's `package/`. Names that lead out of the folder are refused."""
    with tarfile.open(tarball) as archive:
        archive.extractall(folder.parent / f"{folder.name}.tar", filter="data")
    (folder.parent / f"{folder.name}.tar" / "package").rename(folder)
    (folder.parent / f"{folder.name}.tar").rmdir()
