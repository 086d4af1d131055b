"""Text classification: one label of several for a text, or for a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converters import heads
from converters.checkpoint import Checkpoint
from converters.inference_graph import LOGITS, PROBABILITIES
from edgebert.dataset_files import LabelUse
from edgebert.datasets import Dataset, Example, encode_labels, label_names, read_dataset
from edgebert.encoded_rows import rows_of
from edgebert.errors import UsageError
from edgebert.settings import DataSettings, FinetuneSettings
from edgebert.tasks.labelled_rows import LabelledRows
from edgebert.tasks.task import Decoding, Features, Task
from edgebert.tasks.text_features import encode_texts
from edgebert.tokenizer import Tokenizer

if TYPE_CHECKING:
    import keras

CLASSIFIER_LAYER = "classifier"


class Classification(Task[Features]):
    """One label of several for a text."""

    name = "classification"
    title = "text classification"
    head = heads.CLASSIFIER
    metric = "accuracy"
    file_outputs = (PROBABILITIES, LOGITS)

    def read(self, path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
        return read_dataset(path, columns.text_column, columns.label_column, labels)

    def label_names(self, train: Dataset) -> tuple[str, ...]:
        return label_names(train)

    def require_known(self, data: Dataset, labels: Sequence[str]) -> None:
        encode_labels(data, labels)

    def features(
        self, tokenizer: Tokenizer, examples: Sequence[Any], max_length: int, decoding: Decoding
    ) -> Features:
        return encode_texts(tokenizer, examples, max_length)

    def example(self, *texts: str) -> Example:
        if len(texts) != 1:
            raise UsageError(f"Expected one text. Received: {len(texts)}.")
        return Example(texts[0])

    def rows(
        self,
        features: Features,
        labels: Sequence[str],
        decoding: Decoding,
        settings: FinetuneSettings,
        tokenizer: Tokenizer,
    ) -> LabelledRows:
        targets = _targets(features, labels)
        weights = np.ones(len(labels), np.float32)
        if settings.class_weights == "balanced":
            weights = class_weights(targets, len(labels))
        rows = rows_of(features.encodings, tokenizer.pad_id)
        return LabelledRows(rows, targets, weights[targets])

    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """The head is BERT's own: the pooled [CLS] row, dropout, one dense layer."""
        import keras

        x = backbone.output["pooled_output"]
        x = keras.layers.Dropout(dropout, seed=seed, name="classifier_dropout")(x)
        logits = output_layer(num_outputs, seed, CLASSIFIER_LAYER)(x)
        return keras.Model(backbone.input, logits, name="classification_model")

    def loss(self, labels: Sequence[str]) -> Any:
        """Cross-entropy of logits `[batch, labels]` against label numbers `[batch]`."""
        import keras

        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: Features,
        labels: Sequence[str],
        decoding: Decoding,
    ) -> dict[str, float]:
        predicted = np.stack(outputs).argmax(-1)
        return metrics(predicted, _targets(features, labels), len(labels))

    def answers(
        self,
        outputs: Sequence[np.ndarray],
        features: Features,
        labels: Sequence[str],
        decoding: Decoding,
    ) -> list[dict[str, Any]]:
        found = []
        for example, output in zip(features.examples, outputs, strict=True):
            row = np.exp(log_softmax(output))
            best = int(row.argmax())
            probabilities = dict(zip(labels, map(float, row), strict=True))
            found.append(
                {
                    "text": example.text,
                    "label": labels[best],
                    "probability": float(row[best]),
                    "probabilities": probabilities,
                }
            )
        return found

    def shown(self, answer: Mapping[str, Any], top: int) -> str:
        best = sorted(answer["probabilities"].items(), key=lambda item: -item[1])[:top]
        return "\t".join([*(f"{label} {share:.3f}" for label, share in best), answer["text"]])

    def log_probabilities(self, output: np.ndarray) -> np.ndarray:
        return log_softmax(output)[None]


def output_layer(num_outputs: int, seed: int, name: str) -> Any:
    """The dense layer that ends a head, float32, with BERT's own initial weights."""
    import keras

    return keras.layers.Dense(
        num_outputs,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02, seed=seed),
        dtype="float32",
        name=name,
    )


def _targets(features: Features, labels: Sequence[str]) -> np.ndarray:
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[example.label] for example in features.examples], np.int32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities `[n, labels]` of logits `[n, labels]`, float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def class_weights(targets: np.ndarray, num_labels: int) -> np.ndarray:
    """Weights by inverse frequency with mean 1 over the rows; 0 for a label with no row.

    Args:
        targets: int label numbers `[n]`.

    Returns:
        float32 `[num_labels]`.
    """
    counts = np.bincount(targets, minlength=num_labels)
    seen = np.count_nonzero(counts)
    return np.where(counts > 0, len(targets) / (seen * np.maximum(counts, 1)), 0).astype(np.float32)


def metrics(predicted: np.ndarray, targets: np.ndarray, num_labels: int) -> dict[str, float]:
    """Accuracy and macro F1 (the mean of each label's F1; labels that occur nowhere left out).

    Args:
        predicted: int label numbers `[n]`.
        targets: int label numbers `[n]`.
    """
    f1 = []
    for label in range(num_labels):
        hits = int(np.sum((predicted == label) & (targets == label)))
        total = int(np.sum(predicted == label) + np.sum(targets == label))
        if total:
            f1.append(2 * hits / total)
    return {"accuracy": float(np.mean(predicted == targets)), "macro_f1": float(np.mean(f1))}
