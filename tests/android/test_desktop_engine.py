"""The Kotlin library over LiteRT on the JVM answers as `edgebert predict` does, file by file."""

from __future__ import annotations

import csv
import json
import math
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from converters.checkpoint import BertConfig
from converters.vocabulary import read_vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.exporting.artifact import export
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import TASKS, DataSettings, ExportSettings
from edgebert.tasks import task_named
from tests.golden.make_unigram_cases import make_vocabularies
from tests.tiny_tasks import random_task_model

TOLERANCE = 1e-6
SINGLE = (
    "turn the lights off today, please!",
    "",
    "  \t\n ",
    "don't stop the music \U0001f600 now",
    "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u4f60\u597d",
    "the movie is very boring " * 30,
)
PAIRS = (
    ("what is on today?", "The movie is on today. The music is nice \U0001f600."),
    ("", "the light"),
    ("how is it", ""),
    ("set a timer", "the movie is very boring " * 30),
)
MASKED = ("the [MASK] is on", "[MASK] \U0001f600 [MASK] the music [MASK]", "no mask", "[MASK]")

Ask = Callable[[Path, Sequence[tuple[str, ...]]], list[dict[str, Any]]]


@pytest.fixture
def ask(desktop_class_path: str, litert_library: Path) -> Ask:
    """Answers of the Kotlin command line."""

    def answers(model: Path, texts: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
        lines = "".join("\t".join(map(_escaped, each)) + "\n" for each in texts)
        command = ["java", "-cp", desktop_class_path, "org.edgebert.PredictKt"]
        done = subprocess.run(
            [*command, str(litert_library), str(model)],
            input=lines.encode(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    return answers


@pytest.mark.parametrize("task", TASKS)
def test_files_of_every_task(
    task: str, tiny_task_model: Callable[[str], TaskModel], tmp_path: Path, ask: Ask
) -> None:
    settings = ExportSettings(lengths="8,16,40")
    path = export(tiny_task_model(task), tmp_path / "model.tflite", settings).path
    _check_same(path, _texts(task), ask)


@pytest.mark.parametrize("task", ["classification", "ner", "qa"])
def test_a_file_of_any_length(
    task: str, tiny_task_model: Callable[[str], TaskModel], tmp_path: Path, ask: Ask
) -> None:
    settings = ExportSettings(dynamic_length=True)
    path = export(tiny_task_model(task), tmp_path / "model.tflite", settings).path
    _check_same(path, [*_texts(task), *_texts(task)[:2]], ask)


@pytest.mark.parametrize("recipe", ["float32", "weight-int8", "float16"])
def test_other_recipes(recipe: str, tiny_model: TaskModel, tmp_path: Path, ask: Ask) -> None:
    settings = ExportSettings(lengths="16", recipe=recipe, output="logits")
    path = export(tiny_model, tmp_path / "model.tflite", settings).path
    _check_same(path, _texts("classification"), ask)


@pytest.mark.parametrize("task", ["ner", "qa", "masked-lm"])
def test_unigram_vocabularies(task: str, tmp_path: Path, ask: Ask) -> None:
    tokenizer = Tokenizer(make_vocabularies()["xlm-roberta"])
    config = BertConfig(tokenizer.vocabulary.size, 8, 1, 2, 8, max_positions=40)
    model = random_task_model(config, tokenizer, task)
    path = export(model, tmp_path / "model.tflite", ExportSettings(lengths="16,40")).path
    _check_same(path, _texts(task), ask)


def test_sentence_vectors_of_minilm(
    minilm_dir: Path, data_dir: Path, tmp_path: Path, ask: Ask
) -> None:
    """The real model and vocabulary, with 500 real texts."""
    settings = ExportSettings(lengths="16,32,64,128")
    path = export(open_model(minilm_dir), tmp_path / "minilm.tflite", settings).path
    texts = [(row[0],) for row in _rows(data_dir / "sst2" / "dev.tsv")[:500]]
    _check_same(path, texts, ask)


@pytest.mark.parametrize("task", TASKS)
def test_real_texts(task: str, minilm_dir: Path, data_dir: Path, tmp_path: Path, ask: Ask) -> None:
    """A small encoder with random weights and BERT's whole vocabulary, 500 real texts."""
    vocabulary = read_vocabulary(minilm_dir)
    config = BertConfig(vocabulary.size, 16, 1, 2, 24, max_positions=128)
    model = random_task_model(config, Tokenizer(vocabulary), task)
    settings = ExportSettings(lengths="16,32,64,128")
    path = export(model, tmp_path / "model.tflite", settings).path
    if task == "qa":
        questions = task_named(task).read(
            data_dir / "squad" / "test.json.gz", DataSettings(), "none"
        )
        texts = [(each.question, each.context) for each in questions.examples[:500]]
    else:
        pairs = [row[:2] for row in _rows(data_dir / "mrpc" / "test.tsv")[:500]]
        texts = [(a, b) if task in ("pairs", "regression") else (f"{a} {b}",) for a, b in pairs]
    if task == "masked-lm":
        texts = [(text.replace(" the ", " [MASK] "),) for (text,) in texts]
    assert len(texts) == 500
    _check_same(path, texts, ask)


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


def _texts(task: str) -> list[tuple[str, ...]]:
    if task in ("pairs", "qa"):
        return list(PAIRS)
    if task == "masked-lm":
        return [(text,) for text in MASKED]
    singles = [(text,) for text in SINGLE]
    return singles if task in ("ner", "pos") else [*singles, *PAIRS]


def _check_same(path: Path, texts: Sequence[tuple[str, ...]], ask: Ask) -> None:
    model = LiteRtModel.open(path)
    received = ask(path, texts)
    assert len(received) == len(texts)
    for each, answer in zip(texts, received, strict=True):
        expected = model.answer(model.task.example(*each))
        expected.pop("id", None)
        _assert_same(_with_units(expected, each[-1]), answer, f"{each}")


def _assert_same(expected: Any, received: Any, where: str) -> None:
    if isinstance(expected, dict):
        assert expected.keys() == received.keys(), where
        for key, value in expected.items():
            _assert_same(value, received[key], f"{where}: {key}")
    elif isinstance(expected, list):
        assert len(expected) == len(received), where
        for number, (a, b) in enumerate(zip(expected, received, strict=True)):
            _assert_same(a, b, f"{where}: {number}")
    elif isinstance(expected, float):
        assert math.isclose(expected, received, rel_tol=TOLERANCE, abs_tol=TOLERANCE), where
    else:
        assert expected == received, where


def _with_units(answer: Any, text: str) -> Any:
    """The answer with places in UTF-16 code units, as Kotlin counts."""
    if isinstance(answer, list):
        return [_with_units(each, text) for each in answer]
    if not isinstance(answer, dict):
        return answer
    units = {
        key: len(text[:value].encode("utf-16-le")) // 2 if key in ("start", "end") else value
        for key, value in answer.items()
    }
    return {key: _with_units(value, text) for key, value in units.items()}


def _escaped(text: str) -> str:
    for raw, escaped in (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        text = text.replace(raw, escaped)
    return text
