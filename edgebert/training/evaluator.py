"""What says after every epoch how good the model is: a task's metrics on the dev split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from edgebert.encoding.encoded_rows import Inputs
from edgebert.tasks.task import EVALUATION, Decoding, Features, ModelFacts, Task, TrainingRows
from edgebert.training.batches import sorted_batches

Run = Callable[[Inputs], Any]


class Evaluator(Protocol):
    """Judges a model after each epoch."""

    @property
    def metric(self) -> str:
        """The name of the metric that epochs are chosen by."""
        ...

    @property
    def loss(self) -> Any:
        """The Keras loss of the task."""
        ...

    def score(self, run: Run, batch_size: int, longest: int) -> dict[str, float]:
        """Runs the model on the dev rows: its metrics, `loss` among them."""
        ...

    def rank(self, metrics: Mapping[str, float], loss: float) -> tuple[float, float]:
        """Better results have larger ranks."""
        ...


@dataclass(frozen=True)
class EncodedSplit:
    """A labelled split, encoded: what is learnt, or, of the dev split, the judge.

    Where the judge chooses, every epoch is scored with the thresholds that are best for it on these
    rows, which are those that the model would get (`Task.choose_thresholds`).

    Attributes:
        task: whose metrics they are.
        features: of the split.
        rows: the same as they are learnt, for the loss.
        facts: labels and decoding of the model.
        chooses: whether what the task chooses on a dev split is chosen on these rows.
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

    def score(self, run: Run, batch_size: int, longest: int) -> dict[str, float]:
        outputs, loss = self.outputs(run, batch_size, longest)
        facts = replace(self.facts, decoding=self._chosen_decoding(outputs))
        metrics = self.task.metrics(outputs, self.features, facts)
        return {**metrics, "loss": loss}

    def chosen_decoding(self, run: Run, batch_size: int, longest: int) -> dict[str, Any]:
        """The model's decoding with the thresholds that are chosen on these rows."""
        if not self.task.chooses_thresholds:
            return dict(self.facts.decoding)
        return dict(self._chosen_decoding(self.outputs(run, batch_size, longest)[0]))

    def _chosen_decoding(self, outputs: Sequence[np.ndarray]) -> Decoding:
        if not self.chooses:
            return self.facts.decoding
        return self.task.choose_thresholds(outputs, self.features, self.facts)

    def outputs(self, run: Run, batch_size: int, longest: int) -> tuple[list[np.ndarray], float]:
        """What the model gives for each encoding, and the mean loss."""
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
