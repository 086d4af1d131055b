"""An arm64 Python with numpy and LiteRT in a folder of this machine, without root and chroot.

Debian packages come through the system's apt, from its sources and verified with its keys, but with
separate lists, cache and state. Wheels come through pip. This module runs no arm64 code and changes
nothing in the system.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from edgebert.errors import EdgebertError, UsageError
from edgebert.system.progress import Progress, silent
from edgebert.system.storage import cache_folder

STAGE = "arm64 Python (once)"
RUNTIME = "ai-edge-litert"
PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
NUMPY = "numpy>=1.26,<3"
TOOLS = ("apt-get", "dpkg-deb", "tar")
PYTHONS = ("usr/bin/python3", "usr/local/bin/python3")
SITE = "usr/lib/python3/dist-packages"
MERGED = ("bin", "lib", "sbin")
LEFT_OUT = ("./usr/share/doc", "./usr/share/locale", "./usr/share/man")
PLATFORMS = tuple(f"manylinux_2_{minor}_aarch64" for minor in range(28, 16, -1))
ERROR_LINES = 6
NEXT = (
    "Next: give --arm64-root a folder of an arm64 Linux whose Python has numpy and "
    f"{RUNTIME}, or check on real hardware: --target ssh:user@host or --target adb."
)

# Hooks in the system's configuration would change the system, so they are cleared.
APT_CONFIGURATION = """\
#clear APT::Update;
#clear APT::Architectures;
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "2";
Debug::NoLocking "true";
"""


def find_python(root: Path) -> Path:
    """Finds the Python in the root folder of an arm64 Linux.

    Raises:
        UsageError: There is none.
    """
    for name in PYTHONS:
        if (root / name).is_file():
            return root / name
    raise UsageError(
        f"--arm64-root expects a folder of an arm64 Linux with {' or '.join(PYTHONS)}. "
        f"Received: {root}. Next: leave it out, and edgebert makes one."
    )


def arm64_root(prove: Callable[[Path], None], progress: Progress = silent) -> Path:
    """The folder in the cache, which is created if necessary. It is renamed when it is complete.

    The runtime has the version of this machine, so that only the processor differs.

    Args:
        prove: Raises if the Python of a folder cannot load the runtime.
        progress: Receives the progress of the creation.

    Raises:
        EdgebertError: A tool is missing, or a package cannot be fetched. No files are left behind.
    """
    wheels = (f"{RUNTIME}=={importlib.metadata.version(RUNTIME)}", NUMPY)
    content = json.dumps([PACKAGES, wheels, SITE, MERGED, LEFT_OUT])
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    folder = cache_folder() / f"arm64-{wheels[0].replace('==', '-')}-{digest}"
    if folder.is_dir():
        return folder
    refuse_missing_tools()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        whole = Path(temporary) / "root"
        packages = _fetch(Path(temporary), progress)
        _unpack(packages, whole, progress)
        _install(wheels, whole)
        progress(STAGE, 4, 5)
        prove(whole)
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was faster
                raise
    progress(STAGE, 5, 5)
    return folder


def refuse_missing_tools() -> None:
    """Checks that this machine has all tools to create the folder.

    Raises:
        EdgebertError: Tools are missing. The message lists all of them.
    """
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise EdgebertError(
            f"An arm64 Python is made with {', '.join(TOOLS)} of a Debian or Ubuntu system. "
            f"Received: no {', '.join(missing)} on the path. {NEXT}"
        )
    if importlib.util.find_spec("pip") is None:
        raise EdgebertError(
            f"An arm64 Python is made with pip. Received: {sys.executable} has none. "
            "Next: python -m ensurepip"
        )


def _fetch(folder: Path, progress: Progress) -> list[Path]:
    """Downloads the packages and their dependencies. apt verifies the signatures."""
    progress(STAGE, 0, 5)
    apt = folder / "apt"
    for name in ("lists/partial", "archives/partial", "etc"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()  # no package is installed
    (apt / "apt.conf").write_text(APT_CONFIGURATION, encoding="ascii")
    places = {"State": "", "State::lists": "lists", "State::status": "status", "Cache": ""}
    options = [f"-oDir::{key}={apt / name}" for key, name in places.items()]
    command = ["apt-get", f"-c{apt / 'apt.conf'}", *options]
    warned = _run([*command, "update"], "apt-get update")
    progress(STAGE, 1, 5)
    _run(
        [*command, "--yes", "--download-only", "install", *PACKAGES],
        "apt-get for arm64",
        warned,
        "Next: check that the Debian mirror can be reached and that apt's sources include arm64 "
        "(not [arch=amd64]; for Ubuntu, add its ports mirror as [arch=arm64]). Or "
        + NEXT.removeprefix("Next: "),
    )
    progress(STAGE, 2, 5)
    return sorted((apt / "archives").glob("*.deb"))


def _unpack(packages: Sequence[Path], root: Path, progress: Progress) -> None:
    """Unpacks all packages into the merged layout, in which /lib and others are links to /usr."""
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(Path("usr") / name)
    into = ["tar", "--extract", "--keep-directory-symlink", f"--directory={root}"]
    into += [f"--exclude={name}" for name in LEFT_OUT]
    for package in packages:
        content = package.with_suffix(".tar")
        with content.open("wb") as file:
            _run(["dpkg-deb", "--fsys-tarfile", str(package)], package.name, stdout=file.fileno())
        _run([*into, f"--file={content}"], package.name)
        content.unlink()
    progress(STAGE, 3, 5)


def _install(wheels: Sequence[str], root: Path) -> None:
    version = find_python(root).resolve().name.removeprefix("python")
    platforms = [part for name in PLATFORMS for part in ("--platform", name)]
    options = ["--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"]
    options += ["--python-version", version, "--target", str(root / SITE)]
    _run(
        [sys.executable, "-m", "pip", "install", *options, *platforms, *wheels],
        f"pip for arm64, Python {version}",
        after=f"Next: check that the package index can be reached and has {wheels[0]} for it.",
    )


def _run(
    command: Sequence[str],
    what: str,
    before: str = "",
    after: str = NEXT,
    stdout: int | None = None,
) -> str:
    """Runs a tool to its end.

    Args:
        command: Program and arguments.
        what: Name of the step in messages.
        before: Earlier output that may explain a failure.
        after: Next step of the error message.
        stdout: File descriptor for the program's output.

    Returns:
        The stderr of the tool.

    Raises:
        EdgebertError: The tool failed. The message has the last lines of its stderr.
    """
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
    stderr = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        lines = "\n".join(f"    {line}" for line in (before + stderr).splitlines()[-ERROR_LINES:])
        raise EdgebertError(
            f"Making an arm64 Python: {what} failed. Received: exit code {done.returncode}. "
            f"Its last lines:\n{lines}\n{after}"
        )
    return stderr
