"""What ready-made readers on a phone take of a file: MediaPipe Tasks and the Task Library.

Both read the metadata in the file. What they have no task for runs through LiteRT, with the
vocabulary and the manifest that every file carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgebert.tasks import task_named
from edgebert.tasks.app_readers import AppReaders

NONE = "no reader: run it through LiteRT"
_ANY_LENGTH = 128
"""A length to export with, for readers that take any one."""
TASK_LIBRARY_PRECISIONS = (
    ("float32", "float32"),
    ("float16", "float32"),
    ("weight-int8", "float32"),
)
"""Recipes and embeddings whose operators the Task Library's runtime, of 2023, knows."""


def readers_of(manifest: Mapping[str, Any]) -> str:
    """The readers of the file's task, and the length that they need if the file has another."""
    readers = task_named(manifest["task"]).app_readers
    if not readers.names:
        return NONE
    if not _has_length(manifest, readers):
        length = readers.length or _ANY_LENGTH
        return (
            f"{readers.names}, where it has one length (--length {length}); "
            "this file through LiteRT"
        )
    return readers.names


def _has_length(manifest: Mapping[str, Any], readers: AppReaders) -> bool:
    """Whether a file has exactly one length, and it is one that the readers take."""
    lengths = list(manifest["lengths"])
    return len(lengths) == 1 and readers.length in (0, lengths[0])


def notes_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What a user of these readers should know of a file that they take."""
    readers = task_named(manifest["task"]).app_readers
    if readers.note:
        return (readers.note,)
    if not readers.names or not _has_length(manifest, readers):
        return ()
    rules = manifest["tokenizer"]
    library = "The Task Library" if readers.task_library_only else "MediaPipe"
    precision = manifest["recipe"], manifest["precision"]["embeddings"]
    if readers.task_library_only and precision not in TASK_LIBRARY_PRECISIONS:
        return (
            "The Task Library's runtime is of 2023 and does not know this file's operators: for "
            "it, export with --recipe weight-int8 --embedding float32, or with float32.",
        )
    if not rules["lowercase"] or rules["strip_accents"] is False:
        return (
            f"{library}'s tokenizer always lower-cases, and this model's does not: tokenize "
            "with the vocabulary in the file and run it through LiteRT instead.",
        )
    return (
        f"{library}'s tokenizer keeps accents, which this model takes off: there, normalize "
        "non-ASCII text (NFD, accents off) before you hand it over.",
    )
