"""The attention weights of a `TaskModel` for one input, computed by Keras."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from converters.compaction import structure
from edgebert.encoding.tokenizer import Encoding
from edgebert.models.task_model import TaskModel
from edgebert.system import native_noise


def attention_weights(model: TaskModel, encoding: Encoding) -> npt.NDArray[np.float32]:
    """The softmax of the attention scores (Vaswani et al. 2017) in every layer and head.

    Args:
        model: The model. Its head does not matter.
        encoding: The input, of at most the model's number of positions.

    Returns:
        float32 `[layers, heads, tokens, tokens]`: row i is the attention of token i to each token,
        with sum 1.
    """
    keras = native_noise.load_keras()
    from converters.formats import keras_hub

    config = model.checkpoint.config
    backbone = keras_hub.build_backbone(config, dropout=0.0)
    keras_hub.load_weights(backbone, model.checkpoint.weights, config)
    inputs = {
        "token_ids": np.asarray([encoding.token_ids], np.int32),
        "segment_ids": np.asarray([encoding.segment_ids], np.int32),
        "padding_mask": np.ones((1, len(encoding)), np.int32),
    }
    projects_last = config.embedding_size and not config.is_mobile
    last = "embeddings_projection" if projects_last else "embeddings_dropout"
    embeddings = keras.Model(backbone.input, backbone.get_layer(last).output)
    hidden_states = embeddings(inputs, training=False)
    found = []
    for i in range(config.num_layers):
        hidden_states, weights = backbone.get_layer(f"transformer_layer_{i}")(
            hidden_states,
            padding_mask=inputs["padding_mask"],
            training=False,
            return_attention_scores=True,
        )
        found.append(np.asarray(weights, np.float32)[0])
    return np.stack(found)


def kept_heads(model: TaskModel) -> npt.NDArray[np.bool_]:
    """The heads that are not pruned, bool `[layers, heads]`."""
    return np.stack([layer.heads for layer in structure(model.checkpoint)])
