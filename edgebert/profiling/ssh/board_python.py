"""The Python of a board that can run models: an existing one, or a new virtual environment."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from importlib.metadata import version

from edgebert.encoding.tokenizer import tokenizers_version
from edgebert.errors import EdgebertError
from edgebert.profiling.runner import RUNTIMES
from edgebert.profiling.ssh.connection import UNFINISHED, VENV, Connection
from edgebert.system.progress import Progress

OLDEST_PYTHON = (3, 8)
OLDEST_PIP = "pip>=20.3"
"""Older versions do not support the platform tags of current wheels."""

PIP_SECONDS = 1800.0
NOT_FOUND = 127
NOT_EXECUTABLE = 126
SIGNALLED = 128
SHOWN_VENV = VENV.replace("$HOME", "~")

# Any Python can run this, even an old one. Its arguments are the packages of the runtimes.
PROBE = """
import json, platform, sys
found, missing = {"version": platform.python_version(), "path": sys.executable}, []
try:
    import numpy
except Exception as error:
    missing.append(str(error))
refused = []
for package in sys.argv[1:]:
    try:
        __import__(package + ".interpreter")
        module = sys.modules[package]
        name = package.replace("_", "-")
        found["runtime"] = name + " " + str(getattr(module, "__version__", "unknown"))
        break
    except Exception as error:
        refused.append(str(error))
else:
    missing.append(" / ".join(refused))
found["missing"] = missing
print(json.dumps(found))
"""

PROBE_SCRIPT = """
probe() {
  python=$(command -v %s) || exit 127
  case $python in /*) ;; *) python=$PWD/$python ;; esac
  cd / && "$python" -c %s "$@" </dev/null
}
probe "$@"
"""

# Requirements for pip, tried in order until one works. The version of this machine comes first, so
# that both machines run the same kernels.
REQUIREMENTS = (
    ("ai-edge-litert=={here}", "numpy"),
    ("ai-edge-litert", "numpy"),
    ("tflite-runtime", "numpy<2"),
)

CAN_MAKE_VENV = """
"$1" -c 'import ensurepip, venv' </dev/null
"""

MAKE_VENV = f"""
make() {{
  mkdir -p "{VENV}" && printf %s "$2" >"{VENV}/{UNFINISHED}" &&
    "$1" -m venv "{VENV}" </dev/null
}}
rm -rf "{VENV}" && make "$@"
"""

PIP = f"""
pip() {{
  "{VENV}/bin/python" -m pip --disable-pip-version-check install --no-cache-dir "$@" </dev/null
}}
pip "$@"
"""


@dataclass(frozen=True)
class BoardPython:
    """A Python on a board.

    Attributes:
        path: Absolute path.
        runtime: Name and version of its TFLite runtime.
        version: Its version, such as (3, 11).
    """

    path: str
    runtime: str
    version: tuple[int, ...]


@dataclass(frozen=True)
class _Candidate:
    """A Python that was tried. `problem` is empty if it is usable."""

    name: str
    path: str = ""
    runtime: str = ""
    problem: str = ""
    version: tuple[int, ...] = ()

    @property
    def new_enough(self) -> bool:
        return self.version >= OLDEST_PYTHON

    @property
    def python(self) -> BoardPython:
        return BoardPython(self.path, self.runtime, self.version)


def find_python(
    connection: Connection, given: str, bootstrap: bool, progress: Progress
) -> BoardPython:
    """The first Python on the board that has numpy and a TFLite runtime.

    Args:
        connection: An open connection.
        given: Path or name of the Python. Empty tries `python3`, then the virtual environment that
            `bootstrap` creates.
        bootstrap: Whether to create that environment if no Python is usable.
        progress: Receives the progress of the creation.

    Raises:
        EdgebertError: No Python is usable, or the environment cannot be created. The message lists
            the problem of each.
    """
    names = [given] if given else ["python3"]
    if bootstrap or not given:
        names.append(f"{SHOWN_VENV}/bin/python")
    tried = []
    for name in names:
        candidate = _probe(connection, name)
        if not candidate.problem:
            return candidate.python
        tried.append(candidate)
    if bootstrap:
        return _bootstrap(connection, tried, progress)
    raise EdgebertError(
        "The board was expected to have Python 3.8 or newer with numpy and ai-edge-litert or "
        f"tflite-runtime. Received: {_listed(tried)}. Next: give --bootstrap, which makes a "
        "virtual environment there, or name another Python by --remote-python."
    )


def _probe(connection: Connection, name: str) -> _Candidate:
    script = PROBE_SCRIPT % (_shell_word(name), shlex.quote(PROBE))
    reply = connection.run_script(script, *RUNTIMES)
    if reply.code == NOT_FOUND:
        return _Candidate(name, problem="not there")
    if reply.code == NOT_EXECUTABLE:
        return _Candidate(name, problem="not a program that the board can run")
    if reply.code > SIGNALLED:
        number = reply.code - SIGNALLED
        return _Candidate(name, problem=f"ended by signal {number} while it imported the runtime")
    try:
        found = json.loads(reply.stdout.splitlines()[-1])
        path, spelled = str(found["path"]), str(found["version"])
        problem, runtime = "; ".join(found["missing"]), str(found.get("runtime", ""))
    except (ValueError, LookupError, TypeError):
        return _Candidate(name, problem=f"not a Python that answers: {reply.last_line}")
    numbers = tuple(int(part) for part in spelled.split(".")[:2])
    found_python = _Candidate(f"{name} {spelled}", path, runtime, problem, numbers)
    return found_python if found_python.new_enough else replace(found_python, problem="too old")


def _bootstrap(connection: Connection, tried: list[_Candidate], progress: Progress) -> BoardPython:
    base = tried[0]  # the others are in the environment that is created again
    if not base.new_enough:
        raise EdgebertError(
            f"--bootstrap expects Python 3.8 or newer on the board. Received: {_listed(tried)}. "
            "Next: install one there, on Debian by `sudo apt install python3-venv`, or name it by "
            "--remote-python."
        )
    stage, steps = f"make {SHOWN_VENV}", len(REQUIREMENTS) + 1
    progress(stage, 0, steps)
    if connection.run_script(CAN_MAKE_VENV, base.path).code:
        raise EdgebertError(
            f"--bootstrap expects the modules venv and ensurepip of {base.name} on the board. "
            "Received: they are not there. Next: install them, on Debian by "
            "`sudo apt install python3-venv`."
        )
    made = connection.run_script(MAKE_VENV, base.path, connection.folder, seconds=PIP_SECONDS)
    if made.code:
        raise EdgebertError(
            f"--bootstrap expected to make {SHOWN_VENV} on the board. Received: {made.last_line}. "
            "Next: check that the home folder has free space."
        )
    connection.run_script(PIP, "--quiet", OLDEST_PIP, seconds=PIP_SECONDS)
    problems = []
    here = version("ai-edge-litert")
    for step, line in enumerate(REQUIREMENTS):
        progress(stage, step + 1, steps)
        packages = [package.format(here=here) for package in line]
        pip = connection.run_script(
            PIP, "--quiet", "--only-binary", ":all:", *packages, seconds=PIP_SECONDS
        )
        candidate = _probe(connection, f"{SHOWN_VENV}/bin/python")
        if not candidate.problem:
            _install_tokenizers(connection)
            connection.run_script(f'rm -f "{VENV}/{UNFINISHED}"')
            progress(stage, steps, steps, runtime=candidate.runtime)
            return candidate.python
        problems.append(f"{packages[0]}: {pip.last_line if pip.code else candidate.problem}")
    raise EdgebertError(
        f"--bootstrap expected pip to install a TFLite runtime for {base.name}. "
        f"Received: {'; '.join(problems)}. Next: check that the board can reach a package index "
        "with wheels for its processor and its Python."
    )


def _install_tokenizers(connection: Connection) -> None:
    """Installs `tokenizers`, without the packages that only its downloads need.

    The runner does without it, so a failure is none of the environment.
    """
    here = tokenizers_version()
    for package in ([f"tokenizers=={here}"] if here else []) + ["tokenizers"]:
        words = ("--quiet", "--no-deps", "--only-binary", ":all:", package)
        if not connection.run_script(PIP, *words, seconds=PIP_SECONDS).code:
            return


def _shell_word(name: str) -> str:
    """A path as one quoted word of a shell script; a leading ~ is the home folder."""
    home = name.startswith("~/")
    return f'"$HOME"/{shlex.quote(name[2:])}' if home else shlex.quote(name)


def _listed(tried: list[_Candidate]) -> str:
    return "; ".join(f"{candidate.name}: {candidate.problem}" for candidate in tried)
