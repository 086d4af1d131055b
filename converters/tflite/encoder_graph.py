"""The BERT encoder as operators of the format: the shared constants, and one signature over them.

`EncoderGraph` holds the constants of a checkpoint. `EncoderSignature` is one signature over them:
its subgraph, its token length and its inputs. Methods take and return tensors of that subgraph.
Neutral names (`layers.0.attention.query`) are those of the checkpoint; names with slashes
(`layer_0/attention/query`) are those of tensors in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from converters.channel_scales import input_scales
from converters.checkpoint import Checkpoint
from converters.tflite.graph_activations import activate
from converters.tflite.graph_builder import GraphBuilder
from converters.tflite.model_tables import Constant
from converters.tflite.subgraph_builder import DYNAMIC, Tensor
from converters.tflite.weight_storage import Dense, WeightStorage

TOKEN_IDS, PADDING_MASK, SEGMENT_IDS = "token_ids", "padding_mask", "segment_ids"
INPUTS = (TOKEN_IDS, PADDING_MASK, SEGMENT_IDS)


def signature_key(length: int) -> str:
    """The name of the signature for a length: `tokens_32`, or `tokens_dynamic`."""
    return "tokens_dynamic" if length == DYNAMIC else f"tokens_{length}"


class Mask(NamedTuple):
    """The padding mask of a signature, as its input and in the forms that operators read.

    Attributes:
        tokens: the input: 1 for a token, 0 for padding, int32 `[1, length]`.
        present: the same, float32 `[1, 1, length]`.
        bias: 0 for a token, a large negative number for padding, float32 `[1, 1, length]`.
    """

    tokens: Tensor
    present: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Rows:
    """The rows of the last layer that the head reads, where it does not read all of them.

    Attributes:
        count: number of rows.
        select: gives them, `[count, hidden_size]`, for all rows `[length, hidden_size]` and a name.
    """

    count: int
    select: Callable[[Tensor, str], Tensor]


class EncoderGraph:
    """The constants of one checkpoint in one file, which all signatures share.

    Attributes:
        checkpoint: what is exported.
        file: the file.
        storage: adds arrays to the file with the chosen precision.
        lengths: token lengths of the signatures, ascending; `DYNAMIC` alone for a free one.
        masked_score: subtracted from the attention scores of padding.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        file: GraphBuilder,
        storage: WeightStorage,
        lengths: Sequence[int],
        masked_score: float,
    ) -> None:
        self.checkpoint, self.config = checkpoint, checkpoint.config
        self.weights = checkpoint.weights
        self.file, self.storage = file, storage
        self.lengths, self.masked_score = tuple(lengths), masked_score
        self.input_scales = input_scales(checkpoint) if storage.has_int8_kernels else {}

    def token_table(self) -> Constant:
        """The token embeddings, `[vocab_size, embedding_width]`."""
        return self.storage.table("embeddings/token_table", self.weights["embeddings.token"])

    def position_table(self) -> Constant:
        """Position embeddings plus the first segment's, float32 `[positions, embedding_width]`."""
        return self.file.constant("embeddings/position_table", self._position_rows())

    def position_parts(self, length: int) -> list[tuple[int, Constant]]:
        """The position embeddings of a fixed length, in parts that signatures share.

        The table is cut at every length of the file: signatures of 16 and 32 tokens have the parts
        0 to 15 and 16 to 31, and the first one belongs to both.

        Returns:
            The first position of each part, and its rows, float32 `[1, rows, width]`.
        """
        rows, parts = self._position_rows(), []
        for start, stop in pairwise((0, *self.lengths)):
            if start < length:
                name = f"embeddings/position_table/{start}"
                parts.append((start, self.file.constant(name, rows[None, start:stop])))
        return parts

    def _position_rows(self) -> np.ndarray:
        rows = self.weights["embeddings.position"] + self.weights["embeddings.segment"][0]
        return np.asarray(rows, np.float32)

    def dense_weights(self, neutral: str, factor: float = 1.0) -> Dense:
        """A dense layer of the checkpoint, multiplied by a factor."""
        kernel, bias = self.weights[f"{neutral}.kernel"], self.weights[f"{neutral}.bias"]
        return Dense(neutral, kernel, bias, factor, self.input_scales.get(neutral))

    def vector(self, name: str, neutral: str) -> Constant:
        """An array of rank 1 of the checkpoint, float32."""
        return self.storage.vector(name, self.weights[neutral])

    def heads_of_layer(self, i: int) -> int:
        """Attention heads that layer `i` has; pruning may leave none."""
        return int(self.weights[f"layers.{i}.attention.query.kernel"].shape[0]) // (
            self.config.head_size
        )


class EncoderSignature:
    """One signature: a subgraph for one token length.

    Attributes:
        graph: the constants that it shares with other signatures.
        sub: its subgraph.
        length: its token length; `DYNAMIC` for a free one.
        token_ids: input, int32 `[1, length]`.
        padding_mask: input, int32 `[1, length]`, 1 for a token, 0 for padding.
        segment_ids: input, int32 `[1, length]`.
    """

    def __init__(self, graph: EncoderGraph, length: int) -> None:
        self.graph, self.length = graph, length
        self.sub = graph.file.subgraph(signature_key(length))
        self.token_ids, self.padding_mask, self.segment_ids = (
            self.sub.input(name, [1, length]) for name in INPUTS
        )
        self._positions: list[Tensor] = []

    def embeddings(self) -> Tensor:
        """The sum of the token, position and segment embeddings, normalized and projected."""
        ids = self.sub.reshape(self.token_ids, [-1], [self.length], "embeddings/token_ids")
        x = self.token_rows(ids, "embeddings/token")
        x = self.add_places(x, ids)
        x = self.layer_norm(x, "embeddings.norm", "embeddings/norm")
        if self.graph.config.embedding_size:
            x = self.dense(x, "embeddings.projection", "embeddings/projection")
        return x

    def token_rows(self, ids: Tensor, name: str) -> Tensor:
        """The rows of the token table, float32 `[length, embedding_width]`."""
        table = self.graph.token_table()
        if table.dtype != np.float16:
            return self.sub.embedding_lookup(ids, table, name)
        # LiteRT's GPU delegate takes DEQUANTIZE of constants alone.
        return self.sub.cast(self.sub.gather(table, ids, f"{name}/rows"), np.float32, name)

    def add_places(self, x: Tensor, ids: Tensor) -> Tensor:
        """Adds the position and segment embeddings to the token rows, `[length, width]`."""
        segment = self.graph.weights["embeddings.segment"]
        x = self._add_positions(x, ids)
        if len(segment) > 1:
            x = self.sub.add(x, self._segment_rows(segment), "embeddings/add_segment")
        return x

    def _add_positions(self, x: Tensor, ids: Tensor) -> Tensor:
        """Adds the position embeddings to the token rows, `[length, width]`."""
        if self.length != DYNAMIC:
            return self._add_position_parts(x)
        positions, table = self.positions(ids), self.graph.position_table()
        rows = self.sub.embedding_lookup(positions, table, "embeddings/position")
        return self.sub.add(x, rows, "embeddings/add_position")

    def positions(self, ids: Tensor) -> Tensor:
        """The positions 0, 1, 2, ... of all tokens, int32 `[length]`."""
        if not self._positions:
            sub, file = self.sub, self.graph.file
            zeros = sub.mul(ids, file.constant("zero", np.zeros(1, np.int32)), "embeddings/zeros")
            ones = sub.add(zeros, file.constant("one", np.ones(1, np.int32)), "embeddings/ones")
            self._positions.append(sub.cumsum(ones, 0, "embeddings/position_ids"))
        return self._positions[0]

    def _add_position_parts(self, x: Tensor) -> Tensor:
        """Adds the position embeddings of a fixed length, part by part.

        LiteRT's GPU delegate adds the first row of a constant `[length, width]` to all rows
        (docs/upstream/gpu_constant_add.md), and leaves a SLICE of a constant on the CPU. So the
        constants have rank 3, and the token rows are cut, not the table.
        """
        sub, length, width = self.sub, self.length, x.shape[1]
        name, sums = "embeddings/add_position", []
        x = sub.reshape(x, [1, -1, width], [1, length, width], f"{name}/rows")
        for start, part in self.graph.position_parts(length):
            rows, shape = x, list(part.shape)
            if shape != list(x.shape):
                rows = sub.slice(x, [0, start, 0], shape, shape, f"{name}/rows_{start}")
            sums.append(sub.add(rows, part, f"{name}/sum_{start}"))
        joined = sums[0] if len(sums) == 1 else sub.concatenation(sums, 1, f"{name}/sum")
        return sub.reshape(joined, [-1, width], [length, width], name)

    def _segment_rows(self, segment: np.ndarray) -> Tensor:
        """The segment embeddings minus the first row, which the position table includes.

        With two segments the rows are segment id times (row 1 - row 0): no lookup is needed.
        """
        sub, name = self.sub, "embeddings/segment"
        if len(segment) == 2:
            column = sub.reshape(self.segment_ids, [-1, 1], [self.length, 1], f"{name}_ids")
            column = sub.cast(column, np.float32, f"{name}_is_1")
            difference = (segment[1] - segment[0])[None].astype(np.float32)
            return sub.mul(column, self.graph.file.constant(f"{name}_difference", difference), name)
        flat = sub.reshape(self.segment_ids, [-1], [self.length], f"{name}_ids")
        table = (segment - segment[0]).astype(np.float32)
        return sub.embedding_lookup(flat, self.graph.file.constant(f"{name}_table", table), name)

    def mask(self) -> Mask:
        """The padding mask in the forms that attention and heads read."""
        sub, storage = self.sub, self.graph.storage
        row = sub.reshape(self.padding_mask, [1, 1, -1], [1, 1, self.length], "mask/row")
        present = sub.cast(row, np.float32, "mask/float")
        absent = sub.sub(present, storage.vector("mask/one", 1.0), "mask/minus_one")
        score = storage.vector("mask/masked_score", self.graph.masked_score)
        return Mask(self.padding_mask, present, sub.mul(absent, score, "mask/bias"))

    def encode(self, x: Tensor, mask: Mask, rows: Rows | None) -> Tensor:
        """All layers.

        Args:
            x: the embeddings, `[length, hidden_size]`.
            mask: of this signature.
            rows: the rows of the last layer to compute; None for all.

        Returns:
            The hidden states of the last layer, `[length or rows.count, hidden_size]`.
        """
        last = self.graph.config.num_layers - 1
        for i in range(last + 1):
            x = self._layer(x, mask.bias, i, rows if i == last else None)
        return x

    def _layer(self, x: Tensor, bias: Tensor, i: int, rows: Rows | None) -> Tensor:
        sub, name, neutral = self.sub, f"layer_{i}", f"layers.{i}"
        residual = x if rows is None else rows.select(x, name)
        output, neutral_output = f"{name}/attention/output", f"{neutral}.attention.output"
        if self.graph.heads_of_layer(i):
            context = self._attention(x, residual, bias, i, rows)
            update = self.dense(context, neutral_output, output)
            residual = sub.add(update, residual, f"{name}/attention/residual")
        else:
            bias_alone = self.graph.vector(f"{output}/bias", f"{neutral_output}.bias")
            residual = sub.add(residual, bias_alone, f"{name}/attention/residual")
        x = self.layer_norm(residual, f"{neutral}.attention.norm", f"{name}/attention/norm")
        return self._feed_forward(x, f"{name}/feed_forward", f"{neutral}.feed_forward")

    def _attention(
        self, x: Tensor, queries_from: Tensor, bias: Tensor, i: int, rows: Rows | None
    ) -> Tensor:
        """Softmax attention (Vaswani et al. 2017, 3.2): `[rows, heads * head_size]`.

        The factor 1/sqrt(head_size) is part of the query's weights.
        """
        sub, name, length = self.sub, f"layer_{i}/attention", self.length
        heads, size = self.graph.heads_of_layer(i), self.graph.config.head_size
        count = length if rows is None else rows.count
        query, key, value = self._query_key_value(x, queries_from, i, rows)
        scores = sub.batch_matmul(query, key, [heads, count, length], f"{name}/scores", adj_y=True)
        scores = sub.add(scores, bias, f"{name}/masked_scores")
        weights = sub.softmax(scores, f"{name}/probabilities")
        context = sub.batch_matmul(weights, value, [heads, count, size], f"{name}/context")
        if count != 1:
            context = sub.transpose(context, [1, 0, 2], f"{name}/context_rows")
        width = heads * size
        return sub.reshape(context, [-1, width], [count, width], f"{name}/context_flat")

    def _query_key_value(
        self, x: Tensor, queries_from: Tensor, i: int, rows: Rows | None
    ) -> Sequence[Tensor]:
        """Queries, keys and values, each `[heads, rows, head_size]`.

        They are one matmul; where only some rows are read, queries are a matmul of their own.
        """
        sub, storage, name = self.sub, self.graph.storage, f"layer_{i}/attention"
        heads = self.graph.heads_of_layer(i)
        q, k, v = self._attention_weights(i)
        if rows is None:
            part = f"{name}/query_key_value"
            return self._split_heads(storage.dense(sub, x, [q, k, v], part), 3, heads, part)
        part = f"{name}/key_value"
        query = storage.dense(sub, queries_from, [q], f"{name}/query")
        joined = storage.dense(sub, x, [k, v], part)
        return (
            *self._split_heads(query, 1, heads, f"{name}/query"),
            *self._split_heads(joined, 2, heads, part),
        )

    def _attention_weights(self, i: int) -> Sequence[Dense]:
        """The projections to queries, scaled by 1/sqrt(head_size), to keys and to values."""
        neutral, factor = f"layers.{i}.attention", self.graph.config.head_size**-0.5
        factors = {"query": factor, "key": 1.0, "value": 1.0}
        return [self.graph.dense_weights(f"{neutral}.{part}", own) for part, own in factors.items()]

    def _split_heads(self, x: Tensor, parts: int, heads: int, name: str) -> list[Tensor]:
        """`[rows, parts * heads * head_size]` -> `parts` times `[heads, rows, head_size]`.

        For example, 3 parts of 2 heads of size 4: a row has 24 numbers, 8 for each part. It becomes
        6 rows of 4; rows 0 and 1 are the query's heads, 2 and 3 the key's, 4 and 5 the value's.
        """
        sub, rows, size = self.sub, x.shape[0], self.graph.config.head_size
        if rows == 1 and parts == 1:
            return [sub.reshape(x, [heads, 1, size], [heads, 1, size], f"{name}_heads")]
        count = parts * heads
        x = sub.reshape(x, [-1, count, size], [rows, count, size], f"{name}_heads")
        x = sub.transpose(x, [1, 0, 2], f"{name}_by_head")
        return [x] if parts == 1 else sub.split(x, 0, parts, name)

    def _feed_forward(self, x: Tensor, name: str, neutral: str) -> Tensor:
        """Two dense layers with a residual and LayerNorm; pruning may leave only the bias."""
        if self.graph.weights[f"{neutral}.inner.kernel"].shape[0]:
            inner = self.dense(x, f"{neutral}.inner", f"{name}/inner")
            inner = activate(self.sub, inner, self.graph.config.activation, f"{name}/activation")
            update: Tensor | Constant = self.dense(inner, f"{neutral}.output", f"{name}/output")
        else:
            update = self.graph.vector(f"{name}/output/bias", f"{neutral}.output.bias")
        residual = self.sub.add(x, update, f"{name}/residual")
        return self.layer_norm(residual, f"{neutral}.norm", f"{name}/norm")

    def dense(self, x: Tensor, neutral: str, name: str) -> Tensor:
        """One dense layer of the checkpoint: `[n, inputs]` -> `[n, outputs]`."""
        return self.graph.storage.dense(self.sub, x, [self.graph.dense_weights(neutral)], name)

    def pool(self, x: Tensor) -> Tensor:
        """BERT's pooler on the row of [CLS], if there is one: `[1, hidden_size]`."""
        if not self.graph.config.has_pooler:
            return x
        x = self.dense(x, "pooler", "pooler/dense")
        return activate(self.sub, x, self.graph.config.pooler_activation, "pooler/activation")

    def layer_norm(
        self, x: Tensor, neutral: str, name: str, epsilon: float | None = None
    ) -> Tensor:
        """Layer normalization (Ba et al. 2016) in operators that XNNPACK supports.

        Args:
            x: float32 `[n, hidden_size]`.
            neutral: the checkpoint's name of its scale and bias.
            name: of the result.
            epsilon: added to the variance; None for the encoder's.
        """
        sub, storage = self.sub, self.graph.storage
        mean = sub.mean(x, 1, f"{name}/mean")
        squares = sub.squared_difference(x, mean, f"{name}/squares")
        variance = sub.mean(squares, 1, f"{name}/variance")
        encoders = self.graph.config.layer_norm_epsilon
        constant = "layer_norm_epsilon" if epsilon in (None, encoders) else f"{name}/epsilon"
        added = storage.vector(constant, encoders if epsilon is None else epsilon)
        inverse = sub.rsqrt(sub.add(variance, added, f"{name}/stable"), f"{name}/inverse")
        x = sub.mul(sub.sub(x, mean, f"{name}/centred"), inverse, f"{name}/normal")
        x = sub.mul(x, self.graph.vector(f"{name}/scale", f"{neutral}.scale"), f"{name}/scaled")
        return sub.add(x, self.graph.vector(f"{name}/bias", f"{neutral}.bias"), name)
