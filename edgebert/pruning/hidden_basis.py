"""Chooses the basis of a narrower residual stream: the directions that are kept.

All layers share one basis, since the residual connections add their states.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from converters.checkpoint import Checkpoint
from converters.compaction import compact
from converters.heads import CLASSIFIER
from edgebert.pruning.stream import Floats, Sublayers, TextBatch
from edgebert.pruning.surgeon import Curvature, order_removal


def choose_basis(teacher: Checkpoint, size: int, batches: Sequence[TextBatch]) -> Floats:
    """The basis of the narrow stream: float32 `[hidden, size]`.

    Args:
        teacher: The model whose stream is narrowed.
        size: Number of directions to keep.
        batches: Calibration text.
    """
    kept = choose_channels(_pooled_moment(teacher, batches), size)
    return np.eye(teacher.config.hidden_size, dtype=np.float32)[:, kept]


def choose_channels(moment: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.int64]:
    """The channels from which the others follow best, by least squares: ascending `[size]`.

    One after another, the channel is removed that the remaining ones replace with the least error
    (the optimal brain surgeon on an identity kernel, see `surgeon`).

    Args:
        moment: The second moment of the channels with a 1 at their end, `[hidden + 1, hidden + 1]`.
        size: Number of channels to keep.
    """
    hidden = len(moment) - 1
    identity = np.eye(hidden, dtype=np.float32)
    order = order_removal(
        identity,
        np.zeros(hidden, np.float32),
        Curvature(moment, np.eye(hidden)),
        size=1,
        at_once=1,
    ).order
    return np.sort(order[hidden - size :])


def _pooled_moment(teacher: Checkpoint, batches: Sequence[TextBatch]) -> npt.NDArray[np.float64]:
    """The mean second moment of all states of the stream, each divided by its mean square.

    The last state of a text classifier is that of [CLS], since nothing else is read.
    """
    config = teacher.config
    model = Sublayers(config, compact(teacher).weights, config.head_size)
    total: npt.NDArray[np.float64] = np.zeros((config.hidden_size + 1, config.hidden_size + 1))
    count = 2 * config.num_layers + 1
    for number, states in enumerate(model.states(batches)):
        only_cls = number == count - 1 and teacher.head == CLASSIFIER
        rows = np.concatenate(
            [
                x[:, 0] if only_cls else x[batch.is_token]
                for x, batch in zip(states, batches, strict=True)
            ]
        )
        rows /= np.sqrt(np.square(rows).mean())
        extended = np.concatenate([rows, np.ones((len(rows), 1), np.float32)], 1)
        total += (extended.T @ extended).astype(np.float64) / len(rows) / count
    return total
