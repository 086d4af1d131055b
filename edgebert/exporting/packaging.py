"""Packs a graph with all that an app needs: metadata, manifest, vocabulary and labels."""

from __future__ import annotations

import json
from typing import Any

from converters import heads
from converters.tflite.inference_graph import DYNAMIC_LENGTH, signature_key
from converters.tflite.metadata import (
    METADATA_BUFFER,
    add_metadata_buffers,
    append_associated_files,
)
from converters.tflite.task_metadata import (
    classifier_metadata,
    embedder_metadata,
    labels_txt,
    question_answerer_metadata,
    token_classifier_metadata,
)
from edgebert import __version__
from edgebert.models.litert_model import MANIFEST_NAME, VOCABULARY_FILE
from edgebert.models.task_model import TaskModel

LABELS_FILE = "labels.txt"


def pack(body: bytes, manifest: dict[str, Any], model: TaskModel) -> bytes:
    """The graph with metadata, manifest, vocabulary and labels put in."""
    buffers = {MANIFEST_NAME: json.dumps(manifest, ensure_ascii=False).encode()}
    files = {VOCABULARY_FILE: model.tokenizer.vocabulary.to_vocab_txt()}
    if model.labels:
        files[LABELS_FILE] = labels_txt(model.labels)
    metadata = _metadata(manifest, model)
    if metadata is not None:
        buffers[METADATA_BUFFER] = metadata
    return append_associated_files(add_metadata_buffers(body, buffers), files)


def _metadata(manifest: dict[str, Any], model: TaskModel) -> bytes | None:
    """What MediaPipe, the Task Library and other readers of metadata read, where there is any."""
    description = f"Exported by edgebert {__version__}; recipe {manifest['recipe']}."
    subgraph_names = tuple(map(signature_key, manifest["lengths"] or [DYNAMIC_LENGTH]))
    if model.checkpoint.head == heads.CLASSIFIER and model.labels:
        return classifier_metadata(
            "BERT text classifier",
            description,
            vocab_file=VOCABULARY_FILE,
            labels_file=LABELS_FILE,
            subgraph_names=subgraph_names,
            version=__version__,
        )
    if model.checkpoint.head == heads.TOKEN_CLASSIFIER:
        return token_classifier_metadata(
            "BERT token classifier",
            description,
            vocab_file=VOCABULARY_FILE,
            labels_file=LABELS_FILE,
            output_name=manifest["output"],
            subgraph_names=subgraph_names,
            version=__version__,
        )
    if model.checkpoint.head == heads.SPANS:
        return question_answerer_metadata(
            "BERT question answerer",
            description,
            vocab_file=VOCABULARY_FILE,
            subgraph_names=subgraph_names,
            version=__version__,
        )
    if model.checkpoint.head == heads.SENTENCE:
        return embedder_metadata(
            "BERT text embedder",
            description,
            vocab_file=VOCABULARY_FILE,
            output_name=manifest["output"],
            subgraph_names=subgraph_names,
            version=__version__,
        )
    return None
