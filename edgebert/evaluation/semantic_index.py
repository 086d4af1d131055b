"""Semantic search: finds the texts whose vectors are nearest to a query's vector.

The search is exact: it computes all cosines, which takes a few hundredths of a second for a hundred
thousand texts. Computing the vectors takes longer, so they can be cached in a file. Of changed
texts, only the new ones are computed.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tokenize
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

_FORMAT = 2
_OLD_FORMATS = (1,)
_HASH_BYTES = 32
_EMBEDDED_AT_ONCE = 512
_INVALID_CACHE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, OverflowError, MemoryError),
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, SyntaxError, struct.error),
    tokenize.TokenError,
)
"""What numpy and zipfile raise for damaged files."""


@dataclass(frozen=True)
class Hit:
    """A search result: the row of the text from 1, its cosine to the query, and the text."""

    row: int
    cosine: float
    text: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class SemanticIndex:
    """Texts and their vectors.

    Attributes:
        texts: The texts in the order of the file.
        vectors: Unit vectors, float32 `[texts, size]`.
        num_computed: Number of texts whose vectors were computed; the others are from the cache.
    """

    texts: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    num_computed: int

    def search(self, vectors: npt.NDArray[np.float32], top: int) -> list[list[Hit]]:
        """The texts nearest to each query, the nearest first. Ties keep the order of the file.

        Args:
            vectors: Vectors of the queries from `embed`, `[queries, size]`.
            top: Maximum number of texts.
        """
        found = []
        for cosines in vectors @ self.vectors.T:
            best = np.argsort(-cosines, kind="stable")[:top]
            found.append([Hit(int(i) + 1, float(cosines[i]), self.texts[i]) for i in best])
        return found


def embed(
    predictor: Predictor, texts: Sequence[str], progress: Progress = silent
) -> npt.NDArray[np.float32]:
    """Unit vectors of texts, float32 `[texts, size]`.

    Raises:
        UsageError: The model is not an embedding model.
    """
    task = task_with_answers(predictor)
    if not isinstance(task, Embeddings):
        raise UsageError(
            f"Expected an embedding model. Received: {task.model_title()}. Next: train one with "
            "`edgebert finetune --task embeddings`, or use a sentence-transformers folder."
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
    """The index of texts. Texts that the cache has, from the same model, are not computed again.

    Args:
        predictor: An embedding model.
        texts: At least one text.
        cache: A file for the vectors of exactly these texts. Those of another model are replaced.
        progress: Called after every few hundred texts.

    Raises:
        UsageError: The model is not an embedding model, there are no texts, or `cache` is a file of
            another kind.
    """
    if not texts:
        raise UsageError("Expected at least one text to search. Received: none.")
    path = None if cache is None else Path(cache)
    if path is None:
        return SemanticIndex(tuple(texts), embed(predictor, texts, progress), len(texts))
    model = _model_key(predictor)
    hashes = [_hash(text) for text in texts]
    known = _read(path, model) if path.exists() else {}
    new = {key: text for key, text in zip(hashes, texts, strict=True) if key not in known}
    if new:
        computed = embed(predictor, list(new.values()), progress)
        if any(row.shape != computed.shape[1:] for row in known.values()):
            raise _no_index(path, "vectors of another size")
        known |= dict(zip(new, computed, strict=True))
    vectors = np.stack([known[key] for key in hashes])
    wanted = set(hashes)
    if new or len(known) > len(wanted):
        stream = io.BytesIO()
        kept = [key for key in known if key in wanted]
        np.savez(
            stream,
            format=_FORMAT,
            model=model,
            hashes=np.frombuffer(b"".join(kept), np.uint8).reshape(-1, _HASH_BYTES),
            vectors=np.stack([known[key] for key in kept]),
        )
        atomic_write(path, stream.getvalue())
    return SemanticIndex(tuple(texts), vectors, len(new))


def _read(path: Path, model: str) -> dict[bytes, npt.NDArray[np.float32]]:
    """The vectors of a cache by the hash of their text; none of another model or version."""
    try:
        _require_plain(path)
        with np.load(path, allow_pickle=False) as arrays:
            version = int(arrays["format"])
            if version in _OLD_FORMATS:
                return {}
            if version != _FORMAT:
                raise ValueError(f"version {version}")
            if str(arrays["model"]) != model:
                return {}
            # np.load gives the bytes of a member that is no array
            hashes: Any = np.asarray(arrays["hashes"])
            vectors = np.asarray(arrays["vectors"], np.float32)
            if (hashes.dtype, hashes.shape[1:], vectors.ndim) != (np.uint8, (_HASH_BYTES,), 2):
                raise ValueError("arrays of other shapes")
            if not np.isfinite(vectors).all():
                raise ValueError("vectors with NaN or infinity")
            return {key.tobytes(): row for key, row in zip(hashes, vectors, strict=True)}
    except _INVALID_CACHE as error:
        raise _no_index(path, type(error).__name__) from error


def _require_plain(path: Path) -> None:
    """Refuses compressed arrays, which a few bytes can make as large as memory."""
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("compressed")


def _no_index(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"{path} is not an index of edgebert ({reason}), so it is not overwritten. "
        "Next: give another file for the vectors, or delete this one."
    )


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _model_key(predictor: Predictor) -> str:
    """A hash of everything in the model that the vectors depend on."""
    content = json.dumps([_FORMAT, _model_facts(predictor)])
    return hashlib.sha256(content.encode()).hexdigest()


def _model_facts(predictor: Predictor) -> list[Any]:
    if isinstance(predictor, LiteRtModel):
        return [
            "file",
            hashlib.sha256(predictor.path.read_bytes()).hexdigest(),
            dict(predictor.decoding),
        ]
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
        dict(predictor.decoding),
    ]
