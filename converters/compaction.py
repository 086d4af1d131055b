"""Cuts out of a checkpoint what is structurally zero: attention heads and feed-forward neurons.

A pruned model keeps its shape for training and for `transformers`; its `.tflite` need not. What is
cut here adds nothing to any output, so the result is the same up to the order of additions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converters.checkpoint import Checkpoint


@dataclass(frozen=True)
class LayerWidth:
    """What is left of a layer."""

    heads: int
    neurons: int


def compact(checkpoint: Checkpoint) -> Checkpoint:
    """The same function with narrower layers; `checkpoint` itself where nothing is zero.

    A head is cut where its columns of the output projection are zero, or its values and their
    biases. A neuron is cut where its column of the output kernel is zero, or its inputs and bias
    (every activation that a BERT has gives 0 for 0).
    """
    weights = dict(checkpoint.weights)
    for i in range(checkpoint.config.num_layers):
        _cut_heads(weights, f"layers.{i}.attention", checkpoint.config.head_size)
        _cut_neurons(weights, f"layers.{i}.feed_forward")
    changed = any(weights[name] is not checkpoint.weights[name] for name in weights)
    return checkpoint.with_weights(weights) if changed else checkpoint


def layer_widths(checkpoint: Checkpoint) -> tuple[LayerWidth, ...]:
    """Heads and neurons of every layer, read off the arrays."""
    weights, size = checkpoint.weights, checkpoint.config.head_size
    return tuple(
        LayerWidth(
            weights[f"layers.{i}.attention.query.kernel"].shape[0] // size,
            weights[f"layers.{i}.feed_forward.inner.kernel"].shape[0],
        )
        for i in range(checkpoint.config.num_layers)
    )


def _cut_heads(weights: dict[str, np.ndarray], name: str, size: int) -> None:
    output = weights[f"{name}.output.kernel"]
    value, bias = weights[f"{name}.value.kernel"], weights[f"{name}.value.bias"]
    used_output = output.any(axis=0).reshape(-1, size).any(axis=1)
    used_value = (value.any(axis=1) | (bias != 0)).reshape(-1, size).any(axis=1)
    rows = np.repeat(used_output & used_value, size)
    if rows.all():
        return
    for part in ("query", "key", "value"):
        weights[f"{name}.{part}.kernel"] = weights[f"{name}.{part}.kernel"][rows]
        weights[f"{name}.{part}.bias"] = weights[f"{name}.{part}.bias"][rows]
    weights[f"{name}.output.kernel"] = output[:, rows]


def _cut_neurons(weights: dict[str, np.ndarray], name: str) -> None:
    inner, bias = weights[f"{name}.inner.kernel"], weights[f"{name}.inner.bias"]
    output = weights[f"{name}.output.kernel"]
    used = output.any(axis=0) & (inner.any(axis=1) | (bias != 0))
    if used.all():
        return
    weights[f"{name}.inner.kernel"], weights[f"{name}.inner.bias"] = inner[used], bias[used]
    weights[f"{name}.output.kernel"] = output[:, used]
