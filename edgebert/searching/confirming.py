"""Confirms the loss of the files of the front on text on which no choice was made.

The best of many files on one data set owes a part of its figure to luck. The dev data is therefore
divided: one part chooses epochs and files, the other part only measures the loss of the files of
the front. A file meets `--max-drop` if the upper bound of that loss does, and the loss on all dev
data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from edgebert.data.datasets import Dataset, split_dataset
from edgebert.errors import DataError
from edgebert.evaluation.paired_loss import GroupedMetric, grouped_metric, paired_loss
from edgebert.evaluation.predictors import KerasPredictor, Predictor
from edgebert.models.litert_model import LiteRtModel
from edgebert.searching.moves import key_of
from edgebert.searching.result import Candidate
from edgebert.searching.trials import TrialRunner
from edgebert.settings import SearchSettings
from edgebert.training.state import describe_data

LEAST_ROWS = 20


def divide(dev: Dataset, settings: SearchSettings) -> tuple[Dataset, Dataset | None]:
    """The part of the dev data that chooses, and the part that confirms.

    Raises:
        DataError: The part that confirms would have fewer than `LEAST_ROWS` examples.
    """
    if not settings.confirm_fraction:
        return dev, None
    choosing, confirming = split_dataset(dev, settings.confirm_fraction, settings.seed)
    if len(confirming) < LEAST_ROWS:
        raise DataError(
            f"{dev.name}: expected at least {LEAST_ROWS} examples that confirm the loss. Received: "
            f"{len(confirming)} of {len(dev)}. Next: give more dev data, or pass "
            "--confirm-fraction 0, which holds --max-drop to the data that chose the files."
        )
    return choosing, confirming


class Confirmation:
    """Measures losses on the part of the dev data that confirms. Finished files are not repeated.

    Args:
        trials: The trials of the search.
        data: The part that confirms; None confirms nothing.
    """

    def __init__(self, trials: TrialRunner, data: Dataset | None) -> None:
        self._trials, self.data = trials, data

    def confirm(self, front: Sequence[Candidate]) -> list[Candidate]:
        """The candidates with their confirmed losses and upper bounds.

        A bound is at least the loss on all dev data. The part that chose makes losses look smaller,
        so a file that loses more there is not within the drop by a lucky confirmation.
        """
        if self.data is None:
            return list(front)
        data, folder = self.data, self._trials.folder
        progress, confidence = self._trials.clock.shown, self._trials.settings.confidence
        total = len(front) + 1

        def metric(key: str, open_one: Callable[[], Predictor]) -> GroupedMetric:
            name = f"confirmations/{key_of([key, describe_data(data)])}"
            found = folder.once(name, lambda: grouped_metric(open_one(), data).to_dict())
            return GroupedMetric.from_dict(found, f"{folder.path}/{name}.json")

        reference = metric("float", lambda: KerasPredictor(self._trials.model))
        progress("confirmation", 1, total)
        found = []
        for number, candidate in enumerate(front):
            opened = partial(LiteRtModel.open, candidate.path)
            loss = paired_loss(reference, metric(candidate.key, opened))
            bound = max(loss.bound(confidence), self._on_all(candidate.points_lost, loss.points))
            found.append(replace(candidate, confirmed=loss, bound_points=bound))
            progress("confirmation", number + 2, total)
        return found

    def _on_all(self, chosen_points: float, confirmed_points: float) -> float:
        """The loss on all dev data, from those on its parts."""
        assert self.data is not None
        rows, more = len(self._trials.dev), len(self.data)
        return (rows * chosen_points + more * confirmed_points) / (rows + more)
