"""MobileBERT (Sun et al. 2020) in Keras, with the inputs, outputs and names of keras-hub's BERT.

A layer narrows the hidden states to a bottleneck, attends and runs several feed-forward networks
there, and widens the result. Queries and keys read a second bottleneck, values the hidden states.
In place of LayerNorm there is a multiplication and an addition (NoNorm). Keras is imported when a
model is built.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from converters.bert_config import BertConfig
from converters.formats.keras_activations import activation as activation_of

if TYPE_CHECKING:
    import keras


def build_backbone(config: BertConfig, dropout: float | None = None) -> keras.Model:
    """Builds the encoder with initial weights.

    Inputs: a dict of int32 `token_ids`, `padding_mask`, `segment_ids`, each `[batch, length]`.
    Outputs: a dict of `sequence_output` `[batch, length, hidden_size]` and `pooled_output`
    `[batch, hidden_size]`, which is the hidden state of [CLS] where there is no pooler. The first
    token of the padding counts as a neighbour of the last token, as in `transformers`.

    Args:
        config: sizes and activations of a MobileBERT.
        dropout: dropout rate; None uses that of `config`.
    """
    import keras
    from keras_hub.layers import PositionEmbedding

    rate = config.dropout if dropout is None else dropout
    layers = _layers()
    inputs = {
        name: keras.Input((None,), dtype="int32", name=name)
        for name in ("token_ids", "segment_ids", "padding_mask")
    }
    table = keras.layers.Embedding(config.vocab_size, config.embedding_size, name="token_embedding")
    tokens = layers["trigram"](name="trigram")(table(inputs["token_ids"]))
    x = keras.layers.Dense(config.hidden_size, name="embeddings_projection")(tokens)
    positions = PositionEmbedding(config.max_positions, name="position_embedding")(x)
    segments = keras.layers.Embedding(
        config.num_segments, config.hidden_size, name="segment_embedding"
    )(inputs["segment_ids"])
    x = keras.layers.Add(name="embeddings_add")([x, positions, segments])
    x = layers["norm"](name="embeddings_layer_norm")(x)
    x = keras.layers.Dropout(rate, name="embeddings_dropout")(x)
    for i in range(config.num_layers):
        layer = layers["layer"](config, rate, name=f"transformer_layer_{i}")
        x = layer(x, padding_mask=inputs["padding_mask"])
    pooled = x[:, 0, :]
    if config.has_pooler:
        activation = activation_of(config.pooler_activation)
        pooled = keras.layers.Dense(config.hidden_size, activation, name="pooled_dense")(pooled)
    return keras.Model(inputs, {"sequence_output": x, "pooled_output": pooled}, name="mobilebert")


@functools.cache
def _layers() -> dict[str, Any]:
    import keras

    class NoNorm(keras.layers.Layer):
        """`x * gamma + beta`, with one value of each for every feature."""

        def build(self, shape: Any) -> None:
            self.gamma = self.add_weight((shape[-1],), initializer="ones", name="gamma")
            self.beta = self.add_weight((shape[-1],), initializer="zeros", name="beta")

        def call(self, x: Any) -> Any:
            return x * self.gamma + self.beta

    class Trigram(keras.layers.Layer):
        """The rows of the next token, the token itself and the previous one; zeros at the ends."""

        def call(self, rows: Any) -> Any:
            after = keras.ops.pad(rows[:, 1:], ((0, 0), (0, 1), (0, 0)))
            before = keras.ops.pad(rows[:, :-1], ((0, 0), (1, 0), (0, 0)))
            return keras.ops.concatenate([after, rows, before], -1)

        def compute_output_spec(self, rows: Any) -> Any:
            return keras.KerasTensor((*rows.shape[:-1], 3 * rows.shape[-1]), "float32")

    return {"norm": NoNorm, "trigram": Trigram, "layer": _layer_class(keras, NoNorm)}


def _layer_class(keras: Any, norm: Any) -> Any:
    class MobileBertLayer(keras.layers.Layer):
        """One layer: `[batch, length, hidden_size]` to the same."""

        def __init__(self, config: BertConfig, dropout: float, name: str) -> None:
            super().__init__(name=name)
            narrow, dense = config.bottleneck_size, keras.layers.Dense
            sizes = {"input": narrow, "attention": narrow, "output": config.hidden_size}
            self._bottlenecks = {
                part: dense(size, name=f"bottleneck_{part}_dense") for part, size in sizes.items()
            }
            self._bottleneck_norms = {part: norm(name=f"bottleneck_{part}_norm") for part in sizes}
            self._attention = keras.layers.MultiHeadAttention(
                config.num_heads,
                config.head_size,
                dropout=dropout,
                output_shape=narrow,
                name="self_attention_layer",
            )
            self._attention_norm = norm(name="self_attention_layer_norm")
            activation, inner = activation_of(config.activation), config.intermediate_size
            before = [f"feedforward_{j}" for j in range(config.num_feed_forwards - 1)]
            firsts = [*(f"{name}_inner_dense" for name in before), "feedforward_intermediate_dense"]
            self._inner = [dense(inner, activation, name=name) for name in firsts]
            names = [*before, "feedforward"]  # the last one has the names of BERT
            self._outer = [dense(narrow, name=f"{name}_output_dense") for name in names]
            self._norms = [norm(name=f"{name}_layer_norm") for name in names]
            self._dropout = keras.layers.Dropout(dropout)

        def call(
            self,
            x: Any,
            padding_mask: Any = None,
            training: Any = None,
            return_attention_scores: bool = False,
        ) -> Any:
            narrow, shared = (
                self._bottleneck_norms[part](self._bottlenecks[part](x))
                for part in ("input", "attention")
            )
            is_token = keras.ops.cast(padding_mask, "bool")[:, None, :]
            update, scores = self._attention(
                shared,
                x,
                key=shared,
                attention_mask=is_token,
                return_attention_scores=True,
                training=training,
            )
            narrow = self._attention_norm(update + narrow)
            for inner, outer, norm_of in zip(self._inner, self._outer, self._norms, strict=True):
                narrow = norm_of(outer(inner(narrow)) + narrow)
            wide = self._dropout(self._bottlenecks["output"](narrow), training=training)
            x = self._bottleneck_norms["output"](wide + x)
            return (x, scores) if return_attention_scores else x

    return MobileBertLayer
