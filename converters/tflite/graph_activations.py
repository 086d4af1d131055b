"""The activations of a checkpoint as operators of the inference graph."""

from __future__ import annotations

from converters.checkpoint import GELU_TANH, RELU, TANH
from converters.heads import IDENTITY
from converters.tflite.subgraph_builder import SubgraphBuilder, Tensor


def activate(sub: SubgraphBuilder, x: Tensor, activation: str, name: str) -> Tensor:
    """Applies an activation of `converters.checkpoint` or `converters.heads`: one operator or none.

    Args:
        sub: the signature.
        x: float32, any shape.
        activation: its name.
        name: of the result.
    """
    if activation == IDENTITY:
        return x
    if activation == RELU:
        return sub.relu(x, name)
    if activation == TANH:
        return sub.tanh(x, name)
    return sub.gelu(x, activation == GELU_TANH, name)
