"""Asks MediaPipe's TextEmbedder for the vectors that a `.tflite` of ours gives.

Like `mediapipe_classifier`: a judge in a process of its own. As a script, by a Python that has
mediapipe:

    python mediapipe_embedder.py MODEL.tflite < texts.json > vectors.json

The input is a JSON list of texts, the output a JSON list with one object a text: the name of the
head and its vector. Where MediaPipe can't load or run the file, the exit status is 1 and the output
is an object with its message, `{"refused": "..."}`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def embed(python: str, model_path: Path, texts: list[str]) -> list[dict[str, Any]]:
    """The vectors that MediaPipe gives for texts: `head` and `embedding` of each.

    Args:
        python: the Python to run, from `mediapipe_classifier.find_python`.
        model_path: the `.tflite` file.
        texts: what to embed.

    Raises:
        Refused: MediaPipe can't load or run the file.
        RuntimeError: the judge itself failed, for example without mediapipe.
    """
    from tests.judges.asking import ask  # the script has no such package

    return ask(python, __file__, model_path, texts)


def main(model_path: str) -> int:
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.text.text_embedder import TextEmbedder, TextEmbedderOptions

    texts = json.load(sys.stdin)
    try:
        base = BaseOptions(model_asset_path=os.path.abspath(model_path))
        with TextEmbedder.create_from_options(TextEmbedderOptions(base)) as embedder:
            results = [embedder.embed(text).embeddings for text in texts]
    except (RuntimeError, ValueError) as error:
        json.dump({"refused": str(error)}, sys.stdout)
        return 1
    answers = [
        {"head": one.head_name, "embedding": [float(x) for x in one.embedding]}
        for (one,) in results
    ]
    json.dump(answers, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
