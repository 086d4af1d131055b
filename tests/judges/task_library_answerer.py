"""The answers of the Task Library's BertQuestionAnswerer for a `.tflite` file of edgebert.

The Task Library (`tflite-support` 0.4.4, from 2023) is a judge and no part of the product. It runs
in its own process and environment, since it requires an old protobuf and has wheels for Python 3.8
to 3.11 only. As a script, with a Python that has it:

    python task_library_answerer.py MODEL.tflite < questions.json > answers.json

The input is a JSON list of `[question, context]`. The output is a JSON list with a list of answers
for each question, the best one first: `text` (whole words between white space), `start` and `end`
(positions of the tokens in `[CLS] question [SEP] context [SEP]`) and `logit` (sum of the start and
end logits). If the library cannot load or run the file, the exit status is 1 and the output is
`{"refused": message}`.

From tests: `find_python()` and `answer()`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PYTHON_VARIABLE = "EDGEBERT_TASK_LIBRARY_PYTHON"


def find_python() -> str | None:
    """A Python that has tflite-support."""
    from tests.judges import judge_process  # not available when this file runs as a script

    return judge_process.find_python(PYTHON_VARIABLE, "tflite_support")


def answer(
    python: str, model_path: Path, questions: Sequence[tuple[str, str]]
) -> list[list[dict[str, Any]]]:
    """The answers of the Task Library.

    Args:
        python: The Python to run, from `find_python`.
        model_path: The `.tflite` file.
        questions: Pairs of question and context.

    Raises:
        Refused: The Task Library cannot load or run the file.
        RuntimeError: The judge itself failed, for example because tflite-support is missing.
    """
    from tests.judges.judge_process import run_judge

    return run_judge([python, str(Path(__file__).resolve())], model_path, questions)


def _answers(model_path: str, questions: list[Any]) -> list[Any]:
    from tflite_support.task.text import BertQuestionAnswerer

    answerer = BertQuestionAnswerer.create_from_file(os.path.abspath(model_path))
    results = [answerer.answer(context, question) for question, context in questions]
    return [[_as_dict(found) for found in result.answers] for result in results]


def _as_dict(found: Any) -> dict[str, Any]:
    pos = found.pos
    return {"text": found.text, "start": pos.start, "end": pos.end, "logit": pos.logit}


def main(model_path: str) -> int:
    from script_protocol import run_script  # next to this file

    return run_script(lambda questions: _answers(model_path, questions))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
