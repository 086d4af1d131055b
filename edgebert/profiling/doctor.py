"""What this machine has of all that edgebert uses; each gap with the command that closes it.

Nothing here imports TensorFlow. The runtime runs in a child process, while programs answer with
their versions.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from edgebert import __version__
from edgebert.errors import EdgebertError
from edgebert.system.missing_packages import WHOLE, distribution
from edgebert.system.storage import cache_folder

OK, MISSING, WARNING, FAILED = "ok", "missing", "warning", "failed"

PYTHONS = ((3, 11), (3, 14))
"""The first supported version of Python, and the first that is not."""
RUNTIME_SECONDS = 30.0
VERSION_SECONDS = 1.5
LEAST_DISK_BYTES = 200_000_000
USUAL_DISK_BYTES = 2_000_000_000
"""Checkpoint, file and scratch copies of a BERT-base, which has 440 MB of weights."""
LEAST_MEMORY_BYTES = 1_000_000_000
USUAL_MEMORY_BYTES = 2_500_000_000
"""TensorFlow, and an export of BERT-base."""

USES = {
    "matplotlib": "plots in reports",
    "segno": "the QR code of --target browser --lan",
    "tensorflow-model-optimization": "edgebert prune with single weights",
    "static": "the recipes static-int8 and static-int16x8",
    "hub": "models by their name on Hugging Face's hub",
    "https": "edgebert profile --target browser --https",
}
"""The use of packages and extras that export and predict do not need."""

NAMES_WITHOUT_METADATA = (
    *("ai-edge-litert", "click", "flatbuffers", "keras", "keras-hub", "numpy", "rich"),
    *("safetensors", "tensorflow", "tokenizers"),
)
"""The packages to look for if edgebert runs from a folder without being installed."""

_RUNTIME_ONLY = "for .tflite files alone, without TensorFlow: no training and no export"
_OPERATORS = "EMBEDDING_LOOKUP 4 and FULLY_CONNECTED 12"
_RUNTIME_MODULE = "edgebert.models.runtime_check"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        status: `ok`; `missing` or `warning` if only some commands need it; `failed` if export or
            predict can't work.
        found: What was found.
        fix: The command that mends it; empty if `ok`.
    """

    name: str
    status: str
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Program:
    """A program on PATH that some commands start.

    Attributes:
        name: What it is.
        commands: Its file names, the first that exists is used.
        use: The command of edgebert that needs it.
        apt: Package of Debian and Ubuntu.
        brew: Package of Homebrew; empty if there is none.
        version: Arguments that print its version; empty if it is not asked.
    """

    name: str
    commands: tuple[str, ...]
    use: str
    apt: str
    brew: str
    version: tuple[str, ...] = ()


_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "firefox")
PROGRAMS = (
    Program("adb", ("adb",), "profile --target adb", "adb", "--cask android-platform-tools"),
    Program("ssh", ("ssh",), "profile --target ssh:HOST", "openssh-client", "openssh"),
    Program("browser", _BROWSERS, "profile --target browser here", "chromium", "--cask chromium"),
    Program("node", ("node",), "tests of web/", "nodejs", "node", ("--version",)),
    Program("npm", ("npm",), "web and profile --target browser, once", "npm", "node"),
    Program(
        "qemu",
        ("qemu-aarch64-static", "qemu-aarch64"),
        "profile --target qemu-arm64",
        "qemu-user-static",
        "",
        ("--version",),
    ),
    Program(
        "Java", ("java",), "make apk and Gradle", "openjdk-17-jdk", "openjdk@17", ("-version",)
    ),
    Program("Maven", ("mvn",), "make apk and make android", "maven", "maven"),
)


def diagnose() -> list[Finding]:
    """Looks at everything, in the order of importance."""
    with ThreadPoolExecutor() as pool:
        runtime = pool.submit(runtime_finding, [sys.executable, "-m", _RUNTIME_MODULE])
        programs = [pool.submit(program_finding, program) for program in PROGRAMS]
        found = [python_finding(), *package_findings()]
        found.extend(runtime.result())
        found.extend(space_findings())
        found.append(memory_finding(available_memory_bytes()))
        found.extend(program.result() for program in programs)
    return found


def require_main_job(findings: Sequence[Finding]) -> None:
    """Checks that export and predict can work.

    Raises:
        EdgebertError: They can't. The message lists the reasons.
    """
    failed = [finding for finding in findings if finding.status == FAILED]
    if failed:
        raise EdgebertError(
            "Expected a machine on which export and predict work. Received: "
            + "; ".join(f"{finding.name}: {finding.found}" for finding in failed)
            + f". Next: {failed[0].fix}"
        )


def python_finding() -> Finding:
    """The version of Python."""
    first, after = PYTHONS
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if first <= sys.version_info[:2] < after:
        return Finding("Python", OK, found)
    newest = f"{after[0]}.{after[1] - 1}"
    return Finding("Python", FAILED, found, f"python{newest} -m venv .venv")


def package_findings() -> Iterator[Finding]:
    """The installed version of each package, compared with the range that edgebert needs."""
    installed = distribution()
    version = __version__ if installed == WHOLE else f"{__version__}, {_RUNTIME_ONLY}"
    yield Finding(installed, OK, version)
    try:
        required = [Requirement(text) for text in metadata.requires(installed) or ()]
    except metadata.PackageNotFoundError:
        required = [Requirement(name) for name in NAMES_WITHOUT_METADATA]
    for requirement in required:
        extra = _extra_of(requirement)
        if extra is None or extra in USES:
            yield package_finding(requirement, USES.get(extra or requirement.name, ""), extra)


def _extra_of(requirement: Requirement) -> str | None:
    """The extra that a requirement belongs to; None if edgebert always needs the package."""
    found = re.search(r'extra == "([^"]+)"', str(requirement.marker or ""))
    return found[1] if found else None


def package_finding(requirement: Requirement, use: str, extra: str | None = None) -> Finding:
    """The installed version of one package.

    Args:
        requirement: Name and range of versions.
        use: What needs it, if export and predict do not.
        extra: The extra of edgebert that brings it.
    """
    name, specifier = requirement.name, str(requirement.specifier)
    fix = f"pip install '{name}{specifier}'"
    needed = f"; needed for {use}" if use else ""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        brought = f" (extra {extra})" if extra else ""
        return Finding(name, MISSING if use else FAILED, f"not installed{brought}{needed}", fix)
    if requirement.specifier.contains(version, prereleases=True):
        return Finding(name, OK, version)
    return Finding(
        name, WARNING if use else FAILED, f"{version}, expected {specifier}{needed}", fix
    )


def runtime_finding(command: Sequence[str]) -> list[Finding]:
    """The answer of the runtime to a tiny int8 file, and whether XNNPACK runs it.

    Args:
        command: Starts `edgebert.models.runtime_check`.
    """
    name = "runtime"
    reinstall = "pip install --force-reinstall 'ai-edge-litert>=2.2,<3'"
    here = Path(__file__).resolve().parents[2]
    paths = [str(here), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=RUNTIME_SECONDS,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            check=False,
        )
    except subprocess.TimeoutExpired:
        gave = f"no answer to a tiny int8 file in {RUNTIME_SECONDS:.0f} s"
        return [Finding(name, FAILED, gave, reinstall)]
    if done.returncode < 0:
        gave = f"ended by signal {-done.returncode} on a tiny int8 file"
        return [Finding(name, FAILED, gave, reinstall)]
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [Finding(name, FAILED, f"can't run a tiny int8 file: {last}", reinstall)]
    return list(_judged(json.loads(done.stdout), reinstall))


def _judged(answer: dict[str, Any], reinstall: str) -> Iterator[Finding]:
    error, largest = answer["error"], answer["largest_error"]
    if error is None or error > largest:
        shown = "NaN" if error is None else f"{error:.3f}"
        gave = f"wrong answer of {_OPERATORS}: error {shown}, at most {largest} expected"
        yield Finding("runtime", FAILED, gave, reinstall)
        return
    yield Finding("runtime", OK, f"{_OPERATORS} give the right answer (error {error:.3f})")
    if answer["partitions"]:
        yield Finding("XNNPACK", OK, "runs the tiny file")
    else:
        yield Finding("XNNPACK", WARNING, "runs nothing, so every file is slow", reinstall)


def program_finding(program: Program) -> Finding:
    """Where a program is, and its version if it was asked."""
    path = next(filter(None, map(shutil.which, program.commands)), None)
    if path is None:
        found = f"not on PATH; needed for {program.use}"
        return Finding(program.name, MISSING, found, _install(program))
    if not program.version:
        return Finding(program.name, OK, path)
    try:
        done = subprocess.run(
            [path, *program.version],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(program.name, OK, f"{path}, which was slow to tell its version")
    except OSError as error:
        return Finding(program.name, WARNING, f"{path}: {error.strerror}", _install(program))
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        found = f"{path} fails with exit code {done.returncode}"
        return Finding(program.name, WARNING, found, _install(program))
    version = re.search(r"\d+(\.\d+)+", said)
    return Finding(program.name, OK, f"{version[0]}, {path}" if version else path)


def _install(program: Program) -> str:
    if sys.platform == "darwin" and program.brew:
        return f"brew install {program.brew}"
    return f"sudo apt-get install {program.apt}"


def space_findings() -> Iterator[Finding]:
    """Free space where edgebert writes: temporary files, the cache and the current folder."""
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError:  # no folder that can be written
        temporary = Path(os.environ.get("TMPDIR", "/tmp"))
    variables = {
        "temporary files": (temporary, "mkdir -p ~/tmp && export TMPDIR=~/tmp"),
        "cache": (cache_folder(), "export XDG_CACHE_HOME=/path/with/space"),
        "current folder": (Path.cwd(), "cd /path/with/space"),
    }
    for name, (folder, fix) in variables.items():
        yield space_finding(name, folder, fix, lambda path: shutil.disk_usage(path).free)


def space_finding(name: str, folder: Path, fix: str, free: Callable[[Path], int]) -> Finding:
    """Free space of a folder, which may not exist yet, and whether it can be written.

    Args:
        name: What the folder is for.
        folder: The folder.
        fix: The command that selects another one.
        free: Gives the free bytes of an existing folder.
    """
    existing = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    # Export writes temporary files and its output. The cache is for downloads alone.
    bad = WARNING if name == "cache" else FAILED
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Finding(f"disk: {name}", bad, f"{folder} can't be written", fix)
    size_bytes = free(existing)
    found = f"{size_bytes / 1e9:.1f} GB free in {folder}"
    if size_bytes >= USUAL_DISK_BYTES:
        return Finding(f"disk: {name}", OK, found)
    status = bad if size_bytes < LEAST_DISK_BYTES else WARNING
    return Finding(f"disk: {name}", status, f"{found}; a BERT-base takes about 2 GB", fix)


def memory_finding(available_bytes: int | None) -> Finding:
    """The memory that a new process can get."""
    fix = "ps aux --sort=-rss | head   # close what is large, or take a smaller --batch-size"
    if available_bytes is None:
        return Finding("memory", OK, "unknown on this system")
    found = f"{available_bytes / 1e9:.1f} GB available"
    if available_bytes >= USUAL_MEMORY_BYTES:
        return Finding("memory", OK, found)
    status = FAILED if available_bytes < LEAST_MEMORY_BYTES else WARNING
    return Finding("memory", status, f"{found}; TensorFlow and a BERT-base take about 2.5 GB", fix)


def available_memory_bytes(root: Path = Path("/")) -> int | None:
    """Available memory in bytes, with the limit of a container; None if the system gives none.

    Args:
        root: Folder with `proc` and `sys`.
    """
    found: list[int] = []
    try:
        text = (root / "proc/meminfo").read_text(encoding="ascii")
        found.extend(1024 * int(kib) for kib in re.findall(r"MemAvailable:\s+(\d+) kB", text))
        group = root / "sys/fs/cgroup"
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            used = int((group / "memory.current").read_text(encoding="ascii"))
            cached = re.search(
                r"^inactive_file (\d+)", (group / "memory.stat").read_text("ascii"), re.MULTILINE
            )
            found.append(int(limit) - used + (int(cached[1]) if cached else 0))
    except (OSError, ValueError):
        pass
    return min(found, default=None)
