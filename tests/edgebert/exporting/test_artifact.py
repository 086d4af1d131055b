"""Exports: answers, manifest, quality gate, reproducibility, and no partly written files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.tflite.metadata import describe_metadata
from edgebert.data.datasets import Dataset, Example
from edgebert.errors import DataError, EdgebertError, ModelError, QualityGateError, UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate, open_predictor, predict
from edgebert.exporting import graph
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.exporting.parity import FloatReference, default_texts
from edgebert.exporting.recipe_trials import quantize
from edgebert.exporting.signatures import AUTO, choose_signatures, length_note
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import ExportSettings
from edgebert.tasks.probabilities import log_softmax

TEXTS = ("the movie is great", "awful", "turn the lights off now please", "is it on", "")


@pytest.fixture(scope="module")
def labelled(tiny_model: TaskModel) -> Dataset:
    """Rows labelled with the tiny model's own answers: its accuracy is 1."""
    predictions = predict(KerasPredictor(tiny_model), TEXTS[:4])
    rows = tuple(Example(text, p["label"]) for text, p in zip(TEXTS[:4], predictions, strict=True))
    return Dataset("own answers", rows, Path("none"), "0" * 64)


@pytest.mark.parametrize(
    ("settings", "lengths"),
    [
        (ExportSettings(), [16, 32, 40]),
        (ExportSettings(lengths="8,40"), [8, 40]),
        (ExportSettings(length=24), [24]),
        (ExportSettings(lengths=AUTO, max_signatures=2), [8, 16]),
        (ExportSettings(dynamic_length=True), []),
        (ExportSettings(recipe="float32"), [16, 32, 40]),
        (ExportSettings(recipe="float16"), [16, 32, 40]),
        (ExportSettings(recipe="weight-int8"), [16, 32, 40]),
        (ExportSettings(embedding="float32"), [16, 32, 40]),
        (ExportSettings(embedding="int4"), [16, 32, 40]),
        (ExportSettings(output="logits"), [16, 32, 40]),
    ],
)
def test_the_file_answers_like_keras(
    settings: ExportSettings, lengths: list[int], tiny_model: TaskModel, tmp_path: Path
) -> None:
    texts = [*TEXTS, "a " * 13] if settings.lengths == AUTO else TEXTS
    artifact = export(tiny_model, tmp_path / "m.tflite", settings, texts=ExportTexts(lengths=texts))
    opened = LiteRtModel.open(artifact.path)
    assert list(artifact.manifest.lengths) == lengths
    assert opened.labels == tiny_model.labels
    keras = KerasPredictor(replace(tiny_model, max_length=opened.max_length))
    encodings = opened.tokenizer.encode_batch(TEXTS, opened.max_length)
    expected, got = log_softmax(np.stack(keras.outputs(encodings))), opened.scores(encodings)
    exact = settings.recipe == "float32"
    np.testing.assert_allclose(np.exp(got), np.exp(expected), atol=1e-5 if exact else 0.05)
    label, probability = opened.classify(TEXTS[0])
    assert label == tiny_model.labels[int(got[0].argmax())]
    assert probability == pytest.approx(np.exp(got[0].max()), abs=1e-6)


def test_the_certificate_compares_all_three(tiny_model: TaskModel, tmp_path: Path) -> None:
    artifact = export(tiny_model, tmp_path / "m.tflite")
    parity = artifact.certificate
    assert parity["texts"] == len(default_texts())
    assert parity["token_ids_equal"] is True
    assert 0 < parity["float_max_error"] < 1e-4
    assert parity["float_max_error"] < parity["final_max_error"] < 1
    assert {"keras", "float_graph", "final", "token_ids"} <= parity["shown"][0].keys()
    beside = json.loads((tmp_path / "m.tflite.json").read_text())
    assert (
        beside == LiteRtModel.open(artifact.path).manifest.to_dict() == artifact.manifest.to_dict()
    )
    assert beside["parity"] == json.loads(json.dumps(parity))


def test_the_output_has_the_name_that_the_task_library_requires(
    tiny_model: TaskModel, tmp_path: Path
) -> None:
    """BertNLClassifier aborts the process if no output is named `probability`."""
    artifact = export(tiny_model, tmp_path / "m.tflite", ExportSettings(length=8))
    (subgraph,) = describe_metadata(artifact.path.read_bytes())["metadata"]["subgraph_metadata"]
    assert [t["name"] for t in subgraph["output_tensor_metadata"]] == ["probability"]
    assert [t["name"] for t in subgraph["input_tensor_metadata"]] == ["ids", "mask", "segment_ids"]


def test_a_bare_encoder_is_compared_by_its_hidden_states(
    tiny_encoder: TaskModel, tmp_path: Path
) -> None:
    artifact = export(tiny_encoder, tmp_path / "e.tflite", ExportSettings(recipe="float32"))
    assert artifact.manifest.output == "hidden_states"
    assert artifact.certificate["final_cosine"] > 0.9999
    assert artifact.certificate["final_max_error"] < 1e-4


def test_a_wrong_graph_is_not_written(
    tiny_model: TaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = graph.build_inference_graph

    def wrong(checkpoint, *arguments, **options):  # type: ignore[no-untyped-def]
        weights = {**checkpoint.weights}
        weights["pooler.bias"] = weights["pooler.bias"] + 0.5
        return build(checkpoint.with_weights(weights), *arguments, **options)

    monkeypatch.setattr(graph, "build_inference_graph", wrong)
    with pytest.raises(EdgebertError, match="float graph differs from the Keras model"):
        export(tiny_model, tmp_path / "m.tflite")
    assert list(tmp_path.iterdir()) == []


def test_exports_are_reproducible(tiny_model: TaskModel, tmp_path: Path) -> None:
    first = export(tiny_model, tmp_path / "a.tflite").path.read_bytes()
    assert export(tiny_model, tmp_path / "b.tflite").path.read_bytes() == first


def test_a_full_disk_leaves_the_old_file(
    tiny_model: TaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export(tiny_model, tmp_path / "m.tflite").path
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgebert.system.storage.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        export(tiny_model, path, ExportSettings(recipe="float32"))
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.tflite", "m.tflite.json"]


def test_accuracy_is_reported_and_gated(
    tiny_model: TaskModel, labelled: Dataset, tmp_path: Path
) -> None:
    reference = FloatReference(tiny_model, labelled)
    artifact = export(tiny_model, tmp_path / "m.tflite", reference=reference)
    quality = artifact.manifest.quality
    assert quality["float_metrics"]["accuracy"] == 1.0
    assert quality["drop_points"] == pytest.approx(100 * (1 - quality["metrics"]["accuracy"]))
    worse = replace(
        labelled,
        examples=tuple(
            Example(row.text, "neutral" if row.label != "neutral" else "positive")
            for row in labelled.examples
        ),
    )
    with pytest.raises(QualityGateError, match=r"at most -1 points.*Nothing was written"):
        export(
            tiny_model,
            tmp_path / "n.tflite",
            ExportSettings(max_drop=-1),
            reference=FloatReference(tiny_model, worse),
        )
    assert not (tmp_path / "n.tflite").exists()


def test_int4_reports_its_measurements(tiny_model: TaskModel, tmp_path: Path) -> None:
    calibrated = export(
        tiny_model,
        tmp_path / "m.tflite",
        ExportSettings(recipe="int4", int4_share=0.5),
        texts=ExportTexts(calibration=TEXTS),
    )
    assert calibrated.manifest.precision == {"kernels": "int4", "embeddings": "int4"}
    measured = LiteRtModel.open(calibrated.path).manifest.calibration
    assert measured["texts"] == 4
    assert 0.3 < measured["int4_share"] <= 0.5
    assert {part["stored_as"] for part in measured["parts"]} == {"int4", "dynamic-int8"}
    assert calibrated.size_bytes < export(tiny_model, tmp_path / "8.tflite").size_bytes
    with pytest.raises(DataError, match=r"Received: 1\. Next: add --calibration FILE"):
        export(
            tiny_model,
            tmp_path / "n.tflite",
            ExportSettings(recipe="int4"),
            texts=ExportTexts(calibration=["one", "one", " "]),
        )
    assert not (tmp_path / "n.tflite").exists()


@pytest.mark.parametrize("recipe", ["int4", "static-int8", "static-int16x8"])
@pytest.mark.parametrize("lengths", [{"lengths": "8,40"}, {"dynamic_length": True}])
def test_recipes_with_measurements_answer_like_keras(
    recipe: str, lengths: dict[str, Any], tiny_model: TaskModel, tmp_path: Path
) -> None:
    settings = ExportSettings(recipe=recipe, **lengths)
    artifact = export(
        tiny_model, tmp_path / "m.tflite", settings, texts=ExportTexts(calibration=TEXTS)
    )
    opened = LiteRtModel.open(artifact.path)
    encodings = opened.tokenizer.encode_batch(TEXTS, opened.max_length)
    outputs = KerasPredictor(tiny_model).outputs(encodings)
    got, expected = opened.scores(encodings), log_softmax(np.stack(outputs))
    np.testing.assert_allclose(np.exp(got), np.exp(expected), atol=0.1)
    assert artifact.manifest.precision["kernels"] == recipe
    assert artifact.manifest.calibration["parts"]
    described = describe_metadata(artifact.path.read_bytes())
    assert described["metadata"]["subgraph_metadata"]


def test_recipes_are_compared(tiny_model: TaskModel, labelled: Dataset, tmp_path: Path) -> None:
    reference = FloatReference(tiny_model, labelled)
    trials = quantize(reference, tmp_path, ("float32", "dynamic-int8"))
    assert [trial.recipe for trial in trials] == ["float32", "dynamic-int8"]
    sizes = [trial.artifact.size_bytes for trial in trials if trial.artifact]
    assert sizes[1] < sizes[0]
    with pytest.raises(UsageError, match="Received: int3"):
        quantize(reference, tmp_path, ("int3",))
    with pytest.raises(UsageError, match="Expected labelled data"):
        quantize(FloatReference(tiny_model), tmp_path)
    refused = quantize(reference, tmp_path / "x", ("float32",), ExportSettings(max_drop=-1))
    assert refused[0].artifact is None
    assert "points" in refused[0].refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ExportSettings(length=41), "from 2 to 40 tokens"),
        (ExportSettings(lengths="16,64"), "Received: 64"),
        (ExportSettings(max_length=50), "--max-length is at most 40"),
        (ExportSettings(length=8, dynamic_length=True), "Expected one of"),
        (ExportSettings(lengths=AUTO), "--lengths-from"),
        (ExportSettings(recipe="int3"), "--recipe is one of"),
        (ExportSettings(recipe="int4", int4_block=48), "0 or a multiple of 32. Received: 48"),
    ],
)
def test_invalid_settings_are_refused(
    settings: ExportSettings, message: str, tiny_model: TaskModel, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        export(tiny_model, tmp_path / "m.tflite", settings)


def test_an_encoder_is_not_compared_on_labels(tiny_encoder: TaskModel, labelled: Dataset) -> None:
    with pytest.raises(UsageError, match="bare encoder"):
        FloatReference(tiny_encoder, labelled)


@pytest.mark.parametrize("kept", [3, 100, 5000, -400])
def test_a_file_cut_short_is_refused(kept: int, tiny_model: TaskModel, tmp_path: Path) -> None:
    path = export(tiny_model, tmp_path / "m.tflite").path
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"m\.tflite"):
        open_predictor(path)


def test_a_file_without_metadata_is_refused(tiny_model: TaskModel, tmp_path: Path) -> None:
    from converters.tflite.inference_graph import LOGITS, Precision, build_inference_graph

    path = tmp_path / "bare.tflite"
    path.write_bytes(
        build_inference_graph(tiny_model.checkpoint, [8], Precision(), LOGITS).finish()
    )
    with pytest.raises(ModelError, match="has no edgebert metadata"):
        open_predictor(path)


def test_keras_and_file_have_equal_metrics(
    tiny_model: TaskModel, labelled: Dataset, tmp_path: Path
) -> None:
    path = export(tiny_model, tmp_path / "m.tflite", ExportSettings(recipe="float32")).path
    folder = tiny_model.save(tmp_path / "folder")
    results = [evaluate(open_predictor(p), labelled, str(p)) for p in (path, folder)]
    assert results[0].metrics == results[1].metrics == {"accuracy": 1.0, "macro_f1": 1.0}
    assert results[0].rows == 4


@pytest.mark.graphs
def test_minilm_end_to_end(minilm_dir: Path, tmp_path: Path) -> None:
    """A real checkpoint with default settings: size, delegation and error."""
    from edgebert.models.inspection import inspect_model

    artifact = export(open_model(minilm_dir), tmp_path / "m.tflite")
    assert artifact.size_bytes <= 24.5e6
    assert artifact.certificate["float_max_error"] < 1e-4
    assert artifact.certificate["final_cosine"] > 0.98
    delegation = inspect_model(artifact.path).delegation
    assert [d.partitions for d in delegation] == [1] * 4
    assert all(d.full for d in delegation)


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        (ExportSettings(), 0),
        (ExportSettings(length=20), 0),
        (ExportSettings(dynamic_length=True), 0),
        (ExportSettings(lengths="8,24"), 24),
        (ExportSettings(length=40), 40),
        (ExportSettings(dynamic_length=True, max_length=32), 32),
    ],
)
def test_lengths_over_the_models_maximum_are_noted(
    settings: ExportSettings, tokens: int, tiny_model: TaskModel
) -> None:
    model = replace(tiny_model, max_length=20)
    note = length_note(model, choose_signatures(model, settings, ()))
    expected = f"the file takes {tokens} tokens, the model's maximum length (max_seq_length) is 20."
    assert note[: len(expected)] == (expected if tokens else "")


def test_the_note_on_lengths_is_with_the_file(tiny_model: TaskModel, tmp_path: Path) -> None:
    model = replace(tiny_model, max_length=20)
    artifact = export(model, tmp_path / "m.tflite", ExportSettings(length=24))
    assert artifact.length_note.startswith("the file takes 24 tokens")
    assert artifact.notes[0] == artifact.length_note
