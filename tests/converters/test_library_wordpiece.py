"""A WordPiece tokenizer.json with other parts than BERT's: run by the library, as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors

from converters.errors import ConversionError
from converters.library_wordpiece import LibraryWordPiece
from converters.packed_vocabulary import unpack_vocabulary
from converters.vocabulary import read_vocabulary, write_vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import ModelError
from edgebert.evaluation.predictors import open_predictor, predict
from edgebert.exporting.artifact import export
from edgebert.exporting.web_site import write_site
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import ExportSettings

PIECES = ("play", "##ing", "the", "music", "Café", "cafe", "-", ".", "#", "!", "##s", "ｍｕ")
TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES)
PARTS = {
    "own": (
        normalizers.Sequence(
            [normalizers.NFKC(), normalizers.Lowercase(), normalizers.StripAccents()]
        ),
        pre_tokenizers.Whitespace(),
    ),
    "split": (None, pre_tokenizers.WhitespaceSplit()),
    "replace": (
        normalizers.Replace("-", " "),
        pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True)]),
    ),
    "dirty": (normalizers.BertNormalizer(clean_text=False), pre_tokenizers.BertPreTokenizer()),
    "whole": (normalizers.BertNormalizer(), None),
}


def library(part: str) -> LibraryTokenizer:
    vocabulary = {token: i for i, token in enumerate(TOKENS)}
    made = LibraryTokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    normalizer, pre_tokenizer = PARTS[part]
    if normalizer is not None:
        made.normalizer = normalizer
    if pre_tokenizer is not None:
        made.pre_tokenizer = pre_tokenizer
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    made.add_special_tokens(list(TOKENS[:5]))
    return made


def read(part: str, folder: Path) -> LibraryWordPiece:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(library(part).to_str())
    vocabulary = read_vocabulary(folder)
    assert isinstance(vocabulary, LibraryWordPiece)
    return vocabulary


TEXTS = ("Playing the  music!", "CAFÉ-s.", "café 12 ｍｕ", "", "a\x00b\u200b[MASK]#1", "\u0301x")


@pytest.mark.parametrize("part", PARTS)
def test_ids_and_offsets_are_the_librarys(part: str, tmp_path: Path) -> None:
    original = library(part)
    vocabulary = read(part, tmp_path)
    packed = unpack_vocabulary(
        json.loads(json.dumps(vocabulary.to_settings())), vocabulary.to_files()
    )
    write_vocabulary(vocabulary, tmp_path / "written")
    for same in (vocabulary, packed, read_vocabulary(tmp_path / "written")):
        assert same == vocabulary
        tokenizer = Tokenizer(same)
        for text in TEXTS:
            expected = original.encode(text, "music")
            encoding = tokenizer.encode(text, "music")
            assert list(encoding.token_ids) == expected.ids
            assert list(encoding.offsets) == expected.offsets
            assert list(encoding.segment_ids) == expected.type_ids


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=30), st.sampled_from(sorted(PARTS)))
def test_any_text(tmp_path_factory: pytest.TempPathFactory, text: str, part: str) -> None:
    tokenizer = Tokenizer(read(part, tmp_path_factory.mktemp("made")))
    expected = library(part).encode(text.encode("utf-8", "replace").decode())
    assert list(tokenizer.encode(text).token_ids) == expected.ids


def test_a_sequence_of_berts_parts_is_berts(tmp_path: Path) -> None:
    content = json.loads(library("whole").to_str())
    content["normalizer"] = {"type": "Sequence", "normalizers": [content["normalizer"]]}
    content["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [{"type": "BertPreTokenizer"}],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert read_vocabulary(tmp_path).kind == "wordpiece"


def test_unknown_parts_and_lower_case(tmp_path: Path) -> None:
    vocabulary = read("split", tmp_path)
    lower = Tokenizer(vocabulary.lower_cased())
    assert lower.encode("PLAYing THE").token_ids == (2, 5, 6, 7, 3)
    assert Tokenizer(vocabulary).encode("PLAYing").token_ids == (2, 1, 3)
    for wrong in ({"type": "Nothing"}, {"type": "Replace"}, {}):
        with pytest.raises(ConversionError, match="can't build normalizer"):
            replace(vocabulary, normalizer=json.dumps(wrong))


def test_a_model_runs_in_python_and_is_refused_for_apps(
    tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    model = tiny_task_model("classification")
    vocabulary = model.tokenizer.vocabulary
    other = LibraryWordPiece(
        vocabulary.tokens,
        lowercase=False,
        normalizer=json.dumps({"type": "Lowercase"}),
        pre_tokenizer=json.dumps({"type": "Whitespace"}),
    )
    folder = replace(model, tokenizer=Tokenizer(other)).save(tmp_path / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "do_lower_case" not in config
    opened = open_model(folder)
    assert opened.tokenizer.vocabulary == other
    assert any("JavaScript and Kotlin can't" in note for note in opened.checkpoint.notes)
    artifact = export(opened, tmp_path / "m.tflite", ExportSettings(length=16, recipe="float32"))
    assert "normalizer Lowercase, pre_tokenizer Whitespace" in " ".join(artifact.notes)
    texts = ["The MOVIE is great!", "play_music"]
    expected = predict(opened, texts)
    answers = predict(open_predictor(artifact.path), texts)
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer["probability"] == pytest.approx(wanted["probability"], abs=1e-5)
    with pytest.raises(ModelError, match="normalizer Lowercase, pre_tokenizer Whitespace"):
        write_site([artifact.path], tmp_path / "site")
