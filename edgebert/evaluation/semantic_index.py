"""Texts by their meaning: each line of a file has a vector, and those nearest to a query are found.

The search is exact: every cosine is computed. For a hundred thousand lines that takes a few
hundredths of a second; making the vectors takes longer, so they can be kept in a file.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor, Predictor
from edgebert.models.litert_model import LiteRtModel
from edgebert.system.progress import Progress, silent
from edgebert.system.storage import atomic_write
from edgebert.tasks.embeddings import Embeddings
from edgebert.tasks.examples import task_with_answers
from edgebert.tasks.sentence_pairs import unit_vectors

_FORMAT = 1
_EMBEDDED_AT_ONCE = 512
_NOT_OURS = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Hit:
    """A text that was found: its row in the file from 1, and its cosine to the query."""

    row: int
    cosine: float
    text: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class SemanticIndex:
    """Texts and their vectors.

    Attributes:
        texts: in the file's order.
        vectors: of length 1, float32 `[texts, size]`.
        key: of what the vectors depend on: the texts and the model.
    """

    texts: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    key: str

    def search(self, vectors: npt.NDArray[np.float32], top: int) -> list[list[Hit]]:
        """The texts nearest to each query, the nearest first; equals in the file's order.

        Args:
            vectors: of the queries, of `embed`, `[queries, size]`.
            top: how many texts at most.
        """
        found = []
        for cosines in vectors @ self.vectors.T:
            best = np.argsort(-cosines, kind="stable")[:top]
            found.append([Hit(int(i) + 1, float(cosines[i]), self.texts[i]) for i in best])
        return found


def embed(
    predictor: Predictor, texts: Sequence[str], progress: Progress = silent
) -> npt.NDArray[np.float32]:
    """Vectors of texts, made 1 long: float32 `[texts, size]`.

    Raises:
        UsageError: the model makes no vectors.
    """
    task = task_with_answers(predictor)
    if not isinstance(task, Embeddings):
        raise UsageError(
            f"Expected a model of embeddings. Received: one of {task.title}. Next: train one with "
            "`edgebert finetune --task embeddings`, or take a sentence-transformers folder."
        )
    parts = []
    for start in range(0, len(texts), _EMBEDDED_AT_ONCE):
        examples = [task.example(text) for text in texts[start : start + _EMBEDDED_AT_ONCE]]
        features = task.features(
            predictor.tokenizer, examples, predictor.max_length, predictor.decoding
        )
        outputs = predictor.outputs(features.encodings)
        parts.append(unit_vectors(np.stack(outputs)).astype(np.float32))
        progress("embed", start + len(examples), len(texts))
    return np.concatenate(parts)


def open_index(
    predictor: Predictor,
    texts: Sequence[str],
    cache: Path | str | None = None,
    progress: Progress = silent,
) -> SemanticIndex:
    """The index of texts: out of the cache where it has these texts of this model, else made.

    Args:
        predictor: a model of embeddings.
        texts: at least one.
        cache: a file that keeps the vectors; it is written where they are made. An index of other
            texts or of another model there is replaced.
        progress: told after every few hundred texts.

    Raises:
        UsageError: the model makes no vectors, there are no texts, or `cache` is a file of another
            kind.
    """
    if not texts:
        raise UsageError("Expected at least one text to search. Received: none.")
    key = _key(predictor, texts)
    path = None if cache is None else Path(cache)
    if path is not None and path.exists():
        known, vectors = _read(path)
        if known == key:
            return SemanticIndex(tuple(texts), vectors, key)
    vectors = embed(predictor, texts, progress)
    if path is not None:
        stream = io.BytesIO()
        np.savez(stream, format=_FORMAT, key=key, vectors=vectors)
        atomic_write(path, stream.getvalue())
    return SemanticIndex(tuple(texts), vectors, key)


def _read(path: Path) -> tuple[str, npt.NDArray[np.float32]]:
    """The key and the vectors of a cache; an empty key where its format is another version's."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if int(arrays["format"]) != _FORMAT:
                return "", np.zeros((0, 0), np.float32)
            return str(arrays["key"]), np.asarray(arrays["vectors"], np.float32)
    except _NOT_OURS as error:
        raise UsageError(
            f"{path} is no index of edgebert ({type(error).__name__}), and it is not overwritten. "
            "Next: give another file to keep the vectors in, or delete this one."
        ) from error


def _key(predictor: Predictor, texts: Sequence[str]) -> str:
    """A hash over the texts and over all of the model that a vector depends on."""
    content = json.dumps([_FORMAT, _model_facts(predictor), list(texts)])
    return hashlib.sha256(content.encode()).hexdigest()


def _model_facts(predictor: Predictor) -> list[Any]:
    if isinstance(predictor, LiteRtModel):
        return ["file", hashlib.sha256(predictor.path.read_bytes()).hexdigest()]
    assert isinstance(predictor, KerasPredictor), "there are two kinds of predictors"
    model = predictor.model
    vocabulary, sentence = model.tokenizer.vocabulary, model.checkpoint.sentence
    return [
        "folder",
        model.checkpoint.weights_sha256(),
        asdict(model.checkpoint.config),
        None if sentence is None else asdict(sentence),
        vocabulary.sha256,
        vocabulary.to_settings(),
        model.max_length,
    ]
