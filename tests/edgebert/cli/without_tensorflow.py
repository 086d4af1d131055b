"""Runs commands where TensorFlow, Keras and matplotlib can't be imported, child processes included.

python -m tests.edgebert.cli.without_tensorflow COMMANDS.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ABSENT = (
    *("keras", "keras_hub", "matplotlib", "tensorflow", "tensorflow_model_optimization"),
    "tf_keras",
)


def run_without_tensorflow(
    commands: Sequence[Sequence[object]], folder: Path
) -> list[tuple[int, str, str]]:
    """Runs commands of `edgebert` one after the other in one process.

    Args:
        commands: The arguments of each.
        folder: An empty folder.

    Returns:
        exit code, stdout and stderr of each.
    """
    (folder / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({ABSENT!r}))\n", encoding="utf-8"
    )
    listed = folder / "commands.json"
    listed.write_text(json.dumps([[str(part) for part in parts] for parts in commands]))
    done = subprocess.run(
        [sys.executable, "-m", "tests.edgebert.cli.without_tensorflow", str(listed)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(result) for result in json.loads(done.stdout)]


def main(commands: Path) -> None:
    from click.testing import CliRunner

    from edgebert.cli import cli

    results = []
    for arguments in json.loads(commands.read_text(encoding="utf-8")):
        result = CliRunner().invoke(cli, arguments)
        error = "" if isinstance(result.exception, (SystemExit, type(None))) else "traceback"
        results.append((result.exit_code, result.stdout, result.stderr + error))
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
