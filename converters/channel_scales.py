"""Moves the scale of outlier channels between two layers, so that int8 loses less of the others.

A few activations that are far larger than all others use up the range of an int8 row. Where only a
linear or a ReLU operation stands between two matrices, the scale of a channel can be moved from one
to the other, and the function stays the same: the idea of SmoothQuant (Xiao et al. 2023) and of
cross-layer equalization (Nagel et al. 2019). The factors are powers of two, which are exact in
float. Activation sizes are estimated from the weights and the LayerNorm before them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from converters.checkpoint import RELU, Checkpoint

Weights = dict[str, np.ndarray]

_OUTLIER = 8.0
"""A smaller factor is not worth a change."""
_DEVIATIONS = 3.0
"""Standard deviations of an activation that are taken for its largest value."""


def balance_channels(checkpoint: Checkpoint) -> Checkpoint:
    """The same model with the scale of outlier channels spread over two layers.

    Values and attention outputs of every model are balanced, and feed-forward layers of models with
    ReLU. The first layer's values are not where a projection stands before them instead of a
    LayerNorm. A checkpoint without outliers is returned as it is.

    Args:
        checkpoint: a checkpoint, compacted or not.
    """
    weights: Weights = dict(checkpoint.weights)
    changed = False
    for i in range(checkpoint.config.num_layers):
        layer = f"layers.{i}"
        pairs = []
        if i or not checkpoint.config.embedding_size:
            before = f"layers.{i - 1}.feed_forward.norm" if i else "embeddings.norm"
            pairs.append((before, f"{layer}.attention.value", f"{layer}.attention.output"))
        if checkpoint.config.activation == RELU:
            feed_forward = f"{layer}.feed_forward"
            pairs.append(
                (f"{layer}.attention.norm", f"{feed_forward}.inner", f"{feed_forward}.output")
            )
        for norm, first, second in pairs:
            changed |= _balance(weights, norm, first, second)
    return checkpoint.with_weights(weights) if changed else checkpoint


def _balance(weights: Weights, norm: str, first: str, second: str) -> bool:
    """Balances the channels between two matrices. Returns whether anything changed."""
    kernel, bias = weights[f"{first}.kernel"], weights[f"{first}.bias"]
    output = weights[f"{second}.kernel"]
    if not kernel.size or not output.size:
        return False
    spread = np.linalg.norm(kernel * weights[f"{norm}.scale"], axis=1)
    mean = kernel @ weights[f"{norm}.bias"] + bias
    factors = _factors(np.abs(mean) + _DEVIATIONS * spread, np.abs(output).max(0))
    if np.all(factors == 1):
        return False
    weights[f"{first}.kernel"] = kernel / factors[:, None]
    weights[f"{first}.bias"] = bias / factors
    weights[f"{second}.kernel"] = output * factors
    return True


def _factors(
    activations: npt.NDArray[np.float32], columns: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """The divisor of each channel in the first matrix, a power of two; 1 without an outlier."""
    used = (activations > 0) & (columns > 0)
    factors = np.ones(len(activations), np.float32)
    if not used.any():
        return factors
    large = activations[used] / np.median(activations[used])
    heavy = columns[used] / np.median(columns[used])
    wanted = np.sqrt(large / heavy)
    is_outlier = (wanted > _OUTLIER) | (wanted < 1 / _OUTLIER)
    factors[used] = np.where(is_outlier, np.exp2(np.round(np.log2(wanted))), 1)
    return factors
