"""`NarrowBackbone`: the variables of a BERT whose layers have lost heads or neurons.

keras-hub's `BertBackbone` has one width for all layers, so training a pruned model on it computes
its zeros. This holds the compacted arrays under keras-hub's own names, and `PackedEncoder` computes
with them as with a backbone's: a step costs what is left of the model.
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
    """Trainable variables by keras-hub's names, each as narrow as its array.

    Args:
        checkpoint: compacted. A layer without heads or neurons has no variables for them.
        seed: of a pooler that the checkpoint does not have.
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
    for row in rows(checkpoint.config.num_layers):
        if not is_head_weight(row.neutral) and weights[row.neutral].size:
            yield row, weights[row.neutral]


def _variable(row: Row, array: np.ndarray) -> Any:
    *scopes, name = row.keras_hub.split("/")
    with ExitStack() as stack:
        for scope in scopes:
            stack.enter_context(keras.name_scope(scope))
        return keras.Variable(array, dtype="float32", name=name)
