"""The sentence head of the inference graph: one vector from the encoder's rows.

All poolings except `cls` and `max` are a product of a row of weights, one per token, with the
encoder's rows. Padding has weight 0, and no operator needs the length.
"""

from __future__ import annotations

import numpy as np

from converters.tflite.encoder_graph import EncoderSignature, Mask
from converters.tflite.graph_activations import activate
from converters.tflite.model_tables import Constant
from converters.tflite.subgraph_builder import DYNAMIC, Tensor

_SMALLEST_SQUARE = 1e-24
"""Added to a vector's squared length before the division: PyTorch's limit of 1e-12, squared."""
_BELOW_ALL = 1e9
"""Subtracted from the rows of padding before the maximum."""


def sentence_vector(signature: EncoderSignature, x: Tensor, mask: Mask, name: str) -> Tensor:
    """Pooling, dense layers and normalization of a sentence head.

    Args:
        signature: what the head is added to; its checkpoint has a sentence head.
        x: the encoder's rows `[length, hidden_size]`, or the first alone for `cls` pooling.
        mask: of the signature.
        name: of the vector.

    Returns:
        The vector, float32 `[1, size]`.
    """
    sub, head = signature.sub, signature.graph.checkpoint.sentence
    assert head is not None
    pooled = _Pooling(signature, x, mask).concatenated(head.pooling)
    for i, activation in enumerate(head.activations):
        part = f"sentence/dense_{i}"
        pooled = signature.dense(pooled, f"sentence.dense.{i}", part)
        pooled = activate(sub, pooled, activation, f"{part}/activation")
    if head.dimensions:
        if head.normalize_before_cut:
            pooled = _normalized(signature, pooled, "sentence/whole")
        size = [1, head.dimensions]
        pooled = sub.slice(pooled, [0, 0], size, size, "sentence/cut")
    if not head.normalize:
        return sub.reshape(pooled, list(pooled.shape), pooled.shape, name)
    return _normalized(signature, pooled, name)


def _normalized(signature: EncoderSignature, vector: Tensor, name: str) -> Tensor:
    """The vector with length 1."""
    sub, part = signature.sub, name if "/" in name else "sentence"
    squares = sub.sum(sub.mul(vector, vector, f"{part}/squares"), 1, f"{part}/squared_length")
    smallest = signature.graph.storage.vector("sentence/smallest_square", _SMALLEST_SQUARE)
    inverse = sub.rsqrt(sub.add(squares, smallest, f"{part}/stable"), f"{part}/inverse_length")
    return sub.mul(vector, inverse, name)


class _Pooling:
    """The poolings over one signature's rows; tensors that several poolings read are made once."""

    def __init__(self, signature: EncoderSignature, x: Tensor, mask: Mask) -> None:
        self.signature, self.sub, self.length = signature, signature.sub, signature.length
        self.x, self.present, self.mask = x, mask.present, mask
        self.hidden = x.shape[1]
        self._shared: dict[str, Tensor] = {}

    def concatenated(self, poolings: tuple[str, ...]) -> Tensor:
        """The poolings side by side, `[1, poolings * hidden_size]`."""
        x, *others = [getattr(self, f"_{pooling}")() for pooling in poolings]
        for other in others:
            # XNNPACK's CONCATENATION takes a few tensors only.
            x = self.sub.concatenation([x, other], 1, f"sentence/first_{x.shape[1]}_and_next")
        return x

    def _number(self, name: str, value: float) -> Constant:
        return self.signature.graph.storage.vector(name, value)

    def _cls(self) -> Tensor:
        sentence = self.signature.graph.checkpoint.sentence
        if sentence and sentence.pooling == ("cls",):
            return self.x
        size = [1, self.hidden]
        return self.sub.slice(self.x, [0, 0], size, size, "sentence/cls")

    def _max(self) -> Tensor:
        one = self._number("mask/one", 1.0)
        column = self.sub.reshape(self.present, [-1, 1], [self.length, 1], "sentence/present")
        absent = self.sub.sub(column, one, "sentence/minus_absent")
        below = self._number("sentence/under_all", _BELOW_ALL)
        rows = self.sub.add(self.x, self.sub.mul(absent, below, "sentence/under"), "sentence/there")
        return self.sub.reduce_max(rows, 0, "sentence/max")

    def _mean(self) -> Tensor:
        weights = self.sub.div(self.present, self._token_count(), "sentence/mean/weights")
        return self._weighted_sum(weights, "sentence/mean")

    def _mean_sqrt_len(self) -> Tensor:
        inverse = self.sub.rsqrt(self._token_count(), "sentence/mean_sqrt_len/inverse")
        weights = self.sub.mul(self.present, inverse, "sentence/mean_sqrt_len/weights")
        return self._weighted_sum(weights, "sentence/mean_sqrt_len")

    def _weighted_mean(self) -> Tensor:
        places = self._places()
        total = self.sub.sum(places, 2, "sentence/weighted_mean/total")
        weights = self.sub.div(places, total, "sentence/weighted_mean/weights")
        return self._weighted_sum(weights, "sentence/weighted_mean")

    def _last(self) -> Tensor:
        """Place minus (token count minus 1) is 1 for the last token, 0 or less for all others."""
        before = self.sub.sub(
            self._token_count(), self._number("mask/one", 1.0), "sentence/last/before"
        )
        difference = self.sub.sub(self._places(), before, "sentence/last/from_there")
        return self._weighted_sum(
            self.sub.relu(difference, "sentence/last/weights"), "sentence/last"
        )

    def _token_count(self) -> Tensor:
        """The number of tokens, float32 `[1, 1, 1]`."""
        if "tokens" not in self._shared:
            self._shared["tokens"] = self.sub.sum(self.present, 2, "sentence/tokens")
        return self._shared["tokens"]

    def _places(self) -> Tensor:
        """1 for the first token, 2 for the second, 0 for padding, float32 `[1, 1, length]`."""
        if "places" not in self._shared:
            self._shared["places"] = self.sub.mul(self.present, self._numbers(), "sentence/places")
        return self._shared["places"]

    def _numbers(self) -> Tensor | Constant:
        """1, 2, 3 and so on, float32 `[1, 1, length]`; values at padding have no meaning."""
        if self.length != DYNAMIC:
            numbers = np.arange(1, self.length + 1, dtype=np.float32)[None, None]
            return self.signature.graph.file.constant(f"sentence/numbers_{self.length}", numbers)
        flat = self.sub.reshape(self.mask.tokens, [-1], [self.length], "sentence/mask")
        before = self.sub.cumsum(flat, 0, "sentence/tokens_before")
        row = self.sub.reshape(before, [1, 1, -1], [1, 1, self.length], "sentence/before_row")
        one = self._number("mask/one", 1.0)
        return self.sub.add(
            self.sub.cast(row, np.float32, "sentence/before"), one, "sentence/numbers"
        )

    def _weighted_sum(self, weights: Tensor, name: str) -> Tensor:
        """The sum of the rows times their weights, `[1, hidden_size]`."""
        if "rows" not in self._shared:
            shape = [1, self.length, self.hidden]
            self._shared["rows"] = self.sub.reshape(
                self.x, [1, -1, self.hidden], shape, "sentence/rows"
            )
        sums = self.sub.batch_matmul(weights, self._shared["rows"], [1, 1, self.hidden], name)
        return self.sub.reshape(sums, [1, self.hidden], [1, self.hidden], f"{name}/flat")
