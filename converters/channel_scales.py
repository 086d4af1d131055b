"""Moves the scale of outlier channels between two layers, so that int8 loses less of the others.

A few activations that are far larger than all others use up the range of an int8 row. Where only a
linear or a ReLU operation stands between two matrices, the scale of a channel can be moved from one
to the other, and the function stays the same: the idea of SmoothQuant (Xiao et al. 2023) and of
cross-layer equalization (Nagel et al. 2019): `balance_channels`. Behind a GELU, or a LayerNorm
whose output is also the residual, the graph multiplies the inputs of the matrix: `input_scales`.
The factors are powers of two, which are exact in float. Activation sizes are estimated from the
weights and the LayerNorm before them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from converters.checkpoint import RELU, Checkpoint

Weights = dict[str, np.ndarray]
Scales = dict[str, npt.NDArray[np.float32]]

_OUTLIER = 8.0
"""A smaller factor is not worth a change."""
_DEVIATIONS = 3.0
"""Standard deviations of an activation that are taken for its largest value."""
_GELU_MINIMUM = 0.17
_HEAD_INPUTS = ("pooler", "token_classifier", "spans", "masked_lm.dense")
"""Dense layers that read the last hidden states."""


def balance_channels(checkpoint: Checkpoint) -> Checkpoint:
    """The same model with the scale of outlier channels spread over two layers.

    Values and attention outputs of every model are balanced, and feed-forward layers of models with
    ReLU. The first layer's values are not where a projection stands before them instead of a
    LayerNorm. A checkpoint without outliers is returned as it is.

    Args:
        checkpoint: a checkpoint, compacted or not.
    """
    if checkpoint.config.is_mobile:
        return checkpoint  # without LayerNorm, the weights do not tell the size of activations
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


def input_scales(checkpoint: Checkpoint) -> Scales:
    """The factors of input channels, where outliers among them would cost int8 its precision.

    The inputs of a matrix are divided by its factors, and its columns are multiplied by them.

    Args:
        checkpoint: a checkpoint after `balance_channels`.

    Returns:
        By the neutral name of a dense layer without `.kernel`, float32 `[inputs]`; only layers with
        outliers. Queries, keys and values of a layer have the same factors.
    """
    if checkpoint.config.is_mobile:
        return {}
    weights: Weights = dict(checkpoint.weights)
    found: Scales = {}

    def add(activations: npt.NDArray[np.float32], *names: str) -> None:
        kernels = [weights[f"{name}.kernel"] for name in names if f"{name}.kernel" in weights]
        kernels = [kernel for kernel in kernels if kernel.size]
        if kernels and kernels[0].shape[1] == len(activations):
            factors = _factors(activations, np.abs(np.concatenate(kernels)).max(0))
            if np.any(factors != 1):
                found.update(dict.fromkeys(names, factors))

    norm = "embeddings.norm"
    for i in range(checkpoint.config.num_layers):
        attention, feed_forward = f"layers.{i}.attention", f"layers.{i}.feed_forward"
        parts = (f"{attention}.{part}" for part in ("query", "key", "value"))
        add(_normalized_sizes(weights, norm), *parts)
        norm = f"{attention}.norm"
        add(_normalized_sizes(weights, norm), f"{feed_forward}.inner")
        if weights[f"{feed_forward}.inner.kernel"].size:
            mean, spread = _moments(weights, norm, f"{feed_forward}.inner")
            # Below zero, GELU has no value below -0.17.
            largest = np.maximum(mean + _DEVIATIONS * spread, _GELU_MINIMUM)
            add(largest, f"{feed_forward}.output")
        norm = f"{feed_forward}.norm"
    for name in _HEAD_INPUTS:
        add(_normalized_sizes(weights, norm), name)
    return found


def _normalized_sizes(weights: Weights, norm: str) -> npt.NDArray[np.float32]:
    """The largest values of the channels behind a LayerNorm."""
    sizes = np.abs(weights[f"{norm}.bias"]) + _DEVIATIONS * np.abs(weights[f"{norm}.scale"])
    return np.asarray(sizes, np.float32)


def _moments(
    weights: Weights, norm: str, dense: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation of the outputs of a dense layer behind a LayerNorm."""
    kernel = weights[f"{dense}.kernel"]
    mean = kernel @ weights[f"{norm}.bias"] + weights[f"{dense}.bias"]
    return mean, np.linalg.norm(kernel * weights[f"{norm}.scale"], axis=1)


def _balance(weights: Weights, norm: str, first: str, second: str) -> bool:
    """Balances the channels between two matrices. Returns whether anything changed."""
    kernel, bias = weights[f"{first}.kernel"], weights[f"{first}.bias"]
    output = weights[f"{second}.kernel"]
    if not kernel.size or not output.size:
        return False
    mean, spread = _moments(weights, norm, first)
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
