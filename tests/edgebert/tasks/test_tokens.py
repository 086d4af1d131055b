"""Named entities and parts of speech: training rows, metrics and answers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score

from converters.tflite.metadata import describe_metadata
from converters.vocabulary import Vocabulary
from edgebert.cli import cli
from edgebert.data.conll_files import TaggedSentence
from edgebert.data.datasets import Dataset, Example
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import DataError, UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate, open_predictor, predict
from edgebert.exporting.artifact import export
from edgebert.finetuning import finetune
from edgebert.models.inspection import inspect_model
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import DataSettings, ExportSettings, FinetuneSettings, TaskSettings
from edgebert.tasks import task_named
from edgebert.tasks.ner import NamedEntities, entity_metrics
from edgebert.tasks.pos import PartsOfSpeech
from edgebert.tasks.task import ModelFacts
from edgebert.tasks.tokens import NO_TARGET
from edgebert.training.stage_run import StageRun

NER, POS = NamedEntities(), PartsOfSpeech()
COLUMNS, SETTINGS = DataSettings(), FinetuneSettings()
LABELS = ("O", "B-DAY", "I-DAY", "B-THING", "I-THING")
TAGS = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y", "I-Z"])


def dataset(*sentences: tuple[str, str]) -> Dataset:
    """Sentences as words and tags with spaces between them."""
    examples = [TaggedSentence(tuple(w.split()), tuple(t.split())) for w, t in sentences]
    return Dataset("made", tuple(examples), Path("made.conll"), "0" * 64)


def one_hot(features: Any, said: list[list[str]], labels: tuple[str, ...]) -> list[np.ndarray]:
    """Outputs with a tag at each word's first token and random values at the others."""
    outputs = []
    for encoding, owner, parts in zip(
        features.encodings, features.owners, features.parts, strict=True
    ):
        rows = np.full((len(encoding), len(labels)), -5, np.float32)
        rows[:, -1] = 5
        for place, word, first in zip(parts.tokens, parts.words, parts.first, strict=True):
            if first:
                rows[place] = -5
                rows[place, labels.index(said[owner][word])] = 5
        outputs.append(rows)
    return outputs


# Data


def test_labels() -> None:
    data = dataset(("a b c", "I-DAY O B-THING"))
    assert NER.label_names(data) == LABELS
    assert POS.label_names(data) == ("B-THING", "I-DAY", "O")


def test_unknown_labels_are_listed() -> None:
    data = dataset(("a b c", "B-PLACE I-PLACE B-DAY"), ("d", "B-NAME"))
    with pytest.raises(DataError, match=r"knows: 'DAY', 'O', 'THING'.*'NAME' \(1x\), 'PLACE' \(2x"):
        NER.require_known(data, LABELS)
    with pytest.raises(DataError, match=r"'B-DAY', 'O'. Received also: 'B-NAME' \(1x\), 'B-PLACE'"):
        POS.require_known(data, ("O", "B-DAY"))
    NER.require_known(dataset(("a", "B-DAY")), ("O", "S-DAY", "B-DAY", "E-DAY"))


def test_words_without_tags_can_be_predicted_only() -> None:
    data = Dataset("made", (TaggedSentence(("a",), (None,)),), Path("a"), "0" * 64)
    for use in (NER.label_names, POS.label_names, lambda d: NER.require_known(d, LABELS)):
        with pytest.raises(DataError, match="expected a tag for every word"):
            use(data)


def test_files_of_texts_can_be_predicted(tmp_path: Path) -> None:
    def texts(name: str, content: str, columns: DataSettings = COLUMNS) -> list[str]:
        (tmp_path / name).write_text(content)
        data = NER.read(tmp_path / name, columns, "none")
        return list(data.texts)

    assert texts("a.txt", "turn it off\nnow\n") == ["turn it off", "now"]
    assert texts("a.csv", "text\nnow\n") == ["now"]
    assert texts("a.jsonl", '{"text": "now"}\n') == ["now"]
    assert texts("b.jsonl", '{"tokens": ["it", "off"]}\n') == ["it off"]
    assert texts("a.tsv", "it\tO\noff\tO\n") == ["it off"]
    assert texts("a.tsv", "said\tx\nit\tO\n", DataSettings(text_column="said")) == ["it"]
    assert texts("a.txt", "it\tO\noff\tO\n", DataSettings(text_column="1")) == ["it off"]
    with pytest.raises(UsageError, match="one text"):
        NER.example("a", "b")


def test_a_labelled_file_has_its_task(tiny_task_file: Callable[..., Path]) -> None:
    assert NER.read(tiny_task_file("ner"), COLUMNS, "required").task == "ner"
    with pytest.raises(DataError, match="expected O, or B-"):
        NER.read(tiny_task_file("pos"), COLUMNS, "required")


# What is learnt


def test_every_part_of_a_word_has_a_target(tiny_vocabulary: Vocabulary) -> None:
    """Continuations with ##, [CLS], [SEP] and padding are not."""
    tokenizer = Tokenizer(tiny_vocabulary)
    data = dataset(("the don't movies", "O B-DAY I-THING"), ("now", "B-DAY"))
    features = NER.features(tokenizer, data.examples, 32, {})
    rows = NER.rows(features, ModelFacts(LABELS), SETTINGS, tokenizer)
    inputs, targets, weights = rows.batch(np.array([1, 0]), 32, 0)
    assert targets.shape == weights.shape == inputs["token_ids"].shape
    assert targets.dtype == np.int32 and weights.dtype == np.float32
    assert targets[0, :4].tolist() == [NO_TARGET, 1, NO_TARGET, NO_TARGET]
    pieces = [tiny_vocabulary.tokens[i] for i in inputs["token_ids"][1]]
    taught = [(p, LABELS[t]) for p, t in zip(pieces, targets[1], strict=True) if t != NO_TARGET]
    assert taught == [
        ("the", "O"),
        ("d", "B-DAY"),
        ("'", "I-DAY"),
        ("t", "I-DAY"),
        ("movie", "I-THING"),
    ]
    assert (targets[1] == NO_TARGET).sum() == len(pieces) - 5
    assert (weights == 1).all()


def test_only_the_first_part_can_have_a_target(tiny_vocabulary: Vocabulary) -> None:
    tokenizer = Tokenizer(tiny_vocabulary)
    decoding = NER.decoding(TaskSettings(labelled_parts="first"))
    features = NER.features(tokenizer, dataset(("don't movies", "B-DAY O")).examples, 32, decoding)
    rows = NER.rows(features, ModelFacts(LABELS, decoding), SETTINGS, tokenizer)
    taught = {
        (tiny_vocabulary.tokens[i], LABELS[t])
        for i, t in zip(rows.encoded.token_ids, rows.targets, strict=True)
        if t != NO_TARGET
    }
    assert taught == {("d", "B-DAY"), ("movie", "O")}


@given(
    targets=st.lists(st.lists(st.integers(-1, 2), min_size=1, max_size=6), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=30)
def test_the_loss_is_the_mean_over_tokens_with_targets(targets: list[list[int]], seed: int) -> None:
    """Like `ignore_index` of PyTorch's cross-entropy; 0 without targets."""
    shape = (len(targets), max(map(len, targets)))
    padded = np.full(shape, NO_TARGET, np.int32)
    for row, each in zip(padded, targets, strict=True):
        row[: len(each)] = each
    logits = np.random.default_rng(seed).normal(size=(*shape, 3)).astype(np.float32)
    log_shares = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    taught = padded != NO_TARGET
    losses = -log_shares[taught, padded[taught]]
    expected = losses.mean() if taught.any() else 0.0
    loss = NER.loss(LABELS[:3])
    assert float(loss(padded, logits)) == pytest.approx(expected, abs=1e-5)
    weights = np.ones(shape, np.float32)
    assert float(loss(padded, logits, sample_weight=weights)) == pytest.approx(expected, abs=1e-5)
    weights = np.array([0.5, 1.0, 2.0], np.float32)[np.maximum(padded, 0)]
    expected = (losses * weights[taught]).mean() if taught.any() else 0.0
    assert float(loss(padded, logits, sample_weight=weights)) == pytest.approx(expected, abs=1e-5)


def test_balanced_weights_count_tokens_with_targets(tiny_vocabulary: Vocabulary) -> None:
    tokenizer = Tokenizer(tiny_vocabulary)
    data = dataset(("the movie is on", "O O O B-DAY"))
    balanced = replace(SETTINGS, class_weights="balanced")
    features = NER.features(tokenizer, data.examples, 32, {})
    rows = NER.rows(features, ModelFacts(LABELS), balanced, tokenizer)
    assert rows.label_weights.tolist() == pytest.approx([2 / 3, 2, 0, 0, 0])
    _, targets, weights = rows.batch(np.array([0]), 32, 0)
    assert weights[targets != NO_TARGET].mean() == pytest.approx(1)


# Metrics


@given(
    rows=st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=10), min_size=1, max_size=6)
)
def test_entity_metrics_are_those_of_seqeval(rows: list[list[tuple[str, str]]]) -> None:
    said, true = ([[pair[i] for pair in row] for row in rows] for i in (0, 1))
    found = entity_metrics(said, true)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, judge in (
            ("entity_f1", f1_score),
            ("entity_precision", precision_score),
            ("entity_recall", recall_score),
        ):
            assert found[name] == pytest.approx(judge(true, said, zero_division=0)), name
        types = {name[2:] for row in true for name in row} - {""}
        report = (
            classification_report(true, said, output_dict=True, zero_division=0) if types else {}
        )
    assert {name.partition("/")[2] for name in found if "/" in name} == types
    for kind in types:
        assert found[f"entity_f1/{kind}"] == pytest.approx(report[kind]["f1-score"])
    same = [a == b for row in rows for a, b in row]
    assert found["token_accuracy"] == pytest.approx(sum(same) / len(same))


def test_metrics_use_a_words_first_token(tiny_vocabulary: Vocabulary) -> None:
    tokenizer = Tokenizer(tiny_vocabulary)
    data = dataset(("the movies don't \u200b play", "O B-THING I-THING O B-DAY"))
    features = NER.features(tokenizer, data.examples, 32, {})
    outputs = one_hot(features, [["O", "B-THING", "I-THING", "O", "I-DAY"]], LABELS)
    found = NER.metrics(outputs, features, ModelFacts(LABELS))
    assert found == {
        "entity_f1": 1.0,
        "entity_precision": 1.0,
        "entity_recall": 1.0,
        "token_accuracy": 0.8,
        "entity_f1/DAY": 1.0,
        "entity_f1/THING": 1.0,
    }
    scored = POS.metrics(outputs, features, ModelFacts(LABELS))
    assert scored["accuracy"] == pytest.approx(3 / 5), "the word without a token counts as wrong"


# Answers


def test_entities_have_positions_in_the_original_text(tiny_vocabulary: Vocabulary) -> None:
    text = "  Now: THE\u00a0móvies, 'set'."
    features = NER.features(Tokenizer(tiny_vocabulary), [Example(text)], 32, {})
    words = [text[start:end] for start, end in features.places[0]]
    assert words == ["Now", ":", "THE", "móvies", ",", "'", "set", "'", "."]
    tags = ["B-DAY", "O", "B-THING", "I-THING", "O", "I-DAY", "I-DAY", "I-THING", "O"]
    (answer,) = NER.answers(one_hot(features, [tags], LABELS), features, ModelFacts(LABELS))
    assert answer["text"] == text
    assert [(e["text"], e["type"]) for e in answer["entities"]] == [
        ("Now", "DAY"),
        ("THE\u00a0móvies", "THING"),
        ("'set", "DAY"),
        ("'", "THING"),
    ]
    for found in (*answer["entities"], *answer["words"]):
        assert text[found["start"] : found["end"]] == found["text"]
        assert found["score"] == pytest.approx(1, abs=1e-3)
    assert [word["tag"] for word in answer["words"]] == tags
    assert json.loads(json.dumps(answer)) == answer
    assert NER.format_answer(answer, 1).startswith(
        "DAY: Now 1.000 | THING: THE\u00a0móvies 1.000 | "
    )


def test_words_without_a_token_have_no_tag(tiny_vocabulary: Vocabulary) -> None:
    sentence = TaggedSentence(("\u0000", "set", "\u200b"), (None, None, None))
    features = POS.features(Tokenizer(tiny_vocabulary), [sentence], 32, {})
    outputs = one_hot(features, [["O", "VERB", "O"]], ("O", "VERB"))
    (answer,) = POS.answers(outputs, features, ModelFacts(("O", "VERB")))
    assert [word["tag"] for word in answer["words"]] == [None, "VERB", None]
    assert answer["words"][0]["score"] == 0
    assert POS.format_answer(answer, 1) == "\u0000/? set/VERB \u200b/?"
    (answer,) = NER.answers(
        one_hot(features, [["O", "O", "O"]], LABELS), features, ModelFacts(LABELS)
    )
    assert answer["entities"] == []
    assert NER.format_answer(answer, 1) == "no entities\t\u0000 set \u200b"


def test_other_tagging_schemes_are_converted(tiny_vocabulary: Vocabulary) -> None:
    labels = ("O", "B-DAY", "I-DAY", "E-DAY", "S-DAY")
    features = NER.features(Tokenizer(tiny_vocabulary), [Example("the movie is on now")], 32, {})
    tags = ["B-DAY", "E-DAY", "S-DAY", "O", "S-DAY"]
    (answer,) = NER.answers(one_hot(features, [tags], labels), features, ModelFacts(labels))
    assert [e["text"] for e in answer["entities"]] == ["the movie", "is", "now"]


def test_a_long_sentence_keeps_every_word(tiny_task_model: Callable[[str], TaskModel]) -> None:
    """Answers over several windows have every word once, at its position."""
    model = tiny_task_model("ner")
    text = "the movie is on today, play music now. " * 6
    (answer,) = predict(KerasPredictor(replace(model, max_length=12)), [text])
    (whole,) = (NER.features(model.tokenizer, [Example(text)], 1000, {}).places,)
    assert [(word["start"], word["end"]) for word in answer["words"]] == whole[0]
    assert all(word["tag"] in model.labels for word in answer["words"])


# End to end


@pytest.mark.graphs
@pytest.mark.parametrize(("task", "metric"), [("ner", "entity_f1"), ("pos", "accuracy")])
def test_it_learns_and_the_file_agrees(
    task: str,
    metric: str,
    one_layer_encoder: TaskModel,
    tiny_task_file: Callable[..., Path],
    tmp_path: Path,
) -> None:
    kind = NER if task == "ner" else POS
    train = kind.read(tiny_task_file(task, 20), COLUMNS, "required")
    test = kind.read(tiny_task_file(task), COLUMNS, "required")
    recipe = FinetuneSettings(epochs=8, batch_size=16, learning_rate=1e-2, max_length=16, seed=1)
    result = finetune(
        one_layer_encoder,
        train,
        test,
        recipe,
        StageRun(tmp_path / "m"),
        task=TaskSettings(task=task),
    )
    assert result.metrics[metric] > 0.9
    assert result.epochs[-1]["loss"] < 0.5 * result.epochs[0]["loss"]
    opened = open_model(tmp_path / "m")
    assert opened.task.name == task and opened.decoding["alignment"] == "first-piece"
    assert "pooler.kernel" not in opened.checkpoint.weights
    artifact = export(opened, tmp_path / "m.tflite", ExportSettings(recipe="float32"))
    assert artifact.certificate["float_max_error"] < 1e-4
    assert artifact.manifest.decoding == opened.decoding
    scores = [evaluate(open_predictor(tmp_path / name), test) for name in ("m", "m.tflite")]
    assert scores[0].metrics == pytest.approx(scores[1].metrics)
    assert scores[0].metrics[metric] == pytest.approx(result.metrics[metric])
    examples = [*test.examples, "turn the lights on, now", ""]
    answers = [predict(open_predictor(tmp_path / name), examples) for name in ("m", "m.tflite")]
    for a, b in zip(*answers, strict=True):
        assert [word["tag"] for word in a["words"]] == [word["tag"] for word in b["words"]]
        for name in ("words", "entities")[: 2 if task == "ner" else 1]:
            assert [found["text"] for found in a[name]] == [found["text"] for found in b[name]]
            shares = [[found["score"] for found in each[name]] for each in (a, b)]
            assert shares[0] == pytest.approx(shares[1], abs=1e-4)


@pytest.mark.parametrize("task", ["ner", "pos"])
def test_the_commands(
    task: str,
    tiny_task_model: Callable[[str], TaskModel],
    tiny_task_file: Callable[..., Path],
    tmp_path: Path,
) -> None:
    folder = tiny_task_model(task).save(tmp_path / "base")
    data = str(tiny_task_file(task))

    def run(*arguments: str) -> Any:
        done = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    out, file = str(tmp_path / "out"), str(tmp_path / "m.tflite")
    trained = json.loads(
        run(
            *("finetune", str(folder), "-o", out, "--task", task, "--epochs", "1"),
            *("--train", data, "--dev", data, "--test", data),
        )
    )
    metric = "entity_f1" if task == "ner" else "accuracy"
    assert trained["task"] == task and metric in trained["metrics"]
    exported = json.loads(run("export", out, "-o", file, "--data", data, "--length", "16"))
    assert exported["manifest"]["quality"]["metric"] == metric
    scores = json.loads(run("evaluate", out, file, "--data", data))
    assert scores[0]["metrics"][metric] == pytest.approx(trained["test"]["metrics"][metric])
    lines = run("predict", file, "turn the lights on", "--data", data).splitlines()
    assert len(lines) == 1 + 6
    assert [word["text"] for word in json.loads(lines[0])["words"]] == [
        "turn",
        "the",
        "lights",
        "on",
    ]


# The file


@pytest.mark.parametrize("recipe", ["float32", "dynamic-int8"])
@pytest.mark.parametrize("output", ["probabilities", "logits"])
def test_the_file_agrees_with_the_model(
    recipe: str, output: str, tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    model = tiny_task_model("ner")
    asked = ExportSettings(recipe=recipe, output=output, lengths="16,40")
    artifact = export(model, tmp_path / "m.tflite", asked)
    assert artifact.certificate["token_ids_equal"] is True
    assert 0 < artifact.certificate["float_max_error"] < 1e-4
    assert artifact.certificate["final"]["label_agreement"] > 0.97
    opened, keras = LiteRtModel.open(artifact.path), KerasPredictor(model)
    encodings = model.tokenizer.encode_batch(["the movie is very great", "", "lights " * 18])
    tolerance = 1e-4 if recipe == "float32" else 0.1
    for a, b in zip(opened.outputs(encodings), keras.outputs(encodings), strict=True):
        assert a.shape == b.shape
        shares = [np.exp(found) for found in map(NER.log_probabilities, (a, b))]
        np.testing.assert_allclose(*shares, atol=tolerance)


def test_the_manifest_has_the_alignment(
    tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    """Also for a model without a decoding, such as one from another source."""
    model = replace(tiny_task_model("ner"), decoding={})
    artifact = export(model, tmp_path / "m.tflite", ExportSettings(lengths="16,32"))
    assert artifact.manifest.decoding == {
        "alignment": "first-piece",
        "labelled_parts": "first",
        "window_overlap": 0.25,
        "scheme": "IOB2",
    }
    found = describe_metadata(artifact.path.read_bytes())
    assert {"labels.txt", "vocab.txt"} <= found["associated_files"].keys()
    subgraphs = found["metadata"]["subgraph_metadata"]
    assert [subgraph["name"] for subgraph in subgraphs] == ["tokens_16", "tokens_32"]
    for subgraph in subgraphs:
        (output,) = subgraph["output_tensor_metadata"]
        assert output["name"] == "probabilities"
        assert "first token speaks for the word" in output["description"]
        assert output["associated_files"][0]["type"] == "TENSOR_AXIS_LABELS"
        (unit,) = subgraph["input_process_units"]
        assert unit["options"]["type"] == "BertTokenizerOptions"


def test_minilm_with_a_token_head(minilm_dir: Path, tmp_path: Path) -> None:
    """Real layers: float parity, the certificate, and one partition per signature."""
    base = open_model(minilm_dir, as_base=True)
    rng = np.random.default_rng(0)
    hidden = base.checkpoint.config.hidden_size
    checkpoint = NER.prepare_checkpoint(base.checkpoint, TaskSettings())
    weights = {
        **checkpoint.weights,
        "token_classifier.kernel": rng.normal(0, 0.3, (len(LABELS), hidden)).astype(np.float32),
        "token_classifier.bias": np.zeros(len(LABELS), np.float32),
    }
    checkpoint = replace(checkpoint, weights=weights, labels=LABELS)
    model = TaskModel(checkpoint, base.tokenizer, 64, task_named("ner"))
    artifact = export(model, tmp_path / "m.tflite", ExportSettings(lengths="16,64"))
    assert artifact.certificate["float_max_error"] < 1e-4
    assert artifact.certificate["final"]["label_agreement"] > 0.9
    delegation = inspect_model(artifact.path).delegation
    assert [each.partitions for each in delegation] == [1, 1]
    assert all(each.full for each in delegation)
