"""The Task Library's question answerer loads what we export and finds our answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert.exporting import export
from edgebert.litert_model import LiteRtModel
from edgebert.model import TaskModel, open_model
from edgebert.settings import ExportSettings, TaskSettings
from edgebert.tasks import task_named
from edgebert.tasks.spans import best_spans
from tests.judges import task_library_answerer

LIBRARY_TOKENS = 32
"""Its longest answer."""
CONTEXT = (
    "The 1973 oil crisis began in October 1973, when the members of the Organization of Arab "
    "Petroleum Exporting Countries proclaimed an oil embargo; by the end of the embargo in March "
    "1974 the price of oil had risen from $3 per barrel to nearly $12 globally."
)
QUESTIONS = [
    ("What was the price of a barrel, before and after?", CONTEXT),
    ("Where?", "In Rome (the city), not in Paris."),
    ("Who WROTE it?", 'The play "Hamlet" was written by William Shakespeare around 1600.'),
    ("word " * 90, "Long questions are cut at 64 tokens by both of them."),
]


@pytest.fixture(scope="module")
def answerer(minilm_dir: Path) -> TaskModel:
    """MiniLM with a head that likes some tokens of any context."""
    task = task_named("qa")
    model = open_model(minilm_dir, as_base=True)
    checkpoint = task.prepared(model.checkpoint, TaskSettings())
    rng = np.random.default_rng(3)
    hidden = checkpoint.config.hidden_size
    head = {
        "spans.kernel": rng.normal(0, 0.3, (2, hidden)).astype(np.float32),
        "spans.bias": np.zeros(2, np.float32),
    }
    decoding = task.decoding(TaskSettings(max_answer_tokens=LIBRARY_TOKENS))
    checkpoint = checkpoint.with_weights({**checkpoint.weights, **head})
    return replace(model, checkpoint=checkpoint, task="qa", max_length=384, decoding=decoding)


def our_best(model: LiteRtModel, question: tuple[str, str]) -> tuple[str, float]:
    """The words that our best span is part of, as the Task Library shows them, and its score."""
    task = task_named("qa")
    features = task.features(model.tokenizer, [task.example(*question)], 384, model.decoding)
    outputs = model.outputs(features.encodings)
    (span,), _ = best_spans(outputs, features, range(len(outputs)), LIBRARY_TOKENS, 1)
    context = question[1]
    start = context.rfind(" ", 0, span.start) + 1
    end = context.find(" ", span.end)
    return context[start : end if end >= 0 else None], span.score


LOADABLE: tuple[Mapping[str, Any], ...] = (
    {"recipe": "float32"},
    {"recipe": "weight-int8", "embedding": "float32"},
)


@pytest.mark.parametrize("settings", LOADABLE, ids=lambda settings: settings["recipe"])
def test_the_best_answer_is_ours(
    settings: Mapping[str, Any], answerer: TaskModel, task_library_python: str, tmp_path: Path
) -> None:
    exported = ExportSettings(length=384, **settings)
    path = export(answerer, tmp_path / "m.tflite", exported, check_texts=QUESTIONS).path
    judged = task_library_answerer.answer(task_library_python, path, QUESTIONS)
    model = LiteRtModel.open(path)
    for question, found in zip(QUESTIONS, judged, strict=True):
        text, score = our_best(model, question)
        assert found[0]["text"] == text
        assert found[0]["logit"] == pytest.approx(score, abs=1e-3)
    assert len({found[0]["text"] for found in judged}) == len(QUESTIONS)


def test_its_runtime_is_too_old_for_int8_rows(
    tiny_task_model: Callable[[str], TaskModel], task_library_python: str, tmp_path: Path
) -> None:
    """What the documentation says of it; when this fails, the documentation can be kinder."""
    path = export(tiny_task_model("qa"), tmp_path / "m.tflite", ExportSettings(length=40)).path
    with pytest.raises(task_library_answerer.Refused, match="Didn't find op for builtin opcode"):
        task_library_answerer.answer(task_library_python, path, QUESTIONS)
