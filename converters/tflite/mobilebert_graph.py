"""MobileBERT (Sun et al. 2020) as operators of the format: one signature.

`converters.norm_folding` makes most NoNorms the identity before; those have no operators.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.expected_shapes import feed_forwards
from converters.tflite.encoder_graph import EncoderSignature, Rows
from converters.tflite.graph_activations import activate
from converters.tflite.subgraph_builder import DYNAMIC, Tensor


class MobileBertSignature(EncoderSignature):
    """The signature of a MobileBERT for one token length."""

    def embeddings(self) -> Tensor:
        """The projected rows of three neighbours, plus position and segment, with NoNorm."""
        sub, name = self.sub, "embeddings"
        ids = sub.reshape(self.token_ids, [-1], [self.length], f"{name}/token_ids")
        own = self.token_rows(ids, f"{name}/token")
        # Neighbours are found by their ids, so that only lookups stand before XNNPACK's operators.
        positions = self.positions(ids)
        two = self.graph.file.constant("two", np.full(1, 2, np.int32))
        after = self._neighbour(ids, sub.add(positions, two, f"{name}/next_ids"), "next")
        before = self._neighbour(ids, positions, "previous")
        trigram = sub.concatenation([after, own, before], 1, f"{name}/trigram")
        x = self.dense(trigram, "embeddings.projection", f"{name}/projection")
        x = self.add_places(x, ids)
        return self._no_norm(x, "embeddings.norm", f"{name}/norm")

    def _neighbour(self, ids: Tensor, places: Tensor, which: str) -> Tensor:
        """The rows of the next or the previous tokens, zeros beyond the ends.

        Args:
            ids: all token ids, `[length]`.
            places: index of the neighbour in the ids with one more at both ends, int32 `[length]`.
            which: for names.
        """
        sub, name = self.sub, f"embeddings/{which}"
        longer = DYNAMIC if self.length == DYNAMIC else self.length + 2
        padded = sub.pad(ids, [(1, 1)], [longer], f"{name}_padded")
        rows = self.token_rows(sub.gather(padded, places, f"{name}_token_ids"), f"{name}_token")
        # 1 inside the text, 0 at the added places.
        ones = sub.cast(sub.equal(ids, ids, f"{name}_equal"), np.int32, f"{name}_ones")
        ones = sub.pad(ones, [(1, 1)], [longer], f"{name}_inside")
        inside = sub.cast(sub.gather(ones, places, f"{name}_exists"), np.float32, f"{name}_factor")
        column = sub.reshape(inside, [-1, 1], [self.length, 1], f"{name}_column")
        return sub.mul(rows, column, name)

    def _layer(self, x: Tensor, bias: Tensor, i: int, rows: Rows | None) -> Tensor:
        sub, name, neutral = self.sub, f"layer_{i}", f"layers.{i}"
        wide = x if rows is None else rows.select(x, name)
        narrow = self._bottleneck(wide, "input", i)
        output, neutral_output = f"{name}/attention/output", f"{neutral}.attention.output"
        if self.graph.heads_of_layer(i):
            update = self.dense(self._attention(x, wide, bias, i, rows), neutral_output, output)
            narrow = sub.add(update, narrow, f"{name}/attention/residual")
        else:
            bias_alone = self.graph.vector(f"{output}/bias", f"{neutral_output}.bias")
            narrow = sub.add(narrow, bias_alone, f"{name}/attention/residual")
        narrow = self._no_norm(narrow, f"{neutral}.attention.norm", f"{name}/attention/norm")
        for part in feed_forwards(self.graph.config, neutral):
            at = f"{name}/{part.removeprefix(f'{neutral}.').replace('.', '/')}"
            narrow = self._feed_forward(narrow, at, part)
        output, neutral_output = f"{name}/bottleneck/output", f"{neutral}.bottleneck.output"
        update = self.dense(narrow, neutral_output, output)
        wide = sub.add(update, wide, f"{output}/residual")
        return self._no_norm(wide, f"{neutral_output}.norm", f"{output}/norm")

    def _bottleneck(self, x: Tensor, part: str, i: int) -> Tensor:
        name, neutral = f"layer_{i}/bottleneck/{part}", f"layers.{i}.bottleneck.{part}"
        return self._no_norm(self.dense(x, neutral, name), f"{neutral}.norm", f"{name}/norm")

    def _query_key_value(
        self, x: Tensor, queries_from: Tensor, i: int, rows: Rows | None
    ) -> Sequence[Tensor]:
        """Queries and keys of a bottleneck, values of the hidden states."""
        sub, storage, name = self.sub, self.graph.storage, f"layer_{i}/attention"
        heads = self.graph.heads_of_layer(i)
        q, k, v = self._attention_weights(i)
        shared = self._bottleneck(x, "attention", i)
        value = storage.dense(sub, x, [v], f"{name}/value")
        (value,) = self._split_heads(value, 1, heads, f"{name}/value")
        if rows is None:
            part = f"{name}/query_key"
            joined = storage.dense(sub, shared, [q, k], part)
            return (*self._split_heads(joined, 2, heads, part), value)
        some = rows.select(shared, f"{name}/shared")
        parts = [
            storage.dense(sub, source, [layer], f"{name}/{part}")
            for source, layer, part in ((some, q, "query"), (shared, k, "key"))
        ]
        query, key = (
            self._split_heads(joined, 1, heads, f"{name}/{part}")[0]
            for joined, part in zip(parts, ("query", "key"), strict=True)
        )
        return query, key, value

    def _feed_forward(self, x: Tensor, name: str, neutral: str) -> Tensor:
        """Two dense layers with a residual and NoNorm; pruning may leave only the bias."""
        if self.graph.weights[f"{neutral}.inner.kernel"].shape[0]:
            inner = self.dense(x, f"{neutral}.inner", f"{name}/inner")
            inner = activate(self.sub, inner, self.graph.config.activation, f"{name}/activation")
            x = self.sub.add(
                x, self.dense(inner, f"{neutral}.output", f"{name}/output"), f"{name}/residual"
            )
        else:
            bias = self.graph.vector(f"{name}/output/bias", f"{neutral}.output.bias")
            x = self.sub.add(x, bias, f"{name}/residual")
        return self._no_norm(x, f"{neutral}.norm", f"{name}/norm")

    def _no_norm(self, x: Tensor, neutral: str, name: str) -> Tensor:
        """A factor and a summand for each feature; the identity has no operators."""
        scale, bias = (self.graph.weights[f"{neutral}.{part}"] for part in ("scale", "bias"))
        if np.any(scale != 1):
            factor = self.graph.vector(f"{name}/scale", f"{neutral}.scale")
            x = self.sub.mul(x, factor, f"{name}/scaled")
        if np.any(bias != 0):
            x = self.sub.add(x, self.graph.vector(f"{name}/bias", f"{neutral}.bias"), name)
        return x
