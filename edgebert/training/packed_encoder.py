"""`PackedEncoder`: what keras-hub's `BertBackbone` computes, in the fewest operations for training.

The layer holds a backbone and reads its variables; outputs and gradients are those of the backbone
(up to rounding, and to which numbers dropout hits). What it leaves out:

- padding: the tokens of a batch stand in one array without gaps, `[tokens, hidden]`; only attention
  sees rows of equal length;
- rows that nothing reads: a classifier reads [CLS] alone, so the last layer's queries, output
  projection and feed-forward run for that one row of each text;
- intermediate arrays: see `operations`. Queries, keys and values are one matmul, and one gather
  does what takes a reshape, a transpose and the padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from converters.checkpoint import BertConfig
from converters.formats import keras_hub
from edgebert.training.operations import (
    ACTIVATIONS,
    Dropout,
    dense,
    fake_quantized,
    layer_norm,
    permute,
    small_table_rows,
)

PACK_MULTIPLE = 32
"""The number of packed rows is a multiple of this: few shapes, each prepared once."""
MASKED_SCORE = -1e9
INPUTS = ("token_ids", "padding_mask", "segment_ids")


class Packing(NamedTuple):
    """Where the tokens of a batch `[batch, length]` stand in the packed array.

    Attributes:
        batch: texts.
        length: columns of the padded batch.
        position: of each packed row: its place in the batch, flat, int32 `[packed]`.
        row: of each place in the batch: its packed row, int32 `[batch, 1, length]`; places that
            were left out have the last packed row, which is then padding too.
        score_bias: 0 for tokens and `MASKED_SCORE` for padding, float32 `[batch, 1, 1, length]`.
    """

    batch: Any
    length: Any
    position: Any
    row: Any
    score_bias: Any


def pack(padding_mask: Any) -> Packing:
    """Lays the tokens of a batch end to end.

    All tokens come first, then as much padding as fills `PACK_MULTIPLE` up. Padding is computed
    like a token, but no token and no output reads it, so its gradients are exactly zero.

    Args:
        padding_mask: int32 `[batch, length]`, 1 for tokens.
    """
    batch, length = tf.unstack(tf.shape(padding_mask))
    places = batch * length
    flat = tf.reshape(padding_mask, [-1])
    wanted = (tf.reduce_sum(flat) // PACK_MULTIPLE + 1) * PACK_MULTIPLE
    packed = tf.minimum(wanted, places)
    position = tf.argsort(1 - flat, stable=True)[:packed]
    row = tf.tensor_scatter_nd_update(
        tf.fill([places], packed - 1), position[:, None], tf.range(packed)
    )
    score_bias = tf.cast(1 - padding_mask, tf.float32)[:, None, None, :] * MASKED_SCORE
    return Packing(batch, length, position, tf.reshape(row, [batch, 1, length]), score_bias)


def split_heads(x: Any, packing: Packing, parts: int, heads: int) -> list[Any]:
    """Packed rows of several projections as attention takes them.

    Args:
        x: `[packed, parts * heads * head_size]`.
        packing: where the rows go.
        parts: how many projections stand side by side.
        heads: of each projection.

    Returns:
        `parts` arrays `[batch, heads, length, head_size]`.
    """
    part = tf.range(parts)[:, None, None, None]
    head = tf.range(heads)[:, None]
    there = (packing.row * parts + part) * heads + head
    text, column = packing.position // packing.length, packing.position % packing.length
    part, head = tf.range(parts)[:, None], tf.range(heads)
    text, column = text[:, None, None], column[:, None, None]
    back = ((part * packing.batch + text) * heads + head) * packing.length + column
    return tf.unstack(permute(x, there, back, x.shape[1] // (parts * heads)), num=parts)


def join_heads(x: Any, packing: Packing) -> Any:
    """The inverse of `split_heads` for one part: `[packed, heads * head_size]`."""
    heads, head_size = x.shape[1], x.shape[3]
    head = tf.range(heads)
    text, column = packing.position // packing.length, packing.position % packing.length
    there = (text[:, None] * heads + head) * packing.length + column[:, None]
    back = packing.row * heads + head[:, None]
    return tf.reshape(permute(x, there, back, head_size), [-1, heads * head_size])


class Bits(NamedTuple):
    """Bits of what is rounded in training; 0 rounds nothing."""

    kernels: int
    activations: int
    embeddings: int


AWARENESS = {"none": Bits(0, 0, 0), "int8": Bits(8, 8, 8), "int4": Bits(4, 8, 4)}
"""What quantization-aware training is aware of, by the setting's name."""


class Taps:
    """What an encoder computed on its way, by name; nothing of it is kept unless it is wanted.

    Names: `embeddings`, `layers.{i}.hidden` (float32 `[packed, hidden]`; the last layer has a row a
    text unless it is computed whole), `layers.{i}.attention.query`, `.key`, `.value` (`[batch,
    heads, length, head_size]`, not of a last layer that is computed for [CLS] alone),
    `layers.{i}.attention.output` and `layers.{i}.feed_forward.output` (what the sublayer adds to
    the residual) and the same with `.input` (what its output kernel reads).

    Attributes:
        packing: where the rows stand.
        values: what was kept.
    """

    def __init__(self, wanted: Callable[[str], bool] = lambda name: False) -> None:
        self._wanted = wanted
        self.packing: Any = None
        self.values: dict[str, Any] = {}

    def wants(self, name: str) -> bool:
        """Whether somebody looks at it."""
        return self._wanted(name)

    def keep(self, name: str, value: Any) -> Any:
        """Keeps a value if it is wanted, and gives it back."""
        if self._wanted(name):
            self.values[name] = value
        return value


class PackedEncoder(keras.layers.Layer):
    """Encodes a batch like its backbone, but packed.

    Inputs: a dict of int32 `token_ids`, `padding_mask`, `segment_ids`, each `[batch, length]`; the
    first column is a token in every row. Output: the backbone's `pooled_output` `[batch, hidden]`,
    and its `sequence_output` `[batch, length, hidden]` where every token is read; rows of padding
    there are those of some padding.

    Args:
        backbone: a `keras_hub.models.BertBackbone` or a `NarrowBackbone`, whose variables are used
            and trained. Each layer may have its own number of heads and neurons.
        config: its shape.
        dropout: of hidden states and attention.
        seed: of the dropout.
        precision: dtype in which matmuls with weights multiply; all else is float32, which is what
            a mixed dtype policy of Keras wants to be, less its casts of whole tables and norms.
        aware_of: a key of `AWARENESS`: what the exporter will store. Kernels, embedding rows and
            what kernels read are then rounded as in the file, so that training makes up for it.
        every_token: whether the head reads every token, so that the last layer runs for them all.
    """

    def __init__(
        self,
        backbone: Any,
        config: BertConfig,
        dropout: float,
        seed: int,
        precision: str,
        aware_of: str = "none",
        every_token: bool = False,
    ) -> None:
        super().__init__(dtype="float32", name="packed_encoder")
        self.backbone = backbone
        self._config, self._dropout, self._precision = config, dropout, precision
        self._bits, self._every_token = AWARENESS[aware_of], every_token
        self._step_seed = keras.random.SeedGenerator(seed)
        self._named = {
            name: variable
            for name, (_, variable) in keras_hub.variables(backbone, config.num_layers).items()
        }
        self.built = True

    @property
    def every_token(self) -> bool:
        """Whether the head reads every token."""
        return self._every_token

    def compute_output_spec(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """The shapes of `call`, float32."""
        batch, length = inputs["token_ids"].shape
        hidden = self._config.hidden_size
        outputs = {"pooled_output": keras.KerasTensor((batch, hidden), "float32")}
        if self._every_token:
            outputs["sequence_output"] = keras.KerasTensor((batch, length, hidden), "float32")
        return outputs

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """The pooled [CLS] row of each text, and every token's row where they are read."""
        return self.encode(inputs, training, Taps())

    def encode(
        self,
        inputs: dict[str, Any],
        training: bool | None,
        taps: Taps,
        whole_last_layer: bool = False,
    ) -> dict[str, Any]:
        """`call` for somebody who looks inside: `taps` and `whole_last_layer` as of `run`."""
        if not self._every_token:
            return {"pooled_output": self.run(inputs, training, taps, whole_last_layer)}
        last = f"layers.{self._config.num_layers - 1}.hidden"
        own = Taps(lambda name: name == last or taps.wants(name))
        pooled = self.run(inputs, training, own, whole_last_layer=True)
        taps.packing = own.packing
        taps.values = {name: value for name, value in own.values.items() if taps.wants(name)}
        there, hidden = own.packing.row[:, 0, :], self._config.hidden_size
        sequence = permute(own.values[last], there, own.packing.position, hidden)
        shape = [own.packing.batch, own.packing.length, hidden]
        return {"pooled_output": pooled, "sequence_output": tf.reshape(sequence, shape)}

    def run(
        self,
        inputs: dict[str, Any],
        training: bool | None = None,
        taps: Taps | None = None,
        whole_last_layer: bool = False,
    ) -> Any:
        """Encodes, and lets somebody look inside.

        Args:
            inputs: as for the layer.
            training: with dropout.
            taps: filled with what was computed on the way.
            whole_last_layer: computes the last layer for every token, not for [CLS] alone.

        Returns:
            the pooled [CLS] rows, float32 `[batch, hidden]`.
        """
        packing = pack(inputs["padding_mask"])
        drop = Dropout(
            self._dropout if training else 0.0,
            self._step_seed.next() if training and self._dropout else None,
        )
        taps = Taps() if taps is None else taps
        taps.packing = packing
        x = taps.keep("embeddings", drop(self._embed(inputs, packing)))
        last = self._config.num_layers - 1
        for layer in range(last + whole_last_layer):
            x = self._layer(x, packing, layer, drop, taps)
        if whole_last_layer:
            x = tf.gather(x, packing.row[:, 0, 0])
        else:
            x = self._last_layer(x, packing, drop, taps)
        return ACTIVATIONS[self._config.pooler_activation](self._dense(x, "pooler"))

    def _embed(self, inputs: dict[str, Any], packing: Packing) -> Any:
        def packed(name: str) -> Any:
            return tf.gather(tf.reshape(inputs[name], [-1]), packing.position)

        # The gradient of this gather is sparse, which the optimizer makes use of.
        tokens = tf.gather(self._named["embeddings.token"].value, packed("token_ids"))
        if self._bits.embeddings:
            tokens = fake_quantized(tokens, self._bits.embeddings, -1)
        positions = small_table_rows(
            self._read("embeddings.position"), packing.position % packing.length
        )
        segments = small_table_rows(self._read("embeddings.segment"), packed("segment_ids"))
        return self._norm(tokens + positions + segments, "embeddings.norm")

    def _layer(self, x: Any, packing: Packing, layer: int, drop: Dropout, taps: Taps) -> Any:
        at = f"layers.{layer}."
        heads = self._heads(at)
        context = None
        if heads:
            names = [at + "attention." + name for name in ("query", "key", "value")]
            parts = split_heads(self._side_by_side(x, names), packing, 3, heads)
            query, key, value = map(taps.keep, names, parts)
            context = join_heads(self._attend(query, key, value, packing, drop), packing)
        return self._after_attention(x, context, at, drop, taps)

    def _last_layer(self, x: Any, packing: Packing, drop: Dropout, taps: Taps) -> Any:
        at = f"layers.{self._config.num_layers - 1}."
        heads = self._heads(at)
        first = tf.gather(x, packing.row[:, 0, 0])
        context = None
        if heads:
            names = [at + "attention." + name for name in ("key", "value")]
            key, value = split_heads(self._side_by_side(x, names), packing, 2, heads)
            query = tf.reshape(
                self._dense(first, at + "attention.query"), [-1, heads, 1, self._config.head_size]
            )
            context = self._attend(query, key, value, packing, drop)
            context = tf.reshape(context, [-1, heads * self._config.head_size])
        return self._after_attention(first, context, at, drop, taps)

    def _heads(self, at: str) -> int:
        """How many heads a layer has: none where there are no variables for them."""
        bias = self._named.get(f"{at}attention.query.bias")
        return 0 if bias is None else int(bias.shape[0])

    def _attend(self, query: Any, key: Any, value: Any, packing: Packing, drop: Dropout) -> Any:
        query = query * (1 / math.sqrt(self._config.head_size))
        scores = tf.matmul(query, key, transpose_b=True) + packing.score_bias
        return tf.matmul(drop(tf.nn.softmax(scores)), value)

    def _after_attention(self, x: Any, context: Any, at: str, drop: Dropout, taps: Taps) -> Any:
        update = self._update(context, at + "attention.output", taps)
        x = self._norm(x + drop(update), at + "attention.norm")
        inner = None
        if f"{at}feed_forward.inner.bias" in self._named:
            inner = ACTIVATIONS[self._config.activation](self._dense(x, at + "feed_forward.inner"))
        update = self._update(inner, at + "feed_forward.output", taps)
        return taps.keep(at + "hidden", self._norm(x + drop(update), at + "feed_forward.norm"))

    def _update(self, x: Any, name: str, taps: Taps) -> Any:
        """What a sublayer adds to the residual: its bias alone where nothing else is left of it."""
        if x is None:
            return self._bias(name)
        return taps.keep(name, self._dense(taps.keep(f"{name}.input", x), name))

    def _read(self, name: str) -> Any:
        return tf.convert_to_tensor(self._named[name].value)

    def _kernel(self, name: str) -> Any:
        """A kernel as `[inputs, outputs]`; keras-hub splits the attention's into heads."""
        outputs = math.prod(self._named[f"{name}.bias"].shape)
        kernel = tf.reshape(self._read(f"{name}.kernel"), [-1, outputs])
        return fake_quantized(kernel, self._bits.kernels, 0) if self._bits.kernels else kernel

    def _bias(self, name: str) -> Any:
        return tf.reshape(self._read(f"{name}.bias"), [-1])

    def _dense(self, x: Any, name: str) -> Any:
        return dense(self._rounded(x), self._kernel(name), self._bias(name), self._precision)

    def _rounded(self, x: Any) -> Any:
        return fake_quantized(x, self._bits.activations, -1) if self._bits.activations else x

    def _side_by_side(self, x: Any, names: list[str]) -> Any:
        kernel = tf.concat([self._kernel(name) for name in names], 1)
        bias = tf.concat([self._bias(name) for name in names], 0)
        return dense(self._rounded(x), kernel, bias, self._precision)

    def _norm(self, x: Any, name: str) -> Any:
        return layer_norm(
            x,
            self._read(f"{name}.scale"),
            self._read(f"{name}.bias"),
            self._config.layer_norm_epsilon,
        )


def pack_backbone(
    backbone: Any,
    config: BertConfig,
    dropout: float,
    seed: int,
    precision: str,
    aware_of: str = "none",
    every_token: bool = False,
) -> keras.Model:
    """A Keras model with a backbone's inputs and outputs, computed packed: see `PackedEncoder`."""
    encoder = PackedEncoder(backbone, config, dropout, seed, precision, aware_of, every_token)
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in INPUTS}
    return keras.Model(inputs, encoder(inputs), name="packed")
