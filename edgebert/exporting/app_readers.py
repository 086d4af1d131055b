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
_ANY_LENGTH = 128
_LENGTHS = {"qa": 384}
"""The one length that a reader takes; the others take any one."""
TASK_LIBRARY_PRECISIONS = (
    ("float32", "float32"),
    ("float16", "float32"),
    ("weight-int8", "float32"),
)
"""Recipes and embeddings whose operators the Task Library's runtime, of 2023, knows."""


def readers_of(manifest: Mapping[str, Any]) -> str:
    """The readers that have a task like the file's, and what else they want of it."""
    readers = _READERS.get(manifest["task"])
    if readers is None:
        return NONE
    if not _is_of_its_length(manifest):
        length = _LENGTHS.get(manifest["task"], _ANY_LENGTH)
        return f"{readers}, where it has one length (--length {length}); this file through LiteRT"
    return readers


def _is_of_its_length(manifest: Mapping[str, Any]) -> bool:
    lengths = list(manifest["lengths"])
    return len(lengths) == 1 and lengths[0] == _LENGTHS.get(manifest["task"], lengths[0])


def notes_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What a user of these readers should know of a file that they take."""
    if manifest["task"] == "pairs":
        return (
            "MediaPipe's TextClassifier takes one text, and this model reads pairs: run it "
            "through LiteRT instead.",
        )
    if manifest["task"] not in _READERS or not _is_of_its_length(manifest):
        return ()
    rules = manifest["tokenizer"]
    reader = "The Task Library" if manifest["task"] == "qa" else "MediaPipe"
    precision = manifest["recipe"], manifest["precision"]["embeddings"]
    if manifest["task"] == "qa" and precision not in TASK_LIBRARY_PRECISIONS:
        return (
            "The Task Library's runtime is of 2023 and does not know this file's operators: for "
            "it, export with --recipe weight-int8 --embedding float32, or with float32.",
        )
    if not rules["lowercase"] or rules["strip_accents"] is False:
        return (
            f"{reader}'s tokenizer always lower-cases, and this model's does not: tokenize "
            "with the vocabulary in the file and run it through LiteRT instead.",
        )
    return (
        f"{reader}'s tokenizer keeps accents, which this model takes off: there, normalize "
        "non-ASCII text (NFD, accents off) before you hand it over.",
    )
