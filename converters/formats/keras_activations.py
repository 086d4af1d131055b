"""The activations of a checkpoint as functions of Keras, which is imported when one is called."""

from __future__ import annotations

from typing import Any

from converters.bert_config import GELU_EXACT, GELU_TANH, RELU, TANH


def activation(name: str) -> Any:
    """The Keras function of an activation of `converters.bert_config`."""
    import keras

    return {
        GELU_EXACT: _gelu_exact,
        GELU_TANH: lambda x: keras.ops.gelu(x, approximate=True),
        RELU: keras.activations.relu,
        TANH: keras.activations.tanh,
    }[name]


def _gelu_exact(x: Any) -> Any:
    import keras

    return keras.ops.gelu(x, approximate=False)
