"""Question answering: data, head, loss, threshold and answers; in Keras and in the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgebert.cli import cli
from edgebert.data.squad_files import Answer, Question
from edgebert.encoding.tokenizer import pad
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate, open_predictor, predict
from edgebert.exporting.app_readers import notes_of, readers_of
from edgebert.exporting.artifact import export
from edgebert.exporting.signatures import choose_lengths
from edgebert.finetuning import finetune
from edgebert.models.inspection import inspect_model
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.litert_runtime import open_runtime
from edgebert.models.manifest import Manifest
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import DataSettings, ExportSettings, FinetuneSettings, TaskSettings
from edgebert.tasks import task_named
from edgebert.tasks.qa import MASKED_LOGIT, QuestionAnswering
from edgebert.tasks.task import ModelFacts
from edgebert.training.stage_run import StageRun

CONTEXT = "The movie is on today. The music is very nice, and the alarm is off."
LONG = " ".join(["the light is on and the music is off", CONTEXT, "play it now"] * 3)

Models = Callable[[str], TaskModel]
Files = Callable[..., Path]


@pytest.fixture(scope="module")
def task() -> QuestionAnswering:
    found = task_named("qa")
    assert isinstance(found, QuestionAnswering)
    return found


@pytest.fixture(scope="module")
def keras(tiny_task_model: Models) -> KerasPredictor:
    return KerasPredictor(tiny_task_model("qa"))


@pytest.fixture(scope="module")
def exported(tiny_task_model: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qa") / "m.tflite"
    return export(tiny_task_model("qa"), path, ExportSettings(recipe="float32")).path


def call(*arguments: object, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], input=text)


def asked(question: str = "what is on", answer: str = "The movie", **more: Any) -> Question:
    answers = (Answer(answer, CONTEXT.index(answer)),) if answer else ()
    return Question("q", question, CONTEXT, answers, is_impossible=not answer, **more)


def certain(task: QuestionAnswering, model: TaskModel, said: Sequence[tuple[Question, str]]) -> Any:
    """Features and outputs of a model that is certain of given answers; an empty text is [CLS]."""
    features = task.features(model.tokenizer, [q for q, _ in said], 40, model.decoding)
    outputs = []
    for number, encoding in enumerate(features.encodings):
        question, text = said[features.owners[number]]
        logits = np.zeros((len(encoding), 2), np.float32)
        start = question.context.index(text)
        places = [
            place
            for place in range(int(features.context_columns[number]), len(encoding) - 1)
            if start <= encoding.offsets[place][0] < start + len(text)
        ] or [0]
        logits[places[0], 0] = logits[places[-1], 1] = 5
        outputs.append(logits)
    return features, outputs


# Data and settings


def test_the_keys_of_a_squad_file_have_no_other_names(
    task: QuestionAnswering, tmp_path: Path
) -> None:
    row = {"q": "what is on", "passage": CONTEXT, "gold": ["The movie"]}
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(row))
    columns = DataSettings(text_column="q", pair_column="passage", label_column="gold")
    data = task.read(path, columns, "required")
    assert data.examples == (replace(asked(), id="1"),)
    assert (data.name, data.task, data.texts) == ("own", "qa", ("what is on",))
    array = tmp_path / "own.json"
    array.write_text(json.dumps([row]))
    assert task.read(array, columns, "required").examples == data.examples
    array.write_text('{"data": []}')
    with pytest.raises(UsageError, match="no columns to name"):
        task.read(array, columns, "required")


def test_the_decoding_has_the_settings_of_the_answers(task: QuestionAnswering) -> None:
    settings = TaskSettings(stride=50, max_answer_tokens=9, max_question_tokens=20)
    assert task.decoding(settings) == {
        "stride": 50,
        "max_answer_tokens": 9,
        "max_question_tokens": 20,
        "n_best": 20,
        "null_threshold": None,
    }


def test_invalid_settings_are_refused(task: QuestionAnswering) -> None:
    with pytest.raises(UsageError, match=r"stride.*max_answer_tokens"):
        task.decoding(TaskSettings(stride=0, max_answer_tokens=-1))


@pytest.mark.parametrize("texts", [(), ("what",), ("what", "is", "it")])
def test_a_question_needs_its_context(task: QuestionAnswering, texts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="a question and its context"):
        task.example(*texts)


def test_a_model_without_decoding_has_the_defaults(keras: KerasPredictor) -> None:
    stranger = KerasPredictor(replace(keras.model, decoding={}))
    texts = [("what is on", CONTEXT), ("what is off", LONG)]
    assert predict(stranger, texts) == predict(keras, texts)


# Head and loss


def test_padding_is_never_an_answer(keras: KerasPredictor, task: QuestionAnswering) -> None:
    """Start and end are never in the padding, also with large weights."""
    model = keras.model
    weights = dict(model.checkpoint.weights)
    weights["spans.kernel"] = 1e4 * weights["spans.kernel"]
    net = replace(model, checkpoint=model.checkpoint.with_weights(weights)).keras_model()
    question = replace(asked(), context="The movie is on today.", answers=())
    encodings = task.features(model.tokenizer, [question], 40, model.decoding).encodings
    used = len(encodings[0])
    inputs = pad(encodings, 40, model.tokenizer.pad_id)
    outputs = np.asarray(net(inputs))
    assert used < 40
    assert outputs.shape == (1, 40, 2)
    assert (outputs[0, used:] == np.float32(MASKED_LOGIT)).all()
    assert (outputs[0].argmax(0) < used).all()
    alone = np.asarray(net(pad(encodings, used, model.tokenizer.pad_id)))
    assert np.allclose(outputs[:, :used], alone, rtol=1e-4, atol=1e-2)
    (split,) = task.split_outputs(outputs, encodings)
    assert split.shape == (used, 2)


def test_loss_is_the_mean_of_both_cross_entropies(task: QuestionAnswering) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (3, 9, 2)).astype(np.float32)
    logits[:, 7:] = MASKED_LOGIT
    columns = np.array([[1, 4], [0, 0], [6, 6]], np.int32)
    expected = [
        -(logits[row, column, end] - np.log(np.exp(logits[row, :7, end].astype(float)).sum()))
        for row in range(3)
        for end, column in enumerate(columns[row])
    ]
    loss = task.loss(())
    assert float(loss(columns, logits)) == pytest.approx(np.mean(expected), rel=1e-5)
    weights = np.array([1, 0, 0], np.float32)
    assert float(loss(columns, logits, weights)) == pytest.approx(
        np.sum(expected[:2]) / 6, rel=1e-5
    )


def test_distributions_are_over_the_tokens(task: QuestionAnswering) -> None:
    found = task.log_probabilities(np.array([[0, 1], [3, 1]], np.float32))
    assert found.shape == (2, 2)
    assert np.exp(found).sum(1) == pytest.approx([1, 1])
    assert found.argmax(1)[0] == 1


# Answers and metrics


def test_answers_have_character_positions(task: QuestionAnswering, keras: KerasPredictor) -> None:
    features, outputs = certain(task, keras.model, [(asked(), "The music is")])
    (found,) = task.answers(outputs, features, keras.facts)
    best = found["answers"][0]
    assert (found["id"], found["text"]) == ("q", "what is on")
    assert (best["text"], best["start"], best["end"]) == ("The music is", 23, 35)
    assert len(found["answers"]) == 20
    assert sum(each["score"] for each in found["answers"]) == pytest.approx(1)
    assert all(each["text"] == CONTEXT[each["start"] : each["end"]] for each in found["answers"])
    shown = task.format_answer(found, 2)
    assert shown.startswith("The music is 0.")
    assert shown.count("\t") == 2
    assert json.loads(json.dumps(found)) == found


def test_the_list_has_no_answer_if_the_model_has_a_threshold(
    task: QuestionAnswering, keras: KerasPredictor
) -> None:
    said = [(asked(), "The movie"), (asked(answer=""), "")]
    features, outputs = certain(task, keras.model, said)
    for threshold, expected in ((0.0, ["The movie", ""]), (-20.0, ["", ""]), (20.0, None)):
        decoding = {**keras.decoding, "null_threshold": threshold}
        found = task.answers(outputs, features, ModelFacts((), decoding))
        best = [each["answers"][0]["text"] for each in found]
        assert best == expected or (expected is None and all(best))
        assert all(len(each["answers"]) == 21 for each in found)
        assert all([a["text"] for a in each["answers"]].count("") == 1 for each in found)
    assert "(no answer)" in task.format_answer(
        task.answers(outputs, features, ModelFacts((), decoding))[1], 21
    )


def test_a_context_without_tokens_has_no_answer(keras: KerasPredictor) -> None:
    (found,) = predict(keras, [("what is on", "\u200b")])
    assert found["answers"] == [{"text": "", "start": 0, "end": 0, "score": 1.0}]


def test_metrics_of_questions_that_all_have_answers(
    task: QuestionAnswering, keras: KerasPredictor
) -> None:
    said = [(asked(), "movie"), (asked(), "The movie is"), (asked(), "very nice")]
    features, outputs = certain(task, keras.model, said)
    found = task.metrics(outputs, features, keras.facts)
    assert found == pytest.approx({"f1": (1 + 2 / 3) / 3, "exact_match": 1 / 3})
    assert task.choose_thresholds(outputs, features, keras.facts) == keras.decoding


def test_the_threshold_is_the_best_for_f1(task: QuestionAnswering, keras: KerasPredictor) -> None:
    said = [(asked(), "The movie"), (asked(answer=""), "very nice"), (asked(answer=""), "")]
    features, outputs = certain(task, keras.model, said)
    # The model is less sure of the answer that is wrong, and some word is always a little likely.
    second = int(np.searchsorted(features.owners, 1))
    for output, owner, begin in zip(
        outputs, features.owners, features.context_columns, strict=True
    ):
        output[begin + 1] += 0.5
        output *= 0.5 if owner == 1 else 1
    assert features.owners[second] == 1
    fitted = task.choose_thresholds(outputs, features, keras.facts)
    assert -10 < fitted["null_threshold"] < -5
    assert fitted == {**keras.decoding, "null_threshold": fitted["null_threshold"]}
    expected = {"f1": 1.0, "exact_match": 1.0, "answerable_f1": 1, "unanswerable_accuracy": 1}
    assert task.metrics(outputs, features, ModelFacts((), fitted)) == expected
    without = task.metrics(outputs, features, keras.facts)
    assert without["unanswerable_accuracy"] == 0
    assert without["answerable_f1"] == 1
    assert without["f1"] == pytest.approx(1 / 3)


# Through the stages


@pytest.fixture(scope="module")
def trained(
    tiny_task_model: Models, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TaskModel, Path]:
    """A tiny model that is trained on questions with and without answers."""
    known = [("what is on", "The movie"), ("what is nice", "The music"), ("who plays", "")]
    rows = [
        {
            "question": q,
            "context": CONTEXT,
            "answers": [{"text": a, "answer_start": CONTEXT.index(a)}] if a else [],
        }
        for q, a in known * 8
    ]
    path = tmp_path_factory.mktemp("own") / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    data = task_named("qa").read(path, DataSettings(), "required")
    settings = FinetuneSettings(
        epochs=12, batch_size=8, learning_rate=1e-2, dropout=0.0, patience=0
    )
    base = tiny_task_model("qa")
    config = replace(base.checkpoint.config, num_layers=1)
    weights = {k: v for k, v in base.checkpoint.weights.items() if not k.startswith("layers.1.")}
    base = replace(base, checkpoint=replace(base.checkpoint, config=config, weights=weights))
    out = tmp_path_factory.mktemp("out") / "model"
    result = finetune(
        base, data, data, settings, StageRun(out), task=TaskSettings(task="qa", stride=10)
    )
    return result.model, path


def test_training_learns_and_keeps_the_threshold(trained: tuple[TaskModel, Path]) -> None:
    model, path = trained
    last = model.history[-1]
    assert last["metrics"]["f1"] == 1.0
    assert last["metrics"]["unanswerable_accuracy"] == 1.0
    assert isinstance(model.decoding["null_threshold"], float)
    assert model.decoding["stride"] == 10
    data = task_named("qa").read(path, DataSettings(), "required")
    measured = evaluate(KerasPredictor(model), data).metrics
    assert measured == {key: last["metrics"][key] for key in measured}


def test_a_folder_and_a_file_give_the_same_answers(
    trained: tuple[TaskModel, Path], tmp_path: Path
) -> None:
    model, _ = trained
    folder = model.save(tmp_path / "model")
    opened = open_model(folder)
    assert (opened.task.name, dict(opened.decoding)) == ("qa", dict(model.decoding))
    path = export(opened, tmp_path / "m.tflite", ExportSettings(recipe="float32")).path
    texts = [("what is on", CONTEXT), ("who plays", LONG), ("", "movie"), ("what is nice", LONG)]
    ours = predict(open_predictor(folder), texts)
    theirs = predict(open_predictor(path), texts)
    for a, b in zip(ours, theirs, strict=True):
        assert [each["score"] for each in a["answers"]] == pytest.approx(
            [each["score"] for each in b["answers"]], abs=1e-4
        )
        assert a["answers"][0]["text"] == b["answers"][0]["text"]


def test_the_file_is_exact_and_in_one_partition(exported: Path) -> None:
    parity = json.loads(exported.with_name("m.tflite.json").read_text())["parity"]
    assert parity["float_max_error"] < 1e-4
    assert parity["final"]["label_agreement"] == 1.0
    assert [each.partitions for each in inspect_model(exported).delegation] == [1]


def test_padding_is_never_an_answer_in_the_file(exported: Path) -> None:
    """Other readers, such as the Task Library's, use every column."""
    model = LiteRtModel.open(exported)
    encoding = model.tokenizer.encode("what is on", "The movie")
    key, inputs = model.call_of(encoding)
    runtime = open_runtime(exported, 1, fixed_lengths=True)
    arrays = {name: np.array([values], np.int32) for name, values in inputs.items()}
    named = runtime.signature(key)(arrays)
    assert sorted(named) == ["end_logits", "start_logits"]
    for logits in named.values():
        assert logits.shape == (1, 40)
        assert logits[0, len(encoding) :].max() < logits[0, : len(encoding)].min() - 1e3


def test_lengths_suit_windows_over_contexts(tiny_task_model: Models) -> None:
    model = tiny_task_model("qa")
    config = replace(model.checkpoint.config, max_positions=512)
    checkpoint = replace(model.checkpoint, config=config)
    lengths = choose_lengths(
        replace(model, checkpoint=checkpoint, max_length=384), ExportSettings(), ()
    )
    assert lengths == (64, 128, 256, 384)
    assert choose_lengths(model, ExportSettings(), ()) == (40,)


def test_the_file_has_the_metadata_of_the_task_library(exported: Path) -> None:
    from converters.tflite.metadata import describe_metadata

    metadata = describe_metadata(exported.read_bytes())["metadata"]
    (subgraph,) = metadata["subgraph_metadata"]
    names = [
        [tensor["name"] for tensor in subgraph[f"{side}_tensor_metadata"]]
        for side in ("input", "output")
    ]
    assert names == [["ids", "mask", "segment_ids"], ["start_logits", "end_logits"]]
    (unit,) = subgraph["input_process_units"]
    assert unit["options"]["type"] == "BertTokenizerOptions"
    assert unit["options"]["vocab_file"][0]["name"] == "vocab.txt"


def test_notes_for_the_task_library() -> None:
    def said(lengths: list[int], recipe: str, embeddings: str) -> tuple[str, str]:
        manifest = Manifest(
            task="qa",
            labels=(),
            decoding={},
            output="logits",
            lengths=tuple(lengths),
            max_length=max(lengths),
            recipe=recipe,
            tokenizer={"lowercase": True, "strip_accents": None},
            vocabulary_sha256="",
            config={"num_segments": 2},
            precision={"embeddings": embeddings},
        )
        return readers_of(manifest), " ".join(notes_of(manifest))

    assert "--length 384" in said([64, 384], "float32", "float32")[0]
    assert "--length 384" in said([128], "float32", "float32")[0]
    readers, note = said([384], "dynamic-int8", "int8")
    assert readers == "Task Library BertQuestionAnswerer"
    assert "--recipe weight-int8 --embedding float32" in note
    assert "keeps accents" in said([384], "weight-int8", "float32")[1]


# Commands


def test_predict_answers_a_question(exported: Path) -> None:
    result = call("predict", exported, "what is on", CONTEXT, "--top", 3)
    assert result.exit_code == 0, result.output
    *answers, question = result.stdout.strip().split("\t")
    assert question == "what is on"
    assert len(answers) == 3
    found = json.loads(call("predict", exported, "what is on", CONTEXT, "--json").stdout)
    assert answers[0].startswith(found["answers"][0]["text"])
    assert call("predict", exported, "what is on").exit_code == 2


def test_predict_takes_questions_without_answers(exported: Path, tmp_path: Path) -> None:
    rows = [{"id": f"no {i}", "question": "what is on", "context": CONTEXT} for i in range(3)]
    path = tmp_path / "open.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    for arguments, text in (("--data", path), None), ((), path.read_text()):
        result = call("predict", exported, *arguments, "--json", text=text)
        assert result.exit_code == 0, result.output
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert [each["id"] for each in found] == ["no 0", "no 1", "no 2"]
        assert all(each["answers"][0]["text"] for each in found)


def test_evaluate_reports_f1_and_exact_match(exported: Path, tiny_task_file: Files) -> None:
    result = call("evaluate", exported, "--data", tiny_task_file("qa"), "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    assert set(found["metrics"]) == {"f1", "exact_match"}
    assert found["rows"] == 4
    missed = call("evaluate", exported, "--data", tiny_task_file("qa"), "--min-metric", 0.999)
    assert missed.exit_code == 3
    assert "f1 must be at least" in missed.output


def test_missing_answers_are_an_error(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    row = {"question": "what is on", "context": CONTEXT, "answers": ["a film"]}
    path.write_text(json.dumps(row))
    result = call("evaluate", exported, "--data", path)
    assert result.exit_code == 1
    assert "'a film' is not in its context" in result.output
