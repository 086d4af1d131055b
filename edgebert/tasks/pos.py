"""Part-of-speech tagging: a tag for each word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.data.datasets import Dataset
from edgebert.tasks import classification
from edgebert.tasks.task import ModelFacts
from edgebert.tasks.tokens import TokenFeatures, TokenTask, tags_of, true_tags


class PartsOfSpeech(TokenTask):
    """Predicts a tag for each word; any set of tags is valid."""

    name = "pos"
    title = "part-of-speech tagging"
    metric = "accuracy"
    entities = False

    def label_names(self, train: Dataset) -> tuple[str, ...]:
        return tuple(tags_of(train))

    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: TokenFeatures,
        facts: ModelFacts,
    ) -> dict[str, float]:
        """Share of words with the correct tag, and mean F1 of the tags.

        A word without a token has no tag and counts as wrong.
        """
        number = {label: place for place, label in enumerate(facts.labels)}
        tags = [
            tag for each in self.word_tags(outputs, features, facts.labels) for tag in each.tags
        ]
        true = [tag for sentence in true_tags(features) for tag in sentence]
        predicted = np.array([-1 if tag is None else number[tag] for tag in tags], np.int32)
        targets = np.array([number[tag] for tag in true], np.int32)
        return classification.metrics(predicted, targets, len(facts.labels))

    def extra_fields(self, text: str, words: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {}

    def short_answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"tags": [word["tag"] for word in answer["words"]]}

    def format_answer(self, answer: Mapping[str, Any], top: int) -> str:
        return " ".join(f"{word['text']}/{word['tag'] or '?'}" for word in answer["words"])
