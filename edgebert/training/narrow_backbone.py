"""`NarrowBackbone`: the variables of a BERT with layers of different widths.

keras-hub's `BertBackbone` has one width for all layers, so it would compute the zeros of a pruned
model. This layer holds the compacted arrays under keras-hub's variable names, and `PackedEncoder`
computes with them as with those of a backbone. A step then costs only the remaining parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np

from converters.checkpoint import Checkpoint
from converters.formats.weight_names import Row, rows, to_keras_hub
from converters.heads import is_head_weight

_FRESH_DEVIATION = 0.02


class NarrowBackbone(keras.layers.Layer):
    """Trainable variables with keras-hub's names and the shapes of a compacted checkpoint.

    Args:
        checkpoint: The compacted checkpoint. Layers without heads or neurons have no variables for
            them.
        seed: Seed of a new pooler, if the checkpoint has none.
    """

    def __init__(self, checkpoint: Checkpoint, seed: int) -> None:
        super().__init__(dtype="float32", name="narrow_backbone")
        size = checkpoint.config.head_size
        self._held = [
            _variable(row, to_keras_hub(array, row.transform, size))
            for row, array in _arrays(checkpoint, seed)
        ]
        self.built = True


def _arrays(checkpoint: Checkpoint, seed: int) -> Iterator[tuple[Row, np.ndarray]]:
    hidden = checkpoint.config.hidden_size
    fresh = {
        "pooler.kernel": np.random.default_rng(seed)
        .normal(0, _FRESH_DEVIATION, (hidden, hidden))
        .astype(np.float32),
        "pooler.bias": np.zeros(hidden, np.float32),
    }
    weights = fresh | checkpoint.weights
    for row in rows(checkpoint.config):
        if not is_head_weight(row.neutral) and weights[row.neutral].size:
            yield row, weights[row.neutral]


def _variable(row: Row, array: np.ndarray) -> Any:
    *scopes, name = row.keras_hub.split("/")
    with ExitStack() as stack:
        for scope in scopes:
            stack.enter_context(keras.name_scope(scope))
        return keras.Variable(array, dtype="float32", name=name)
