"""Training rows with one target each: a label, a score, or the positions of a span."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.tflite.output_names import LOGITS
from edgebert.encoding.encoded_rows import EncodedRows, Inputs, joined_rows

TARGETS = "targets"
"""Key of the task's targets in a batch that has a teacher's outputs, too."""


@dataclass(frozen=True)
class LabelledRows:
    """Encoded texts with their targets.

    Attributes:
        encoded: The encoded texts.
        targets: Targets `[rows, ...]`. For a classifier int32 label indices `[rows]`.
        weights: Weight of each row in the loss, float32 `[rows]`; 0 for a row without a label,
            which only distillation can use.
        teacher_logits: A teacher's outputs for each row, float32 `[rows, outputs]`, or None.
    """

    encoded: EncodedRows
    targets: npt.NDArray[Any]
    weights: npt.NDArray[np.float32]
    teacher_logits: npt.NDArray[np.float32] | None = None

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, `[rows]`."""
        return self.encoded.lengths

    def __len__(self) -> int:
        return len(self.encoded)

    def batch(
        self, rows: npt.NDArray[np.int64], longest: int, epoch: int
    ) -> tuple[Inputs, Any, npt.NDArray[np.float32]]:
        """See `edgebert.tasks.task.TrainingRows.batch`."""
        targets: Any = self.targets[rows]
        if self.teacher_logits is not None:
            targets = {TARGETS: targets, LOGITS: self.teacher_logits[rows]}
        return self.encoded.padded(rows, longest), targets, self.weights[rows]

    def texts_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The numbers of the encoded texts of a batch: each row has one."""
        return rows

    def followed_by(self, more: EncodedRows, sources: npt.NDArray[np.int64]) -> LabelledRows:
        """See `edgebert.tasks.unlabelled.RowsToExtend.followed_by`."""
        shape = (len(more), *self.targets.shape[1:])
        return replace(
            self,
            encoded=joined_rows([self.encoded, more]),
            targets=np.concatenate([self.targets, np.zeros(shape, self.targets.dtype)]),
            weights=np.concatenate([self.weights, np.zeros(len(more), np.float32)]),
        )
