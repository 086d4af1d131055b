"""Packs a graph with the data that an app needs: metadata, manifest, vocabulary and labels."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from converters.tflite.inference_graph import DYNAMIC_LENGTH, signature_key
from converters.tflite.metadata import METADATA_BUFFER, packed_parts
from converters.tflite.task_metadata import (
    LABELS_FILE,
    FileDescription,
    labels_txt,
    task_metadata,
)
from converters.vocabulary import SubwordVocabulary, Vocabulary
from edgebert import __version__
from edgebert.models.manifest import MANIFEST_NAME, UNSEALED, Manifest

Parts = list[bytes | memoryview]
"""A file in parts that follow each other."""


def pack(
    body: bytes | memoryview, manifest: Manifest, vocabulary: SubwordVocabulary, head: str
) -> Parts:
    """The graph with metadata, manifest, vocabulary and labels; the manifest has the file's hash.

    The graph is not copied: it is one of the parts.

    Args:
        body: the `.tflite` without metadata.
        manifest: of the file.
        vocabulary: of the file.
        head: of the checkpoint, one of `converters.heads`.
    """
    manifest = replace(manifest, file_sha256=UNSEALED)
    buffers = {MANIFEST_NAME: manifest.to_bytes()}
    files = vocabulary.to_files()
    if manifest.labels:
        files[LABELS_FILE] = labels_txt(manifest.labels)
    file = FileDescription(
        f"Exported by edgebert {__version__}; recipe {manifest.recipe}.",
        tuple(map(signature_key, manifest.lengths or [DYNAMIC_LENGTH])),
        __version__,
    )
    if vocabulary.kind == Vocabulary.kind:  # the readers of this metadata know no Unigram
        metadata = task_metadata(head, manifest.output, file, has_labels=bool(manifest.labels))
        if metadata is not None:
            buffers[METADATA_BUFFER] = metadata
    return _sealed(packed_parts(body, buffers, files), buffers[MANIFEST_NAME])


def _sealed(parts: Parts, manifest: bytes) -> Parts:
    """The parts with the hash of the whole file in the manifest, which is in the first part."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    first, sha256 = bytes(parts[0]), digest.hexdigest().encode()
    place = first.index(UNSEALED.encode(), first.rindex(manifest))
    return [first[:place], sha256, first[place + len(sha256) :], *parts[1:]]
