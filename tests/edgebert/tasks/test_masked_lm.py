"""Masked language models: training rows, evaluation and answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebert.data.datasets import Example, read_dataset
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate, predict
from edgebert.exporting.artifact import export
from edgebert.finetuning import finetune
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import DataSettings, ExportSettings, FinetuneSettings, TaskSettings
from edgebert.tasks.mask_filling import fill_masks
from edgebert.tasks.masked_lm import EVALUATED_PLACES, MaskedFeatures, MaskedLM
from edgebert.tasks.masked_rows import PLACES, MaskedRows
from edgebert.tasks.masking import MaskedEncoding
from edgebert.tasks.task import EVALUATION, ModelFacts
from edgebert.training.stage_run import StageRun

TASK = MaskedLM()
ON, OFF = {"next_sentence": True}, {"next_sentence": False}
SETTINGS = FinetuneSettings(epochs=2, batch_size=8, learning_rate=1e-3, max_length=24, dropout=0.0)
Models, Files = Callable[[str], TaskModel], Callable[..., Path]


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: TaskModel) -> Tokenizer:
    return tiny_encoder.tokenizer


@pytest.fixture(scope="module")
def corpus(tiny_task_file: Files) -> Path:
    return tiny_task_file("masked-lm", 6)


def features_of(corpus: Path, tokenizer: Tokenizer, decoding: dict[str, object]) -> MaskedFeatures:
    data = TASK.read(corpus, DataSettings(), "required")
    return TASK.features(tokenizer, data.examples, 24, decoding)


def rows_of(corpus: Path, tokenizer: Tokenizer, decoding: dict[str, object]) -> MaskedRows:
    features = features_of(corpus, tokenizer, decoding)
    return TASK.rows(features, ModelFacts((), decoding), SETTINGS, tokenizer)


def test_positions_differ_by_epoch_and_are_reproducible(corpus: Path, tokenizer: Tokenizer) -> None:
    rows = rows_of(corpus, tokenizer, ON)
    some = np.array([3, 0, 5])
    first, again, later = (rows.batch(some, 24, epoch) for epoch in (0, 0, 1))
    for a, b in zip(first[0].values(), again[0].values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0][PLACES], later[0][PLACES])
    alone = rows.batch(some[1:2], 24, 0)
    size = alone[0][PLACES].shape[1]
    np.testing.assert_array_equal(first[0][PLACES][1, :size], alone[0][PLACES][0])


@pytest.mark.parametrize("epoch", [0, EVALUATION])
def test_targets_are_the_original_tokens(corpus: Path, tokenizer: Tokenizer, epoch: int) -> None:
    rows = rows_of(corpus, tokenizer, ON)
    inputs, targets, weights = rows.batch(np.arange(len(rows)), 24, epoch)
    whole = rows.corpus.rows.padded(np.arange(len(rows)), 24)["token_ids"]
    places = inputs[PLACES]
    for row in range(len(rows)):
        used = places[row][places[row] >= 0]
        np.testing.assert_array_equal(targets["logits"][row][: len(used)], whole[row][used])
        assert (targets["logits"][row][len(used) :] == -1).all()
        changed = np.flatnonzero(inputs["token_ids"][row] != whole[row])
        assert set(changed) <= set(used)
        if epoch == EVALUATION:
            assert (inputs["token_ids"][row][used] == rows.masking.mask_id).all()
    np.testing.assert_array_equal(targets["next_sentence"], 1 - rows.corpus.follows)
    assert weights.tolist() == [1.0] * len(rows)


def test_evaluation_and_prediction_mask_the_same_positions(
    corpus: Path, tokenizer: Tokenizer
) -> None:
    features = features_of(corpus, tokenizer, ON)
    rows = TASK.rows(features, ModelFacts((), ON), SETTINGS, tokenizer)
    inputs, targets, _ = rows.batch(np.array([2]), 24, EVALUATION)
    encoding = features.encodings[2]
    assert isinstance(encoding, MaskedEncoding)
    assert inputs["token_ids"][0, : len(encoding)].tolist() == list(encoding.token_ids)
    assert inputs[PLACES][0].tolist() == list(encoding.masks)
    assert targets["logits"][0].tolist() == list(encoding.hidden)


def test_a_row_has_few_evaluated_positions(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("play music now please " * 8 + "\n" + "stop set turn on " * 8)
    data = TASK.read(path, DataSettings(), "required")
    for masks, most in ((None, EVALUATED_PLACES), (2, 2), (100, EVALUATED_PLACES)):
        decoding = {"mask_share": 0.9} | ({} if masks is None else {"masks": masks})
        features = TASK.features(tokenizer, data.examples, 40, decoding)
        for encoding in features.encodings:
            assert isinstance(encoding, MaskedEncoding)
            assert len(encoding.masks) == len(encoding.hidden) == most


def test_metrics_equal_a_direct_computation(corpus: Path, tokenizer: Tokenizer) -> None:
    features = features_of(corpus, tokenizer, ON)
    encodings = list(features.encodings)
    rng = np.random.default_rng(0)
    places = max(len(e.masks) for e in encodings if isinstance(e, MaskedEncoding))
    logits = rng.normal(size=(len(encodings), places, len(features.tokens))).astype(np.float32)
    following = rng.normal(size=(len(encodings), 2)).astype(np.float32)
    outputs = TASK.split_outputs({"logits": logits, "next_sentence": following}, encodings)
    losses, hits, pairs = [], [], []
    for row, encoding in enumerate(encodings):
        assert isinstance(encoding, MaskedEncoding)
        for place, hidden in enumerate(encoding.hidden):
            shares = np.exp(logits[row, place].astype(np.float64))
            losses.append(-np.log(shares[hidden] / shares.sum()))
            hits.append(shares.argmax() == hidden)
        pairs.append((following[row, 0] > following[row, 1]) == (encoding.follows == 1))
    metrics = TASK.metrics(outputs, features, ModelFacts((), ON))
    assert metrics["perplexity"] == pytest.approx(np.exp(np.mean(losses)), rel=1e-5)
    assert metrics["masked_accuracy"] == pytest.approx(np.mean(hits))
    assert metrics["next_sentence_accuracy"] == pytest.approx(np.mean(pairs))
    assert max(output.nbytes for output in outputs) < 200
    alone = TASK.split_outputs({"logits": logits}, encodings)
    assert set(TASK.metrics(alone, features, ModelFacts((), ON))) == {
        "perplexity",
        "masked_accuracy",
    }


def test_the_loss_is_the_mean_cross_entropy_of_each_row(tokenizer: Tokenizer) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 7)).astype(np.float32)
    following = rng.normal(size=(2, 2)).astype(np.float32)
    targets = {"logits": np.array([[1, 2, -1], [6, -1, -1]]), "next_sentence": np.array([1, -1])}
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    pairs = following - np.log(np.exp(following).sum(-1, keepdims=True))
    tokens = np.array([-(logs[0, 0, 1] + logs[0, 1, 2]) / 2, -logs[1, 0, 6]])
    expected = (tokens + np.array([-pairs[0, 1], 0])).mean()
    outputs = {"logits": logits, "next_sentence": following}
    assert float(TASK.loss(())(targets, outputs)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("asked", "text", "learnt"),
    [
        ("auto", "a\nb\n\nc\n", "on"),
        ("auto", "a\nb\nc\n", "off"),
        ("off", "a\nb\n\nc\n", "off"),
        ("on", "a\n\nc\n", "on"),
    ],
)
def test_next_sentence_prediction_needs_documents(
    asked: str, text: str, learnt: str, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_text(text)
    data = TASK.read(path, DataSettings(), "required")
    assert TASK.resolve_settings(TaskSettings(next_sentence=asked), data).next_sentence == learnt


def test_settings_that_do_not_fit_the_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "flat.txt"
    path.write_text("one\ntwo\n")
    data = TASK.read(path, DataSettings(), "required")
    with pytest.raises(UsageError, match="expected documents for --next-sentence on"):
        TASK.resolve_settings(TaskSettings(next_sentence="on"), data)
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(UsageError, match="--mask-share: expected between 0 and 1"):
            TASK.resolve_settings(TaskSettings(mask_share=share), data)


def test_a_base_without_the_head_learns_and_a_resumed_run_is_the_same(
    one_layer_encoder: TaskModel, corpus: Path, tmp_path: Path
) -> None:
    data = TASK.read(corpus, DataSettings(), "required")
    settings = replace(SETTINGS, epochs=8, learning_rate=1e-2)
    task = TaskSettings(task="masked-lm", mask_share=0.3)

    def run(out: str, resume: bool = False, stop_at: int = 0) -> TaskModel:
        def progress(stage: str, step: int, total: int, **facts: object) -> None:
            if step == stop_at:
                raise KeyboardInterrupt

        found = finetune(
            one_layer_encoder,
            data,
            data,
            settings,
            StageRun(tmp_path / out, resume=resume, progress=progress),
            task=task,
        )
        return found.model

    whole, tokens = run("whole"), one_layer_encoder.checkpoint.config.vocab_size
    first, *_, last = whole.history[-1]["epochs"]
    assert last["loss"] < first["loss"] - 0.1
    assert last["dev_loss"] < first["dev_loss"]
    assert last["dev_perplexity"] < first["dev_perplexity"] < 0.5 * tokens
    assert {"dev_masked_accuracy", "dev_next_sentence_accuracy"} <= set(last)
    with pytest.raises(KeyboardInterrupt):
        run("stopped", stop_at=whole.history[-1]["steps"] // 2)
    resumed = run("stopped", resume=True)
    for name, array in whole.checkpoint.weights.items():
        np.testing.assert_array_equal(resumed.checkpoint.weights[name], array, name)
    opened = open_model(tmp_path / "whole")
    assert opened.decoding == {"next_sentence": True, "mask_share": 0.3, "whole_words": False}
    assert evaluate(KerasPredictor(opened), data).metrics["masked_accuracy"] == pytest.approx(
        max(epoch["dev_masked_accuracy"] for epoch in whole.history[-1]["epochs"])
    )


def test_text_without_documents_has_no_next_sentences(
    one_layer_encoder: TaskModel, tmp_path: Path
) -> None:
    path = tmp_path / "flat.txt"
    path.write_text("\n".join(["play the music now", "set a timer", "turn the lights off"] * 50))
    data = TASK.read(path, DataSettings(), "required")
    task = TaskSettings(task="masked-lm", whole_words=True)
    settings = replace(SETTINGS, epochs=1)
    model = finetune(
        one_layer_encoder, data, None, settings, StageRun(tmp_path / "out"), task=task
    ).model
    assert not model.checkpoint.has_next_sentence
    assert "pooler.kernel" not in model.checkpoint.weights
    assert model.decoding == {"next_sentence": False, "mask_share": 0.15, "whole_words": True}
    assert "dev_next_sentence_accuracy" not in model.history[-1]["epochs"][0]


def test_a_file_has_the_metrics_and_answers_of_its_folder(
    tiny_task_model: Models, corpus: Path, tmp_path: Path
) -> None:
    model = tiny_task_model("masked-lm")
    data = TASK.read(corpus, DataSettings(), "required")
    settings = ExportSettings(lengths="12,40", recipe="float32", masks=2)
    file = LiteRtModel.open(export(model, tmp_path / "m.tflite", settings).path)
    keras = KerasPredictor(replace(model, decoding={**model.decoding, "masks": 2}))
    expected = evaluate(keras, data).metrics
    assert expected.pop("next_sentence_accuracy") >= 0
    found = evaluate(file, data).metrics
    assert found == pytest.approx(expected, rel=1e-4)
    texts = ["play [MASK] now", "[MASK] the [MASK] is [MASK]", "no mask at all"]
    answers, of_keras = predict(file, texts), predict(KerasPredictor(model), texts)
    for answer, other in zip(answers, of_keras, strict=True):
        for mask, reference in zip(answer["masks"][:2], other["masks"][:2], strict=True):
            assert [t["token"] for t in mask["tokens"]] == [t["token"] for t in reference["tokens"]]
    assert [len(mask["tokens"]) for mask in answers[1]["masks"]] == [10, 10, 0]
    assert [len(mask["tokens"]) for mask in of_keras[1]["masks"]] == [10, 10, 10]
    assert answers[1]["filled"].endswith("is [MASK]")


def test_answers_have_positions_and_tokens(tiny_task_model: Models) -> None:
    keras = KerasPredictor(tiny_task_model("masked-lm"))
    text = "Play [MASK], please! [MASK]"
    (answer,) = predict(keras, [text])
    assert answer["text"] == text
    for mask in answer["masks"]:
        assert text[mask["start"] : mask["end"]] == "[MASK]"
        shares = [token["probability"] for token in mask["tokens"]]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1
    assert answer["filled"] == fill_masks(text, answer["masks"])
    shown = TASK.format_answer(answer, 2).split("\t")
    assert shown[0] == answer["filled"]
    assert [choice.count(",") for choice in shown[1:]] == [1, 1]
    (alone,) = predict(keras, ["play music"])
    assert alone["masks"] == []
    assert TASK.format_answer(alone, 1) == "play music\t(no [MASK] in it)"


def test_a_word_piece_joins_the_word_before_it() -> None:
    masks = [
        {"start": 5, "end": 11, "tokens": [{"token": "##ing", "probability": 1.0}]},
        {"start": 12, "end": 18, "tokens": [{"token": "##", "probability": 1.0}]},
    ]
    assert fill_masks("play [MASK] [MASK]!", masks) == "playing ##!"


def test_any_text_can_be_checked_and_measured(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts = ["", "\u200b", "a", "play the music on and off and stop it now", "日本語"]
    checked = TASK.features(tokenizer, TASK.check_examples(texts), 24, {})
    measured = TASK.features(tokenizer, [Example(text) for text in texts], 24, {})
    for features in (checked, measured):
        for encoding in features.encodings:
            assert isinstance(encoding, MaskedEncoding)
            assert encoding.masks
            assert not encoding.hidden
            assert {encoding.token_ids[place] for place in encoding.masks} == {4}
    path = tmp_path / "texts.txt"
    path.write_text("play [MASK]\nno mask\n")
    assert TASK.read(path, DataSettings(), "none").texts == read_dataset(path, labels="none").texts


def test_texts_with_masks_are_not_training_or_evaluation_data(tokenizer: Tokenizer) -> None:
    features = TASK.features(tokenizer, [Example("play [MASK]")], 24, {})
    with pytest.raises(UsageError, match="Expected running text to train on"):
        TASK.rows(features, ModelFacts((), OFF), SETTINGS, tokenizer)
    with pytest.raises(UsageError, match="Expected running text to evaluate on"):
        TASK.metrics([], features, ModelFacts((), OFF))
    with pytest.raises(UsageError, match=r"one text with \[MASK\]"):
        TASK.example("a", "b")


def test_a_file_must_answer_at_least_one_mask(tiny_task_model: Models, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--masks is at least 1"):
        export(tiny_task_model("masked-lm"), tmp_path / "m.tflite", ExportSettings(masks=0))
