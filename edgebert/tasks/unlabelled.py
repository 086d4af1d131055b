"""The part of a task's interface that distillation without labels uses.

A student learns from its teacher's outputs, so it can learn from examples without labels, and from
changed copies of examples. Their rows have the weight 0 in the task's own loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from edgebert.encoding.encoded_rows import EncodedRows


class LearnsUnlabelled:
    """What distillation asks of a task about examples without labels.

    Attributes:
        learns_from_copies: Whether changed copies were measured to help, so that a search adds them
            from its second round on.
        cuts_copies: Whether a changed copy may keep only a span of the words.
        teacher_runs_once: Whether an example is one encoding with one small output. The teacher's
            outputs are then computed once, before training, on its own tokens. Otherwise the
            teacher runs in every step on the tokens of the student.
    """

    learns_from_copies: ClassVar[bool] = False
    cuts_copies: ClassVar[bool] = True
    teacher_runs_once: ClassVar[bool] = False

    def is_labelled(self, example: Any) -> bool:
        """Whether an example has what the task predicts."""
        return False

    def copied_texts(self, example: Any) -> tuple[str, ...]:
        """The texts of an example that are changed in its copies."""
        return (example.text,)

    def copy_of(self, example: Any, texts: Sequence[str]) -> Any:
        """An example without a label.

        Args:
            example: The example to copy.
            texts: Its new texts, in the order of `copied_texts`.
        """
        raise NotImplementedError

    def without_labels(self, examples: Sequence[Any]) -> list[Any]:
        """Examples as the unlabelled data of a distillation: without their labels."""
        return [self.copy_of(example, self.copied_texts(example)) for example in examples]

    def in_form_of(self, labelled: Sequence[Any], unlabelled: Sequence[Any]) -> list[Any]:
        """Unlabelled examples in the form of the labelled ones, which share their batches."""
        return list(unlabelled)


class RowsToExtend(Protocol):
    """Training rows that can be followed by rows without labels."""

    def followed_by(self, more: EncodedRows, sources: npt.NDArray[np.int64]) -> RowsToExtend:
        """These rows, then rows with the weight 0 in the loss.

        Args:
            more: The encodings of the further rows.
            sources: The row that each further row is a copy of, or -1, `[further rows]`.
        """
        ...
