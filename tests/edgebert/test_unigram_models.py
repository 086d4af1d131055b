"""BERTs with a SentencePiece (Unigram) vocabulary go through every stage."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from converters.bert_config import BertConfig
from converters.tflite.metadata import METADATA_BUFFER, metadata_buffer_span, read_associated_files
from converters.unigram import CHARSMAP_FILE, SCORES_FILE, UnigramVocabulary
from edgebert.data.characters import replace_lone_surrogates
from edgebert.data.datasets import Dataset
from edgebert.encoding.augmentation import augment
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.encoding.word_splitting import count_tokens, split_rare_words
from edgebert.errors import ModelError
from edgebert.evaluation.predictors import predict
from edgebert.exporting.app_readers import NONE
from edgebert.exporting.artifact import export
from edgebert.finetuning import finetune
from edgebert.models.conversion import KERAS_HUB, convert
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.manifest import UNIGRAM_FORMAT
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning.vocabulary import kept_ids_of, trim_vocabulary
from edgebert.reporting.explanation import explain, explanation_html
from edgebert.settings import (
    ExportSettings,
    FinetuneSettings,
    VocabularySettings,
)
from edgebert.tasks.mask_filling import fill_masks
from edgebert.tasks.masking import Masking
from edgebert.training.stage_run import StageRun
from tests.edgebert.separable import separable
from tests.golden.make_unigram_cases import SPACE, all_texts, make_vocabularies
from tests.tiny_tasks import random_task_model

INPUTS: dict[str, Any] = {
    "pairs": ("the music, please!", "play my music in New York"),
    "ner": "Play the music, please, at noon (in New York).",
    "masked-lm": "play [MASK] music in New York.",
}
CORPUS = ("Play the music, please!", "remind my mother at noon", "Straße, café", "the alarm is set")
VOCABULARIES = make_vocabularies()
KEPT_SETTINGS = VocabularySettings(common_pieces=0)


@pytest.fixture(scope="module")
def vocabulary() -> UnigramVocabulary:
    return VOCABULARIES["xlm-roberta"]


@pytest.fixture(scope="module")
def config(vocabulary: UnigramVocabulary, tiny_config: BertConfig) -> BertConfig:
    return replace(tiny_config, vocab_size=vocabulary.size, num_layers=1)


@pytest.fixture(scope="module")
def encoder(config: BertConfig, vocabulary: UnigramVocabulary) -> TaskModel:
    return random_task_model(config, Tokenizer(vocabulary), "classification")


@pytest.fixture(scope="module")
def trimmed(encoder: TaskModel) -> TaskModel:
    return trim_vocabulary(encoder, CORPUS, KEPT_SETTINGS).model


@pytest.mark.parametrize("task", INPUTS)
def test_a_saved_and_exported_model_answers_as_before(
    task: str, config: BertConfig, vocabulary: UnigramVocabulary, tmp_path: Path
) -> None:
    model = random_task_model(config, Tokenizer(vocabulary), task)
    again = open_model(model.save(tmp_path / "saved"))
    assert again.tokenizer.vocabulary == vocabulary
    recipe = ExportSettings(recipe="float32", lengths="16,40")
    artifact = export(again, tmp_path / "m.tflite", recipe)
    file = LiteRtModel.open(artifact.path)
    assert file.tokenizer.vocabulary == vocabulary
    assert (artifact.manifest.format, artifact.readers) == (UNIGRAM_FORMAT, NONE)
    (ours,), (theirs,) = predict(again, [INPUTS[task]]), predict(file, [INPUTS[task]])
    assert list(_texts_of(ours)) == list(_texts_of(theirs))
    data = artifact.path.read_bytes()
    assert {SCORES_FILE, CHARSMAP_FILE} < set(read_associated_files(data))
    assert metadata_buffer_span(data, METADATA_BUFFER) is None


def test_pairs_have_two_separators_and_no_second_segment(encoder: TaskModel) -> None:
    tokenizer = encoder.tokenizer
    first, second = tokenizer.encode("the music"), tokenizer.encode("at noon")
    joined = tokenizer.join(first, second)
    assert joined == tokenizer.encode("the music", "at noon")
    names = [tokenizer.vocabulary.tokens[token_id] for token_id in joined.token_ids]
    assert names[0] == "<s>" and names.count("</s>") == 3
    assert set(joined.segment_ids) == {0}
    assert tokenizer.specials(2) == 4
    assert len(tokenizer.encode("", "", max_length=4)) == 4


def test_words_are_those_between_spaces_and_punctuation(encoder: TaskModel) -> None:
    text = " Play  the music, \u4e16\u754c\u3000remind! 30 my, mother."
    encoding = encoder.tokenizer.encode(text)
    starts = encoder.tokenizer.vocabulary.part_starts(encoding.token_ids, encoding.offsets)
    places = [encoding.offsets[start][0] for start in starts]
    assert [text[place] for place in places] == [*"Ptm,\u4e16r!3m,m."]


def test_the_page_of_an_explanation_shows_the_pieces(encoder: TaskModel) -> None:
    page = explanation_html(explain(encoder, ["Play the music!"], "tiny"))
    assert f"{SPACE}music" in page and f"{SPACE} stands for a space." in page


def test_a_token_without_the_space_joins_the_text_before() -> None:
    masks = [{"start": 4, "end": 10, "tokens": [{"token": "s"}]}]
    assert fill_masks("the [MASK] music", masks, SPACE) == "thes music"
    masks = [{"start": 4, "end": 10, "tokens": [{"token": f"{SPACE}loud"}]}]
    assert fill_masks("the [MASK] music", masks, SPACE) == "the loud music"


def test_whole_words_are_masked_with_their_pieces(encoder: TaskModel) -> None:
    masking = Masking.of(encoder.tokenizer.vocabulary, 0.01, whole_words=True)
    encoding = encoder.tokenizer.encode("electroencephalography")
    ids = np.array(encoding.token_ids, np.int32)
    places = masking.choose(ids, np.random.default_rng(0))
    assert places.tolist() == list(range(1, len(ids) - 1))


def test_rare_words_are_split_and_texts_are_changed(encoder: TaskModel) -> None:
    tokenizer = encoder.tokenizer
    counts = np.zeros_like(count_tokens(tokenizer, CORPUS))
    (whole,) = tokenizer.encode_batch(["please remind"])
    (split,) = split_rare_words(tokenizer, [whole], counts, probability=1, seed=0)
    tokens = tokenizer.vocabulary.tokens
    spelled = ["".join(tokens[i] for i in each.token_ids) for each in (whole, split)]
    assert spelled[0] == spelled[1] and len(split) > len(whole)
    table = encoder.checkpoint.weights["embeddings.token"]
    changed = augment(tokenizer, table, CORPUS, copies=3, seed=0)
    assert len(changed) == 3 * len(CORPUS) and not any(SPACE in text for text in changed)


def test_it_is_trained(encoder: TaskModel, tmp_path: Path) -> None:
    data = separable(16, seed=0)
    quick = FinetuneSettings(epochs=1, batch_size=8)
    trained = finetune(encoder, data, data, quick, StageRun(tmp_path / "trained")).model
    again = open_model(tmp_path / "trained")
    assert again.tokenizer.vocabulary == encoder.tokenizer.vocabulary
    tables = [each.checkpoint.weights["embeddings.token"] for each in (again, trained, encoder)]
    np.testing.assert_array_equal(tables[0], tables[1])
    changed = np.flatnonzero(np.abs(tables[1] - tables[2]).max(axis=1))
    assert set(tokenized(encoder, data)) <= {*changed, *encoder.tokenizer.vocabulary.framing_ids}


def tokenized(model: TaskModel, data: Dataset) -> list[int]:
    """The ids of a data set's tokens."""
    encodings = model.tokenizer.encode_batch([example.text for example in data.examples])
    return [token_id for encoding in encodings for token_id in encoding.token_ids]


def test_trimming_keeps_the_pieces_scores_and_roles(encoder: TaskModel, trimmed: TaskModel) -> None:
    before, after = encoder.tokenizer.vocabulary, trimmed.tokenizer.vocabulary
    assert isinstance(before, UnigramVocabulary) and isinstance(after, UnigramVocabulary)
    ids = kept_ids_of(before, after)
    assert after.size < before.size / 2
    assert after.scores == tuple(before.scores[i] for i in ids)
    assert after.special_tokens == before.special_tokens
    assert min(after.scores) == min(before.scores)
    rows = [each.checkpoint.weights["embeddings.token"] for each in (encoder, trimmed)]
    np.testing.assert_array_equal(rows[0][ids], rows[1])
    (entry,) = (stage for stage in trimmed.history if stage["stage"] == "trim")
    assert entry["corpus"]["same_texts"] == 1
    assert predict(trimmed, list(CORPUS)) == predict(encoder, list(CORPUS))


def test_a_masked_language_model_is_trimmed(
    config: BertConfig, vocabulary: UnigramVocabulary
) -> None:
    model = random_task_model(config, Tokenizer(vocabulary), "masked-lm")
    small = trim_vocabulary(model, CORPUS, KEPT_SETTINGS).model
    ids = kept_ids_of(vocabulary, small.tokenizer.vocabulary)
    (whole,), (part,) = predict(model, ["Play [MASK]!"]), predict(small, ["Play [MASK]!"])
    assert len(part["masks"][0]["tokens"]) == len(whole["masks"][0]["tokens"])
    bias = model.checkpoint.weights["masked_lm.bias"][ids]
    np.testing.assert_array_equal(small.checkpoint.weights["masked_lm.bias"], bias)


texts = st.lists(st.sampled_from(all_texts()) | st.text(max_size=30), min_size=2, max_size=5)


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("characters", ["all", "scripts"])
@hypothesis_settings(max_examples=15, deadline=None)
@given(corpus=texts, others=texts)
def test_texts_of_the_corpus_give_the_same_pieces(
    name: str, characters: str, corpus: list[str], others: list[str]
) -> None:
    model = _bare(VOCABULARIES[name])
    settings = VocabularySettings(characters=characters, common_pieces=0)
    try:
        after = trim_vocabulary(model, corpus, settings).model.tokenizer
    except Exception as error:  # a corpus of white space, or of unknown characters
        assert "corpus: expected" in str(error)
        return
    before = model.tokenizer
    for text in corpus:
        if text.strip():  # the others are no texts of a corpus
            assert _pieces(before, text) == _pieces(after, text)
    whole = {piece for piece in before.vocabulary.tokens if len(piece) == 1}
    single = {piece for piece in after.vocabulary.tokens if len(piece) == 1}
    assert characters == "scripts" or single == whole
    unknown = after.vocabulary.id_of(after.vocabulary.unknown_token)
    for text in others:
        bound = sum(c not in single for c in _normal(after.vocabulary, text))
        assert after.encode(text).token_ids.count(unknown) <= bound


def test_other_scripts_are_left_out(encoder: TaskModel) -> None:
    latin = trim_vocabulary(encoder, CORPUS, VocabularySettings(characters="scripts")).model
    letters = [token for token in latin.tokenizer.vocabulary.tokens if len(token) == 1]
    names = {unicodedata.name(letter, "").split(" ")[0] for letter in letters if letter.isalpha()}
    assert "LATIN" in names and not names & {"CYRILLIC", "GREEK", "CJK", "HANGUL", "ARABIC"}


def test_keras_hub_has_no_such_tokenizer(encoder: TaskModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"WordPiece vocabulary.*Next: convert to hugging-face"):
        convert(encoder, tmp_path / "preset", KERAS_HUB)


def _bare(vocabulary: UnigramVocabulary) -> TaskModel:
    """A model of one number a token: trimming needs no more."""
    config = BertConfig(vocabulary.size, 1, 1, 1, 1, 8)
    return random_task_model(config, Tokenizer(vocabulary), "classification")


def _pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.vocabulary.tokens[token_id] for token_id in tokenizer.encode(text).token_ids]


def _normal(vocabulary: UnigramVocabulary, text: str) -> str:
    normalizer = vocabulary.backend().normalizer
    return str(normalizer.normalize_str(replace_lone_surrogates(text))).replace(" ", SPACE)


def _texts_of(answer: Any) -> Any:
    """The texts and places in an answer, without its numbers."""
    if isinstance(answer, dict):
        for key, value in answer.items():
            yield from ([] if isinstance(value, float) else [key, *_texts_of(value)])
    elif isinstance(answer, list):
        for value in answer:
            yield from _texts_of(value)
    else:
        yield answer
