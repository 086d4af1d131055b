"""Reads and writes the weights of keras-hub's `BertBackbone`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.bert_config import BertConfig
from converters.formats.keras_activations import activation
from converters.formats.weight_names import (
    EMBEDDINGS,
    HEADS,
    POOLER,
    PROJECTION,
    SENTENCE,
    Row,
    from_keras_hub,
    rows,
    to_keras_hub,
)
from converters.mapped_weights import forget_pages

if TYPE_CHECKING:
    import keras


def build_backbone(config: BertConfig, dropout: float | None = None) -> Any:
    """Builds a backbone of this configuration with initial weights, with the API of keras-hub.

    It is a `BertBackbone`, or an `ElectraBackbone` where the embeddings are projected: they have
    the same layers otherwise. keras-hub always uses the approximate (tanh) GELU, one LayerNorm
    epsilon and a tanh pooler. The backbone gets the values of the configuration instead. A
    MobileBERT, which keras-hub does not have, is a `keras_mobilebert`.

    Args:
        config: sizes and activations.
        dropout: dropout rate; None uses that of `config`.
    """
    import keras_hub

    if config.is_mobile:
        from converters.formats import keras_mobilebert

        return keras_mobilebert.build_backbone(config, dropout)
    settings: dict[str, Any] = {"vocabulary_size": config.vocab_size}
    make = keras_hub.models.BertBackbone
    if config.embedding_size:
        settings = {"vocab_size": config.vocab_size, "embedding_dim": config.embedding_size}
        make = keras_hub.models.ElectraBackbone
    backbone = make(
        **settings,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        hidden_dim=config.hidden_size,
        intermediate_dim=config.intermediate_size,
        dropout=config.dropout if dropout is None else dropout,
        max_sequence_length=config.max_positions,
        num_segments=config.num_segments,
    )
    backbone.get_layer("embeddings_layer_norm").epsilon = config.layer_norm_epsilon
    inner = activation(config.activation)
    for layer in backbone.transformer_layers:
        layer._feedforward_intermediate_dense.activation = inner
        layer._self_attention_layer_norm.epsilon = config.layer_norm_epsilon
        layer._feedforward_layer_norm.epsilon = config.layer_norm_epsilon
    backbone.pooled_dense.activation = activation(config.pooler_activation)
    return backbone


def variables(model: keras.Model, config: BertConfig) -> dict[str, tuple[Row, Any]]:
    """The rows and variables of a Keras model with a BertBackbone, by neutral name."""
    by_path = {_tail(variable.path): variable for variable in model.weights}
    return {
        row.neutral: (row, by_path[row.keras_hub])
        for row in (*rows(config), *SENTENCE)
        if row.keras_hub in by_path
    }


def _tail(path: str) -> str:
    """The variable path without the names of outer models."""
    parts = path.split("/")
    for start, part in enumerate(parts):
        if part in _FIRST or part.startswith("transformer_layer_"):
            return "/".join(parts[start:])
    return path


_FIRST = {
    row.keras_hub.split("/")[0]
    for row in (*EMBEDDINGS, *PROJECTION, *POOLER, *itertools.chain(*HEADS.values()), *SENTENCE)
}


def load_weights(
    model: keras.Model, weights: dict[str, np.ndarray], config: BertConfig
) -> set[str]:
    """Assigns neutral arrays to the variables of a Keras model.

    Returns:
        The neutral names of variables that are not in `weights`; they keep their initial values.
    """
    missing = set()
    for name, (row, variable) in variables(model, config).items():
        if name in weights:
            variable.assign(to_keras_hub(weights[name], row.transform, config.head_size))
            forget_pages([weights[name]])
        else:
            missing.add(name)
    return missing


def read_weights(model: keras.Model, config: BertConfig) -> dict[str, np.ndarray]:
    """The neutral arrays of a Keras model, float32."""
    return {
        name: from_keras_hub(np.asarray(variable, np.float32), row.transform)
        for name, (row, variable) in variables(model, config).items()
    }
