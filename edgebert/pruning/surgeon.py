"""The loss increase of removing columns of an output kernel, and the best update of the others.

The optimal brain surgeon (Hassibi and Stork 1993) on whole columns: an attention head is a group of
columns of the attention's output kernel, a neuron is one column of the feed-forward's. The loss is
approximated to second order with the statistics of `Curvature`, which `curvature` measures.

The algebra. A change D of the kernel W `[hidden, width]` changes the loss by

    0.5 * trace(G D A D^T)

with A `[width, width]` the second moment of the kernel's inputs (damped) and G `[hidden, hidden]`
that of the gradients at its output. Removing the columns q means D_q = -W_q. The best change of the
other columns, and the loss increase with it, are

    D = -W_q (B_qq)^-1 B_q      loss increase = 0.5 * trace(W_q^T G W_q (B_qq)^-1)

with B = A^-1 and B_q its rows q. For a single column (a neuron) the trace is a division:
0.5 * (w^T G w) / B_qq.

Example: one output with G = 1, two inputs with the kernel W = [2, 1] and the second moments
A = [[1, 0.5], [0.5, 1]], so B = [[4/3, -2/3], [-2/3, 4/3]].

- Removing column 0 increases the loss by 0.5 * 2^2 / (4/3) = 1.5, column 1 by 0.375.
- Column 1 is cheaper. The other column becomes 2 - 1 * (-2/3) / (4/3) = 2.5: the inputs are
  correlated, so column 0 takes over a part of column 1. Unchanged, it would increase the loss by
  0.5 * 1^2 * A_11 = 0.5 in place of 0.375.
- After the removal, B of the remaining column is 4/3 - (-2/3)^2 / (4/3) = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ATTENTION, FEED_FORWARD = "attention.output", "feed_forward.output"
SUBLAYERS = (ATTENTION, FEED_FORWARD)
"""The output kernels of a layer, as the last parts of their neutral names."""
DAMPING = 1e-2
"""Added to the diagonal of the inputs' second moment, as a share of its mean."""
_FEWEST_LEFT = 0.75
"""Removed columns are cut out of the matrices once fewer than this share is left: a copy of a large
matrix costs as much as several removals."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curvature:
    """The second-order statistics of one output kernel `[hidden, width]`.

    Attributes:
        inputs: Mean over the tokens of `a a^T`, float64 `[width + 1, width + 1]`. `a` is the
            kernel's input with a 1 at its end, which stands for the bias.
        gradients: Mean over the texts of the sum over tokens of `g g^T`, float64
            `[hidden, hidden]`. `g` is the gradient of the loss at the kernel's output.
    """

    inputs: Floats
    gradients: Floats

    @property
    def arrays(self) -> tuple[Floats, Floats]:
        """Both arrays."""
        return self.inputs, self.gradients


@dataclass(frozen=True)
class Removal:
    """The order in which the groups of a sublayer are removed.

    Attributes:
        order: Group numbers, the first to remove first, int64 `[groups]`.
        loss_increase: Increase of the loss, to second order, by the number of removed groups:
            float64 `[groups + 1]`, from 0, never falling.
    """

    order: npt.NDArray[np.int64]
    loss_increase: Floats


def order_removal(
    kernel: np.ndarray, bias: np.ndarray, curvature: Curvature, *, size: int, at_once: int
) -> Removal:
    """Removes all groups, always those with the smallest loss increase first.

    Args:
        kernel: `[hidden, width]`.
        bias: `[hidden]`.
        curvature: The statistics of this kernel.
        size: Columns of a group.
        at_once: Groups to remove between two estimates of the loss increases.
    """
    weights = np.concatenate([kernel, bias[:, None]], 1).astype(np.float64)
    pulled: Floats = curvature.gradients @ weights  # G W, which changes with W
    inverse: Floats = np.asarray(np.linalg.inv(_damped(curvature.inputs)), np.float64)
    groups = np.arange(kernel.shape[1] // size)
    left = np.ones(len(groups), np.bool_)
    order: list[int] = []
    loss_increase = [0.0]
    while left.any():
        increases = np.where(left, _loss_increases(weights, pulled, inverse, size), np.inf)
        chosen = np.argsort(increases, kind="stable")[: min(at_once, int(left.sum()))]
        order += list(groups[chosen])
        loss_increase += list(loss_increase[-1] + np.cumsum(increases[chosen]))
        gone = (chosen[:, None] * size + np.arange(size)).ravel()
        # The update of the module's docstring, and the inverse of the remaining A by the Schur
        # complement.
        factor = np.linalg.solve(inverse[np.ix_(gone, gone)], inverse[gone])
        weights -= weights[:, gone] @ factor
        pulled -= pulled[:, gone] @ factor
        inverse -= inverse[:, gone] @ factor
        left[chosen] = False
        if size > 1 or left.mean() < _FEWEST_LEFT:
            stays = np.append(np.repeat(left, size), True)  # the last column is the bias
            weights, pulled = weights[:, stays], pulled[:, stays]
            inverse = inverse[np.ix_(stays, stays)]
            groups, left = groups[left], left[left]
        else:
            inverse[gone, gone] = 1  # not 0, which nothing can be divided by
    return Removal(np.array(order, np.int64), np.array(loss_increase))


def _loss_increases(weights: Floats, pulled: Floats, inverse: Floats, size: int) -> Floats:
    """The loss increase of removing each group alone: float64 `[groups]`."""
    width = weights.shape[1] - 1
    columns, pulled = weights[:, :width], pulled[:, :width]
    if size == 1:
        energy = np.einsum("hw,hw->w", columns, pulled)
        return 0.5 * np.maximum(energy, 0) / np.diagonal(inverse)[:width]
    groups = width // size
    blocks, pulled_blocks = (
        each.reshape(len(each), groups, size).transpose(1, 0, 2) for each in (columns, pulled)
    )
    energy = blocks.transpose(0, 2, 1) @ pulled_blocks
    places = np.arange(width).reshape(groups, size)
    own = inverse[places[:, :, None], places[:, None, :]]
    return 0.5 * np.maximum(np.trace(np.linalg.solve(own, energy), axis1=1, axis2=2), 0)


def refit(
    kernel: np.ndarray, bias: np.ndarray, curvature: Curvature, kept: npt.NDArray[np.bool_]
) -> tuple[np.ndarray, np.ndarray]:
    """Sets the removed columns to zero and refits the others to the kernel's former output.

    This is the least-squares fit over the calibration text. `DAMPING` keeps columns close to their
    former values.

    Args:
        kernel: `[hidden, width]`.
        bias: `[hidden]`.
        curvature: The statistics of this kernel.
        kept: Columns to keep, bool `[width]`.

    Returns:
        The new kernel and bias, float32.
    """
    weights = np.concatenate([kernel, bias[:, None]], 1).astype(np.float64)
    stays = np.flatnonzero(np.append(kept, True))
    moment = _damped(curvature.inputs)
    fitted = np.linalg.solve(moment[np.ix_(stays, stays)], moment[stays] @ weights.T).T
    result = np.zeros_like(weights)
    result[:, stays] = fitted
    return result[:, :-1].astype(np.float32), result[:, -1].astype(np.float32)


def _damped(moment: Floats) -> Floats:
    return moment + np.eye(len(moment)) * (DAMPING * np.trace(moment) / len(moment))
