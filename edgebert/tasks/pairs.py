"""Classification of pairs of texts, such as paraphrase, entailment and relevance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgebert.data.columns import RowSpec
from edgebert.data.datasets import Dataset, Example, read_table
from edgebert.data.labels import ONE_LABEL, LabelUse
from edgebert.settings import DataSettings
from edgebert.tasks.app_readers import AppReaders
from edgebert.tasks.classification import Classification, f1_score, label_numbers
from edgebert.tasks.task import Features, ModelFacts
from edgebert.tasks.text_task import pairs_of


class Pairs(Classification):
    """Predicts one label for a pair of texts."""

    name = "pairs"
    title = "classification of pairs of texts"
    texts = 2
    answers_with_label = False
    learns_from_copies = False
    app_readers = AppReaders(
        note="MediaPipe's TextClassifier takes one text, and this model reads pairs: run it "
        "through LiteRT instead."
    )

    def read(self, path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
        return read_table(path, columns, RowSpec(ONE_LABEL, labels, pairs=True), Example, self.name)

    def check_examples(self, texts: Sequence[str]) -> list[Example]:
        return pairs_of(self, texts)

    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: Features,
        facts: ModelFacts,
    ) -> dict[str, float]:
        """Accuracy and macro F1; with two labels also `f1` of the second label, as in GLUE."""
        found = super().metrics(outputs, features, facts)
        if len(facts.labels) == 2:
            predicted = np.stack(outputs).argmax(-1) == 1
            found["f1"] = f1_score(predicted, label_numbers(features, facts.labels) == 1)
        return found
