"""Sentence embeddings: the vectors of sentence-transformers, in Keras and in the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.heads import POOLINGS, SentenceHead
from converters.tflite.inference_graph import (
    DYNAMIC_LENGTH,
    EMBEDDING,
    Precision,
    build_inference_graph,
)
from converters.tflite.tflite_file import read_model
from edgebert.data.datasets import Dataset
from edgebert.errors import DataError, UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate, open_predictor, predict
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.finetuning import finetune
from edgebert.models.litert_runtime import load_interpreter
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import DataSettings, ExportSettings, FinetuneSettings, TaskSettings
from edgebert.tasks import task_named
from edgebert.tasks.embeddings import Embeddings
from edgebert.tasks.sentence_pairs import SentenceExample
from edgebert.tasks.task import ModelFacts
from edgebert.training.inputs import encode_split
from edgebert.training.stage_run import StageRun
from tests.golden.sentence_models import (
    FOLDER,
    HEADS,
    TEXTS,
    golden_files,
    golden_vectors,
    sentence_model,
    written_files,
)

TASK = Embeddings()


def vectors_of(predictor: object, texts: Sequence[str]) -> np.ndarray:
    return np.array([answer["embedding"] for answer in predict(predictor, texts)])  # type: ignore[arg-type]


@pytest.mark.parametrize("case", HEADS)
def test_keras_computes_the_vectors_of_sentence_transformers(case: str) -> None:
    vectors = vectors_of(KerasPredictor(sentence_model(case)), TEXTS)
    np.testing.assert_allclose(vectors, golden_vectors(case), atol=1e-5)


@pytest.mark.parametrize("case", HEADS)
@pytest.mark.parametrize("length", [{"length": 14}, {"dynamic_length": True}])
def test_the_file_computes_the_same_vectors(
    case: str, length: dict[str, int], tmp_path: Path
) -> None:
    settings = ExportSettings(recipe="float32", **length)
    path = export(
        sentence_model(case), tmp_path / "m.tflite", settings, texts=ExportTexts(checks=TEXTS)
    ).path
    vectors = vectors_of(open_predictor(path), TEXTS)
    np.testing.assert_allclose(vectors, golden_vectors(case), atol=1e-5)


@pytest.mark.parametrize("case", HEADS)
def test_saved_folders_match_sentence_transformers(case: str, tmp_path: Path) -> None:
    assert written_files(sentence_model(case).save(tmp_path / "m")) == golden_files(case)


def test_sentence_transformers_folders_open_with_the_same_vectors() -> None:
    model = open_model(FOLDER)
    assert (model.task.name, model.checkpoint.sentence) == ("embeddings", HEADS["all"])
    assert model.max_length == sentence_model("all").max_length
    np.testing.assert_allclose(
        vectors_of(KerasPredictor(model), TEXTS), golden_vectors("all"), atol=1e-5
    )


@pytest.mark.parametrize("pooling", [*((name,) for name in POOLINGS), POOLINGS])
@pytest.mark.parametrize("length", [16, DYNAMIC_LENGTH])
@pytest.mark.parametrize("precision", [Precision("float32", "float32"), Precision()])
def test_the_body_is_one_partition(
    pooling: tuple[str, ...],
    length: int,
    precision: Precision,
    tiny_task_model: Callable[[str], TaskModel],
    tmp_path: Path,
) -> None:
    checkpoint = replace(
        tiny_task_model("embeddings").checkpoint, sentence=SentenceHead(pooling, (), True)
    )
    path = tmp_path / "m.tflite"
    path.write_bytes(build_inference_graph(checkpoint, [length], precision, EMBEDDING).finish())
    nodes = load_interpreter(path, 1)._get_ops_details()
    assert sum(node["op_name"] == "DELEGATE" for node in nodes) == 1


def test_cls_pooling_computes_the_last_layer_for_one_row(
    tiny_task_model: Callable[[str], TaskModel],
) -> None:
    def largest(pooling: str) -> int:
        checkpoint = replace(
            tiny_task_model("embeddings").checkpoint, sentence=SentenceHead((pooling,), (), True)
        )
        data = build_inference_graph(checkpoint, [16], Precision(), EMBEDDING).finish()
        (subgraph,) = read_model(data).subgraphs
        inner = [t for t in subgraph.tensors if t.name == "layer_1/feed_forward/inner"]
        return int(inner[0].shape[0])

    assert (largest("cls"), largest("mean")) == (1, 16)


# Data


def read(path: Path, labels: str = "required", **columns: str) -> Dataset:
    return TASK.read(path, DataSettings(**columns), labels)  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str, name: str = "data.tsv") -> Path:
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write


def test_scored_pairs_are_read(table: Callable[..., Path]) -> None:
    data = read(table("sentence1\tsentence2\tscore", "a\tb\t4.5", "c\td\t0"))
    assert data.examples == (SentenceExample("a", "b", 4.5), SentenceExample("c", "d", 0.0))
    assert data.task == "embeddings"


def test_pairs_and_negatives_are_read(table: Callable[..., Path]) -> None:
    assert read(table("anchor\tpositive", "a\tb")).examples == (SentenceExample("a", "b"),)
    expected = (SentenceExample("a", "b", None, "n"),)
    assert read(table("anchor\tpositive\tnegative", "a\tb\tn")).examples == expected
    path = table('{"anchor": "a", "positive": "b", "negative": "n"}', name="data.jsonl")
    assert read(path).examples == expected
    assert read(table("anchor,positive,negative", '"a",b,n', name="data.csv")).examples == expected


def test_single_texts_are_read_without_labels(table: Callable[..., Path]) -> None:
    data = read(table("a b", "c", name="data.txt"), "none")
    assert data.examples == (SentenceExample("a b"), SentenceExample("c"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("text", "a"), "expected two columns for the texts"),
        (("sentence1\tsentence2\tscore", "a\tb\t1", "a\tb\t"), "Received: 1 of 2 rows with one"),
        (("sentence1\tsentence2\tscore", "a\tb\thigh"), 'the score is no number: "high"'),
        (("anchor\tpositive\tnegative\tscore", "a\tb\tn\t1"), "Received: both in 1 rows"),
        (("anchor\tpositive\tnegative", "a\tb\t "), "empty negative"),
    ],
)
def test_data_unfit_for_training_is_refused(
    lines: tuple[str, ...], message: str, table: Callable[..., Path]
) -> None:
    with pytest.raises(DataError, match=message):
        read(table(*lines))


def test_all_examples_have_the_same_number_of_texts(
    tiny_task_model: Callable[[str], TaskModel],
) -> None:
    predictor = KerasPredictor(tiny_task_model("embeddings"))
    with pytest.raises(UsageError, match="Received: examples of 1 and 2 texts"):
        predict(predictor, ["a", ("a", "b")])
    with pytest.raises(UsageError, match=r"a pair of texts\. Received: 3"):
        predict(predictor, [("a", "b", "c")])


# Answers and metrics


def test_a_pair_is_answered_with_its_cosine(tiny_task_model: Callable[[str], TaskModel]) -> None:
    predictor = KerasPredictor(tiny_task_model("embeddings"))
    same, other = predict(predictor, [("the movie", "the movie"), ("the movie", "stop the alarm")])
    assert same["cosine"] == pytest.approx(1, abs=1e-6)
    a, b = vectors_of(predictor, ["the movie", "stop the alarm"])
    assert other["cosine"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)
    assert TASK.format_answer(other, 1) == f"{other['cosine']:.3f}\tthe movie\tstop the alarm"


def features_of(*examples: SentenceExample) -> object:
    from edgebert.tasks.sentence_pairs import SentenceFeatures

    owners = np.repeat(np.arange(len(examples), dtype=np.int32), len(examples[0].texts))
    return SentenceFeatures(examples, [()] * len(owners), owners, texts=len(examples[0].texts))  # type: ignore[list-item]


def test_correlations_are_those_of_the_cosine() -> None:
    angles = np.radians([0, 80, 0, 50, 0, 10, 0, 30])
    outputs = [3 * np.array([np.cos(a), np.sin(a)], np.float32) for a in angles]
    examples = [SentenceExample("a", "b", score) for score in (0.0, 1.0, 5.0, 4.0)]
    metrics = TASK.metrics(outputs, features_of(*examples), ModelFacts())  # type: ignore[arg-type]
    assert metrics["spearman"] == pytest.approx(1)
    cosines = np.cos(angles[1::2])
    expected = np.corrcoef(cosines, [0, 1, 5, 4])[0, 1]
    assert metrics["pearson"] == pytest.approx(expected)


def test_metrics_of_pairs_without_scores_use_unrelated_pairs() -> None:
    at = {"a": 0, "a2": 5, "b": 90, "b2": 80, "c": 180, "c2": 100}
    pairs = [SentenceExample(name, name + "2") for name in "abc"]
    outputs = [
        np.array([np.cos(np.radians(at[t])), np.sin(np.radians(at[t]))], np.float32)
        for pair in pairs
        for t in pair.texts
    ]
    metrics = TASK.metrics(outputs, features_of(*pairs), ModelFacts())  # type: ignore[arg-type]
    assert metrics["recall_at_1"] == pytest.approx(1)
    assert 0.5 < metrics["spearman"] < 0.9


def test_the_metric_does_not_depend_on_the_batch(
    tiny_task_model: Callable[[str], TaskModel], tiny_task_file: Callable[..., Path]
) -> None:
    predictor = KerasPredictor(tiny_task_model("embeddings"))
    data = read(tiny_task_file("embeddings"))
    one, many = (evaluate(predictor, data, batch_size=size).metrics for size in (1, 7))
    assert one == pytest.approx(many, abs=1e-6)


# Training


def rows_of(data: Dataset, model: TaskModel):  # type: ignore[no-untyped-def]
    features = TASK.features(model.tokenizer, data.examples, 40, {})
    return TASK.rows(features, ModelFacts(), FinetuneSettings(), model.tokenizer)


def test_a_batch_has_the_first_texts_and_then_the_second_ones(
    tiny_encoder: TaskModel, table: Callable[..., Path]
) -> None:
    data = read(table("sentence1\tsentence2\tscore", "a\tthe movie\t1", "is\ton\t3", "it\tof\t2"))
    rows = rows_of(data, tiny_encoder)
    inputs, targets, weights = rows.batch(np.array([2, 0]), 40, 0)
    texts = ("it", "a", "of", "the movie")
    expected = [tiny_encoder.tokenizer.encode(text).token_ids for text in texts]
    got = [
        tuple(ids[: mask.sum()])
        for ids, mask in zip(inputs["token_ids"], inputs["padding_mask"], strict=True)
    ]
    assert got == expected
    assert (targets.tolist(), weights.tolist()) == ([0.5, 0.0], [1.0, 1.0])
    assert rows.lengths.tolist() == [4, 3, 3]


def test_equal_texts_in_other_rows_are_not_negatives(
    tiny_encoder: TaskModel, table: Callable[..., Path]
) -> None:
    lines = ("a\tb\tx", "a\tc\ty", "d\tb\tz")
    rows = rows_of(read(table("anchor\tpositive\tnegative", *lines)), tiny_encoder)
    _, targets, _ = rows.batch(np.arange(3), 40, 0)
    third = pytest.approx(1 / 3)
    assert targets.tolist() == [
        [third, third, third, 0, 0, 0],
        [third, third, third, 0, 0, 0],
        [0.5, 0, 0.5, 0, 0, 0],
    ]


def test_the_loss_of_scores_is_the_squared_error_of_cosines() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (8, 5)).astype(np.float32)
    scores = np.array([0.2, 1, 0.6, 0], np.float32)
    a, b = vectors[:4], vectors[4:]
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    expected = np.mean((cosines - scores) ** 2)
    assert float(TASK.loss(())(scores, vectors)) == pytest.approx(expected, rel=1e-4)


def test_the_loss_of_unscored_pairs_is_the_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (9, 5)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    logits = 20 * unit[:3] @ unit[3:].T
    targets = np.eye(3, 6, dtype=np.float32)
    log_shares = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -np.mean([log_shares[i, i] for i in range(3)])
    assert float(TASK.loss(())(targets, vectors)) == pytest.approx(expected, rel=1e-4)


TINY_TRAINING = FinetuneSettings(
    epochs=6, batch_size=4, learning_rate=5e-3, dropout=0.0, patience=0
)


def test_an_encoder_learns_scores(
    one_layer_encoder: TaskModel, tiny_task_file: Callable[..., Path], tmp_path: Path
) -> None:
    data = read(tiny_task_file("embeddings", 2))
    settings = TaskSettings(task="embeddings", pooling="cls", normalize=False)
    result = finetune(
        one_layer_encoder, data, data, TINY_TRAINING, StageRun(tmp_path / "out"), task=settings
    )
    losses = [epoch["loss"] for epoch in result.epochs]
    assert losses[-1] < losses[0]
    assert result.metrics["spearman"] > 0.8
    opened = open_model(tmp_path / "out")
    assert (opened.task.name, opened.checkpoint.sentence) == (
        "embeddings",
        SentenceHead(("cls",), (), normalize=False),
    )
    # Rows that occur twice have cosines that differ by rounding alone, which ranks would show.
    assert evaluate(KerasPredictor(opened), data).metrics["pearson"] == pytest.approx(
        result.metrics["pearson"], abs=1e-4
    )


def test_training_on_pairs_without_scores_and_evaluation_on_scores(
    one_layer_encoder: TaskModel,
    tiny_task_file: Callable[..., Path],
    table: Callable[..., Path],
    tmp_path: Path,
) -> None:
    scored = read(tiny_task_file("embeddings"))
    lines = [f"{example.text}\t{example.pair}" for example in scored.examples[:6]]
    train = read(table("anchor\tpositive", *lines))
    result = finetune(
        one_layer_encoder,
        train,
        scored,
        replace(TINY_TRAINING, epochs=2),
        StageRun(tmp_path / "out"),
        task=TaskSettings(task="embeddings"),
    )
    assert {"spearman", "pearson"} <= result.metrics.keys()
    assert result.epochs[1]["loss"] < result.epochs[0]["loss"]


def test_dense_layers_are_trained_and_kept_with_the_prompts(
    tiny_task_file: Callable[..., Path], tmp_path: Path
) -> None:
    prompts = {"prompt": "query: ", "prompts": {"query": "query: ", "passage": "passage: "}}
    plain = sentence_model("all")
    base = replace(plain, decoding={**plain.decoding, **prompts})
    data = read(tiny_task_file("embeddings"))
    settings = replace(TINY_TRAINING, epochs=1, max_length=14)
    finetune(
        base, data, data, settings, StageRun(tmp_path / "out"), task=TaskSettings(task="embeddings")
    )
    lengths = [encode_split(model, data, settings).rows.lengths for model in (plain, base)]
    assert lengths[1].sum() > lengths[0].sum(), "the training rows have the prompt"
    for sidecar in ("as edgebert wrote it", "as sentence-transformers has it"):
        decoding = open_model(tmp_path / "out").decoding
        assert {name: decoding[name] for name in prompts} == prompts, sidecar
        (tmp_path / "out" / "edgebert.json").unlink(missing_ok=True)
    opened = open_model(tmp_path / "out").checkpoint
    assert opened.sentence == base.checkpoint.sentence
    for i in range(3):
        name = f"sentence.dense.{i}.kernel"
        assert opened.weights[name].shape == base.checkpoint.weights[name].shape
        assert np.abs(opened.weights[name] - base.checkpoint.weights[name]).max() > 1e-6


def test_another_task_removes_the_sentence_head() -> None:
    base = sentence_model("all").checkpoint
    prepared = task_named("classification").prepare_checkpoint(base, TaskSettings())
    assert prepared.sentence is None
    assert not [name for name in prepared.weights if name.startswith("sentence.")]


def test_minilm_on_sts_b(minilm_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    """0.7550 is what sentence-transformers has on these rows; on all of them it has 0.8199."""
    data = read(data_dir / "stsb" / "test.tsv")
    data = replace(data, examples=data.examples[::8])
    path = export(open_model(minilm_dir), tmp_path / "m.tflite", ExportSettings(length=64)).path
    in_float, in_int8 = (
        evaluate(open_predictor(each), data).metrics["spearman"] for each in (minilm_dir, path)
    )
    assert in_float == pytest.approx(0.7550, abs=5e-4)
    assert in_int8 >= in_float - 0.01
