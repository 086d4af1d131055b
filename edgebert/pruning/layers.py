"""Layer dropping: selects the layers of a BERT to keep (Sajjad et al. 2023)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from converters.layer_choice import spread_layers
from edgebert.encoding.encoded_rows import EncodedRows
from edgebert.errors import UsageError
from edgebert.models.task_model import TaskModel
from edgebert.system import native_noise
from edgebert.training.batches import sorted_batches

CHOICES = ("importance", "first", "last", "alternate")


def choose_layers(model: TaskModel, count: int, choice: str, rows: EncodedRows) -> tuple[int, ...]:
    """Selects the layers to keep and returns their numbers, ascending.

    Args:
        model: The model to prune.
        count: Number of layers to keep.
        choice: `first` or `last` layers; `alternate`: evenly spread, the last one included;
            `importance`: the layers that change the hidden states most.
        rows: Calibration text, for `importance`.

    Raises:
        UsageError: An unknown choice, or a count out of range.
    """
    total = model.checkpoint.config.num_layers
    if choice not in CHOICES or not 1 <= count <= total:
        raise UsageError(
            f"Expected 1 to {total} layers, chosen by one of {', '.join(CHOICES)}. "
            f"Received: {count} by {choice!r}."
        )
    if choice == "first":
        return tuple(range(count))
    if choice == "last":
        return tuple(range(total - count, total))
    if choice == "alternate":
        return spread_layers(total, count)
    ranked = np.argsort(-layer_influence(model, rows), kind="stable")[:count]
    return tuple(int(i) for i in np.sort(ranked))


def layer_influence(model: TaskModel, rows: EncodedRows, batch_size: int = 32) -> np.ndarray:
    """Block influence (Men et al. 2024, "ShortGPT"): 1 - cosine of a layer's input and output.

    Args:
        model: The model to measure.
        rows: Calibration text.
        batch_size: Texts per batch.

    Returns:
        float64 `[layers]`: the mean over all tokens. For a last layer of which only [CLS] is read,
        the mean over the [CLS] rows.
    """
    native_noise.load_keras()
    import tensorflow as tf

    from edgebert.training import fitting
    from edgebert.training.packed_encoder import Taps

    layers = model.checkpoint.config.num_layers
    net = fitting.build_frozen(model)
    encoder = net.get_layer("packed_encoder")
    names = ["embeddings", *(f"layers.{i}.hidden" for i in range(layers))]

    @tf.function(autograph=False, reduce_retracing=True)
    def distances(inputs: Any) -> Any:
        taps = Taps(names.__contains__)
        encoder.run(inputs, taps=taps, whole_last_layer=encoder.every_token)
        states = [taps.values[name] for name in names]
        tokens = tf.reduce_sum(inputs["padding_mask"])
        pairs = list(itertools.pairwise(states))
        if not encoder.every_token:
            pairs[-1] = (tf.gather(states[-2], taps.packing.row[:, 0, 0]), states[-1])
        return [
            tf.reduce_sum((1 - _cosine(tf, a, b))[: tf.minimum(tokens, tf.shape(a)[0])])
            / tf.cast(tf.minimum(tokens, tf.shape(a)[0]), tf.float32)
            for a, b in pairs
        ]

    sums = np.zeros(layers)
    for batch in sorted_batches(rows.lengths, batch_size):
        inputs = rows.padded(batch, int(rows.lengths.max()))
        sums += len(batch) * np.array([float(value) for value in distances(inputs)])
    return sums / len(rows)


def _cosine(tf: Any, a: Any, b: Any) -> Any:
    return tf.reduce_sum(tf.math.l2_normalize(a, -1) * tf.math.l2_normalize(b, -1), -1)
