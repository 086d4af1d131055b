"""Selects layers of a BERT, and makes a checkpoint of the selected layers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from converters.checkpoint import Checkpoint

_LAYER = re.compile(r"layers\.(\d+)\.(.+)")


def spread_layers(total: int, count: int) -> tuple[int, ...]:
    """`count` evenly spaced numbers of `total` layers; the last layer is always included."""
    return tuple(int(i) for i in np.ceil(np.arange(1, count + 1) * total / count) - 1)


def drop_layers(checkpoint: Checkpoint, kept: Sequence[int]) -> Checkpoint:
    """Keeps only the given layers and renumbers them from 0."""
    places = {number: place for place, number in enumerate(kept)}
    weights = {}
    for name, array in checkpoint.weights.items():
        found = _LAYER.fullmatch(name)
        if found is None:
            weights[name] = array
        elif int(found[1]) in places:
            weights[f"layers.{places[int(found[1])]}.{found[2]}"] = array
    config = replace(checkpoint.config, num_layers=len(kept))
    return replace(checkpoint, config=config, weights=weights)
