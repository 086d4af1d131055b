"""The sentence head of the inference graph: one vector out of the encoder's rows.

Poolings but `cls` and `max` are a product of a row of weights, one a token, with the encoder's
rows, so that padding is left out by its weight of 0 and no operator needs the length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from converters.tflite.graph_activations import activate
from converters.tflite.subgraph_builder import DYNAMIC, Constant, SubgraphBuilder, Tensor

if TYPE_CHECKING:
    from converters.tflite.inference_graph import Layout

_SMALLEST_SQUARE = 1e-24
"""Added to a vector's squared length before it is divided by: PyTorch's limit of 1e-12, squared."""
_UNDER_ALL = 1e9
"""Taken off the numbers of padding before the largest is sought."""


class Mask(NamedTuple):
    """Which columns of a signature are tokens; the others, behind them, are padding.

    Attributes:
        tokens: 1 for a token, 0 for padding, int32 `[1, length]`: the input.
        present: the same, float32 `[1, 1, length]`.
        bias: 0 for a token, far below any score for padding, float32 `[1, 1, length]`.
    """

    tokens: Tensor
    present: Tensor
    bias: Tensor


def sentence_vector(
    layout: Layout, sub: SubgraphBuilder, x: Tensor, mask: Mask, length: int, name: str
) -> Tensor:
    """Pools, and applies the dense layers and the normalization of a sentence head.

    Args:
        layout: the constants of the checkpoint, which has a sentence head.
        sub: the signature.
        x: the encoder's rows `[length, hidden_size]`, or the first alone for `cls` pooling.
        mask: of the signature.
        length: of the signature, in tokens.
        name: of the vector.

    Returns:
        the vector, float32 `[1, size]`.
    """
    head = layout.sentence
    assert head is not None
    pooled = _Pooling(layout, sub, x, mask, length).all_of(head.pooling)
    for i, activation in enumerate(head.activations):
        part = f"sentence/dense_{i}"
        pooled = layout.dense(sub, pooled, f"sentence.dense.{i}", part)
        pooled = activate(sub, pooled, activation, f"{part}/activation")
    if not head.normalize:
        return sub.reshape(pooled, list(pooled.shape), pooled.shape, name)
    squares = sub.sum(sub.mul(pooled, pooled, "sentence/squares"), 1, "sentence/squared_length")
    smallest = layout.storage.vector("sentence/smallest_square", _SMALLEST_SQUARE)
    inverse = sub.rsqrt(sub.add(squares, smallest, "sentence/stable"), "sentence/inverse_length")
    return sub.mul(pooled, inverse, name)


class _Pooling:
    """The poolings over one signature's rows; what several of them need is computed once."""

    def __init__(
        self, layout: Layout, sub: SubgraphBuilder, x: Tensor, mask: Mask, length: int
    ) -> None:
        self.layout, self.sub, self.length = layout, sub, length
        self.x, self.present, self.mask = x, mask.present, mask
        self.hidden = x.shape[1]
        self._known: dict[str, Tensor] = {}

    def all_of(self, poolings: tuple[str, ...]) -> Tensor:
        """The poolings side by side, `[1, poolings * hidden_size]`."""
        x, *others = [getattr(self, f"_{pooling}")() for pooling in poolings]
        for other in others:
            # Two at a time: XNNPACK takes a few tensors only.
            x = self.sub.concatenation([x, other], 1, f"sentence/first_{x.shape[1]}_and_next")
        return x

    def _cls(self) -> Tensor:
        if self.layout.sentence and self.layout.sentence.pooling == ("cls",):
            return self.x
        size = [1, self.hidden]
        return self.sub.slice(self.x, [0, 0], size, size, "sentence/cls")

    def _max(self) -> Tensor:
        one = self.layout.storage.vector("mask/one", 1.0)
        column = self.sub.reshape(self.present, [-1, 1], [self.length, 1], "sentence/present")
        absent = self.sub.sub(column, one, "sentence/minus_absent")
        far = self.layout.storage.vector("sentence/under_all", _UNDER_ALL)
        rows = self.sub.add(self.x, self.sub.mul(absent, far, "sentence/under"), "sentence/there")
        return self.sub.reduce_max(rows, 0, "sentence/max")

    def _mean(self) -> Tensor:
        weights = self.sub.div(self.present, self._tokens(), "sentence/mean/weights")
        return self._weighted(weights, "sentence/mean")

    def _mean_sqrt_len(self) -> Tensor:
        inverse = self.sub.rsqrt(self._tokens(), "sentence/mean_sqrt_len/inverse")
        weights = self.sub.mul(self.present, inverse, "sentence/mean_sqrt_len/weights")
        return self._weighted(weights, "sentence/mean_sqrt_len")

    def _weighted_mean(self) -> Tensor:
        places = self._places()
        total = self.sub.sum(places, 2, "sentence/weighted_mean/total")
        weights = self.sub.div(places, total, "sentence/weighted_mean/weights")
        return self._weighted(weights, "sentence/weighted_mean")

    def _last(self) -> Tensor:
        """Place minus (tokens minus 1) is 1 for the last token, and 0 or less for all others."""
        one = self.layout.storage.vector("mask/one", 1.0)
        before = self.sub.sub(self._tokens(), one, "sentence/last/before")
        weights = self.sub.relu(
            self.sub.sub(self._places(), before, "sentence/last/from_there"),
            "sentence/last/weights",
        )
        return self._weighted(weights, "sentence/last")

    def _tokens(self) -> Tensor:
        """How many tokens there are, float32 `[1, 1, 1]`."""
        if "tokens" not in self._known:
            self._known["tokens"] = self.sub.sum(self.present, 2, "sentence/tokens")
        return self._known["tokens"]

    def _places(self) -> Tensor:
        """1 for the first token, 2 for the second, 0 for padding, float32 `[1, 1, length]`."""
        if "places" not in self._known:
            self._known["places"] = self.sub.mul(self.present, self._numbers(), "sentence/places")
        return self._known["places"]

    def _numbers(self) -> Tensor | Constant:
        """1, 2, 3 and so on, at least where there are tokens, float32 `[1, 1, length]`."""
        if self.length != DYNAMIC:
            numbers = np.arange(1, self.length + 1, dtype=np.float32)[None, None]
            return self.layout.graph.constant(f"sentence/numbers_{self.length}", numbers)
        flat = self.sub.reshape(self.mask.tokens, [-1], [self.length], "sentence/mask")
        before = self.sub.cumsum(flat, "sentence/tokens_before")
        row = self.sub.reshape(before, [1, 1, -1], [1, 1, self.length], "sentence/before_row")
        one = self.layout.storage.vector("mask/one", 1.0)
        return self.sub.add(
            self.sub.cast(row, np.float32, "sentence/before"), one, "sentence/numbers"
        )

    def _weighted(self, weights: Tensor, name: str) -> Tensor:
        if "rows" not in self._known:
            shape = [1, self.length, self.hidden]
            self._known["rows"] = self.sub.reshape(
                self.x, [1, -1, self.hidden], shape, "sentence/rows"
            )
        sums = self.sub.batch_matmul(weights, self._known["rows"], [1, 1, self.hidden], name)
        return self.sub.reshape(sums, [1, self.hidden], [1, self.hidden], f"{name}/flat")
