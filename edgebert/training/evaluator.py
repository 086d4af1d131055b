"""What says after every epoch how good the model is: a task's metrics on the dev split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from edgebert.encoding.encoded_rows import Inputs
from edgebert.tasks.task import EVALUATION, Decoding, Features, Task, TrainingRows
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
    rows, which are those that the model would get (`Task.fitted`).

    Attributes:
        task: whose metrics they are.
        features: of the split.
        rows: the same as they are learnt, for the loss.
        labels: of the model.
        decoding: of the model.
        chooses: whether what the task chooses on a dev split is chosen on these rows.
    """

    task: Task[Any]
    features: Features
    rows: TrainingRows
    labels: Sequence[str]
    decoding: Decoding
    chooses: bool = False

    @property
    def metric(self) -> str:
        return self.task.metric

    @cached_property
    def loss(self) -> Any:
        return self.task.loss(self.labels)

    def score(self, run: Run, batch_size: int, longest: int) -> dict[str, float]:
        outputs, loss = self.outputs(run, batch_size, longest)
        metrics = self.task.metrics(outputs, self.features, self.labels, self._fitted(outputs))
        return {**metrics, "loss": loss}

    def fitted(self, run: Run, batch_size: int, longest: int) -> dict[str, Any]:
        """The model's decoding after what is chosen on these rows was chosen."""
        if type(self.task).fitted is Task.fitted:  # nothing to choose: spares running the model
            return dict(self.decoding)
        return dict(self._fitted(self.outputs(run, batch_size, longest)[0]))

    def _fitted(self, outputs: Sequence[np.ndarray]) -> Decoding:
        if not self.chooses:
            return self.decoding
        return self.task.fitted(self.decoding, outputs, self.features, self.labels)

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
