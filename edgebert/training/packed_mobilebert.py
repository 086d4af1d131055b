"""`PackedMobileBert`: a `PackedEncoder` of MobileBERT (Sun et al. 2020)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from converters.expected_shapes import feed_forwards
from edgebert.training.operations import ACTIVATIONS, Dropout
from edgebert.training.packed_encoder import PackedEncoder, Taps, packed
from edgebert.training.packing import Packing, split_heads


class PackedMobileBert(PackedEncoder):
    """Encodes a batch like `converters.formats.keras_mobilebert`, with packed rows.

    Dropout is that of `transformers`: after the embeddings, on attention, and before a layer's
    result is added to its input.
    """

    def _embed(self, inputs: dict[str, Any], packing: Packing, drop: Dropout) -> Any:
        ids = inputs["token_ids"]
        after = tf.pad(ids[:, 1:], [[0, 0], [0, 1]])
        before = tf.pad(ids[:, :-1], [[0, 0], [1, 0]])
        # One gather for all three: its gradient is sparse; see `SparseAdamW`.
        joined = tf.concat([packed(each, packing) for each in (after, ids, before)], 0)
        rows = tf.split(self._token_rows(joined), 3)
        column = packing.position % packing.length
        has_next = tf.cast(column < packing.length - 1, tf.float32)[:, None]
        has_previous = tf.cast(column > 0, tf.float32)[:, None]
        trigram = tf.concat([rows[0] * has_next, rows[1], rows[2] * has_previous], 1)
        x = self._dense(trigram, "embeddings.projection") + self._placed(inputs, packing)
        return drop(self._norm(x, "embeddings.norm"))

    def _attention_inputs(self, x: Any, at: str, names: list[str]) -> Any:
        shared = self._concatenated_dense(self._shared(x, at), names[:2])
        return tf.concat([shared, self._dense(x, names[2])], 1)

    def _last_layer(self, x: Any, packing: Packing, drop: Dropout, taps: Taps) -> Any:
        at = f"layers.{self._config.num_layers - 1}."
        heads, size = self._heads(at), self._config.head_size
        first_rows = packing.row[:, 0, 0]
        context = None
        if heads:
            shared = self._shared(x, at)
            key = self._dense(shared, at + "attention.key")
            joined = tf.concat([key, self._dense(x, at + "attention.value")], 1)
            keys, values = split_heads(joined, packing, 2, heads)
            query = self._dense(tf.gather(shared, first_rows), at + "attention.query")
            query = tf.reshape(query, [-1, heads, 1, size])
            context = self._attend(query, keys, values, packing, drop)
            context = tf.reshape(context, [-1, heads * size])
        return self._after_attention(tf.gather(x, first_rows), context, at, drop, taps)

    def _shared(self, x: Any, at: str) -> Any:
        """The bottleneck that queries and keys read."""
        return self._bottleneck(x, at + "bottleneck.attention")

    def _bottleneck(self, x: Any, name: str) -> Any:
        return self._norm(self._dense(x, name), f"{name}.norm")

    def _after_attention(self, x: Any, context: Any, at: str, drop: Dropout, taps: Taps) -> Any:
        update = self._update(context, at + "attention.output", taps)
        narrow = self._bottleneck(x, at + "bottleneck.input")
        narrow = self._norm(narrow + update, at + "attention.norm")
        for name in feed_forwards(self._config, at.removesuffix(".")):
            inner = None
            if f"{name}.inner.bias" in self._named:
                inner = ACTIVATIONS[self._config.activation](self._dense(narrow, f"{name}.inner"))
            narrow = self._norm(
                narrow + self._update(inner, f"{name}.output", taps), f"{name}.norm"
            )
        output = at + "bottleneck.output"
        wide = x + drop(self._dense(narrow, output))
        return taps.keep(at + "hidden", self._norm(wide, f"{output}.norm"))

    def _norm(self, x: Any, name: str) -> Any:
        """NoNorm: one factor and one summand for each feature."""
        return x * self._read(f"{name}.scale") + self._read(f"{name}.bias")
