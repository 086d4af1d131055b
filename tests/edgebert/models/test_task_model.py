"""Saving and opening a `TaskModel`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebert.errors import ModelError
from edgebert.models.task_model import TaskModel, open_model


def test_a_saved_model_opens_unchanged(tiny_model: TaskModel, tmp_path: Path) -> None:
    history = ({"stage": "finetune", "metrics": {"accuracy": 0.5}},)
    replace(tiny_model, max_length=24, history=history).save(tmp_path / "m")
    opened = open_model(tmp_path / "m")
    assert (opened.task.name, opened.max_length, opened.history) == ("classification", 24, history)
    assert opened.labels == tiny_model.labels
    assert opened.tokenizer.vocabulary == tiny_model.tokenizer.vocabulary
    for name, array in tiny_model.checkpoint.weights.items():
        np.testing.assert_array_equal(opened.checkpoint.weights[name], array)


def test_a_folder_from_another_source_opens(minilm_dir: Path) -> None:
    opened = open_model(minilm_dir)
    assert (opened.task.name, opened.max_length) == ("embeddings", 256)
    assert opened.history == (
        {
            "stage": "open",
            "format": "sentence-transformers folder",
            "pooling": ["mean"],
            "dense": [],
            "normalize": True,
            "notes": [],
        },
    )
    assert opened.checkpoint.config.num_layers == 6


def test_vocabulary_and_embedding_table_must_have_one_size(
    tiny_folder: Path, tmp_path: Path
) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "tokenizer.json").unlink()
    with (tmp_path / "vocab.txt").open("a") as file:
        file.write("surplus\n")
    with pytest.raises(ModelError, match=r"vocabulary has \d+ tokens and the embedding table"):
        open_model(tmp_path)


def test_a_damaged_sidecar_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    sidecar = tmp_path / "edgebert.json"
    sidecar.write_text("{")
    with pytest.raises(ModelError, match=r"edgebert\.json: .*Received: no JSON"):
        open_model(tmp_path)
    sidecar.write_text(json.dumps({"format": 99}))
    with pytest.raises(ModelError, match="expected an object that `save` wrote of format 1"):
        open_model(tmp_path)
    sidecar.write_text(json.dumps({"format": 1, "max_length": -1, "history": [1], "task": []}))
    with pytest.raises(ModelError, match=r"task must be a text.*max_length must.*history must"):
        open_model(tmp_path)


@pytest.mark.parametrize(
    ("word", "stated", "noted"),
    [("Lamp", {}, True), ("lamp", {}, False), ("Lamp", {"do_lower_case": False}, False)],
)
def test_a_cased_vocabulary_without_a_case_rule_is_noted(
    word: str, stated: dict[str, bool], noted: bool, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cased"
    shutil.copytree(tiny_folder, folder, ignore=shutil.ignore_patterns("*token*"))
    tokens = (folder / "vocab.txt").read_text().splitlines()
    (folder / "vocab.txt").write_text("\n".join([*tokens[:-1], word]) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    opened = open_model(folder)
    assert opened.tokenizer.vocabulary.lowercase is (word == "lamp")
    expected = f"{folder} does not say do_lower_case: text keeps its case, since words have"
    assert [note.startswith(expected) for note in opened.checkpoint.notes] == [True] * noted
