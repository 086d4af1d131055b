"""A `.tflite` that edgebert exported, opened in the runtime: text in, answer out.

The file contains the vocabulary, the tokenizer's rules, the labels and the lengths. Inputs are
bound by name. The signature with the shortest sufficient length is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from converters import heads
from converters.errors import ConversionError
from converters.tflite.metadata import read_associated_files
from converters.tflite.output_names import LOGITS, PROBABILITIES, SPAN_OUTPUTS
from converters.vocabulary import SubwordVocabulary, unpack_vocabulary
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import ModelError
from edgebert.models.litert_runtime import Runtime, Signature, open_runtime
from edgebert.models.manifest import Manifest, read_bytes, read_manifest
from edgebert.models.runtime_trial import require_loadable
from edgebert.tasks import task_named
from edgebert.tasks.probabilities import log_softmax
from edgebert.tasks.task import Decoding, Features, ModelFacts

DYNAMIC_SIGNATURE = "tokens_dynamic"
SMALLEST_PROBABILITY = 1e-38
"""Smaller probabilities are raised to this before their logarithm is taken."""


def _vocabulary(path: Path, data: bytes, manifest: Manifest) -> SubwordVocabulary:
    try:
        files = read_associated_files(data)
    except ConversionError as error:
        raise ModelError(f"{path}: {error}") from error
    try:
        vocabulary = unpack_vocabulary(manifest.tokenizer, files)
    except ConversionError as error:
        raise ModelError(f"{path}: {error}. Next: export it again.") from error
    if vocabulary.sha256 != manifest.vocabulary_sha256:
        raise ModelError(
            f"{path}: its vocabulary is not the one that was exported (SHA-256 "
            f"{vocabulary.sha256[:12]}, expected {manifest.vocabulary_sha256[:12]}). "
            "Next: export it again."
        )
    return vocabulary


class _Slot:
    """A signature and its input arrays for one length, which all calls reuse."""

    def __init__(self, run: Signature, length: int, pad_id: int) -> None:
        self._run, self._pad_id = run, pad_id
        self.resize(length)

    def resize(self, length: int) -> None:
        self.length = length
        self._inputs = {
            "token_ids": np.full((1, length), self._pad_id, np.int32),
            "padding_mask": np.zeros((1, length), np.int32),
            "segment_ids": np.zeros((1, length), np.int32),
        }

    def __call__(self, encoding: Encoding) -> dict[str, np.ndarray]:
        used = len(encoding)
        token_ids, padding_mask, segment_ids = self._inputs.values()
        token_ids[0, :used] = encoding.token_ids
        token_ids[0, used:] = self._pad_id
        padding_mask[0, :used] = 1
        padding_mask[0, used:] = 0
        segment_ids[0, :used] = encoding.segment_ids
        segment_ids[0, used:] = 0
        return self._run(self._inputs)


class LiteRtModel:
    """A predictor over a `.tflite` file."""

    def __init__(
        self, runtime: Runtime, manifest: Manifest, vocabulary: SubwordVocabulary, path: Path
    ) -> None:
        self.path, self.manifest = path, manifest
        self.tokenizer = Tokenizer(vocabulary, segments=manifest.config["num_segments"] > 1)
        self.max_length = manifest.max_length
        self.task = task_named(manifest.task)
        self.facts = ModelFacts(manifest.labels, dict(manifest.decoding))
        self._output = manifest.output
        self._runtime = runtime
        self._lengths = manifest.lengths
        self._slots: dict[str, _Slot] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        return self.facts.labels

    @property
    def decoding(self) -> Decoding:
        return self.facts.decoding

    @classmethod
    def open(cls, path: Path, threads: int = 1) -> LiteRtModel:
        """Opens a file that `edgebert export` wrote.

        Raises:
            ModelError: The file is damaged, has no manifest, or ends the runtime.
        """
        data = read_bytes(path)
        manifest = read_manifest(path, data)
        vocabulary = _vocabulary(path, data, manifest)
        keys = [f"tokens_{length}" for length in manifest.lengths] or [DYNAMIC_SIGNATURE]
        require_loadable(path, data, keys, is_sealed=bool(manifest.file_sha256))
        del data  # the runtime reads the file itself
        runtime = open_runtime(path, threads, fixed_lengths=bool(manifest.lengths))
        return cls(runtime, manifest, vocabulary, path)

    def _signature_of(self, tokens: int) -> tuple[str, int]:
        """The key and the length of the shortest sufficient signature."""
        if not self._lengths:
            return DYNAMIC_SIGNATURE, tokens
        for length in self._lengths:
            if tokens <= length:
                return f"tokens_{length}", length
        raise ModelError(
            f"{self.path} takes at most {self._lengths[-1]} tokens. Received: {tokens}."
        )

    def _slot(self, tokens: int) -> _Slot:
        key, length = self._signature_of(tokens)
        if key not in self._slots:
            try:
                run = self._runtime.signature(key)
            except (ValueError, RuntimeError, KeyError) as error:
                raise ModelError(
                    f"{self.path}: expected a signature {key} that can be run, as its manifest "
                    f"says. Received: {error}. Next: export it again."
                ) from error
            self._slots[key] = _Slot(run, length, self.tokenizer.pad_id)
        slot = self._slots[key]
        if slot.length != length:
            slot.resize(length)
        return slot

    def run(self, encoding: Encoding) -> np.ndarray:
        """The file's output for one text without padding, float32.

        `[labels]` for a classifier, `[tokens, ...]` for outputs per token (start and end logits
        are stacked), `[size]` for a vector. For a masked LM `[masks, vocab_size]` with all of the
        file's mask outputs, also unused ones.
        """
        return self.output_of(self.named_outputs(encoding), len(encoding))

    def named_outputs(self, encoding: Encoding) -> dict[str, np.ndarray]:
        """The outputs of the signature by name, with padding, float32 `[1, ...]`."""
        return self._slot(len(encoding))(encoding)

    def output_of(self, named: Mapping[str, np.ndarray], tokens: int) -> np.ndarray:
        """The output of the head for a text with `tokens` tokens, from named outputs.

        Raises:
            ModelError: The outputs are not those of the manifest's task.
        """
        wanted = SPAN_OUTPUTS if self.task.head == heads.SPANS else tuple(named)[:1]
        arrays = [named[name] for name in wanted if name in named and named[name].ndim]
        if len(arrays) != len(named) or len({array.shape for array in arrays}) != 1:
            raise self._contradiction(named)
        rows = np.stack([array[0] for array in arrays], -1) if len(arrays) > 1 else arrays[0][0]
        per_token = self.task.outputs_per_token
        if rows.ndim != 1 + (per_token or self.task.head == heads.MASKED_LM):
            raise self._contradiction(named)
        if rows.shape[-1] != self._width(rows.shape[-1]) or (per_token and len(rows) < tokens):
            raise self._contradiction(named)
        return rows[:tokens] if per_token else rows

    def _width(self, received: int) -> int:
        """The size that the last dimension of the outputs must have; vectors may have any."""
        if self.task.head in (heads.SENTENCE, heads.ENCODER):
            return received
        if self.task.head == heads.MASKED_LM:
            return self.tokenizer.vocabulary.size
        return self.task.num_outputs(self.labels)

    def _contradiction(self, named: Mapping[str, np.ndarray]) -> ModelError:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in named.items())
        return ModelError(
            f"{self.path}: expected the outputs of a {self.task.title} with {len(self.labels)} "
            f"labels, as its manifest says. Received: {shapes or 'none'}. Next: export it again."
        )

    def outputs(self, encodings: Sequence[Encoding], batch_size: int = 1) -> list[np.ndarray]:
        """The head's output for each encoding. The batch size is always 1."""
        return [self.read(self.run(encoding), encoding) for encoding in encodings]

    def read(self, output: np.ndarray, encoding: Encoding) -> np.ndarray:
        """Converts a file's output for an encoding to the head's output."""
        output = self.unscaled(output)
        if self.task.head != heads.MASKED_LM:
            return output
        (read,) = self.task.split_outputs({LOGITS: output[None]}, [encoding])
        return read

    def unscaled(self, output: np.ndarray) -> np.ndarray:
        """Converts probabilities to log probabilities, or to log odds for independent labels.

        Other outputs stay unchanged.
        """
        if self._output != PROBABILITIES:
            return output
        shares = output.astype(np.float64)
        logs = np.log(np.maximum(shares, SMALLEST_PROBABILITY))
        if self.task.problem != heads.MULTI_LABEL:
            return logs
        return logs - np.log(np.maximum(1 - shares, SMALLEST_PROBABILITY))

    def scores(self, encodings: Sequence[Encoding], batch_size: int = 1) -> np.ndarray:
        """Log probabilities of a classifier, float64 `[texts, labels]`."""
        return self.log_probabilities(np.stack([self.run(encoding) for encoding in encodings]))

    def log_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Log probabilities of a classifier's outputs, float64 `[texts, labels]`."""
        return log_softmax(self.unscaled(outputs))

    def call_of(self, encoding: Encoding) -> tuple[str, dict[str, list[int]]]:
        """The signature for a text, and its padded inputs by name."""
        used = len(encoding)
        key, length = self._signature_of(used)
        padding = length - used
        return key, {
            "token_ids": [*encoding.token_ids, *[self.tokenizer.pad_id] * padding],
            "padding_mask": [1] * used + [0] * padding,
            "segment_ids": [*encoding.segment_ids, *[0] * padding],
        }

    def answer(self, example: Any) -> dict[str, Any]:
        """The task's answer to one example: see `Task.answers`.

        Raises:
            UsageError: The model is a bare encoder.
        """
        features = self.encode(example)
        outputs = self.outputs(features.encodings)
        return self.task.answers(outputs, features, self.facts)[0]

    def encode(self, example: Any) -> Features:
        """The features of one example."""
        features: Features = self.task.features(
            self.tokenizer, [example], self.max_length, self.decoding
        )
        return features

    def timed_calls(self, example: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """The call from text to answer whose latency is measured, and the call of its tokenizer.

        For a classifier of single texts the first call is `classify`.
        """
        if not self.task.answers_with_label:
            return partial(self.answer, example), partial(self.encode, example)
        encode = partial(self.tokenizer.encode, example.text, max_length=self.max_length)
        return partial(self.classify, example.text), encode

    def classify(self, text: str) -> tuple[str, float]:
        """The label of one text and its probability, without the other fields of an answer."""
        row = self.run(self.tokenizer.encode(text, max_length=self.max_length))
        best = int(row.argmax())
        if self._output == PROBABILITIES:
            return self.labels[best], float(row[best])
        return self.labels[best], float(np.exp(log_softmax(row[None])[0, best]))
