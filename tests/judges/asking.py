"""Asks a judge that runs as a script, by a Python of its own: JSON in, JSON out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Refused(Exception):
    """The judge can't load or run the file; the message is its own."""


def ask(python: str, program: str, model_path: Path, questions: Sequence[Any]) -> list[Any]:
    """What a judge says of a `.tflite`.

    Args:
        python: the Python to run, which has what the judge needs.
        program: the judge's file.
        model_path: the `.tflite` file.
        questions: what the judge reads of its standard input, a JSON list.

    Raises:
        Refused: the judge's library can't load or run the file.
        RuntimeError: the judge itself failed, for example without its library.
    """
    done = subprocess.run(
        [python, str(Path(program).resolve()), str(model_path)],
        input=json.dumps(list(questions)).encode(),
        capture_output=True,
        timeout=300,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        log = done.stderr.decode("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{python} gave nothing (status {done.returncode}):\n{log}") from error
    if isinstance(answer, dict):
        raise Refused(answer["refused"])
    return list(answer)
