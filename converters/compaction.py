"""Removes pruned heads and neurons from a checkpoint, and restores them as zeros.

A pruned model keeps its shape for `transformers` and keras-hub, with zeros for the pruned parts.
Training and the `.tflite` do not need these: `compact` returns the same function with narrower
layers (equal up to the order of additions), and `expand` is its inverse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.checkpoint import Checkpoint


@dataclass(frozen=True)
class LayerWidth:
    """The number of heads and neurons of a layer."""

    heads: int
    neurons: int


@dataclass(frozen=True)
class LayerStructure:
    """The heads and neurons of a layer that are not pruned.

    Attributes:
        heads: bool `[heads]`, True for heads to keep.
        neurons: bool `[neurons]` of the feed-forward layer, True for neurons to keep.
        head_size: size of a head.
    """

    heads: npt.NDArray[np.bool_]
    neurons: npt.NDArray[np.bool_]
    head_size: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is pruned."""
        return bool(self.heads.all() and self.neurons.all())

    def axes(self) -> Iterator[tuple[str, int, npt.NDArray[np.bool_]]]:
        """Yields name in the layer, axis and kept indexes (bool) of each affected array."""
        columns = np.repeat(self.heads, self.head_size)
        for part in ("query", "key", "value"):
            yield f"attention.{part}.kernel", 0, columns
            yield f"attention.{part}.bias", 0, columns
        yield "attention.output.kernel", 1, columns
        yield "feed_forward.inner.kernel", 0, self.neurons
        yield "feed_forward.inner.bias", 0, self.neurons
        yield "feed_forward.output.kernel", 1, self.neurons


def structure(checkpoint: Checkpoint) -> tuple[LayerStructure, ...]:
    """Finds the pruned heads and neurons of each layer.

    A head is pruned if its columns of the output projection are zero, or its rows of the value
    projection and their biases. A neuron is pruned if its column of the output kernel is zero, or
    its input weights and its bias (all activations of a BERT map 0 to 0).
    """
    size = checkpoint.config.head_size
    return tuple(
        LayerStructure(
            _used_heads(checkpoint.weights, f"layers.{i}.attention", size),
            _used_neurons(checkpoint.weights, f"layers.{i}.feed_forward"),
            size,
        )
        for i in range(checkpoint.config.num_layers)
    )


def compact(checkpoint: Checkpoint) -> Checkpoint:
    """The same function with narrower layers; `checkpoint` itself if nothing is pruned."""
    weights = dict(checkpoint.weights)
    for i, layer in enumerate(structure(checkpoint)):
        if layer.is_whole:
            continue
        for part, axis, kept in layer.axes():
            name = f"layers.{i}.{part}"
            weights[name] = np.compress(kept, weights[name], axis)
    changed = any(weights[name] is not checkpoint.weights[name] for name in weights)
    return checkpoint.with_weights(weights) if changed else checkpoint


def expand(narrow: Mapping[str, np.ndarray], like: Checkpoint) -> dict[str, np.ndarray]:
    """The inverse of `compact`: fills the pruned parts of `like` with zeros.

    Args:
        narrow: compact arrays by neutral name; arrays of width 0 may be missing.
        like: the checkpoint before `compact`.
    """
    weights = dict(narrow)
    for i, layer in enumerate(structure(like)):
        if layer.is_whole:
            continue
        for part, axis, kept in layer.axes():
            name = f"layers.{i}.{part}"
            whole = np.zeros(like.weights[name].shape, np.float32)
            if kept.any():
                where = (slice(None),) * axis + (kept,)
                whole[where] = narrow[name]
            weights[name] = whole
    return weights


def layer_widths(checkpoint: Checkpoint) -> tuple[LayerWidth, ...]:
    """The number of kept heads and neurons of each layer."""
    return tuple(
        LayerWidth(int(layer.heads.sum()), int(layer.neurons.sum()))
        for layer in structure(checkpoint)
    )


def _used_heads(weights: Mapping[str, np.ndarray], name: str, size: int) -> npt.NDArray[np.bool_]:
    output = weights[f"{name}.output.kernel"]
    value, bias = weights[f"{name}.value.kernel"], weights[f"{name}.value.bias"]
    used_output = output.any(axis=0).reshape(-1, size).any(axis=1)
    used_value = (value.any(axis=1) | (bias != 0)).reshape(-1, size).any(axis=1)
    return used_output & used_value


def _used_neurons(weights: Mapping[str, np.ndarray], name: str) -> npt.NDArray[np.bool_]:
    inner, bias = weights[f"{name}.inner.kernel"], weights[f"{name}.inner.bias"]
    return weights[f"{name}.output.kernel"].any(axis=0) & (inner.any(axis=1) | (bias != 0))
