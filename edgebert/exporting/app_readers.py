"""Which files the ready-made readers on a phone can read: MediaPipe Tasks and the Task Library.

Both read the metadata in the file. Tasks that they do not have run through LiteRT, with the
vocabulary and the manifest in the file.
"""

from __future__ import annotations

from pathlib import Path

from converters.library_wordpiece import parts_in_words
from converters.vocabulary import UnigramVocabulary
from edgebert.errors import ModelError
from edgebert.models.manifest import Manifest
from edgebert.tasks import task_named
from edgebert.tasks.app_readers import AppReaders

NONE = "no reader: run it through LiteRT"
_ANY_LENGTH = 128
"""A length to suggest for readers that accept any single length."""
TASK_LIBRARY_PRECISIONS = (
    ("float32", "float32"),
    ("float16", "float32"),
    ("weight-int8", "float32"),
)
"""Recipes and embedding precisions that the Task Library's runtime of 2023 can run."""


def readers_of(manifest: Manifest) -> str:
    """The readers of the file's task, and the length that they need if the file has another."""
    readers = task_named(manifest.task).app_readers
    if parts_in_words(manifest.tokenizer):
        return "no reader: only Python has its tokenizer"
    if not readers.names or _is_unigram(manifest):
        return NONE
    if not _has_length(manifest, readers):
        length = readers.length or _ANY_LENGTH
        return (
            f"{readers.names}, where it has one length (--length {length}); "
            "this file through LiteRT"
        )
    return readers.names


def _has_length(manifest: Manifest, readers: AppReaders) -> bool:
    """Whether a file has exactly one length, and the readers accept it."""
    lengths = manifest.lengths
    return len(lengths) == 1 and readers.length in (0, lengths[0])


def _is_unigram(manifest: Manifest) -> bool:
    return bool(manifest.tokenizer.get("kind") == UnigramVocabulary.kind)


def require_app_tokenizer(path: Path, manifest: Manifest) -> None:
    """Checks that JavaScript and Kotlin have the tokenizer of a file.

    Raises:
        ModelError: They have not; its parts are named.
    """
    parts = parts_in_words(manifest.tokenizer)
    if parts:
        raise ModelError(
            f"{path}: expected a tokenizer with BERT's normalizer and pre-tokenizer, since apps "
            f"run no other. Received: {parts}. Next: train the model with BERT's tokenizer, or run "
            "the file from Python."
        )


def notes_of(manifest: Manifest) -> tuple[str, ...]:
    """Notes for users of these readers about a file."""
    readers = task_named(manifest.task).app_readers
    parts = parts_in_words(manifest.tokenizer)
    if parts:
        return (
            f"JavaScript, Kotlin and ready-made readers can't tokenize for this file ({parts}): "
            "they know BERT's normalizer and pre-tokenizer. Pass token ids of the library "
            "tokenizers.",
        )
    if readers.names and _is_unigram(manifest):
        return (
            f"{readers.names} can't read this file, whose vocabulary is SentencePiece's (Unigram): "
            "use the library in android_demo/text or web/.",
        )
    if readers.note:
        return (readers.note,)
    if not readers.names or not _has_length(manifest, readers):
        return ()
    rules = manifest.tokenizer
    library = "The Task Library" if readers.task_library_only else "MediaPipe"
    precision = manifest.recipe, manifest.precision["embeddings"]
    if readers.task_library_only and precision not in TASK_LIBRARY_PRECISIONS:
        return (
            "The Task Library's runtime of 2023 can't run this file's operators: export with "
            "--recipe weight-int8 --embedding float32, or with --recipe float32, for it.",
        )
    if not rules["lowercase"] or rules["strip_accents"] is False:
        return (
            f"{library}'s tokenizer always lower-cases, and this model's does not: tokenize "
            "with the vocabulary in the file and run it through LiteRT instead.",
        )
    return (
        f"{library}'s tokenizer keeps accents, and this model's removes them: normalize "
        "non-ASCII text (NFD, combining marks removed) before you pass it to the reader.",
    )
