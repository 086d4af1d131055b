"""Unigram: our golden cases, and the tokenizer.json of `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgebert.encoding.tokenizer import Tokenizer
from tests.golden.make_unigram_cases import (
    entry_of,
    made,
    make_inputs,
    make_vocabularies,
    vocabulary_of,
)

CASES_FILE = Path(__file__).parents[2] / "golden" / "unigram_cases.json"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(CASES_FILE.read_text(encoding="ascii"))
    return content


@pytest.fixture(scope="module")
def tokenizers(golden: dict[str, Any]) -> dict[str, Tokenizer]:
    entries = golden["vocabularies"].items()
    return {name: Tokenizer(vocabulary_of(entry)) for name, entry in entries}


def test_the_golden_cases_are_those_of_the_generator(
    golden: dict[str, Any], tokenizers: dict[str, Tokenizer]
) -> None:
    entries = {name: entry_of(each) for name, each in make_vocabularies().items()}
    assert json.loads(json.dumps(entries)) == golden["vocabularies"]
    results = [made(tokenizers[case["vocabulary"]], case) for case in make_inputs()]
    assert json.loads(json.dumps(results)) == golden["cases"]
