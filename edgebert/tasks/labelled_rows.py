"""Rows with one target each: a text's label, its score, the places of a span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebert.encoding.encoded_rows import EncodedRows, Inputs


@dataclass(frozen=True)
class LabelledRows:
    """Encoded texts with what is to be learnt of them.

    Attributes:
        rows: the texts.
        targets: `[rows, ...]`; of a classifier int32 label numbers `[rows]`, -1 for a text without
            a label, which only a teacher can teach.
        weights: of each row in the loss, float32 `[rows]`.
        teacher_logits: what a teacher says of each row, float32 `[rows, labels]`, or None.
    """

    rows: EncodedRows
    targets: npt.NDArray[Any]
    weights: npt.NDArray[np.float32]
    teacher_logits: npt.NDArray[np.float32] | None = None

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, `[rows]`."""
        return self.rows.lengths

    def __len__(self) -> int:
        return len(self.rows)

    def batch(
        self, rows: npt.NDArray[np.int64], longest: int, epoch: int
    ) -> tuple[Inputs, Any, npt.NDArray[np.float32]]:
        """As `edgebert.tasks.task.TrainingRows` says it."""
        targets: Any = self.targets[rows]
        if self.teacher_logits is not None:
            targets = {"targets": targets, "logits": self.teacher_logits[rows]}
        return self.rows.padded(rows, longest), targets, self.weights[rows]
