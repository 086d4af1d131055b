"""What ready-made readers on a phone take of a file: MediaPipe Tasks and the Task Library.

Both read the metadata in the file. What they have no task for runs through LiteRT, with the
vocabulary and the manifest that every file carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NONE = "no reader: run it through LiteRT"
CLASSIFIERS = ("classification", "multi-label")
_READERS = {
    "classification": "MediaPipe TextClassifier, Task Library BertNLClassifier",
    "multi-label": "MediaPipe TextClassifier, Task Library BertNLClassifier",
    "qa": "Task Library BertQuestionAnswerer",
    "embeddings": "MediaPipe TextEmbedder, Task Library TextEmbedder",
}


def readers_of(manifest: Mapping[str, Any]) -> str:
    """The readers that have a task like the file's, and what else they want of it."""
    readers = _READERS.get(manifest["task"])
    if readers is None:
        return NONE
    if len(manifest["lengths"]) != 1:
        return f"{readers}, where it has one length (--length 128); this file through LiteRT"
    return readers


def notes_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What a user of these readers should know of a file that they take."""
    if manifest["task"] == "pairs":
        return (
            "MediaPipe's TextClassifier takes one text, and this model reads pairs: run it "
            "through LiteRT instead.",
        )
    if manifest["task"] not in _READERS or len(manifest["lengths"]) != 1:
        return ()
    rules = manifest["tokenizer"]
    if not rules["lowercase"] or rules["strip_accents"] is False:
        return (
            "MediaPipe's tokenizer always lower-cases, and this model's does not: tokenize "
            "with the vocabulary in the file and run it through LiteRT instead.",
        )
    return (
        "MediaPipe's tokenizer keeps accents, which this model takes off: there, normalize "
        "non-ASCII text (NFD, accents off) before you hand it over.",
    )
