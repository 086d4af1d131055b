"""BERT's pretraining heads in Keras. Keras is imported when a model is built.

Masked tokens: dense layer, activation, LayerNorm, and the token table as the output's kernel, so
that input and output share the embeddings (Press and Wolf 2017). The head computes only the rows at
the masked positions, since the product with the vocabulary costs as much as the encoder.

A new dense layer is initialized to the identity, so that the encoder's rows are near the tokens'
rows from the first step. A random layer learns only token frequencies for a long time: after 60
steps of 16 rows, MiniLM has a loss of 7.4 nats per token with a random layer and 6.7 with this one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from converters.checkpoint import Checkpoint
from converters.formats import keras_hub
from converters.formats.keras_activations import activation
from converters.tflite.output_names import LOGITS
from edgebert.tasks.masked_rows import NEXT_SENTENCE, PLACES

if TYPE_CHECKING:
    import keras


def build(backbone: Any, checkpoint: Checkpoint, dropout: float, seed: int) -> keras.Model:
    """A model with the further input `mask_places`, int32 `[batch, positions]`, padded with -1.

    The outputs are `logits`, float32 `[batch, positions, vocab_size]`, and `next_sentence`, float32
    `[batch, 2]`, if the checkpoint has its arrays.
    """
    import keras

    config, layers = checkpoint.config, _layers()
    places = keras.Input((None,), dtype="int32", name=PLACES)
    rows = layers["rows"](name="masked_rows")(backbone.output["sequence_output"], places)
    rows = keras.layers.Dense(
        config.masked_lm_width,
        activation=activation(config.transform_activation),
        kernel_initializer=keras.initializers.Identity(),
        dtype="float32",
        name="masked_lm_dense",
    )(rows)
    rows = keras.layers.LayerNormalization(
        epsilon=config.transform_epsilon, dtype="float32", name="masked_lm_norm"
    )(rows)
    _, table = keras_hub.variables(backbone, config)["embeddings.token"]
    extra = config.masked_lm_width - config.embedding_width
    outputs = {LOGITS: layers["tokens"](table, extra, name="masked_lm")(rows)}
    if f"{NEXT_SENTENCE}.kernel" in checkpoint.weights:
        pooled = keras.layers.Dropout(dropout, seed=seed, name="next_sentence_dropout")(
            backbone.output["pooled_output"]
        )
        outputs[NEXT_SENTENCE] = keras.layers.Dense(
            2,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02, seed=seed),
            dtype="float32",
            name=NEXT_SENTENCE,
        )(pooled)
    return keras.Model({**backbone.input, PLACES: places}, outputs, name="masked_lm_model")


@functools.cache
def _layers() -> dict[str, Any]:
    import keras

    class MaskedRows(keras.layers.Layer):
        """The rows at the positions: `[batch, length, hidden]` to `[batch, positions, hidden]`."""

        def call(self, sequence: Any, places: Any) -> Any:
            return keras.ops.take_along_axis(
                sequence, keras.ops.maximum(places, 0)[:, :, None], axis=1
            )

        def compute_output_spec(self, sequence: Any, places: Any) -> Any:
            return keras.KerasTensor((*places.shape, sequence.shape[-1]), "float32")

    class TiedTokens(keras.layers.Layer):
        """Logits, from `[batch, positions, width]` to `[batch, positions, vocab_size]`."""

        def __init__(self, table: Any, extra: int, name: str) -> None:
            super().__init__(name=name, dtype="float32")
            self._table, size = [table], table.shape[0]
            self.bias = self.add_weight(shape=(size,), initializer="zeros", name="bias")
            # The columns of a MobileBERT's kernel behind those of the table.
            self.extra = None
            if extra:
                self.extra = self.add_weight((extra, size), initializer="zeros", name="extra")
            self.built = True

        def call(self, rows: Any) -> Any:
            size = self._table[0].shape[0]
            flat = keras.ops.reshape(rows, [-1, rows.shape[-1]])
            kernel = keras.ops.transpose(keras.ops.convert_to_tensor(self._table[0].value))
            if self.extra is not None:
                kernel = keras.ops.concatenate([kernel, self.extra.value], 0)
            logits = keras.ops.matmul(flat, kernel) + self.bias
            return keras.ops.reshape(logits, [-1, keras.ops.shape(rows)[1], size])

        def compute_output_spec(self, rows: Any) -> Any:
            return keras.KerasTensor((*rows.shape[:2], self._table[0].shape[0]), "float32")

    return {"rows": MaskedRows, "tokens": TiedTokens}


def set_bias(model: keras.Model, bias: Any) -> None:
    """Sets the output's bias, `[vocab_size]`."""
    model.get_layer("masked_lm").bias.assign(bias)


def loss() -> Any:
    """A Keras loss for one output, or for a dict of outputs, whose losses are added."""
    import keras

    class KnownTargets(keras.losses.Loss):
        """Mean cross-entropy over the targets of a row that are not -1."""

        def call(self, y_true: Any, y_pred: Any) -> Any:
            if isinstance(y_pred, Mapping):
                return sum(self.call(y_true[name], y_pred[name]) for name in y_pred)
            targets = keras.ops.reshape(y_true, keras.ops.shape(y_pred)[:-1])
            known = keras.ops.cast(targets >= 0, "float32")
            each = known * keras.ops.sparse_categorical_crossentropy(
                keras.ops.maximum(keras.ops.cast(targets, "int32"), 0), y_pred, from_logits=True
            )
            if len(y_pred.shape) == 2:
                return each
            counts = keras.ops.maximum(keras.ops.sum(known, -1), 1.0)
            return keras.ops.sum(each, -1) / counts

    return KnownTargets(name="known_targets")
