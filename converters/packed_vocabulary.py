"""Reads the vocabulary in an exported file from its settings and its associated files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.library_wordpiece import LibraryWordPiece
from converters.subwords import VOCABULARY_FILE, SubwordVocabulary
from converters.unigram import CHARSMAP_FILE, PRECOMPILED, SCORES_FILE, UnigramVocabulary
from converters.unigram_files import charsmap_problem
from converters.wordpiece import Vocabulary

KINDS = (Vocabulary.kind, UnigramVocabulary.kind, LibraryWordPiece.kind)


def unpack_vocabulary(settings: Mapping[str, Any], files: Mapping[str, bytes]) -> SubwordVocabulary:
    """The vocabulary of `to_settings()` and `to_files()`.

    Args:
        settings: without the key `kind` for WordPiece.
        files: the associated files by name.

    Raises:
        ConversionError: A file is missing or damaged, the kind is unknown, or the vocabulary is not
            valid.
    """
    kind = settings.get("kind", Vocabulary.kind)
    if kind not in KINDS:
        raise ConversionError(
            f"expected a tokenizer of the kind {' or '.join(KINDS)}. Received: {kind!r}"
        )
    try:
        text = _file(files, VOCABULARY_FILE).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConversionError(f"{VOCABULARY_FILE} is not UTF-8: {error}") from error
    tokens = tuple(text.removesuffix("\n").split("\n"))
    if kind != UnigramVocabulary.kind:
        rules = {key: value for key, value in settings.items() if key != "kind"}
        made = LibraryWordPiece if kind == LibraryWordPiece.kind else Vocabulary
        return made.from_settings(rules, tokens)
    data = _file(files, SCORES_FILE)
    if len(data) % 8:
        raise ConversionError(
            f"{SCORES_FILE}: expected 8 bytes for each score. Received: {len(data)} bytes"
        )
    charsmap = b""
    if any(rule.get("type") == PRECOMPILED for rule in _objects(settings.get("normalizers"))):
        charsmap = _file(files, CHARSMAP_FILE)
        if charsmap_problem(charsmap):
            raise ConversionError(f"{CHARSMAP_FILE}: {charsmap_problem(charsmap)}")
    scores = np.frombuffer(data, "<f8").tolist()
    return UnigramVocabulary.from_settings(settings, tokens, scores, charsmap)


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise ConversionError(f"there is no {name} inside")
    return files[name]


def _objects(entries: Any) -> list[Mapping[str, Any]]:
    items = entries if isinstance(entries, list | tuple) else ()
    return [entry for entry in items if isinstance(entry, Mapping)]
