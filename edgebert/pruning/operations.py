"""The number of multiplications of a model."""

from __future__ import annotations

from converters.checkpoint import Checkpoint
from converters.compaction import compact, layer_widths


def operations(checkpoint: Checkpoint, tokens: int) -> int:
    """The number of multiplications in the encoder's layers for a text of `tokens` tokens."""
    kernels = sum(
        array.size
        for name, array in compact(checkpoint).weights.items()
        if name.startswith("layers.") and name.endswith(".kernel")
    )
    heads = sum(width.heads for width in layer_widths(checkpoint))
    return tokens * kernels + 2 * tokens * tokens * heads * checkpoint.config.head_size
