"""ONE table of weight names, a row a weight, run in both directions.

A kernel is `[outputs, inputs]` in the neutral form and in Hugging Face's; keras-hub has it the
other way round and splits the attention's into heads, which is what `transform` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """One weight. `{i}` stands for the layer's number."""

    neutral: str
    huggingface: str
    keras_hub: str
    transform: str = "same"


def _dense(neutral: str, huggingface: str, keras_hub: str, kernel: str, bias: str) -> list[Row]:
    return [
        Row(f"{neutral}.kernel", f"{huggingface}.weight", f"{keras_hub}/kernel", kernel),
        Row(f"{neutral}.bias", f"{huggingface}.bias", f"{keras_hub}/bias", bias),
    ]


def _norm(neutral: str, huggingface: str, keras_hub: str) -> list[Row]:
    return [
        Row(f"{neutral}.scale", f"{huggingface}.weight", f"{keras_hub}/gamma"),
        Row(f"{neutral}.bias", f"{huggingface}.bias", f"{keras_hub}/beta"),
    ]


_LAYER, _HF, _KERAS = "layers.{i}", "encoder.layer.{i}", "transformer_layer_{i}"
_SELF = f"{_KERAS}/self_attention_layer"

ENCODER: tuple[Row, ...] = (
    Row("embeddings.token", "embeddings.word_embeddings.weight", "token_embedding/embeddings"),
    Row(
        "embeddings.position",
        "embeddings.position_embeddings.weight",
        "position_embedding/embeddings",
    ),
    Row(
        "embeddings.segment",
        "embeddings.token_type_embeddings.weight",
        "segment_embedding/embeddings",
    ),
    *_norm("embeddings.norm", "embeddings.LayerNorm", "embeddings_layer_norm"),
)
LAYER: tuple[Row, ...] = (
    *_dense(
        f"{_LAYER}.attention.query",
        f"{_HF}.attention.self.query",
        f"{_SELF}/query",
        "heads_out",
        "heads_bias",
    ),
    *_dense(
        f"{_LAYER}.attention.key",
        f"{_HF}.attention.self.key",
        f"{_SELF}/key",
        "heads_out",
        "heads_bias",
    ),
    *_dense(
        f"{_LAYER}.attention.value",
        f"{_HF}.attention.self.value",
        f"{_SELF}/value",
        "heads_out",
        "heads_bias",
    ),
    *_dense(
        f"{_LAYER}.attention.output",
        f"{_HF}.attention.output.dense",
        f"{_SELF}/attention_output",
        "heads_in",
        "same",
    ),
    *_norm(
        f"{_LAYER}.attention.norm",
        f"{_HF}.attention.output.LayerNorm",
        f"{_KERAS}/self_attention_layer_norm",
    ),
    *_dense(
        f"{_LAYER}.feed_forward.inner",
        f"{_HF}.intermediate.dense",
        f"{_KERAS}/feedforward_intermediate_dense",
        "transpose",
        "same",
    ),
    *_dense(
        f"{_LAYER}.feed_forward.output",
        f"{_HF}.output.dense",
        f"{_KERAS}/feedforward_output_dense",
        "transpose",
        "same",
    ),
    *_norm(
        f"{_LAYER}.feed_forward.norm", f"{_HF}.output.LayerNorm", f"{_KERAS}/feedforward_layer_norm"
    ),
)
POOLER: tuple[Row, ...] = tuple(
    _dense("pooler", "pooler.dense", "pooled_dense", "transpose", "same")
)
CLASSIFIER: tuple[Row, ...] = tuple(
    _dense("classifier", "classifier", "classifier", "transpose", "same")
)


def rows(num_layers: int) -> Iterator[Row]:
    """Every row of a model with so many layers, the numbers filled in, in the order of the data."""
    yield from ENCODER
    for i in range(num_layers):
        for row in LAYER:
            yield Row(
                row.neutral.format(i=i),
                row.huggingface.format(i=i),
                row.keras_hub.format(i=i),
                row.transform,
            )
    yield from POOLER
    yield from CLASSIFIER


def to_keras_hub(array: np.ndarray, transform: str, head_size: int) -> np.ndarray:
    """A neutral array in keras-hub's shape; a layer may have any number of heads."""
    if transform == "same":
        return array
    if transform == "heads_bias":
        return array.reshape(-1, head_size)
    turned = array.T
    if transform == "transpose":
        return turned
    if transform == "heads_out":
        return turned.reshape(turned.shape[0], -1, head_size)
    return turned.reshape(-1, head_size, turned.shape[1])


def from_keras_hub(array: np.ndarray, transform: str) -> np.ndarray:
    """The inverse of `to_keras_hub`."""
    if transform == "same":
        return array
    if transform == "heads_bias":
        return array.reshape(-1)
    if transform == "heads_out":
        array = array.reshape(array.shape[0], -1)
    elif transform == "heads_in":
        array = array.reshape(-1, array.shape[2])
    return np.ascontiguousarray(array.T)
