"""The outputs of MediaPipe's TextClassifier and TextEmbedder for a `.tflite` file of edgebert.

MediaPipe is a judge and no part of the product. It runs in its own process and usually in its own
environment. As a script, with a Python that has mediapipe:

    python mediapipe_tasks.py classify MODEL.tflite < texts.json > scores.json
    python mediapipe_tasks.py embed MODEL.tflite < texts.json > vectors.json

Input and output are JSON lists with one entry for each text. `classify` writes the score of each
label, or of each class index as a string if the file has no labels; for a file with several outputs
one such object for each head, by the head's name. `embed` writes the name of the head and the
vector. If MediaPipe cannot load or run the file, the exit status is 1 and the output is
`{"refused": message}`.

From tests: `find_python()`, `classify()` and `embed()`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

PYTHON_VARIABLE = "EDGEBERT_MEDIAPIPE_PYTHON"


def find_python() -> str | None:
    """A Python that has mediapipe."""
    from tests.judges import judge_process  # not available when this file runs as a script

    return judge_process.find_python(PYTHON_VARIABLE, "mediapipe")


def classify(python: str, model_path: Path, texts: list[str]) -> list[dict[str, Any]]:
    """MediaPipe's scores for texts, by label.

    Args:
        python: The Python to run, from `find_python`.
        model_path: The `.tflite` file.
        texts: The texts.

    Raises:
        Refused: MediaPipe cannot load or run the file.
        RuntimeError: The judge itself failed, for example because mediapipe is missing.
    """
    return _run(python, "classify", model_path, texts)


def embed(python: str, model_path: Path, texts: list[str]) -> list[dict[str, Any]]:
    """MediaPipe's vectors for texts: `head` and `embedding` of each. Errors as in `classify`."""
    return _run(python, "embed", model_path, texts)


def _run(python: str, task: str, model_path: Path, texts: list[str]) -> list[dict[str, Any]]:
    from tests.judges.judge_process import run_judge

    return run_judge([python, str(Path(__file__).resolve()), task], model_path, texts)


def _scores(model_path: str, texts: list[str]) -> list[Any]:
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.text.text_classifier import TextClassifier, TextClassifierOptions

    base = BaseOptions(model_asset_path=os.path.abspath(model_path))
    with TextClassifier.create_from_options(TextClassifierOptions(base)) as classifier:
        return [_scores_by_label(classifier.classify(text)) for text in texts]


def _scores_by_label(result: Any) -> dict[str, Any]:
    heads = {
        head.head_name or str(head.head_index): {
            category.category_name or str(category.index): category.score
            for category in head.categories
        }
        for head in result.classifications
    }
    return next(iter(heads.values())) if len(heads) == 1 else heads


def _vectors(model_path: str, texts: list[str]) -> list[Any]:
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.text.text_embedder import TextEmbedder, TextEmbedderOptions

    base = BaseOptions(model_asset_path=os.path.abspath(model_path))
    with TextEmbedder.create_from_options(TextEmbedderOptions(base)) as embedder:
        results = [embedder.embed(text).embeddings for text in texts]
    return [
        {"head": one.head_name, "embedding": [float(x) for x in one.embedding]}
        for (one,) in results
    ]


def main(task: str, model_path: str) -> int:
    from script_protocol import run_script  # next to this file

    outputs_of = {"classify": _scores, "embed": _vectors}[task]
    return run_script(lambda texts: outputs_of(model_path, texts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
