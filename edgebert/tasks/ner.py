"""Named entities: which words are the name of what, and where they stand in the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.data.datasets import Dataset
from edgebert.data.tagging_schemes import OUTSIDE, as_iob2, inside, spans, split_tag
from edgebert.settings import TaskSettings
from edgebert.tasks.task import ModelFacts
from edgebert.tasks.tokens import TokenFeatures, TokenTask, tags_of, true_tags


class NamedEntities(TokenTask):
    """Entities as spans of words, by tags in IOB2.

    A model's labels have `B-` and `I-` of every type that its training data have. What a model of
    somebody else says in IOB1, IOBES or BILOU is read as IOB2.
    """

    name = "ner"
    title = "named entity recognition"
    metric = "entity_f1"
    entities = True

    def label_names(self, train: Dataset) -> tuple[str, ...]:
        types = sorted({split_tag(tag)[1] for tag in tags_of(train)} - {""})
        return (OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))

    def known_by(self, tag: str) -> str:
        return split_tag(tag)[1] or OUTSIDE

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
        """Precision, recall and F1 of entities, right where type, start and end are.

        They are conlleval's (Tjong Kim Sang and De Meulder 2003), over all entities; then the share
        of words with the right tag, and as `entity_f1/TYPE` the F1 of each type in the data.
        """
        said = [_iob2(each.tags) for each in self.word_tags(outputs, features, facts.labels)]
        return entity_metrics(said, true_tags(features))

    def more(self, text: str, words: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """`entities`: each has `text`, `type`, `start`, `end`, and its tags' mean `score`."""
        found = []
        for span in spans(_iob2([word["tag"] for word in words])):
            of_it = words[span.start : span.end]
            start, end = of_it[0]["start"], of_it[-1]["end"]
            score = sum(word["score"] for word in of_it) / len(of_it)
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
    total_said: Counter[str] = Counter()
    total_true: Counter[str] = Counter()
    for said, right in zip(predicted, true, strict=True):
        a, b = set(spans(said)), set(spans(right))
        for counter, found in ((hits, a & b), (total_said, a), (total_true, b)):
            counter.update(span.type for span in found)
    same = sum(
        a == b for p, t in zip(predicted, true, strict=True) for a, b in zip(p, t, strict=True)
    )
    n_hits, n_said, n_true = hits.total(), total_said.total(), total_true.total()
    return {
        "entity_f1": _share(2 * n_hits, n_said + n_true),
        "entity_precision": _share(n_hits, n_said),
        "entity_recall": _share(n_hits, n_true),
        "token_accuracy": _share(same, sum(map(len, true))),
        **{
            f"entity_f1/{kind}": _share(2 * hits[kind], total_said[kind] + total_true[kind])
            for kind in sorted(total_true)
        },
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _iob2(tags: Sequence[str | None]) -> list[str]:
    return [OUTSIDE if tag is None else as_iob2(tag) for tag in tags]
