"""`PackedEncoder`: keras-hub's `BertBackbone` in the fewest operations for training.

The layer holds a backbone, which may also be an `ElectraBackbone`, and reads its variables. Outputs
and gradients are those of the backbone, up to rounding and to the random numbers of dropout. It
saves the following work:

- Padding: the tokens of a batch are packed into one array without gaps, `[tokens, hidden]`. Only
  attention works on rows of equal length.
- Unused rows: a classifier reads [CLS] only, so the last layer computes its queries, output
  projection and feed-forward for one row per text.
- Intermediate arrays (see `operations`): queries, keys and values are one matmul, and one gather
  replaces a reshape, a transpose and the padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from converters.checkpoint import BertConfig
from converters.formats import keras_hub
from edgebert.training.operations import (
    ACTIVATIONS,
    Dropout,
    dense,
    fake_quantize,
    layer_norm,
    permute,
    small_table_rows,
)
from edgebert.training.packing import Packing, join_heads, pack, split_heads

INPUTS = ("token_ids", "padding_mask", "segment_ids")


class Bits(NamedTuple):
    """Bits of the numbers that quantization-aware training rounds; 0 rounds nothing."""

    kernels: int
    activations: int
    embeddings: int


QUANTIZATION_BITS = {"none": Bits(0, 0, 0), "int8": Bits(8, 8, 8), "int4": Bits(4, 8, 4)}
"""Bits by the value of the setting `quantization_aware`."""


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """How a `PackedEncoder` computes.

    Attributes:
        dropout: Dropout rate of hidden states and attention.
        seed: Seed of the dropout.
        precision: dtype of the operands of matmuls with weights; everything else is float32. A
            mixed dtype policy of Keras would also cast whole tables and normalizations.
        quantization_aware: A key of `QUANTIZATION_BITS`. Kernels, embedding rows and the inputs of
            kernels are rounded as in the exported file, so that training adapts to the rounding.
        every_token: Whether the head reads every token, and not [CLS] only.
    """

    dropout: float = 0.0
    seed: int = 0
    precision: str = "float32"
    quantization_aware: str = "none"
    every_token: bool = False


class Taps:
    """Collects intermediate arrays of an encoder by name; only the wanted ones are kept.

    The names, with i the number of a layer:

    - `embeddings`: float32 `[packed, hidden]`.
    - `layers.{i}.hidden`: float32 `[packed, hidden]`. A last layer that is computed for [CLS] only
      has one row per text.
    - `layers.{i}.attention.query`, `.key`, `.value`: `[batch, heads, length, head_size]`. A last
      layer that is computed for [CLS] only has none.
    - `layers.{i}.attention.output`, `layers.{i}.feed_forward.output`: the update that a sublayer
      adds to the residual. With the suffix `.input`: the input of its output kernel.

    Args:
        wanted: Whether the array of a name is kept.

    Attributes:
        packing: The index tables of the batch.
        values: The kept arrays.
    """

    def __init__(self, wanted: Callable[[str], bool] = lambda name: False) -> None:
        self._wanted = wanted
        self.packing: Any = None
        self.values: dict[str, Any] = {}

    def wants(self, name: str) -> bool:
        """Whether the array of this name is kept."""
        return self._wanted(name)

    def keep(self, name: str, value: Any) -> Any:
        """Keeps a value if it is wanted, and returns it."""
        if self._wanted(name):
            self.values[name] = value
        return value


class PackedEncoder(keras.layers.Layer):
    """Encodes a batch like its backbone, with packed rows.

    Inputs: a dict of int32 `token_ids`, `padding_mask` and `segment_ids`, each `[batch, length]`.
    The first column must be a token in every row. Outputs: a dict with the backbone's
    `pooled_output` `[batch, hidden]` and, with `every_token`, its `sequence_output`
    `[batch, length, hidden]`, in which the rows of padding have no meaning.

    Args:
        backbone: A `keras_hub.models.BertBackbone` or a `NarrowBackbone`, whose variables are used
            and trained. Each layer may have its own number of heads and neurons.
        config: The shape of the backbone.
        options: Dropout, precision and further options.
    """

    def __init__(self, backbone: Any, config: BertConfig, options: EncoderOptions) -> None:
        super().__init__(dtype="float32", name="packed_encoder")
        self.backbone = backbone
        self._config, self._dropout, self._precision = config, options.dropout, options.precision
        self._bits = QUANTIZATION_BITS[options.quantization_aware]
        self._every_token = options.every_token
        self._step_seed = keras.random.SeedGenerator(options.seed)
        self._named = {
            name: variable for name, (_, variable) in keras_hub.variables(backbone, config).items()
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
        """The pooled [CLS] row of each text and, with `every_token`, the row of every token."""
        return self.encode(inputs, training, Taps())

    def encode(
        self,
        inputs: dict[str, Any],
        training: bool | None,
        taps: Taps,
        whole_last_layer: bool = False,
    ) -> dict[str, Any]:
        """The outputs of `call`, with intermediate arrays in `taps`; arguments as of `run`."""
        if not self._every_token:
            return {"pooled_output": self.run(inputs, training, taps, whole_last_layer)}
        last = f"layers.{self._config.num_layers - 1}.hidden"
        own = Taps(lambda name: name == last or taps.wants(name))
        pooled = self.run(inputs, training, own, whole_last_layer=True)
        taps.packing = own.packing
        taps.values = {name: value for name, value in own.values.items() if taps.wants(name)}
        row, hidden = own.packing.row[:, 0, :], self._config.hidden_size
        sequence = permute(own.values[last], row, own.packing.position, hidden)
        shape = [own.packing.batch, own.packing.length, hidden]
        return {"pooled_output": pooled, "sequence_output": tf.reshape(sequence, shape)}

    def run(
        self,
        inputs: dict[str, Any],
        training: bool | None = None,
        taps: Taps | None = None,
        whole_last_layer: bool = False,
    ) -> Any:
        """Encodes a batch and collects intermediate arrays.

        Args:
            inputs: The inputs of the layer.
            training: Whether dropout is applied.
            taps: Collects intermediate arrays.
            whole_last_layer: Whether the last layer is computed for every token, and not for [CLS]
                only.

        Returns:
            The pooled [CLS] rows, float32 `[batch, hidden]`.
        """
        packing = pack(inputs["padding_mask"])
        drop = Dropout(
            self._dropout if training else 0.0,
            self._step_seed.next() if training and self._dropout else None,
        )
        taps = Taps() if taps is None else taps
        taps.packing = packing
        x = taps.keep("embeddings", self._embed(inputs, packing, drop))
        last = self._config.num_layers - 1
        for layer in range(last + whole_last_layer):
            x = self._layer(x, packing, layer, drop, taps)
        if whole_last_layer:
            x = tf.gather(x, packing.row[:, 0, 0])
        else:
            x = self._last_layer(x, packing, drop, taps)
        if not self._config.has_pooler:
            return x
        return ACTIVATIONS[self._config.pooler_activation](self._dense(x, "pooler"))

    def _embed(self, inputs: dict[str, Any], packing: Packing, drop: Dropout) -> Any:
        tokens = self._token_rows(packed(inputs["token_ids"], packing))
        x = drop(self._norm(tokens + self._placed(inputs, packing), "embeddings.norm"))
        projection = "embeddings.projection"
        return self._dense(x, projection) if f"{projection}.bias" in self._named else x

    def _token_rows(self, ids: Any) -> Any:
        # The gradient of this gather is sparse; see `SparseAdamW`.
        rows = tf.gather(self._named["embeddings.token"].value, ids)
        return fake_quantize(rows, self._bits.embeddings, -1) if self._bits.embeddings else rows

    def _placed(self, inputs: dict[str, Any], packing: Packing) -> Any:
        """The sum of the position and segment embeddings, `[packed, width]`."""
        position = packing.position % packing.length
        segment = packed(inputs["segment_ids"], packing)
        return small_table_rows(self._read("embeddings.position"), position) + small_table_rows(
            self._read("embeddings.segment"), segment
        )

    def _layer(self, x: Any, packing: Packing, layer: int, drop: Dropout, taps: Taps) -> Any:
        at = f"layers.{layer}."
        heads = self._heads(at)
        context = None
        if heads:
            names = [at + "attention." + name for name in ("query", "key", "value")]
            parts = split_heads(self._attention_inputs(x, at, names), packing, 3, heads)
            query, key, value = map(taps.keep, names, parts)
            context = join_heads(self._attend(query, key, value, packing, drop), packing)
        return self._after_attention(x, context, at, drop, taps)

    def _attention_inputs(self, x: Any, at: str, names: list[str]) -> Any:
        """Queries, keys and values of a layer side by side, `[packed, 3 * width]`."""
        return self._concatenated_dense(x, names)

    def _last_layer(self, x: Any, packing: Packing, drop: Dropout, taps: Taps) -> Any:
        at = f"layers.{self._config.num_layers - 1}."
        heads = self._heads(at)
        first = tf.gather(x, packing.row[:, 0, 0])
        context = None
        if heads:
            names = [at + "attention." + name for name in ("key", "value")]
            key, value = split_heads(self._concatenated_dense(x, names), packing, 2, heads)
            query = tf.reshape(
                self._dense(first, at + "attention.query"), [-1, heads, 1, self._config.head_size]
            )
            context = self._attend(query, key, value, packing, drop)
            context = tf.reshape(context, [-1, heads * self._config.head_size])
        return self._after_attention(first, context, at, drop, taps)

    def _heads(self, at: str) -> int:
        """The number of heads of a layer; 0 if it has no variables for attention."""
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
        """The update that a sublayer adds to the residual; its bias if all else is pruned."""
        if x is None:
            return self._bias(name)
        return taps.keep(name, self._dense(taps.keep(f"{name}.input", x), name))

    def _read(self, name: str) -> Any:
        return tf.convert_to_tensor(self._named[name].value)

    def _kernel(self, name: str) -> Any:
        """A kernel as `[inputs, outputs]`; keras-hub splits those of attention into heads."""
        outputs = math.prod(self._named[f"{name}.bias"].shape)
        kernel = tf.reshape(self._read(f"{name}.kernel"), [-1, outputs])
        return fake_quantize(kernel, self._bits.kernels, 0) if self._bits.kernels else kernel

    def _bias(self, name: str) -> Any:
        return tf.reshape(self._read(f"{name}.bias"), [-1])

    def _dense(self, x: Any, name: str) -> Any:
        return dense(self._quantized(x), self._kernel(name), self._bias(name), self._precision)

    def _quantized(self, x: Any) -> Any:
        return fake_quantize(x, self._bits.activations, -1) if self._bits.activations else x

    def _concatenated_dense(self, x: Any, names: list[str]) -> Any:
        kernel = tf.concat([self._kernel(name) for name in names], 1)
        bias = tf.concat([self._bias(name) for name in names], 0)
        return dense(self._quantized(x), kernel, bias, self._precision)

    def _norm(self, x: Any, name: str) -> Any:
        return layer_norm(
            x,
            self._read(f"{name}.scale"),
            self._read(f"{name}.bias"),
            self._config.layer_norm_epsilon,
        )


def packed(ids: Any, packing: Packing) -> Any:
    """The numbers of the packed tokens: `[batch, length]` to `[packed]`."""
    return tf.gather(tf.reshape(ids, [-1]), packing.position)
