"""Lays a BERT out for the runtime: a `Checkpoint` becomes the operators of a `.tflite`.

What "laid out" means, each exact up to rounding:
- a batch of one and rank-2 activations `[tokens, hidden]`; one fused matmul for queries, keys and
  values; 1/sqrt(head_size) folded into the query's weights; the first segment's embedding folded
  into the positions;
- embedding rows looked up in int8 with one scale a row, or in int4 with one scale a block of 32
  columns: the runtime's own EMBEDDING_LOOKUP takes both;
- a classifier reads [CLS] alone, so the last layer's queries, output projection and feed-forward
  run for that one row;
- constants stand in the file once and every signature points at them.

After the lookups the whole body is made of operators that XNNPACK takes in float, with int8 weights
in FULLY_CONNECTED only, so that it stays one delegate partition. Each layer may have its own number
of heads and its own feed-forward width: shapes come from the arrays, not from the configuration.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from converters.checkpoint import Checkpoint
from converters.errors import ConversionError
from converters.heads import MASKED_LM
from converters.tflite.graph_activations import activate
from converters.tflite.graph_builder import GraphBuilder
from converters.tflite.graph_heads import EMBEDDING as EMBEDDING
from converters.tflite.graph_heads import HIDDEN_STATES as HIDDEN_STATES
from converters.tflite.graph_heads import LOGITS as LOGITS
from converters.tflite.graph_heads import PROBABILITIES as PROBABILITIES
from converters.tflite.graph_heads import SCORE as SCORE
from converters.tflite.graph_heads import SPAN_OUTPUTS as SPAN_OUTPUTS
from converters.tflite.graph_heads import Mask, add_head, check_output, reads_first_row_only
from converters.tflite.graph_masks import selected_rows, selection
from converters.tflite.quantized_matrix import quantize_rows as quantize_rows
from converters.tflite.subgraph_builder import DYNAMIC, Constant, SubgraphBuilder, Tensor
from converters.tflite.weight_storage import Dense, WeightStorage
from converters.tflite.weight_storage import Precision as Precision

DYNAMIC_LENGTH = DYNAMIC
TOKEN_IDS, PADDING_MASK, SEGMENT_IDS = "token_ids", "padding_mask", "segment_ids"
INPUTS = (TOKEN_IDS, PADDING_MASK, SEGMENT_IDS)
MASKED_SCORE = 1e4
"""Taken off the attention scores of padding: exp(-1e4) is 0 in float32, and 1e4 fits float16."""


def signature_key(length: int) -> str:
    """The name of the signature for a length: `tokens_32`, or `tokens_dynamic`."""
    return "tokens_dynamic" if length == DYNAMIC_LENGTH else f"tokens_{length}"


def build_inference_graph(
    checkpoint: Checkpoint,
    lengths: Sequence[int],
    precision: Precision,
    output: str,
    description: str = "BERT",
    masked_score: float = MASKED_SCORE,
) -> GraphBuilder:
    """Lays out one signature a length, all over the same constants.

    Inputs of every signature, int32 `[1, length]`: `token_ids`, `padding_mask` (1 for a token,
    0 for padding), `segment_ids`. Outputs, float32, by the checkpoint's head:

    - a classifier of texts: `probabilities` or `logits`, `[1, labels]`; where its problem is
      regression, `score`, `[1, 1]`;
    - a classifier of tokens: the same of each token, `[1, length, labels]`;
    - spans: `start_logits` and `end_logits`, each `[1, length]`, padding far below any token;
    - sentence: `embedding`, `[1, size]`;
    - a masked LM: `logits` of the first [MASK] tokens, `[1, masks, vocab_size]`; rows of more
      masks than a text has mean nothing;
    - none, or not asked for: `hidden_states`, `[1, length, hidden_size]`.

    Args:
        lengths: ascending token lengths; `DYNAMIC_LENGTH` alone for one free length.
        output: of `graph_heads.OUTPUTS` for the head, or `HIDDEN_STATES`.
        masked_score: what is taken off the attention scores of padding. Less than the default
            where scores will be integers, whose range it takes up.

    Raises:
        ConversionError: a length over the position table, or a head that is not there.
    """
    _check(checkpoint, lengths, output)
    graph = GraphBuilder(description)
    positions = checkpoint.config.max_positions
    if DYNAMIC_LENGTH not in lengths:
        positions = max(lengths)
    layout = Layout(checkpoint, graph, precision, positions, masked_score)
    for length in lengths:
        layout.signature(length, output)
    return graph


def _check(checkpoint: Checkpoint, lengths: Sequence[int], output: str) -> None:
    limit = checkpoint.config.max_positions
    wrong = [n for n in lengths if n != DYNAMIC_LENGTH and not 2 <= n <= limit]
    if wrong:
        raise ConversionError(
            f"lengths must be from 2 to {limit} tokens, the size of the position table. "
            f"Received: {', '.join(map(str, wrong))}."
        )
    if (
        not lengths
        or len(set(lengths)) != len(lengths)
        or (DYNAMIC_LENGTH in lengths and len(lengths) > 1)
    ):
        raise ConversionError(f"lengths must be different and at least one. Received: {lengths}.")
    check_output(checkpoint, output)


@dataclass(frozen=True)
class Rows:
    """The rows of a layer that somebody reads.

    Attributes:
        count: how many.
        take: them, `[count, hidden_size]`, of rows `[length, hidden_size]` and a name.
    """

    count: int
    take: Callable[[Tensor, str], Tensor]


class Layout:
    """The constants of one checkpoint, and the signatures over them."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        graph: GraphBuilder,
        precision: Precision,
        positions: int,
        masked_score: float,
    ) -> None:
        self.config, self.weights = checkpoint.config, checkpoint.weights
        self.head, self.sentence = checkpoint.head, checkpoint.sentence
        self.masked = checkpoint.masked
        self.problem = checkpoint.problem
        self.graph, self.positions, self.masked_score = graph, positions, masked_score
        self.storage = WeightStorage(graph, precision)

    def signature(self, length: int, output: str) -> None:
        sub = self.graph.subgraph(signature_key(length))
        token_ids, mask, segments = (sub.input(name, [1, length]) for name in INPUTS)
        x = self.embed(sub, token_ids, segments, length)
        present = self.present(sub, mask, length)
        bias = self.mask_bias(sub, present)
        rows = self.rows_read(sub, token_ids, length, output)
        for i in range(self.config.num_layers):
            last = i == self.config.num_layers - 1
            x = self.layer(sub, x, bias, i, length, rows if last else None)
        add_head(self, sub, x, Mask(mask, present, bias), length, output)

    def rows_read(
        self, sub: SubgraphBuilder, token_ids: Tensor, length: int, output: str
    ) -> Rows | None:
        """The rows of the last layer that the head reads, where it does not read them all."""
        hidden = self.config.hidden_size
        if reads_first_row_only(self.head, self.sentence, output):
            size = [1, hidden]
            return Rows(1, lambda x, name: sub.slice(x, [0, 0], size, size, f"{name}/cls"))
        if self.head == MASKED_LM and output != HIDDEN_STATES:
            chosen = selection(self, sub, token_ids, length)
            take = functools.partial(selected_rows, sub, chosen)
            return Rows(chosen.shape[1], lambda x, name: take(x, f"{name}/masked"))
        return None

    def embed(
        self, sub: SubgraphBuilder, token_ids: Tensor, segments: Tensor, length: int
    ) -> Tensor:
        weights = self.weights
        ids = sub.reshape(token_ids, [-1], [length], "embeddings/token_ids")
        x = self.look_up(sub, ids, "embeddings/token")
        segment = weights["embeddings.segment"]
        table = self.graph.constant(
            "embeddings/position_table",
            (weights["embeddings.position"][: self.positions] + segment[0]).astype(np.float32),
        )
        x = sub.add(x, self.position(sub, ids, table, length), "embeddings/add_position")
        if len(segment) == 2:
            x = self.add_second_segment(sub, x, segments, segment[1] - segment[0], length)
        elif len(segment) > 2:
            flat = sub.reshape(segments, [-1], [length], "embeddings/segment_ids")
            difference = self.graph.constant(
                "embeddings/segment_table", (segment - segment[0]).astype(np.float32)
            )
            rows = sub.embedding_lookup(flat, difference, "embeddings/segment")
            x = sub.add(x, rows, "embeddings/add_segment")
        return self.layer_norm(sub, x, "embeddings.norm", "embeddings/norm")

    def token_table(self) -> Constant:
        return self.storage.table("embeddings/token_table", self.weights["embeddings.token"])

    def look_up(self, sub: SubgraphBuilder, ids: Tensor, name: str) -> Tensor:
        table = self.token_table()
        if table.dtype != np.float16:
            return sub.embedding_lookup(ids, table, name)
        return sub.dequantize(sub.gather(ids, table, f"{name}/rows"), name)

    def position(
        self, sub: SubgraphBuilder, ids: Tensor, table: Constant, length: int
    ) -> Tensor | Constant:
        if length == self.positions:
            return table
        if length != DYNAMIC_LENGTH:
            size = [length, self.config.hidden_size]
            return sub.slice(table, [0, 0], size, size, "embeddings/position")
        zeros = sub.mul(ids, self.graph.constant("zero", np.zeros(1, np.int32)), "embeddings/zeros")
        ones = sub.add(zeros, self.graph.constant("one", np.ones(1, np.int32)), "embeddings/ones")
        indices = sub.cumsum(ones, "embeddings/position_ids")
        return sub.embedding_lookup(indices, table, "embeddings/position")

    def add_second_segment(
        self, sub: SubgraphBuilder, x: Tensor, segments: Tensor, difference: np.ndarray, length: int
    ) -> Tensor:
        """Row 0 is in the positions already: what is left is a multiple of (row 1 - row 0)."""
        column = sub.reshape(segments, [-1, 1], [length, 1], "embeddings/segment_ids")
        column = sub.cast(column, np.float32, "embeddings/segment_is_1")
        delta = self.graph.constant(
            "embeddings/segment_difference", difference[None].astype(np.float32)
        )
        return sub.add(x, sub.mul(column, delta, "embeddings/segment"), "embeddings/add_segment")

    def present(self, sub: SubgraphBuilder, mask: Tensor, length: int) -> Tensor:
        """1 for a token, 0 for padding, float32 `[1, 1, length]`."""
        row = sub.reshape(mask, [1, 1, -1], [1, 1, length], "mask/row")
        return sub.cast(row, np.float32, "mask/float")

    def mask_bias(self, sub: SubgraphBuilder, present: Tensor) -> Tensor:
        """0 for a token, minus the masked score for padding, `[1, 1, length]`."""
        row = sub.sub(present, self.storage.vector("mask/one", 1.0), "mask/minus_one")
        return sub.mul(
            row, self.storage.vector("mask/masked_score", self.masked_score), "mask/bias"
        )

    def layer(
        self,
        sub: SubgraphBuilder,
        x: Tensor,
        bias: Tensor,
        i: int,
        length: int,
        rows: Rows | None,
    ) -> Tensor:
        """A layer, of all rows or of those alone that are read of it."""
        name, neutral = f"layer_{i}", f"layers.{i}"
        residual = x if rows is None else rows.take(x, name)
        heads = self.weights[f"{neutral}.attention.query.kernel"].shape[0] // self.config.head_size
        if heads:
            context = self.attention(sub, x, residual, bias, i, length, heads, rows)
            context = self.dense(
                sub, context, f"{neutral}.attention.output", f"{name}/attention/output"
            )
            residual = sub.add(context, residual, f"{name}/attention/residual")
        else:
            residual = sub.add(
                residual,
                self.storage.vector(
                    f"{name}/attention/output/bias",
                    self.weights[f"{neutral}.attention.output.bias"],
                ),
                f"{name}/attention/residual",
            )
        x = self.layer_norm(sub, residual, f"{neutral}.attention.norm", f"{name}/attention/norm")
        return self.feed_forward(sub, x, name, neutral)

    def attention(
        self,
        sub: SubgraphBuilder,
        x: Tensor,
        queries_from: Tensor,
        bias: Tensor,
        i: int,
        length: int,
        heads: int,
        rows: Rows | None,
    ) -> Tensor:
        """Softmax attention (Vaswani et al. 2017, 3.2): `[rows, heads * head_size]`."""
        name, size = f"layer_{i}/attention", self.config.head_size
        q, k, v = (self.projection(i, part) for part in ("query", "key", "value"))
        count = length if rows is None else rows.count
        if rows is not None:
            query = self.storage.dense(sub, queries_from, [q], f"{name}/query")
            (query,) = self.split_heads(sub, query, 1, heads, count, f"{name}/query")
            both = self.storage.dense(sub, x, [k, v], f"{name}/key_value")
            key, value = self.split_heads(sub, both, 2, heads, length, f"{name}/key_value")
        else:
            joined = self.storage.dense(sub, x, [q, k, v], f"{name}/query_key_value")
            query, key, value = self.split_heads(
                sub, joined, 3, heads, length, f"{name}/query_key_value"
            )
        scores = sub.batch_matmul(query, key, [heads, count, length], f"{name}/scores", adj_y=True)
        scores = sub.add(scores, bias, f"{name}/masked_scores")
        weights = sub.softmax(scores, f"{name}/probabilities")
        context = sub.batch_matmul(weights, value, [heads, count, size], f"{name}/context")
        if count != 1:
            context = sub.transpose(context, [1, 0, 2], f"{name}/context_rows")
        width = heads * size
        return sub.reshape(context, [-1, width], [count, width], f"{name}/context_flat")

    def projection(self, i: int, part: str) -> Dense:
        scale = self.config.head_size**-0.5 if part == "query" else 1.0
        return self.layer_weights(f"layers.{i}.attention.{part}", scale)

    def layer_weights(self, name: str, factor: float = 1.0) -> Dense:
        return Dense(name, self.weights[f"{name}.kernel"], self.weights[f"{name}.bias"], factor)

    def split_heads(
        self, sub: SubgraphBuilder, x: Tensor, parts: int, heads: int, length: int, name: str
    ) -> list[Tensor]:
        """`[length, parts * heads * head_size]` -> parts times `[heads, length, head_size]`."""
        size = self.config.head_size
        if length == 1 and parts == 1:
            return [sub.reshape(x, [heads, 1, size], [heads, 1, size], f"{name}_heads")]
        x = sub.reshape(
            x, [-1, parts * heads, size], [length, parts * heads, size], f"{name}_heads"
        )
        x = sub.transpose(x, [1, 0, 2], f"{name}_by_head")
        return [x] if parts == 1 else sub.split(x, 0, parts, name)

    def feed_forward(self, sub: SubgraphBuilder, x: Tensor, name: str, neutral: str) -> Tensor:
        part = f"{name}/feed_forward"
        inner_name = f"{neutral}.feed_forward.inner"
        if self.weights[f"{inner_name}.kernel"].shape[0]:
            inner = self.dense(sub, x, inner_name, f"{part}/inner")
            inner = activate(sub, inner, self.config.activation, f"{part}/activation")
            update: Tensor | Constant = self.dense(
                sub, inner, f"{neutral}.feed_forward.output", f"{part}/output"
            )
        else:
            update = self.storage.vector(
                f"{part}/output/bias", self.weights[f"{neutral}.feed_forward.output.bias"]
            )
        residual = sub.add(x, update, f"{part}/residual")
        return self.layer_norm(sub, residual, f"{neutral}.feed_forward.norm", f"{part}/norm")

    def pool(self, sub: SubgraphBuilder, x: Tensor) -> Tensor:
        """BERT's pooler on [CLS]: `[1, hidden_size]`."""
        x = self.dense(sub, x, "pooler", "pooler/dense")
        return activate(sub, x, self.config.pooler_activation, "pooler/activation")

    def dense(self, sub: SubgraphBuilder, x: Tensor, neutral: str, name: str) -> Tensor:
        return self.storage.dense(sub, x, [self.layer_weights(neutral)], name)

    def layer_norm(
        self, sub: SubgraphBuilder, x: Tensor, neutral: str, name: str, added: float | None = None
    ) -> Tensor:
        """Layer normalisation (Ba et al. 2016) in operators that XNNPACK takes.

        Args:
            added: to the variance; the encoder's own epsilon when None.
        """
        mean = sub.mean(x, 1, f"{name}/mean")
        variance = sub.mean(
            sub.squared_difference(x, mean, f"{name}/squares"), 1, f"{name}/variance"
        )
        own = self.config.layer_norm_epsilon
        constant = "layer_norm_epsilon" if added in (None, own) else f"{name}/epsilon"
        epsilon = self.storage.vector(constant, own if added is None else added)
        inverse = sub.rsqrt(sub.add(variance, epsilon, f"{name}/stable"), f"{name}/inverse")
        x = sub.mul(sub.sub(x, mean, f"{name}/centred"), inverse, f"{name}/normal")
        x = sub.mul(
            x,
            self.storage.vector(f"{name}/scale", self.weights[f"{neutral}.scale"]),
            f"{name}/scaled",
        )
        return sub.add(
            x, self.storage.vector(f"{name}/bias", self.weights[f"{neutral}.bias"]), name
        )
