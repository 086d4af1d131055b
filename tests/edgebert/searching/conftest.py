"""A tiny model to search, and its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.checkpoint import BertConfig
from converters.vocabulary import Vocabulary
from edgebert.data.datasets import read_dataset
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.finetuning import finetune
from edgebert.models.task_model import TaskModel
from edgebert.settings import FinetuneSettings
from edgebert.tasks import task_named
from edgebert.training.stage_run import StageRun
from tests.conftest import random_checkpoint
from tests.edgebert.conftest import functions_run
from tests.edgebert.searching.tiny_searches import Splits
from tests.edgebert.separable import separable


@pytest.fixture(scope="package")
def trained(tiny_vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that has learnt the made-up texts, as a folder."""
    config = BertConfig(
        vocab_size=tiny_vocabulary.size,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        intermediate_size=48,
        max_positions=40,
    )
    encoder = TaskModel(
        random_checkpoint(config), Tokenizer(tiny_vocabulary), 40, task_named("encoder")
    )
    out = tmp_path_factory.mktemp("search") / "trained"
    settings = FinetuneSettings(epochs=2, learning_rate=3e-3, max_length=24, dropout=0.0)
    with functions_run(eagerly=True):
        finetune(encoder, separable(160, 1), separable(40, 2), settings, StageRun(out))
    return out


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The train, dev and test files."""
    folder = tmp_path_factory.mktemp("data")
    found = {}
    for part, rows, seed in (("train", 160, 1), ("dev", 40, 2), ("test", 30, 4)):
        lines = [f"{one.text}\t{one.label}" for one in separable(rows, seed).examples]
        found[part] = folder / f"{part}.tsv"
        found[part].write_text("\n".join(["text\tlabel", *lines]) + "\n")
    return found


@pytest.fixture(scope="package")
def data(files: dict[str, Path]) -> Splits:
    """The training rows and the dev rows."""
    return read_dataset(files["train"]), read_dataset(files["dev"])
