"""Sentence embeddings: a vector for each text; texts with a similar meaning have near vectors.

The model is Sentence-BERT's (Reimers and Gurevych 2019): pooling of the encoder's rows, optional
dense layers, and optional normalization to length 1 (`converters.heads.SentenceHead`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters import heads
from converters.checkpoint import Checkpoint
from converters.heads import SentenceHead
from converters.tflite.output_names import EMBEDDING
from edgebert.data.datasets import Dataset
from edgebert.data.labels import LabelUse
from edgebert.encoding.encoded_rows import rows_of
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import UsageError
from edgebert.settings import DataSettings, FinetuneSettings, TaskSettings
from edgebert.system.json_text import json_text
from edgebert.tasks.app_readers import AppReaders
from edgebert.tasks.regression import pearson, spearman
from edgebert.tasks.sentence_loss import sentence_loss
from edgebert.tasks.sentence_pairs import (
    SentenceExample,
    SentenceFeatures,
    SentenceRows,
    check_pairs,
    identities_of,
    read_sentences,
)
from edgebert.tasks.task import Decoding, ModelFacts, Task

if TYPE_CHECKING:
    import keras

_SMALLEST_SQUARE = 1e-24
_MASKED_OFFSET = 1e9
_RECALL_ROWS = 512
_COSINE_DECIMALS = 6


class Embeddings(Task[SentenceFeatures]):
    """Computes a vector for a text. Training and evaluation use pairs of texts."""

    name = "embeddings"
    title = "sentence embeddings"
    head = heads.SENTENCE
    metric = "spearman"
    file_outputs = (EMBEDDING,)
    app_readers = AppReaders("MediaPipe TextEmbedder, Task Library TextEmbedder")

    def read(self, path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
        return read_sentences(path, columns, labels, self.name)

    def label_names(self, train: Dataset) -> tuple[str, ...]:
        """No labels; checks that training rows are pairs."""
        check_pairs(train)
        return ()

    def require_known(self, data: Dataset, labels: Sequence[str]) -> None:
        check_pairs(data)

    def features(
        self, tokenizer: Tokenizer, examples: Sequence[Any], max_length: int, decoding: Decoding
    ) -> SentenceFeatures:
        counts = {len(example.texts) for example in examples} or {1}
        if len(counts) > 1:
            raise UsageError(
                "Expected the same number of texts in every example. Received: examples of "
                f"{' and '.join(map(str, sorted(counts)))} texts."
            )
        (count,) = counts
        prompt = decoding.get("prompt", "")
        texts = [prompt + text for example in examples for text in example.texts]
        encodings = tokenizer.encode_batch(texts, max_length)
        full = [i for i, encoding in enumerate(encodings) if len(encoding) == max_length]
        cut = tokenizer.count_lengths([texts[i] for i in full]) > max_length
        owners = np.repeat(np.arange(len(examples), dtype=np.int32), count)
        truncated = len({owners[i] for i, is_cut in zip(full, cut, strict=True) if is_cut})
        return SentenceFeatures(examples, encodings, owners, truncated, texts=count)

    def example(self, *texts: str) -> SentenceExample:
        if not 1 <= len(texts) <= 2:
            raise UsageError(f"Expected a text or a pair of texts. Received: {len(texts)}.")
        return SentenceExample(texts[0], texts[1] if len(texts) == 2 else None)

    def input_texts(self, example: Any) -> tuple[str, ...]:
        return tuple(example.texts[:2])

    def encoded_texts(self, example: Any) -> tuple[str, ...]:
        return tuple(example.texts)

    def is_labelled(self, example: SentenceExample) -> bool:
        return example.pair is not None

    def copied_texts(self, example: SentenceExample) -> tuple[str, ...]:
        return example.texts

    def copy_of(self, example: SentenceExample, texts: Sequence[str]) -> SentenceExample:
        return SentenceExample.of(texts)

    def without_labels(self, examples: Sequence[SentenceExample]) -> list[SentenceExample]:
        """Single texts, since a pair without a score is a label: its texts belong together."""
        return [SentenceExample(text) for example in examples for text in example.texts]

    def in_form_of(
        self, labelled: Sequence[SentenceExample], unlabelled: Sequence[SentenceExample]
    ) -> list[SentenceExample]:
        """Groups of as many texts as a labelled example has; single texts if there is none."""
        size = len(labelled[0].texts) if len(labelled) else 1
        texts = [text for example in unlabelled for text in example.texts]
        whole = len(texts) - len(texts) % size
        return [SentenceExample.of(texts[start : start + size]) for start in range(0, whole, size)]

    def rows(
        self,
        features: SentenceFeatures,
        facts: ModelFacts,
        settings: FinetuneSettings,
        tokenizer: Tokenizer,
    ) -> SentenceRows:
        """A row is a pair. The scores of a split are scaled to 0 to 1, as targets of cosines."""
        encoded = rows_of(features.encodings, tokenizer.pad_id)
        scores = _scores(features)
        if scores is not None:
            scores = (scores - scores.min()) / (np.ptp(scores) or 1.0)
        return SentenceRows(
            encoded,
            features.texts,
            None if scores is None else scores.astype(np.float32),
            identities_of(features.examples),
            np.ones(len(features.examples), np.float32),
        )

    def encodings_of_rows(
        self, features: SentenceFeatures, rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        return features.numbers(rows)

    def prepare_checkpoint(self, checkpoint: Checkpoint, settings: TaskSettings) -> Checkpoint:
        """See `Task.prepare_checkpoint`; adds the head of the settings if the base has none."""
        base = super().prepare_checkpoint(checkpoint, settings)
        if base.sentence is not None:
            return base
        return replace(base, sentence=SentenceHead((settings.pooling,), (), settings.normalize))

    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """The output is vectors `[batch, size]`. Padding is not pooled."""
        import keras

        head = checkpoint.sentence
        assert head is not None, "Task.prepare_checkpoint gives every base one"
        rows = backbone.output["sequence_output"]
        present = keras.ops.cast(backbone.input["padding_mask"], "float32")
        parts = [_POOLINGS[name](rows, present) for name in head.pooling]
        x = keras.ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
        for i, activation in enumerate(head.activations):
            x = keras.layers.Dense(
                len(checkpoint.weights[f"sentence.dense.{i}.kernel"]),
                activation=_activation(activation),
                dtype="float32",
                name=f"sentence_dense_{i}",
            )(x)
        if head.dimensions:
            x = (_normalized(x) if head.normalize_before_cut else x)[:, : head.dimensions]
        if head.normalize:
            x = _normalized(x)
        return keras.Model(backbone.input, x, name="embeddings_model")

    def loss(self, labels: Sequence[str]) -> Any:
        return sentence_loss()

    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: SentenceFeatures,
        facts: ModelFacts,
    ) -> dict[str, float]:
        """Correlations of the cosine with the score.

        Pairs without scores have the score 1, and each first text paired with the second text of
        the next row has the score 0. They also have `recall_at_1`, the share of first texts whose
        nearest second text is their own.
        """
        first, second, *_ = features.columns(outputs)
        cosines, scores = _cosines(first, second), _scores(features)
        if scores is not None:
            return {"spearman": spearman(cosines, scores), "pearson": pearson(cosines, scores)}
        unrelated = _cosines(first, np.roll(second, -1, axis=0))
        both = np.concatenate([cosines, unrelated])
        belongs = np.repeat([1.0, 0.0], len(cosines))
        return {
            "spearman": spearman(both, belongs),
            "recall_at_1": _recall_at_1(first, second, identities_of(features.examples)),
        }

    def answers(
        self,
        outputs: Sequence[np.ndarray],
        features: SentenceFeatures,
        facts: ModelFacts,
    ) -> list[dict[str, Any]]:
        """`embedding`, the output, for a text; `cosine` for a pair of texts."""
        if features.texts == 1:
            return [
                {"text": example.text, "embedding": [float(x) for x in output]}
                for example, output in zip(features.examples, outputs, strict=True)
            ]
        first, second, *_ = features.columns(outputs)
        return [
            {"text": example.text, "pair": example.pair, "cosine": float(cosine)}
            for example, cosine in zip(features.examples, (first * second).sum(-1), strict=True)
        ]

    def short_answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"cosine": answer["cosine"]} if "cosine" in answer else {}

    def format_answer(self, answer: Mapping[str, Any], top: int) -> str:
        if "embedding" in answer:
            return json_text(answer)
        return f"{answer['cosine']:.3f}\t{answer['text']}\t{answer['pair']}"


def _cosines(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Cosines of unit vectors, float `[texts, dimensions]` each.

    The last bits depend on the batch. Without them, the pairs of equal texts have one rank.
    """
    return (first * second).sum(-1).round(_COSINE_DECIMALS)


def _scores(features: SentenceFeatures) -> npt.NDArray[np.float64] | None:
    """The score of each example; None for pairs without scores."""
    if features.examples[0].score is None:
        return None
    return np.array([example.score for example in features.examples], np.float64)


def _recall_at_1(first: np.ndarray, second: np.ndarray, identities: npt.NDArray[np.int64]) -> float:
    """Share of rows of `first` whose nearest row of `second` has the text of the same row."""
    nearest = [
        (first[start : start + _RECALL_ROWS] @ second.T).argmax(1)
        for start in range(0, len(first), _RECALL_ROWS)
    ]
    found = identities[np.concatenate(nearest), 1]
    return float(np.mean(found == identities[:, 1]))


def _normalized(x: Any) -> Any:
    """Vectors `[batch, size]` with length 1."""
    import keras

    squares = keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True)
    return x * keras.ops.rsqrt(squares + _SMALLEST_SQUARE)


def _activation(name: str) -> Any:
    import keras

    if name == "gelu":
        return lambda x: keras.ops.gelu(x, approximate=False)
    return {"tanh": keras.ops.tanh, "relu": keras.ops.relu, heads.IDENTITY: None}[name]


# Poolings of rows [batch, length, hidden] by present [batch, length]: [batch, hidden].


def _weighted(rows: Any, weights: Any) -> Any:
    import keras

    return keras.ops.matmul(weights[:, None, :], rows)[:, 0]


def _tokens(present: Any) -> Any:
    import keras

    return keras.ops.sum(present, axis=1, keepdims=True)


def _places(present: Any) -> Any:
    """1 for the first token, 2 for the second, 0 for padding."""
    import keras

    return keras.ops.cumsum(present, axis=1) * present


def _mean(rows: Any, present: Any) -> Any:
    return _weighted(rows, present / _tokens(present))


def _mean_sqrt_len(rows: Any, present: Any) -> Any:
    return _weighted(rows, present / _tokens(present) ** 0.5)


def _weighted_mean(rows: Any, present: Any) -> Any:
    places = _places(present)
    return _weighted(rows, places / _tokens(places))


def _last(rows: Any, present: Any) -> Any:
    import keras

    return _weighted(rows, keras.ops.relu(_places(present) - (_tokens(present) - 1)))


def _max(rows: Any, present: Any) -> Any:
    import keras

    return keras.ops.max(rows + (present[:, :, None] - 1) * _MASKED_OFFSET, axis=1)


def _cls(rows: Any, present: Any) -> Any:
    return rows[:, 0]


_POOLINGS = {
    "mean": _mean,
    "cls": _cls,
    "max": _max,
    "mean_sqrt_len": _mean_sqrt_len,
    "weighted_mean": _weighted_mean,
    "last": _last,
}
