"""A tiny model and a small labelled file of every task.

Tests use the fixtures `tiny_task_model` and `tiny_task_file`, and are parametrized over `TASKS` or
`LABELLED_TASKS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters import heads
from converters.checkpoint import BertConfig, Checkpoint, expected_shapes
from converters.heads import SentenceHead
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.models.task_model import TaskModel
from edgebert.settings import TASKS, TaskSettings
from edgebert.tasks import task_named

LABELLED_TASKS = tuple(name for name in TASKS if name != "masked-lm")
"""The tasks with labelled data."""


@dataclass(frozen=True)
class Head:
    """The head of a task's tiny model."""

    kind: str
    labels: tuple[str, ...] = ()
    problem: str = heads.SINGLE_LABEL
    sentence: SentenceHead | None = None
    next_sentence: bool = False


HEADS: dict[str, Head] = {
    "classification": Head(heads.CLASSIFIER, ("negative", "neutral", "positive")),
    "pairs": Head(heads.CLASSIFIER, ("different", "same")),
    "multi-label": Head(heads.CLASSIFIER, ("lights", "music", "timer"), heads.MULTI_LABEL),
    "regression": Head(heads.CLASSIFIER, (), heads.REGRESSION),
    "ner": Head(heads.TOKEN_CLASSIFIER, ("O", "B-DAY", "I-DAY", "B-THING", "I-THING")),
    "pos": Head(heads.TOKEN_CLASSIFIER, ("ADJ", "DET", "NOUN", "VERB")),
    "qa": Head(heads.SPANS),
    "embeddings": Head(heads.SENTENCE, sentence=SentenceHead(("mean",))),
    "masked-lm": Head(heads.MASKED_LM, next_sentence=True),
}


def random_task_checkpoint(config: BertConfig, task: str, seed: int = 0) -> Checkpoint:
    """A checkpoint with random weights and the task's head."""
    head = HEADS[task]
    outputs = 1 if head.problem == heads.REGRESSION else len(head.labels)
    shapes = expected_shapes(config, outputs, pooler=head.next_sentence, head=head.kind)
    if head.next_sentence:
        shapes |= {
            "next_sentence.kernel": (2, config.hidden_size),
            "next_sentence.bias": (2,),
        }
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        value = rng.normal(0, 0.3 if name.endswith("kernel") else 0.1, shape)
        weights[name] = (value + (1 if name.endswith("scale") else 0)).astype(np.float32)
    return Checkpoint(
        config, weights, head.labels, "random", problem=head.problem, sentence=head.sentence
    )


def random_task_model(
    config: BertConfig, tokenizer: Tokenizer, task: str, seed: int = 0
) -> TaskModel:
    """A model of the task with random weights and the decoding of a newly trained model."""
    return TaskModel(
        random_task_checkpoint(config, task, seed),
        tokenizer,
        max_length=config.max_positions,
        task=task_named(task),
        decoding=task_named(task).decoding(TaskSettings(task=task)),
    )


# Small labelled files, a writer a format.

_SENTENCES = (
    ("turn the lights on today", "VERB DET NOUN DET ADJ", "O O B-THING O B-DAY"),
    ("play good music now", "VERB ADJ NOUN ADJ", "O B-THING I-THING O"),
    ("set a timer", "VERB DET NOUN", "O O B-THING"),
    ("the movie is very boring", "DET NOUN VERB ADJ ADJ", "O B-THING O O O"),
    ("stop the music please", "VERB DET NOUN VERB", "O O B-THING O"),
    ("it is a great film today", "DET VERB DET ADJ NOUN ADJ", "O O O B-THING I-THING B-DAY"),
)
_LABELS = ("neutral", "positive", "neutral", "negative", "neutral", "positive")
_TOPICS = (["lights"], ["music"], ["timer"], [], ["music"], ["lights", "music"])


def _table(path: Path, header: str, rows: list[tuple[str, ...]]) -> None:
    path.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n")


def _texts() -> list[str]:
    return [text for text, _, _ in _SENTENCES]


def _classification(path: Path, repeats: int) -> None:
    _table(path, "text\tlabel", list(zip(_texts(), _LABELS, strict=True)) * repeats)


def _pairs(path: Path, repeats: int) -> None:
    texts = _texts()
    rows = [(a, a, "same") for a in texts]
    rows += [(a, b, "different") for a, b in zip(texts, texts[1:] + texts[:1], strict=True)]
    _table(path, "sentence1\tsentence2\tlabel", rows * repeats)


def _scored_pairs(path: Path, repeats: int) -> None:
    texts = _texts()
    rows = [(a, a, "5.0") for a in texts]
    rows += [
        (a, b, f"{i / 2:.1f}")
        for i, (a, b) in enumerate(zip(texts, texts[1:] + texts[:1], strict=True))
    ]
    _table(path, "sentence1\tsentence2\tscore", rows * repeats)


def _multi_label(path: Path, repeats: int) -> None:
    rows = [
        json.dumps({"text": text, "labels": topics})
        for text, topics in zip(_texts(), _TOPICS, strict=True)
    ]
    path.write_text("\n".join(rows * repeats) + "\n")


def _columns(path: Path, repeats: int, tags: int) -> None:
    blocks = [
        "".join(
            f"{word}\t{tag}\n" for word, tag in zip(row[0].split(), row[tags].split(), strict=True)
        )
        for row in _SENTENCES
    ]
    path.write_text("\n".join(blocks * repeats))


def _questions(path: Path, repeats: int) -> None:
    context = "The movie is on today. The music is very nice, and the alarm is off."
    asked = [
        ("what is on today", "The movie"),
        ("what is very nice", "The music"),
        ("what is off", "the alarm"),
        ("how is the music", "very nice"),
    ]
    questions = [
        {
            "id": f"{copy}-{number}",
            "question": question,
            "answers": [{"text": answer, "answer_start": context.index(answer)}],
        }
        for copy in range(repeats)
        for number, (question, answer) in enumerate(asked)
    ]
    article = {"title": "home", "paragraphs": [{"context": context, "qas": questions}]}
    path.write_text(json.dumps({"version": "1.1", "data": [article]}))


def _documents(path: Path, repeats: int) -> None:
    documents = ["\n".join(_texts()[:3]), "\n".join(_texts()[3:])] * repeats
    path.write_text("\n\n".join(documents) + "\n")


WRITERS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "classification": (".tsv", _classification),
    "pairs": (".tsv", _pairs),
    "multi-label": (".jsonl", _multi_label),
    "regression": (".tsv", _scored_pairs),
    "ner": (".conll", lambda path, repeats: _columns(path, repeats, 2)),
    "pos": (".conll", lambda path, repeats: _columns(path, repeats, 1)),
    "qa": (".json", _questions),
    "embeddings": (".tsv", _scored_pairs),
    "masked-lm": (".txt", _documents),
}
"""The ending of a task's file, and the function that writes it with repeated rows."""


def write_task_file(folder: Path, task: str, repeats: int = 1, name: str = "data") -> Path:
    """Writes a small labelled file in the task's own format; the tiny model knows its labels."""
    ending, write = WRITERS[task]
    path = folder / f"{name}{ending}"
    write(path, repeats)
    return path
