"""The residual stream of a BERT on calibration text: states in front of and behind each sublayer.

`PackedEncoder` computes a model in one function. Narrowing the hidden size changes one sublayer
after another and needs the states between them, of the teacher and of the narrow model. So this
module computes single sublayers on numpy arrays. A batch is an array `[texts, length, width]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.checkpoint import BertConfig
from edgebert.encoding.encoded_rows import EncodedRows
from edgebert.system import native_noise
from edgebert.training.batches import sorted_batches

Floats = npt.NDArray[np.float32]
Weights = Mapping[str, np.ndarray]
BATCH_SIZE = 32


@dataclass(frozen=True)
class TextBatch:
    """Token ids and segments of some texts.

    Attributes:
        inputs: int32 `token_ids`, `padding_mask` and `segment_ids`, each `[texts, length]`.
    """

    inputs: Mapping[str, npt.NDArray[np.int32]]

    @property
    def is_token(self) -> npt.NDArray[np.bool_]:
        """Where there is a token, and not padding: bool `[texts, length]`."""
        return self.inputs["padding_mask"] > 0


def text_batches(rows: EncodedRows, most_tokens: int) -> list[TextBatch]:
    """Batches of texts of about equal length, with at most this many tokens in all.

    Args:
        rows: The texts. If they have more tokens, an even part of the batches is taken.
        most_tokens: Largest number of tokens; there is at least one batch.
    """
    batches = list(sorted_batches(rows.lengths, BATCH_SIZE))
    counts = np.array([int(rows.lengths[batch].sum()) for batch in batches])
    take = len(batches)
    if counts.sum() > most_tokens:
        take = max(1, int(len(batches) * most_tokens / counts.sum()))
    places = np.unique(np.linspace(0, len(batches) - 1, take).round().astype(int))
    longest = [int(rows.lengths[batches[place]].max()) for place in places]
    return [
        TextBatch({k: v[:, :n] for k, v in rows.padded(batches[place], n).items()})
        for place, n in zip(places, longest, strict=True)
    ]


class Sublayers:
    """Computes the sublayers of one model. Layers may have different numbers of heads and neurons.

    Args:
        config: The shape of the model; its number of heads is not used.
        weights: Arrays by neutral name, of a compacted checkpoint. They may be completed later.
        head_size: Size of a head.
    """

    def __init__(self, config: BertConfig, weights: Weights, head_size: int) -> None:
        native_noise.load_keras()
        import tensorflow as tf

        from edgebert.training.operations import ACTIVATIONS

        self._tf, self._config, self.weights = tf, config, weights
        self._size, self._activations = head_size, ACTIVATIONS

    def dense(self, x: Floats, name: str) -> Floats:
        """A dense layer by its neutral name."""
        kernel, bias = self.weights[f"{name}.kernel"], self.weights[f"{name}.bias"]
        return np.asarray(x @ kernel.T + bias, np.float32)

    def norm(self, x: Floats, name: str) -> Floats:
        """A LayerNorm by its neutral name."""
        return (
            normalized(x, self._config.layer_norm_epsilon) * self.weights[f"{name}.scale"]
            + (self.weights[f"{name}.bias"])
        )

    def embedded(self, batch: TextBatch) -> Floats:
        """The sum of the embeddings in front of their LayerNorm."""
        ids, segments = batch.inputs["token_ids"], batch.inputs["segment_ids"]
        position = self.weights["embeddings.position"][: ids.shape[1]]
        segment = self.weights["embeddings.segment"][segments]
        return np.asarray(self.weights["embeddings.token"][ids] + position + segment, np.float32)

    def projected(self, batch: TextBatch) -> Floats:
        """The input of the first layer of a model that projects its embeddings."""
        return self.dense(
            self.norm(self.embedded(batch), "embeddings.norm"), "embeddings.projection"
        )

    def states(self, batches: Sequence[TextBatch]) -> Iterator[list[Floats]]:
        """The stream behind each normalization: an array `[texts, length, hidden]` per batch."""
        if self._config.embedding_size:
            states = [self.projected(batch) for batch in batches]
        else:
            states = [self.norm(self.embedded(batch), "embeddings.norm") for batch in batches]
        yield states
        for i in range(self._config.num_layers):
            layer, pairs = f"layers.{i}", zip(states, batches, strict=True)
            states = [
                self.behind(x, self.context(x, layer, batch), f"{layer}.attention")
                for x, batch in pairs
            ]
            yield states
            states = [self.behind(x, self.inner(x, layer), f"{layer}.feed_forward") for x in states]
            yield states

    def behind(self, x: Floats, update: Floats, sublayer: str) -> Floats:
        """The stream behind a sublayer.

        Args:
            x: The stream in front of it.
            update: The input of its output kernel.
            sublayer: Its neutral name, such as `layers.0.attention`.
        """
        return self.norm(x + self.dense(update, f"{sublayer}.output"), f"{sublayer}.norm")

    def context(self, x: Floats, layer: str, batch: TextBatch) -> Floats:
        """The input of a layer's attention output kernel: `[texts, length, heads * head_size]`."""
        tf, size = self._tf, self._size
        query, key, value = (
            self._split(self.dense(x, f"{layer}.attention.{part}"))
            for part in ("query", "key", "value")
        )
        absent = (1 - batch.inputs["padding_mask"]) * np.float32(-1e9)
        scores = tf.matmul(query / np.float32(np.sqrt(size)), key, transpose_b=True)
        joined = tf.matmul(tf.nn.softmax(scores + absent[:, None, None]), value)
        heads = joined.numpy().transpose(0, 2, 1, 3)
        return np.asarray(heads.reshape(*x.shape[:2], -1), np.float32)

    def _split(self, x: Floats) -> Floats:
        return x.reshape(*x.shape[:2], -1, self._size).transpose(0, 2, 1, 3)

    def inner(self, x: Floats, layer: str) -> Floats:
        """The input of a layer's feed-forward output kernel: `[texts, length, neurons]`."""
        return self._activated(
            self.dense(x, f"{layer}.feed_forward.inner"), self._config.activation
        )

    def pooled(self, x: Floats) -> Floats:
        """The activation of the pooler."""
        return self._activated(x, self._config.pooler_activation)

    def _activated(self, x: Floats, name: str) -> Floats:
        return np.asarray(self._activations[name](self._tf.constant(x)), np.float32)


def normalized(x: Floats, epsilon: float) -> Floats:
    """Rows with mean 0 and variance 1: a LayerNorm without gain and bias."""
    centred = x - x.mean(-1, keepdims=True)
    variance = np.square(centred).mean(-1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + epsilon), np.float32)
