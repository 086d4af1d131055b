"""Named entity recognition: the type and the position of each entity in a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.data.datasets import Dataset
from edgebert.data.tagging_schemes import OUTSIDE, as_iob2, inside, spans, split_tag
from edgebert.errors import DataError
from edgebert.settings import TaskSettings
from edgebert.tasks.recognition import entity_labels
from edgebert.tasks.task import ModelFacts
from edgebert.tasks.tokens import TokenFeatures, TokenTask, tags_of, true_tags


class NamedEntities(TokenTask):
    """Predicts entities as spans of words, with tags in IOB2.

    The labels are `B-` and `I-` of every entity type in the training data. Tags in IOB1, IOBES and
    BILOU, which models from other sources may have, are converted to IOB2.
    """

    name = "ner"
    title = "named entity recognition"
    metric = "entity_f1"
    entities = True

    def label_names(self, train: Dataset) -> tuple[str, ...]:
        tags = tags_of(train)
        numbers = sorted(tag for tag in tags if tag != OUTSIDE and not split_tag(tag)[1])
        if numbers:
            raise DataError(
                f"{train.name}: expected tags of entities, such as B-PER. Received: "
                f"{', '.join(numbers[:8])}. Next: name them, such as --label-map 0=O,1=B-PER."
            )
        types = sorted({split_tag(tag)[1] for tag in tags} - {""})
        return (OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))

    def required_label(self, tag: str) -> str:
        (label,) = entity_labels([tag])
        return split_tag(label)[1] or OUTSIDE

    def tag_of_later_part(self, tag: str) -> str:
        return inside(tag)

    def decoding(self, settings: TaskSettings) -> dict[str, Any]:
        return {**super().decoding(settings), "scheme": "IOB2"}

    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: TokenFeatures,
        facts: ModelFacts,
    ) -> dict[str, float]:
        """Precision, recall and F1 of entities. An entity is correct if type, start and end are.

        Computed over all entities as conlleval does (Tjong Kim Sang and De Meulder 2003). Further
        metrics are the share of words with the correct tag, and `entity_f1/TYPE` for each type.
        """
        predicted = [_iob2(each.tags) for each in self.word_tags(outputs, features, facts.labels)]
        return entity_metrics(predicted, true_tags(features))

    def extra_fields(self, text: str, words: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """`entities`, each with `text`, `type`, `start`, `end` and the mean `score` of its tags."""
        found = []
        for span in spans(_iob2([word["tag"] for word in words])):
            own = words[span.start : span.end]
            start, end = own[0]["start"], own[-1]["end"]
            score = sum(word["score"] for word in own) / len(own)
            found.append(
                {
                    "text": text[start:end],
                    "type": span.type,
                    "start": start,
                    "end": end,
                    "score": score,
                }
            )
        return {"entities": found}

    def short_answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        entities = [{key: entity[key] for key in ("text", "type")} for entity in answer["entities"]]
        return {"entities": entities}

    def format_answer(self, answer: Mapping[str, Any], top: int) -> str:
        entities = [
            f"{entity['type']}: {entity['text']} {entity['score']:.3f}"
            for entity in answer["entities"]
        ]
        return "\t".join([" | ".join(entities) or "no entities", answer["text"]])


def entity_metrics(
    predicted: Sequence[Sequence[str]], true: Sequence[Sequence[str]]
) -> dict[str, float]:
    """The metrics of tags in IOB2: see `NamedEntities.metrics`."""
    hits: Counter[str] = Counter()
    total_predicted: Counter[str] = Counter()
    total_true: Counter[str] = Counter()
    for own, gold in zip(predicted, true, strict=True):
        a, b = set(spans(own)), set(spans(gold))
        for counter, found in ((hits, a & b), (total_predicted, a), (total_true, b)):
            counter.update(span.type for span in found)
    same = sum(
        a == b for p, t in zip(predicted, true, strict=True) for a, b in zip(p, t, strict=True)
    )
    n_hits, n_predicted, n_true = hits.total(), total_predicted.total(), total_true.total()
    return {
        "entity_f1": _share(2 * n_hits, n_predicted + n_true),
        "entity_precision": _share(n_hits, n_predicted),
        "entity_recall": _share(n_hits, n_true),
        "token_accuracy": _share(same, sum(map(len, true))),
        **{
            f"entity_f1/{kind}": _share(2 * hits[kind], total_predicted[kind] + total_true[kind])
            for kind in sorted(total_true)
        },
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _iob2(tags: Sequence[str | None]) -> list[str]:
    return [OUTSIDE if tag is None else as_iob2(tag) for tag in tags]
