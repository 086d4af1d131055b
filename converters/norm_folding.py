"""Folds the NoNorms of a MobileBERT into the dense layers before them, where that is exact.

NoNorm multiplies each feature by a factor and adds a summand (Sun et al. 2020, 3.3). After a dense
layer alone, both are part of that layer: `(W x + c) s + b = (s W) x + (s c + b)`. The same holds
for a sum of dense layers and tables that nothing else reads:

- the embeddings: the projection, the positions and the segments;
- the two input bottlenecks of a layer;
- the attention's result: its residual is the input bottleneck, which only this sum reads.

The residuals of the feed-forward networks and of the output bottleneck are read elsewhere, too, so
their NoNorms stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.checkpoint import Checkpoint

Weights = dict[str, np.ndarray]


def fold_norms(checkpoint: Checkpoint) -> Checkpoint:
    """The same function with NoNorms that are the identity (factor 1, summand 0) where possible.

    A model that is no MobileBERT is returned as it is.
    """
    if not checkpoint.config.is_mobile:
        return checkpoint
    weights: Weights = dict(checkpoint.weights)
    tables = ("embeddings.position", "embeddings.segment")
    _fold(weights, "embeddings.norm", ["embeddings.projection"], tables)
    for i in range(checkpoint.config.num_layers):
        layer = f"layers.{i}"
        narrowed = f"{layer}.bottleneck.input"
        for name in (narrowed, f"{layer}.bottleneck.attention"):
            _fold(weights, f"{name}.norm", [name])
        _fold(weights, f"{layer}.attention.norm", [f"{layer}.attention.output", narrowed])
    return checkpoint.with_weights(weights)


def _fold(
    weights: Weights, norm: str, dense_layers: Sequence[str], tables: Sequence[str] = ()
) -> None:
    """Folds one NoNorm into the terms of the sum that it reads; the first gets the summand."""
    scale, summand = weights[f"{norm}.scale"], weights[f"{norm}.bias"]
    for name in dense_layers:
        weights[f"{name}.kernel"] = weights[f"{name}.kernel"] * scale[:, None]
        weights[f"{name}.bias"] = weights[f"{name}.bias"] * scale + summand
        summand = np.zeros_like(summand)
    for name in tables:
        weights[name] = weights[name] * scale
    weights[f"{norm}.scale"], weights[f"{norm}.bias"] = np.ones_like(scale), np.zeros_like(scale)
