"""The Task Library's question answerer loads what we export and finds our answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.checkpoint import BertConfig
from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.exporting.app_readers import TASK_LIBRARY_PRECISIONS
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import ExportSettings, TaskSettings
from edgebert.tasks import task_named
from edgebert.tasks.spans import Span, best_spans
from tests.judges import judge_process, task_library_answerer
from tests.tiny_tasks import random_task_model

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
    checkpoint = task.prepare_checkpoint(model.checkpoint, TaskSettings())
    rng = np.random.default_rng(3)
    hidden = checkpoint.config.hidden_size
    head = {
        "spans.kernel": rng.normal(0, 0.3, (2, hidden)).astype(np.float32),
        "spans.bias": np.zeros(2, np.float32),
    }
    decoding = task.decoding(TaskSettings(max_answer_tokens=LIBRARY_TOKENS))
    checkpoint = checkpoint.with_weights({**checkpoint.weights, **head})
    return replace(model, checkpoint=checkpoint, task=task, max_length=384, decoding=decoding)


@pytest.fixture(scope="module")
def long_model(tiny_config: BertConfig, tiny_vocabulary: Vocabulary) -> TaskModel:
    """A tiny model with room for 384 tokens."""
    config = replace(tiny_config, max_positions=384, num_layers=1)
    return random_task_model(config, Tokenizer(tiny_vocabulary), "qa", seed=0)


def judge(
    model: TaskModel, recipe: str, embedding: str, python: str, path: Path
) -> list[tuple[str, float, str, float]]:
    """Of each question the library's best words and score, and ours.

    The library's score is held against what our runtime gives for the tokens that it chose.
    """
    settings = ExportSettings(length=384, recipe=recipe, embedding=embedding)
    export(model, path, settings, texts=ExportTexts(checks=QUESTIONS))
    ours, found = LiteRtModel.open(path), []
    for question, theirs in zip(
        QUESTIONS, task_library_answerer.answer(python, path, QUESTIONS), strict=True
    ):
        task, (best, *_) = task_named("qa"), theirs
        features = task.features(ours.tokenizer, [task.example(*question)], 384, ours.decoding)
        (output,) = ours.outputs(features.encodings)
        logit = output[best["start"], 0] + output[best["end"], 1]
        assert best["logit"] == pytest.approx(float(logit), abs=1e-3)
        (span,), _ = best_spans(
            [output], features, range(1), max_answer_tokens=LIBRARY_TOKENS, n_best=1
        )
        found.append((best["text"], best["logit"], _words_at(question[1], span), span.score))
    return found


def _words_at(context: str, span: Span) -> str:
    """The words between white space that a span is part of: the library shows whole ones."""
    start, end = context.rfind(" ", 0, span.start) + 1, context.find(" ", span.end)
    return context[start : end if end >= 0 else None]


def test_the_best_answer_is_ours(
    answerer: TaskModel, task_library_python: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.tflite"
    found = judge(answerer, "weight-int8", "float32", task_library_python, path)
    for text, logit, our_text, our_score in found:
        assert text == our_text
        assert logit == pytest.approx(our_score, abs=1e-3)
    assert len({text for text, *_ in found}) == len(QUESTIONS)


@pytest.mark.parametrize(("recipe", "embedding"), TASK_LIBRARY_PRECISIONS)
def test_recipes_that_its_runtime_takes(
    recipe: str, embedding: str, long_model: TaskModel, task_library_python: str, tmp_path: Path
) -> None:
    """It looks at pairs of the five best starts and ends alone, so ours may be better."""
    found = judge(long_model, recipe, embedding, task_library_python, tmp_path / "m.tflite")
    assert all(logit < our_score + 1e-3 for _, logit, _, our_score in found)


def test_its_runtime_is_too_old_for_int8_rows(
    tiny_task_model: Callable[[str], TaskModel], task_library_python: str, tmp_path: Path
) -> None:
    """What the documentation says of it; when this fails, the documentation can be kinder."""
    path = export(tiny_task_model("qa"), tmp_path / "m.tflite", ExportSettings(length=40)).path
    with pytest.raises(judge_process.Refused, match="Didn't find op for builtin opcode"):
        task_library_answerer.answer(task_library_python, path, QUESTIONS)
