"""Asks the Task Library's BertQuestionAnswerer what it makes of a `.tflite` of ours.

The Task Library (`tflite-support` 0.4.4, of 2023) is a judge and no part of the product: it runs in
a process and an environment of its own, since it wants a protobuf that nothing else wants, and it
has wheels for Python 3.8 to 3.11 alone. As a script, by a Python that has it:

    python task_library_answerer.py MODEL.tflite < questions.json > answers.json

The input is a JSON list of `[question, context]`. The output is a JSON list with a list of answers
a question, the best one first: `text` (whole words between white space), `start` and `end` (columns
of the tokens in `[CLS] question [SEP] context [SEP]`) and `logit` (start's and end's, summed).
Where the library can't load or run the file, the exit status is 1 and the output is an object with
its message, `{"refused": "..."}`.

From tests: `find_python()` and `answer()`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PYTHON_VARIABLE = "EDGEBERT_TASK_LIBRARY_PYTHON"


def find_python() -> str | None:
    """A Python that has tflite-support: the variable's, else this one, else None."""
    if named := os.environ.get(PYTHON_VARIABLE):
        return named
    return sys.executable if importlib.util.find_spec("tflite_support") else None


def answer(
    python: str, model_path: Path, questions: Sequence[tuple[str, str]]
) -> list[list[dict[str, Any]]]:
    """The answers that the Task Library gives.

    Args:
        python: the Python to run, from `find_python`.
        model_path: the `.tflite` file.
        questions: each with its context.

    Raises:
        Refused: the Task Library can't load or run the file.
        RuntimeError: the judge itself failed, for example without tflite-support.
    """
    from tests.judges.asking import ask  # the script has no such package

    return ask(python, __file__, model_path, questions)


def main(model_path: str) -> int:
    from tflite_support.task.text import BertQuestionAnswerer

    questions = json.load(sys.stdin)
    try:
        answerer = BertQuestionAnswerer.create_from_file(os.path.abspath(model_path))
        results = [answerer.answer(context, question) for question, context in questions]
    except (RuntimeError, ValueError) as error:
        json.dump({"refused": str(error)}, sys.stdout)
        return 1
    json.dump([[_as_dict(found) for found in result.answers] for result in results], sys.stdout)
    return 0


def _as_dict(found: Any) -> dict[str, Any]:
    pos = found.pos
    return {"text": found.text, "start": pos.start, "end": pos.end, "logit": pos.logit}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
