"""Packs a graph with the data that an app needs: metadata, manifest, vocabulary and labels."""

from __future__ import annotations

from dataclasses import replace

from converters.tflite.inference_graph import DYNAMIC_LENGTH, signature_key
from converters.tflite.metadata import (
    METADATA_BUFFER,
    add_metadata_buffers,
    append_associated_files,
)
from converters.tflite.task_metadata import (
    LABELS_FILE,
    FileDescription,
    labels_txt,
    task_metadata,
)
from converters.vocabulary import SubwordVocabulary, Vocabulary
from edgebert import __version__
from edgebert.models.manifest import MANIFEST_NAME, UNSEALED, Manifest, seal


def pack(body: bytes, manifest: Manifest, vocabulary: SubwordVocabulary, head: str) -> bytes:
    """The graph with metadata, manifest, vocabulary and labels; the manifest has the file's hash.

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
    return seal(append_associated_files(add_metadata_buffers(body, buffers), files))
