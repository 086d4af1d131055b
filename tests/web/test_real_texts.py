"""Real texts of every task, with BERT's own vocabulary: JavaScript answers as Python does.

Outputs are made up, so that long texts of many windows take no time. With ROWS = 500 and
MASKED_ROWS = 40 it takes minutes, and passed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from converters.vocabulary import Vocabulary
from edgebert.data.datasets import take
from edgebert.settings import DataSettings
from edgebert.tasks import task_named
from tests.conftest import _missing_judge
from tests.golden.make_decoding_cases import GivenOutputs, drawn, make_case, make_manifest

WEB = Path(__file__).parents[2] / "web"
ROWS = 100
MASKED_ROWS = 8
"""Each mask has a number for every token of the vocabulary."""
FILES = {
    "classification": "agnews/test.tsv.gz",
    "pairs": "mrpc/test.tsv",
    "multi-label": "clinc150/test.tsv",
    "regression of pairs": "stsb/test.tsv",
    "ner": "wnut17/test.conll",
    "pos": "ud_ewt/test.tsv.gz",
    "qa that may not answer": "squad/test.json.gz",
    "embeddings": "banking77/test.tsv",
    "masked-lm": "sst2/test.tsv",
}


def texts_of(model: str, task: str, path: Path) -> list[tuple[str, ...]]:
    """Texts of a file as somebody would type them."""
    readers = {"multi-label": "classification", "embeddings": "classification"}
    readers |= {"masked-lm": "classification"}
    reader = task_named(readers.get(task, task))
    data = take(reader.read(path, DataSettings(), "required"), ROWS, seed=0)
    typed = [tuple(reader.input_texts(example)) for example in data.examples]
    if task == "masked-lm":
        return [(_masked(text),) for (text,) in typed[:MASKED_ROWS]]
    if task in ("multi-label", "embeddings", "ner", "pos", "classification"):
        return [(texts[0],) for texts in typed]
    return typed


def _masked(text: str) -> str:
    words = text.split(" ")
    return " ".join("[MASK]" if number % 5 == 2 else word for number, word in enumerate(words))


def cases_of(
    model: str, texts: Sequence[tuple[str, ...]], vocabulary: Vocabulary
) -> dict[str, Any]:
    manifest = make_manifest(model, vocabulary)
    max_length = 384 if manifest["task"] == "qa" else 24
    manifest |= {"max_length": max_length, "lengths": [max_length]}
    runtime = [
        GivenOutputs(manifest, vocabulary.size, drawn, f"{model} {number}")
        for number in range(len(texts))
    ]
    cases = [
        {"model": model, **make_case(each, manifest, vocabulary, f"text {number}", asked)}
        for number, (each, asked) in enumerate(zip(runtime, texts, strict=True))
    ]
    table = {"settings": vocabulary.to_settings(), "tokens": list(vocabulary.tokens)}
    facts = {**manifest, "vocabulary": "uncased"}
    return {
        "vocabularies": {"uncased": table},
        "models": {model: facts},
        "cases": cases,
        "searches": [],
    }


@pytest.mark.parametrize("model", FILES)
def test_real_texts(model: str, data_dir: Path, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        _missing_judge("no node: apt-get install nodejs")
    assert node is not None
    content = (data_dir / "vocab" / "bert_uncased_vocab.txt").read_text(encoding="utf-8")
    vocabulary = Vocabulary(tuple(content.rstrip("\n").split("\n")), True)
    task = make_manifest(model, vocabulary)["task"]
    texts = texts_of(model, task, data_dir / FILES[model])
    assert len(texts) == (MASKED_ROWS if task == "masked-lm" else ROWS)
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(cases_of(model, texts, vocabulary)))
    done = subprocess.run(
        [node, "--test", str(WEB / "test" / "decoding_cases.test.mjs")],
        env={**os.environ, "EDGEBERT_CASES": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"# pass {len(texts)}\n" in done.stdout
