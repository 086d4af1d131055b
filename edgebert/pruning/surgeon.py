"""Which columns of an output kernel can go at what price, and what the others then make up for.

The optimal brain surgeon (Hassibi and Stork 1993) on whole columns: a head is a group of columns of
the attention's output kernel, a neuron one column of the feed-forward's. Under the quadratic model
of `Curvature`, which the room of that name measures, the price of a group and the best change of
all other columns have closed forms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ATTENTION, FEED_FORWARD = "attention.output", "feed_forward.output"
SUBLAYERS = (ATTENTION, FEED_FORWARD)
"""The output kernels of a layer, by the end of their neutral names."""
DAMPING = 1e-2
"""Added to the diagonal of the inputs' second moment, as a share of its mean."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curvature:
    """The statistics of one output kernel `[hidden, width]`.

    Attributes:
        inputs: mean over tokens of `a a^T`, where `a` is what the kernel reads with a 1 at its end
            for the bias: float64 `[width + 1, width + 1]`.
        gradients: mean over texts of the sum over tokens of `g g^T`, where `g` is the gradient of
            the loss at the kernel's output: float64 `[hidden, hidden]`.
    """

    inputs: npt.NDArray[np.float64]
    gradients: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Removal:
    """In which order the groups of a sublayer go.

    Attributes:
        order: group numbers, the first to go first: int64 `[groups]`.
        price: what the loss rises by, to second order, when so many groups are gone: float64
            `[groups + 1]`, from 0, never falling.
    """

    order: npt.NDArray[np.int64]
    price: Floats


def removal(
    kernel: np.ndarray, bias: np.ndarray, curvature: Curvature, size: int, at_once: int
) -> Removal:
    """Takes groups out one after the other, always the cheapest.

    Args:
        kernel: `[hidden, width]`.
        bias: `[hidden]`.
        curvature: of this kernel.
        size: columns of a group.
        at_once: groups that go between two looks at the prices.
    """
    weights = np.concatenate([kernel, bias[:, None]], 1).astype(np.float64)
    inverse: Floats = np.asarray(np.linalg.inv(_damped(curvature.inputs)), np.float64)
    left = np.arange(kernel.shape[1] // size)
    order: list[int] = []
    price = [0.0]
    while len(left):
        prices = _prices(weights, inverse, curvature.gradients, size, len(left))
        chosen = np.argsort(prices, kind="stable")[:at_once]
        order += list(left[chosen])
        price += list(price[-1] + np.cumsum(prices[chosen]))
        gone = (chosen[:, None] * size + np.arange(size)).ravel()
        stays = np.setdiff1d(np.arange(weights.shape[1]), gone)
        factor = np.linalg.solve(inverse[np.ix_(gone, gone)], inverse[np.ix_(gone, stays)])
        weights = weights[:, stays] - weights[:, gone] @ factor
        inverse = inverse[np.ix_(stays, stays)] - inverse[np.ix_(stays, gone)] @ factor
        left = np.delete(left, chosen)
    return Removal(np.array(order, np.int64), np.array(price))


def _prices(weights: Floats, inverse: Floats, gradients: Floats, size: int, groups: int) -> Floats:
    """Half the rise of the quadratic loss when one group goes and the others make up for it."""
    width = groups * size
    columns = weights[:, :width]
    if size == 1:
        energy = np.einsum("hw,hw->w", columns, gradients @ columns)
        return 0.5 * np.maximum(energy, 0) / np.diagonal(inverse)[:width]
    blocks = columns.reshape(len(columns), groups, size).transpose(1, 0, 2)
    energy = blocks.transpose(0, 2, 1) @ (gradients @ blocks)
    places = np.arange(width).reshape(groups, size)
    own = inverse[places[:, :, None], places[:, None, :]]
    return 0.5 * np.maximum(np.trace(np.linalg.solve(own, energy), axis1=1, axis2=2), 0)


def refitted(
    kernel: np.ndarray, bias: np.ndarray, curvature: Curvature, kept: npt.NDArray[np.bool_]
) -> tuple[np.ndarray, np.ndarray]:
    """The kernel with zeros in the columns that go, and the others fitted to what it gave before.

    Least squares over the calibration text (with `DAMPING`, which holds columns where they were).

    Args:
        kernel: `[hidden, width]`.
        bias: `[hidden]`.
        curvature: of this kernel.
        kept: `[width]`.

    Returns:
        the new kernel and bias, float32.
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
