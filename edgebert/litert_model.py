"""A `.tflite` of ours, opened through the runtime: text in, label out.

The file carries everything (vocabulary, tokenizer's rules, labels, lengths), so nothing but the path
is needed. Inputs are bound by name. Of several lengths the shortest that fits is run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.metadata import read_associated_files, read_metadata_buffer
from converters.vocabulary import Vocabulary
from edgebert import native_noise
from edgebert.errors import MissingExtraError, ModelError
from edgebert.tasks.classification import log_softmax
from edgebert.tokenizer import Encoding, Tokenizer

MANIFEST_NAME = "EDGEBERT_MANIFEST"
MANIFEST_FORMAT = 1
VOCABULARY_FILE = "vocab.txt"
DYNAMIC_SIGNATURE = "tokens_dynamic"
SMALLEST_PROBABILITY = 1e-38


def load_interpreter(path: Path, threads: int) -> Any:
    """A TFLite interpreter from `ai-edge-litert`, or `tflite-runtime` on old boards.

    Raises:
        MissingExtraError: neither is installed.
        ModelError: the runtime does not take the file.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter  # type: ignore[no-redef]
        except ImportError as error:
            raise MissingExtraError(
                "No TFLite runtime is installed. Next: pip install ai-edge-litert"
            ) from error
    try:
        with native_noise.hidden():
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
            return interpreter
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} can't be loaded by the TFLite runtime: {error}. Next: it is likely cut short "
            "or no .tflite; export it again."
        ) from error


def read_manifest(path: Path, data: bytes | None = None) -> dict[str, Any]:
    """The manifest that our exporter wrote into the file.

    Args:
        path: the file.
        data: its bytes, where they were read already.

    Raises:
        ModelError: the file is cut short, no `.tflite`, or has no manifest.
    """
    try:
        found = read_metadata_buffer(_bytes_of(path) if data is None else data, MANIFEST_NAME)
    except ConversionError as error:
        raise ModelError(f"{path}: {error}") from error
    if found is None:
        raise ModelError(
            f"{path} has no edgebert metadata, so its vocabulary and labels are unknown. "
            "Next: export it with `edgebert export`; `edgebert profile` and `edgebert inspect` "
            "take any .tflite."
        )
    manifest = json.loads(found)
    if manifest.get("format") != MANIFEST_FORMAT:
        raise ModelError(
            f"{path}: expected a manifest of format {MANIFEST_FORMAT}. "
            f"Received: {manifest.get('format')}. Next: export it again with this version."
        )
    return dict(manifest)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}.") from error


def _vocabulary(path: Path, data: bytes, manifest: dict[str, Any]) -> Vocabulary:
    try:
        files = read_associated_files(data)
    except ConversionError as error:
        raise ModelError(f"{path}: {error}") from error
    if VOCABULARY_FILE not in files:
        raise ModelError(f"{path} has no {VOCABULARY_FILE} inside. Next: export it again.")
    tokens = tuple(files[VOCABULARY_FILE].decode("utf-8").removesuffix("\n").split("\n"))
    vocabulary = Vocabulary.from_settings(manifest["tokenizer"], tokens)
    if vocabulary.sha256 != manifest["vocabulary_sha256"]:
        raise ModelError(
            f"{path}: its {VOCABULARY_FILE} is not the one that was exported (SHA-256 "
            f"{vocabulary.sha256[:12]}, expected {manifest['vocabulary_sha256'][:12]}). "
            "Next: export it again."
        )
    return vocabulary


class _Signature:
    """One length: input arrays that are kept from call to call, and the runner."""

    def __init__(self, interpreter: Any, key: str, length: int, pad_id: int, output: str) -> None:
        self._run = interpreter.get_signature_runner(key)
        self.length, self._pad_id, self._output = length, pad_id, output
        if key != DYNAMIC_SIGNATURE:
            self._allocate(length)

    def _allocate(self, length: int) -> None:
        self.length = length
        self._token_ids = np.full((1, length), self._pad_id, np.int32)
        self._padding_mask = np.zeros((1, length), np.int32)
        self._segment_ids = np.zeros((1, length), np.int32)

    def resized(self, length: int) -> _Signature:
        if length != self.length:
            self._allocate(length)
        return self

    def __call__(self, encoding: Encoding) -> np.ndarray:
        used = len(encoding)
        self._token_ids[0, :used] = encoding.token_ids
        self._token_ids[0, used:] = self._pad_id
        self._padding_mask[0, :used] = 1
        self._padding_mask[0, used:] = 0
        self._segment_ids[0, :used] = encoding.segment_ids
        self._segment_ids[0, used:] = 0
        result = self._run(
            token_ids=self._token_ids,
            padding_mask=self._padding_mask,
            segment_ids=self._segment_ids,
        )
        return np.asarray(result[self._output][0])


class LiteRtModel:
    """A predictor over a `.tflite` file."""

    def __init__(
        self, interpreter: Any, manifest: dict[str, Any], vocabulary: Vocabulary, path: Path
    ) -> None:
        self.path, self.manifest = path, manifest
        self.tokenizer = Tokenizer(vocabulary)
        self.labels: tuple[str, ...] = tuple(manifest["labels"])
        self.max_length = int(manifest["max_length"])
        self._output = str(manifest["output"])
        self._interpreter = interpreter
        self._lengths = [int(n) for n in manifest["lengths"]]
        self._signatures: dict[int, _Signature] = {}

    @classmethod
    def open(cls, path: Path, threads: int = 1) -> LiteRtModel:
        """Opens a file that `edgebert export` wrote.

        Raises:
            ModelError: it is damaged or has no manifest.
        """
        data = _bytes_of(path)
        manifest = read_manifest(path, data)
        vocabulary = _vocabulary(path, data, manifest)
        return cls(load_interpreter(path, threads), manifest, vocabulary, path)

    def _signature(self, tokens: int) -> _Signature:
        if not self._lengths:
            return self._made(0, DYNAMIC_SIGNATURE).resized(tokens)
        for length in self._lengths:
            if tokens <= length:
                return self._made(length, f"tokens_{length}")
        raise ModelError(
            f"{self.path} takes at most {self._lengths[-1]} tokens. Received: {tokens}."
        )

    def _made(self, length: int, key: str) -> _Signature:
        if length not in self._signatures:
            self._signatures[length] = _Signature(
                self._interpreter, key, length, self.tokenizer.pad_id, self._output
            )
        return self._signatures[length]

    def run(self, encoding: Encoding) -> np.ndarray:
        """The file's output for one text: float32 `[labels]`, or `[length, hidden_size]`."""
        return self._signature(len(encoding))(encoding)

    def scores(self, encodings: Sequence[Encoding], batch_size: int = 1) -> np.ndarray:
        """Log probabilities, float64 `[texts, labels]`; the file's batch is always one."""
        rows = np.stack([self.run(encoding) for encoding in encodings]).astype(np.float64)
        if self._output == "probabilities":
            return np.log(np.maximum(rows, SMALLEST_PROBABILITY))
        return log_softmax(rows)

    def hidden_states(self, encoding: Encoding) -> np.ndarray:
        """The last layer's rows of one text, float32 `[tokens, hidden_size]` (bare encoders)."""
        return self.run(encoding)[: len(encoding)]

    def classify(self, text: str) -> tuple[str, float]:
        """The label of one text and its probability, by the shortest way."""
        row = self.run(self.tokenizer.encode(text, max_length=self.max_length))
        best = int(row.argmax())
        if self._output == "probabilities":
            return self.labels[best], float(row[best])
        return self.labels[best], float(np.exp(log_softmax(row[None])[0, best]))
