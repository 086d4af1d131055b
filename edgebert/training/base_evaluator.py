"""The evaluation of a distilled base after each epoch, against its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from edgebert.encoding.encoded_rows import EncodedRows
from edgebert.training.batches import sorted_batches
from edgebert.training.evaluator import RunModel

COSINE = "cosine"


class BaseEvaluator:
    """Scores a base by the mean cosine of its hidden states with those of its teacher.

    Args:
        rows: The dev texts.
        teacher: Computes the teacher's hidden states `[batch, length, hidden]` of a batch.
        token_ids: The teacher's id of each token of the student, int32 `[student's vocabulary]`.
    """

    metric = COSINE

    def __init__(self, rows: EncodedRows, teacher: RunModel, token_ids: np.ndarray) -> None:
        self._rows, self._teacher, self._token_ids = rows, teacher, token_ids

    @property
    def loss(self) -> Any:
        """A loss for Keras; the distillation has its own."""
        return keras.losses.MeanSquaredError()

    def score(self, run: RunModel, batch_size: int, longest: int) -> dict[str, float]:
        """`cosine`, and as `loss` the squared error over the teacher's mean square."""
        cosines, errors, squares = 0.0, 0.0, 0.0
        for batch in sorted_batches(self._rows.lengths, batch_size):
            inputs = self._rows.padded(batch, longest)
            own = np.asarray(run(inputs), np.float64)
            ids = self._token_ids[inputs["token_ids"]]
            wanted = np.asarray(self._teacher({**inputs, "token_ids": ids}), np.float64)
            filled = inputs["padding_mask"].astype(bool)
            own, wanted = own[filled], wanted[filled]
            lengths = np.linalg.norm(own, axis=-1) * np.linalg.norm(wanted, axis=-1)
            cosines += float(((own * wanted).sum(-1) / np.maximum(lengths, 1e-12)).sum())
            errors += float(np.square(own - wanted).sum())
            squares += float(np.square(wanted).sum())
        tokens = int(self._rows.lengths.sum())
        return {COSINE: cosines / tokens, "loss": errors / squares}

    def rank(self, metrics: Mapping[str, float], loss: float) -> tuple[float, float]:
        """The smaller error first."""
        return -loss, metrics[COSINE]

    def choose_thresholds(self, run: RunModel, batch_size: int, longest: int) -> dict[str, Any]:
        """A base has no thresholds."""
        return {}
