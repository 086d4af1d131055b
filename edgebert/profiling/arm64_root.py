"""An arm64 Python with numpy and LiteRT in a folder of this machine: no root rights, no chroot.

Debian packages come through the system's apt, from its own sources and checked by its own keys, but
with lists, cache and state of ours: the system's stay as they are. Wheels come through pip. Nothing
here runs arm64 code, and nothing of the system is changed.
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

# Hooks of the system's configuration would act on the system.
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
    """The Python of an arm64 Linux.

    Raises:
        UsageError: there is none.
    """
    for name in PYTHONS:
        if (root / name).is_file():
            return root / name
    raise UsageError(
        f"--arm64-root expects a folder of an arm64 Linux with {' or '.join(PYTHONS)}. "
        f"Received: {root}. Next: leave it out, and edgebert makes one."
    )


def arm64_root(prove: Callable[[Path], None], progress: Progress = silent) -> Path:
    """The folder in our cache, made where it isn't there yet; it gets its name once it is whole.

    The runtime is the version that this machine has, so that only the processor differs.

    Args:
        prove: raises where the Python of a folder does not load the runtime.
        progress: told of each step of the making.

    Raises:
        EdgebertError: a tool is missing, or a package can't be fetched; nothing is left behind.
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
            if not folder.is_dir():  # else another process was faster
                raise
    progress(STAGE, 5, 5)
    return folder


def refuse_missing_tools() -> None:
    """Raises where a folder can't be made on this machine.

    Raises:
        EdgebertError: with all tools that are missing.
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
    """The packages and all that they depend on, as files; apt has checked their signatures."""
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
        "Next: see that the Debian mirror can be reached and that apt's sources have arm64 (not "
        "[arch=amd64]; Ubuntu keeps arm64 on its ports mirror, to be added as [arch=arm64]). Or "
        + NEXT.removeprefix("Next: "),
    )
    progress(STAGE, 2, 5)
    return sorted((apt / "archives").glob("*.deb"))


def _unpack(packages: Sequence[Path], root: Path, progress: Progress) -> None:
    """Older packages have /lib apart, newer ones in /usr: all get the layout of the newer."""
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
        after=f"Next: see that the package index can be reached and has {wheels[0]} for it.",
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
        command: program and arguments.
        what: how messages call it.
        before: what was said earlier and may be the reason.
        after: the message's next step.
        stdout: a file's descriptor for the program's output.

    Returns:
        What it wrote on stderr.

    Raises:
        EdgebertError: it failed; with its last lines.
    """
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        lines = "\n".join(f"    {line}" for line in (before + said).splitlines()[-ERROR_LINES:])
        raise EdgebertError(
            f"Making an arm64 Python: {what} failed. Received: exit code {done.returncode}. "
            f"Its last lines:\n{lines}\n{after}"
        )
    return said
