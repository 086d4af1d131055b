"""Runs a judge as a script in its own process and Python environment: JSON in, JSON out.

A judge is another implementation that the tests compare with; it is no part of the product.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 300


class Refused(Exception):
    """The judge's library cannot load or run the file. The message is the library's own."""


def find_python(variable: str, *modules: str) -> str | None:
    """A Python that has the judge's library.

    Args:
        variable: Environment variable with the path of a Python, which is preferred.
        modules: Modules of the library. This Python is used if it has all of them.
    """
    if named := os.environ.get(variable):
        return named
    return sys.executable if all(map(importlib.util.find_spec, modules)) else None


def run_judge(command: Sequence[str], model_path: Path, inputs: Sequence[Any]) -> list[Any]:
    """The outputs of a judge for a `.tflite` file.

    Args:
        command: The Python, the script, and the arguments of the script before the file.
        model_path: The `.tflite` file.
        inputs: The inputs, sent to the script as a JSON list.

    Raises:
        Refused: The judge's library cannot load or run the file.
        RuntimeError: The judge itself failed, for example because its library is missing.
    """
    done = subprocess.run(
        [*command, str(model_path)],
        input=json.dumps(list(inputs)).encode(),
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        log = done.stderr.decode("utf-8", "replace")[-2000:]
        message = f"{command[0]} returned no JSON (status {done.returncode}):\n{log}"
        raise RuntimeError(message) from error
    if isinstance(answer, dict):
        raise Refused(answer["refused"])
    return list(answer)
