"""The projection with which distillation compares states of different widths.

TinyBERT (Jiao et al. 2020) trains a dense layer from the student's width to the teacher's, from
random weights. Here it starts with the least-squares fit of the teacher's states by the student's
on some texts. For a student whose hidden size was narrowed from the teacher's own states, that is
nearly the map by which it was narrowed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebert.encoding.encoded_rows import EncodedRows
from edgebert.training.batches import sorted_batches
from edgebert.training.least_squares import Moments

TEXTS = 256
"""Number of texts of the fit."""
_BATCH_SIZE = 32
_DAMPING = 1e-4


def fit_projection(projection: Any, pairs: Any, rows: EncodedRows) -> None:
    """Sets the kernel of a projection to the fit.

    Args:
        projection: A built Keras dense layer without a bias.
        pairs: Called with the inputs of a batch; returns the pairs of compared states, the
            student's and the teacher's, each `[packed, width]`.
        rows: The texts, encoded for the student.
    """
    size, hidden = projection.kernel.shape
    moments = Moments.of(size, hidden)
    for batch in sorted_batches(rows.lengths, _BATCH_SIZE):
        inputs = rows.padded(batch, int(rows.lengths.max()))
        tokens = int(inputs["padding_mask"].sum())
        for ours, theirs in pairs(inputs):
            x, y = (np.asarray(states)[:tokens] for states in (ours, theirs))
            moments.add(x, y, np.full(len(x), 1 / len(x)))
    projection.kernel.assign(moments.without_bias().solve(_DAMPING)[0].T)
