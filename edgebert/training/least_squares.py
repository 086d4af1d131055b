"""Least squares from sums over calibration text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_SMALL = 1e-12


@dataclass
class Moments:
    """The sums from which a linear fit `y = kernel x + bias` follows.

    Attributes:
        inputs: Weighted sum of `x x^T` with a 1 at the end of x, float64
            `[inputs + 1, inputs + 1]`.
        products: Weighted sum of `x y^T`, float64 `[inputs + 1, outputs]`.
    """

    inputs: Floats
    products: Floats

    @classmethod
    def of(cls, inputs: int, outputs: int) -> Moments:
        """Empty sums."""
        return cls(np.zeros((inputs + 1, inputs + 1)), np.zeros((inputs + 1, outputs)))

    def add(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], weights: Floats) -> None:
        """Adds rows.

        Args:
            x: `[rows, inputs]`.
            y: `[rows, outputs]`.
            weights: `[rows]`.
        """
        extended = np.concatenate([x, np.ones((len(x), 1), np.float32)], 1)
        weighted = extended * weights[:, None].astype(np.float32)
        self.inputs += weighted.T @ extended
        self.products += weighted.T @ y

    def without_bias(self) -> Moments:
        """The sums of a fit whose bias is 0: the constant input is always 0."""
        inputs, products = self.inputs.copy(), self.products.copy()
        inputs[-1], inputs[:, -1], products[-1] = 0, 0, 0
        return Moments(inputs, products)

    def solve(
        self, damping: float, near: tuple[np.ndarray, np.ndarray] | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The fit.

        Args:
            damping: Weight of the squared kernel (or of its change), as a share of the mean of the
                inputs' squares.
            near: A kernel and a bias from which the fit departs as little as possible; None is 0.

        Returns:
            The kernel `[outputs, inputs]` and the bias `[outputs]`, float32.
        """
        size = len(self.inputs)
        ridge = np.full(size, damping * np.trace(self.inputs) / size + _SMALL)
        if near is None:
            ridge[-1] = _SMALL
        wanted = self.products
        if near is not None:
            start = np.concatenate([near[0], near[1][:, None]], 1).T.astype(np.float64)
            wanted = wanted + ridge[:, None] * start
        fitted = np.linalg.solve(self.inputs + np.diag(ridge), wanted).T
        return fitted[:, :-1].astype(np.float32), fitted[:, -1].astype(np.float32)


def fit_gain(
    parts: Iterable[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Floats]],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The gain and bias of each channel that fit `y = gain x + bias`: two float32 `[channels]`.

    Args:
        parts: x and y, each `[rows, channels]`, and weights `[rows]`.
    """
    sums: Any = 0
    for x, y, weights in parts:
        x64, y64, rows = x.astype(np.float64), y.astype(np.float64), weights[:, None]
        terms = (x64 * 0 + 1, x64, y64, x64 * x64, x64 * y64)
        sums = sums + np.stack([(rows * term).sum(0) for term in terms])
    mean_x, mean_y, mean_xx, mean_xy = sums[1:] / sums[0]
    spread = np.maximum(mean_xx - mean_x**2, _SMALL)
    gain = (mean_xy - mean_x * mean_y) / spread
    return gain.astype(np.float32), (mean_y - gain * mean_x).astype(np.float32)
