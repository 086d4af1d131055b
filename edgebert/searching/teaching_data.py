"""What a search trains on."""

from __future__ import annotations

from dataclasses import dataclass

from edgebert.data.datasets import Dataset, joined


@dataclass(frozen=True)
class TeachingData:
    """The training data of a search, and further rows for the students of its distillations.

    Attributes:
        train: Data like the model's training data. Pruning, vocabularies and exports read it.
        unlabelled: Rows without labels, from which only students learn; None for none.
    """

    train: Dataset
    unlabelled: Dataset | None = None

    @property
    def taught(self) -> Dataset:
        """The rows that students learn from."""
        return self.train if self.unlabelled is None else joined(self.train, self.unlabelled)
