"""The evaluation of a model after each epoch: a task's metrics and loss on the dev split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from edgebert.encoding.encoded_rows import Inputs
from edgebert.tasks.task import EVALUATION, Decoding, Features, ModelFacts, Task, TrainingRows
from edgebert.training.batches import sorted_batches

RunModel = Callable[[Inputs], Any]
"""Computes a model's outputs for one padded batch: an array, or a dict of arrays."""


class Evaluator(Protocol):
    """Scores a model after each epoch."""

    @property
    def metric(self) -> str:
        """The name of the metric that selects the best epoch."""
        ...

    @property
    def loss(self) -> Any:
        """The Keras loss of the task."""
        ...

    def score(self, run: RunModel, batch_size: int, longest: int) -> dict[str, float]:
        """Computes the metrics of a model on the dev rows, `loss` included.

        Args:
            run: Computes the model's outputs.
            batch_size: Rows per batch.
            longest: Largest length of a padded batch, in tokens.
        """
        ...

    def rank(self, metrics: Mapping[str, float], loss: float) -> tuple[float, float]:
        """A sort key of an epoch: a better result has a larger rank."""
        ...


@dataclass(frozen=True)
class EncodedSplit:
    """One encoded, labelled split: training rows, or an evaluator on dev rows.

    With `chooses`, each epoch is scored with the thresholds that are best for it on these rows.
    The finished model gets the same thresholds (`Task.choose_thresholds`).

    Attributes:
        task: The task that defines loss and metrics.
        features: The encoded examples.
        rows: The same examples as training rows, for the loss.
        facts: The model's labels and decoding options.
        chooses: Whether the task chooses its thresholds on these rows.
    """

    task: Task[Any]
    features: Features
    rows: TrainingRows
    facts: ModelFacts
    chooses: bool = False

    @property
    def metric(self) -> str:
        return self.task.metric

    @cached_property
    def loss(self) -> Any:
        return self.task.loss(self.facts.labels)

    def score(self, run: RunModel, batch_size: int, longest: int) -> dict[str, float]:
        outputs, loss = self.outputs(run, batch_size, longest)
        facts = replace(self.facts, decoding=self._decoding_for(outputs))
        return {**self.task.metrics(outputs, self.features, facts), "loss": loss}

    def choose_thresholds(self, run: RunModel, batch_size: int, longest: int) -> dict[str, Any]:
        """The model's decoding options with the thresholds that are best on these rows."""
        if not self.task.chooses_thresholds:
            return dict(self.facts.decoding)
        return dict(self._decoding_for(self.outputs(run, batch_size, longest)[0]))

    def _decoding_for(self, outputs: Sequence[np.ndarray]) -> Decoding:
        if not self.chooses:
            return self.facts.decoding
        return self.task.choose_thresholds(outputs, self.features, self.facts)

    def outputs(
        self, run: RunModel, batch_size: int, longest: int
    ) -> tuple[list[np.ndarray], float]:
        """The model's output for each encoding, in their order, and the mean loss."""
        encodings = self.features.encodings
        found: dict[int, np.ndarray] = {}
        losses = 0.0
        for batch in sorted_batches(self.rows.lengths, batch_size):
            inputs, targets, _ = self.rows.batch(batch, longest, EVALUATION)
            outputs = run(inputs)
            losses += float(self.loss(targets, outputs)) * len(batch)
            numbers = self.task.encodings_of_rows(self.features, batch)
            parts = self.task.split_outputs(outputs, [encodings[i] for i in numbers])
            found.update(zip(map(int, numbers), parts, strict=True))
        return [found[i] for i in range(len(encodings))], losses / len(self.rows)

    def rank(self, metrics: Mapping[str, float], loss: float) -> tuple[float, float]:
        return metrics[self.metric], -loss
