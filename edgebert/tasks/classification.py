"""Text classification: exactly one label for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters import heads
from converters.tflite.output_names import LOGITS, PROBABILITIES
from edgebert.data.columns import RowSpec
from edgebert.data.datasets import Dataset, Example, encode_labels, label_names, read_table
from edgebert.data.labels import ONE_LABEL, LabelUse
from edgebert.encoding.encoded_rows import rows_of
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.settings import DataSettings, FinetuneSettings
from edgebert.tasks.app_readers import CLASSIFIER_READERS
from edgebert.tasks.labelled_rows import LabelledRows
from edgebert.tasks.probabilities import log_softmax
from edgebert.tasks.task import Features, ModelFacts
from edgebert.tasks.text_task import TextTask, answer_line, input_fields


class Classification(TextTask):
    """Predicts one label for a text."""

    name = "classification"
    title = "text classification"
    problem = heads.SINGLE_LABEL
    metric = "accuracy"
    file_outputs = (PROBABILITIES, LOGITS)
    answers_with_label = True
    learns_from_copies = True
    app_readers = CLASSIFIER_READERS

    def read(self, path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
        return read_table(path, columns, RowSpec(ONE_LABEL, labels), Example)

    def label_names(self, train: Dataset) -> tuple[str, ...]:
        return label_names(train)

    def require_known(self, data: Dataset, labels: Sequence[str]) -> None:
        encode_labels(data, labels)

    def unlabelled(self, text: str, pair: str | None) -> Example:
        return Example(text, pair=pair)

    def is_labelled(self, example: Example) -> bool:
        return example.label is not None

    def rows(
        self,
        features: Features,
        facts: ModelFacts,
        settings: FinetuneSettings,
        tokenizer: Tokenizer,
    ) -> LabelledRows:
        targets = label_numbers(features, facts.labels)
        weights = np.ones(len(facts.labels), np.float32)
        if settings.class_weights == "balanced":
            weights = class_weights(targets, len(facts.labels))
        rows = rows_of(features.encodings, tokenizer.pad_id)
        return LabelledRows(rows, targets, weights[targets])

    def loss(self, labels: Sequence[str]) -> Any:
        """Cross-entropy of logits `[batch, labels]` against label indices `[batch]`."""
        import keras

        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: Features,
        facts: ModelFacts,
    ) -> dict[str, float]:
        predicted = np.stack(outputs).argmax(-1)
        return metrics(predicted, label_numbers(features, facts.labels), len(facts.labels))

    def answers(
        self,
        outputs: Sequence[np.ndarray],
        features: Features,
        facts: ModelFacts,
    ) -> list[dict[str, Any]]:
        found = []
        for example, output in zip(features.examples, outputs, strict=True):
            row = np.exp(log_softmax(output))
            best = int(row.argmax())
            probabilities = dict(zip(facts.labels, map(float, row), strict=True))
            found.append(
                {
                    **input_fields(example),
                    "label": facts.labels[best],
                    "probability": float(row[best]),
                    "probabilities": probabilities,
                }
            )
        return found

    def short_answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"label": answer["label"], "probability": answer["probability"]}

    def format_answer(self, answer: Mapping[str, Any], top: int) -> str:
        best = sorted(answer["probabilities"].items(), key=lambda item: -item[1])[:top]
        return answer_line([f"{label} {share:.3f}" for label, share in best], answer)

    def log_probabilities(self, output: np.ndarray) -> np.ndarray:
        return log_softmax(output)[None]


def label_numbers(features: Features, labels: Sequence[str]) -> np.ndarray:
    """The label index of each example: int32 `[examples]`."""
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[example.label] for example in features.examples], np.int32)


def class_weights(targets: np.ndarray, num_labels: int) -> np.ndarray:
    """Class weights by inverse frequency, with mean 1 over the rows; 0 for a label with no row.

    Args:
        targets: Label indices, int `[n]`.
        num_labels: Number of labels.

    Returns:
        Weights, float32 `[num_labels]`.
    """
    counts = np.bincount(targets, minlength=num_labels)
    seen = np.count_nonzero(counts)
    return np.where(counts > 0, len(targets) / (seen * np.maximum(counts, 1)), 0).astype(np.float32)


def metrics(predicted: np.ndarray, targets: np.ndarray, num_labels: int) -> dict[str, float]:
    """Accuracy and macro F1, the mean of the labels' F1; labels that never occur are left out.

    Args:
        predicted: Label indices, int `[n]`.
        targets: Label indices, int `[n]`.
        num_labels: Number of labels.
    """
    occur = np.union1d(predicted, targets)
    f1 = [
        f1_score(predicted == label, targets == label)
        for label in range(num_labels)
        if label in occur
    ]
    return {"accuracy": float(np.mean(predicted == targets)), "macro_f1": float(np.mean(f1))}


def f1_score(predicted: np.ndarray, actual: np.ndarray) -> float:
    """F1 of the true entries of two bool arrays of one shape; 0 if neither has a true entry."""
    total = int(predicted.sum()) + int(actual.sum())
    return 2 * int((predicted & actual).sum()) / total if total else 0.0
