"""Text classification: one label of several for a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

NAME = "classification"
CLASSIFIER_LAYER = "classifier"


def add_head(backbone: Any, num_labels: int, dropout: float, seed: int) -> keras.Model:
    """A Keras model from the backbone's inputs to logits `[batch, num_labels]`.

    The head is BERT's own: the tanh-pooled [CLS] row, dropout, one dense layer.
    """
    import keras

    x = backbone.output["pooled_output"]
    x = keras.layers.Dropout(dropout, seed=seed, name="classifier_dropout")(x)
    logits = keras.layers.Dense(
        num_labels,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02, seed=seed),
        dtype="float32",
        name=CLASSIFIER_LAYER,
    )(x)
    return keras.Model(backbone.input, logits, name="classification_model")


def loss() -> Any:
    """Cross-entropy of logits `[batch, labels]` against label numbers `[batch]`."""
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


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
