"""Saving and opening models of every task, with their tokenizers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import heads
from converters.checkpoint import GELU_EXACT, GELU_TANH, RELU, BertConfig
from converters.vocabulary import Vocabulary
from converters.wordpiece import AddedToken
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import ModelError
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import TASKS, TaskSettings
from edgebert.tasks import task_named, task_of_checkpoint
from tests.conftest import TINY_TOKENS
from tests.tiny_tasks import random_task_checkpoint, random_task_model

TEXTS = ("Näive Tokyo 東京 films", "play <song> by [unused1] now", "THE Movie is good!")
VOCABULARIES: dict[str, Vocabulary] = {
    "uncased": Vocabulary((*TINY_TOKENS, "[unused0]", "[unused1]"), lowercase=True),
    "cased, with accents": Vocabulary(
        (*TINY_TOKENS, "N", "ä", "T", "##ä"), lowercase=False, strip_accents=False
    ),
    "lower-case, with accents": Vocabulary(
        (*TINY_TOKENS, "ä", "##ä"), lowercase=True, strip_accents=False
    ),
    "Chinese characters": Vocabulary((*TINY_TOKENS, "東", "京"), lowercase=True),
    "Chinese words": Vocabulary(
        (*TINY_TOKENS, "東京"), lowercase=True, split_chinese_characters=False
    ),
    "added tokens": Vocabulary(
        (*TINY_TOKENS, "<song>", "[unused1]"),
        lowercase=True,
        added_tokens=(
            AddedToken("<song>", special=False, normalized=True),
            AddedToken("[unused1]", rstrip=True),
        ),
    ),
}


def model_of(task: str, config: BertConfig, vocabulary: Vocabulary) -> TaskModel:
    config = replace(config, vocab_size=vocabulary.size)
    return random_task_model(config, Tokenizer(vocabulary), task, seed=7)


def assert_same_model(a: TaskModel, b: TaskModel) -> None:
    for name in ("task", "labels", "decoding", "max_length", "history"):
        assert getattr(a, name) == getattr(b, name), name
    for name in ("config", "problem", "sentence", "head"):
        assert getattr(a.checkpoint, name) == getattr(b.checkpoint, name), name
    assert a.checkpoint.weights.keys() == b.checkpoint.weights.keys()
    for name, array in a.checkpoint.weights.items():
        np.testing.assert_array_equal(array, b.checkpoint.weights[name], err_msg=name)
    assert a.tokenizer.vocabulary == b.tokenizer.vocabulary
    for text in TEXTS:
        assert a.tokenizer.encode(text) == b.tokenizer.encode(text)


@pytest.mark.parametrize("kind", VOCABULARIES)
@pytest.mark.parametrize("task", TASKS)
def test_a_saved_model_opens_unchanged(
    task: str, kind: str, tiny_config: BertConfig, tmp_path: Path
) -> None:
    model = model_of(task, tiny_config, VOCABULARIES[kind])
    assert_same_model(open_model(model.save(tmp_path / "saved")), model)


@pytest.mark.parametrize("task", TASKS)
def test_rows_without_a_token_are_left_out(
    task: str, tiny_config: BertConfig, tmp_path: Path
) -> None:
    """Checkpoints whose embedding table is padded to a multiple of 8 or 64 have such rows."""
    vocabulary = VOCABULARIES["uncased"]
    config = replace(tiny_config, vocab_size=vocabulary.size + 13)
    padded = random_task_model(config, Tokenizer(vocabulary), task, seed=7)
    opened = open_model(padded.save(tmp_path / "saved"))
    assert opened.checkpoint.config.vocab_size == vocabulary.size
    for name, array in opened.checkpoint.weights.items():
        wanted = padded.checkpoint.weights[name]
        np.testing.assert_array_equal(array, wanted[: len(array)], err_msg=name)
    assert any("the last 13 rows" in note for note in opened.checkpoint.notes)
    again = open_model(opened.save(tmp_path / "again"))
    assert again.checkpoint.notes == ()
    for text in TEXTS:
        assert again.tokenizer.encode(text) == padded.tokenizer.encode(text)


@pytest.mark.parametrize("task", TASKS)
def test_a_vocabulary_without_a_mask_token(
    task: str, tiny_config: BertConfig, tmp_path: Path
) -> None:
    folder = model_of(task, tiny_config, VOCABULARIES["uncased"]).save(tmp_path / "saved")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()
    text = (folder / "vocab.txt").read_text()
    (folder / "vocab.txt").write_text(text.replace("[MASK]\n", "[unused99]\n"))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    if task == "masked-lm":
        with pytest.raises(ModelError, match="expected a vocabulary with a mask token"):
            open_model(folder)
        return
    opened = open_model(folder)
    assert not opened.tokenizer.vocabulary.has_mask
    again = open_model(opened.save(tmp_path / "again"))
    assert again.tokenizer.vocabulary == opened.tokenizer.vocabulary


@pytest.mark.parametrize("task", ["ner", "qa", "masked-lm"])
@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tokenizer_config.json", {"do_lower_case": False}, "lowercase is False in"),
        ("tokenizer_config.json", {"tokenize_chinese_chars": False}, "split_chinese_characters is"),
        ("special_tokens_map.json", {"mask_token": "the"}, "mask_token is"),
        ("tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer"}, "is not BERT's"),
    ],
)
def test_a_tokenizer_that_contradicts_itself_is_refused(
    task: str,
    file: str,
    change: dict[str, Any],
    message: str,
    tiny_config: BertConfig,
    tmp_path: Path,
) -> None:
    model = model_of(task, tiny_config, VOCABULARIES["uncased"])
    path = model.save(tmp_path / "saved") / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        open_model(tmp_path / "saved")


@pytest.mark.parametrize(
    ("task", "said", "taken"),
    [
        ("pos", "ner", "ner"),
        ("ner", "pos", "pos"),
        ("ner", "qa", "ner"),
        ("classification", "pairs", "pairs"),
        ("regression", "pairs", "regression"),
        ("multi-label", "classification", "multi-label"),
        ("embeddings", "encoder", "embeddings"),
        ("masked-lm", "", "masked-lm"),
    ],
)
def test_the_sidecar_names_the_task_if_the_head_fits(
    task: str, said: str, taken: str, tiny_config: BertConfig, tmp_path: Path
) -> None:
    path = model_of(task, tiny_config, VOCABULARIES["uncased"]).save(tmp_path / "m")
    sidecar = path / "edgebert.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "task": said}))
    assert open_model(path).task.name == taken


@pytest.mark.parametrize("task", TASKS)
def test_without_the_sidecar_the_head_determines_the_task(
    task: str, tiny_config: BertConfig, tmp_path: Path
) -> None:
    path = model_of(task, tiny_config, VOCABULARIES["uncased"]).save(tmp_path / "m")
    (path / "edgebert.json").unlink()
    assert open_model(path).task.name == {"pairs": "classification"}.get(task, task)


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (("O", "B-PER", "I-PER"), "ner"),
        (("O", "S-PER", "B-PER", "I-PER", "E-PER"), "ner"),
        (("U-LOC", "B-LOC", "I-LOC", "L-LOC", "O"), "ner"),
        (("NOUN", "VERB", "O"), "pos"),
        (("LABEL_0", "LABEL_1"), "pos"),
    ],
)
def test_tags_of_entities_make_an_entity_recogniser(
    labels: tuple[str, ...], task: str, tiny_config: BertConfig
) -> None:
    checkpoint = replace(random_task_checkpoint(tiny_config, "ner"), labels=labels)
    assert task_of_checkpoint(checkpoint).name == task


def test_a_model_without_a_hugging_face_class_is_not_saved(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    """A masked LM of keras-hub. Further training gives it BERT's own head."""
    own = {"masked_lm_activation": GELU_EXACT, "masked_lm_epsilon": 1e-5}
    config = replace(tiny_config, activation=GELU_TANH, **own)
    model = random_task_model(config, Tokenizer(tiny_vocabulary), "masked-lm")
    with pytest.raises(ModelError, match="a LayerNorm epsilon of 1e-05 in the masked LM's head"):
        model.save(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    settings = TaskSettings(task="masked-lm", next_sentence="on")
    prepared = task_named("masked-lm").prepare_checkpoint(model.checkpoint, settings)
    assert replace(model, checkpoint=prepared).save(tmp_path / "saved").is_dir()


@pytest.mark.parametrize("task", TASKS)
def test_any_task_can_be_trained_on_any_head_and_saved(
    task: str, tiny_config: BertConfig, tiny_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    """The base is a classifier whose pooler is DistilBERT's, with one segment."""
    config = replace(tiny_config, pooler_activation=RELU, num_segments=1)
    base = random_task_checkpoint(config, "multi-label")
    prepared = task_named(task).prepare_checkpoint(
        base, TaskSettings(task=task, next_sentence="on")
    )
    own = random_task_checkpoint(prepared.config, task, seed=3)
    has_head = {name: array for name, array in own.weights.items() if heads.is_head_weight(name)}
    checkpoint = replace(
        prepared, weights={**own.weights, **prepared.weights, **has_head}, labels=own.labels
    )
    model = TaskModel(checkpoint, Tokenizer(tiny_vocabulary), 40, task_named(task))
    assert open_model(model.save(tmp_path / "saved")).task.name == task
