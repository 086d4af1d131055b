"""Asks MediaPipe's TextClassifier what it makes of a `.tflite` of ours.

MediaPipe is a judge and no part of the product: it runs in a process, and usually in an
environment, of its own. As a script, by a Python that has mediapipe:

    python mediapipe_classifier.py MODEL.tflite < texts.json > scores.json

The input is a JSON list of texts. The output is a JSON list with one object a text: the score of
each label, or of the class's number as text where the file has no labels. A file with several
outputs gives an object of such objects by the name of the head. Where MediaPipe can't load or run
the file, the exit status is 1 and the output is an object with its message, `{"refused": "..."}`.

From tests: `find_python()` and `classify()`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

PYTHON_VARIABLE = "EDGEBERT_MEDIAPIPE_PYTHON"


def find_python() -> str | None:
    """A Python that has mediapipe: the variable's, else this one, else None."""
    if named := os.environ.get(PYTHON_VARIABLE):
        return named
    return sys.executable if importlib.util.find_spec("mediapipe") else None


def classify(python: str, model_path: Path, texts: list[str]) -> list[dict[str, Any]]:
    """The scores that MediaPipe gives to `texts`, by label.

    Args:
        python: the Python to run, from `find_python`.
        model_path: the `.tflite` file.
        texts: what to classify.

    Raises:
        Refused: MediaPipe can't load or run the file.
        RuntimeError: the judge itself failed, for example without mediapipe.
    """
    from tests.judges.asking import ask  # the script has no such package

    return ask(python, __file__, model_path, texts)


def main(model_path: str) -> int:
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.text.text_classifier import TextClassifier, TextClassifierOptions

    texts = json.load(sys.stdin)
    try:
        base = BaseOptions(model_asset_path=os.path.abspath(model_path))
        with TextClassifier.create_from_options(TextClassifierOptions(base)) as classifier:
            results = [classifier.classify(text) for text in texts]
    except (RuntimeError, ValueError) as error:
        json.dump({"refused": str(error)}, sys.stdout)
        return 1
    json.dump([scores_by_label(result) for result in results], sys.stdout)
    return 0


def scores_by_label(result: Any) -> dict[str, Any]:
    heads = {
        head.head_name or str(head.head_index): {
            category.category_name or str(category.index): category.score
            for category in head.categories
        }
        for head in result.classifications
    }
    return next(iter(heads.values())) if len(heads) == 1 else heads


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
