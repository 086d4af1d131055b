"""Pairs, multi-label and regression in a `.tflite`: the graph, the answers and the certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from converters.checkpoint import Checkpoint
from converters.errors import ConversionError
from converters.tflite.graph_heads import LOGITS, PROBABILITIES, SCORE
from converters.tflite.inference_graph import Precision, build_inference_graph
from converters.tflite.metadata import METADATA_BUFFER, describe_metadata, read_metadata_buffer
from edgebert.cli import cli
from edgebert.evaluation.predictors import KerasPredictor, evaluate, open_predictor, predict
from edgebert.exporting.artifact import Artifact, export
from edgebert.exporting.parity import FloatReference
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.litert_runtime import load_interpreter
from edgebert.models.task_model import TaskModel
from edgebert.settings import DataSettings, ExportSettings
from edgebert.tasks import task_named
from tests.judges import mediapipe_tasks

TASKS = ("pairs", "multi-label", "regression")
OUTPUT = {"pairs": PROBABILITIES, "multi-label": PROBABILITIES, "regression": SCORE}
ASKED = {
    "pairs": [("turn on the lights", "the lights are off"), ("a", "b")],
    "multi-label": ["turn on the lights and play music", "x"],
    "regression": [("the movie is good", "the film is great"), "good"],
}


def exported(
    model: TaskModel, path: Path, recipe: str = "float32", data: Path | None = None
) -> Artifact:
    settings = ExportSettings(recipe=recipe, lengths="16,40", max_drop=100.0)
    labelled = None
    if data is not None:
        labelled = model.task.read(data, DataSettings(), "required")
    return export(model, path, settings, reference=FloatReference(model, labelled))


@pytest.mark.parametrize("precision", [Precision(), Precision("dynamic-int8", "int8")])
@pytest.mark.parametrize("task", TASKS)
def test_the_body_is_one_partition(
    task: str,
    precision: Precision,
    tiny_task_model: Callable[[str], TaskModel],
    tmp_path: Path,
) -> None:
    checkpoint = tiny_task_model(task).checkpoint
    path = tmp_path / "m.tflite"
    graph = build_inference_graph(checkpoint, [16], precision, OUTPUT[task])
    path.write_bytes(graph.finish())
    operations = [node["op_name"] for node in load_interpreter(path, 1)._get_ops_details()]
    assert operations.count("DELEGATE") == 1
    left = set(operations[operations.index("DELEGATE") :])
    assert left == {"DELEGATE"}, "the head ends inside the partition"


def test_the_outputs_of_a_graph(tiny_task_model: Callable[[str], TaskModel]) -> None:
    def refusal(checkpoint: Checkpoint, output: str) -> str:
        with pytest.raises(ConversionError) as caught:
            build_inference_graph(checkpoint, [16], Precision(), output)
        return str(caught.value)

    regression = tiny_task_model("regression").checkpoint
    assert "which gives 'score' or 'hidden_states'" in refusal(regression, PROBABILITIES)
    assert "'probabilities' or 'logits'" in refusal(tiny_task_model("pairs").checkpoint, SCORE)


@pytest.mark.parametrize("task", TASKS)
def test_a_file_answers_like_its_folder(
    task: str, tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    model = tiny_task_model(task)
    artifact = exported(model, tmp_path / "m.tflite")
    assert artifact.manifest.task == task and artifact.manifest.output == OUTPUT[task]
    assert artifact.certificate["float_max_error"] < 1e-4
    ours = predict(open_predictor(artifact.path), ASKED[task])
    for own, keras in zip(ours, predict(KerasPredictor(model), ASKED[task]), strict=True):
        assert set(own) == set(keras) and own["text"] == keras["text"]
        for key in ("score", "probability", "probabilities"):
            if key in keras:
                assert own[key] == pytest.approx(keras[key], abs=1e-5)
        assert own.get("labels") == keras.get("labels")


def test_the_second_text_counts(
    tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    """The graph uses segment ids: the same tokens in one segment have another answer."""
    model = tiny_task_model("pairs")
    file = LiteRtModel.open(exported(model, tmp_path / "m.tflite").path)
    pair = file.tokenizer.encode("the movie", "is good")
    flat = replace(pair, segment_ids=(0,) * len(pair))
    outputs = file.outputs([pair, flat])
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3
    np.testing.assert_allclose(
        *(np.exp(each) / np.exp(each).sum() for each in (outputs[0], *_keras(model, [pair]))),
        atol=1e-5,
    )


def _keras(model: TaskModel, encodings: list) -> list[np.ndarray]:  # type: ignore[type-arg]
    return KerasPredictor(model).outputs(encodings)


@pytest.mark.parametrize("output", [PROBABILITIES, LOGITS])
def test_probabilities_are_converted_to_log_odds(
    output: str, tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    model = tiny_task_model("multi-label")
    settings = ExportSettings(recipe="float32", length=16, output=output)
    file = LiteRtModel.open(export(model, tmp_path / "m.tflite", settings).path)
    encodings = [file.tokenizer.encode(text) for text in ("play music", "set a timer now")]
    for ours, keras in zip(file.outputs(encodings), _keras(model, encodings), strict=True):
        np.testing.assert_allclose(ours, keras, atol=1e-3)


@pytest.mark.parametrize("task", TASKS)
def test_the_quality_of_a_file(
    task: str,
    tiny_task_model: Callable[[str], TaskModel],
    tiny_task_file: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    model, data = tiny_task_model(task), tiny_task_file(task)
    artifact = exported(model, tmp_path / "m.tflite", "dynamic-int8", data)
    kind = task_named(task)
    quality = artifact.manifest.quality
    assert quality["metric"] == kind.metric
    assert (quality["agreement"] is None) == (task == "regression")
    dataset = kind.read(data, DataSettings(), "required")
    file = evaluate(open_predictor(artifact.path), dataset)
    assert file.metrics == pytest.approx(quality["metrics"], abs=1e-6)
    keras = evaluate(KerasPredictor(model), dataset)
    assert keras.metrics == pytest.approx(quality["float_metrics"], abs=1e-6)


def test_notes_and_metadata(tiny_task_model: Callable[[str], TaskModel], tmp_path: Path) -> None:
    def fixed(task: str) -> Artifact:
        settings = ExportSettings(recipe="float32", length=16)
        return export(tiny_task_model(task), tmp_path / f"{task}.tflite", settings)

    assert "takes one text, and this model reads pairs" in fixed("pairs").notes[0]
    labels = describe_metadata(fixed("multi-label").path.read_bytes())
    assert labels["associated_files"].keys() == {"vocab.txt", "labels.txt"}
    score = fixed("regression")
    assert read_metadata_buffer(score.path.read_bytes(), METADATA_BUFFER) is None
    assert score.notes == ()


def test_the_tolerance_of_scores_is_relative_to_their_size(
    tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    model = tiny_task_model("regression")
    weights = dict(model.checkpoint.weights)
    for part in ("kernel", "bias"):
        weights[f"classifier.{part}"] = weights[f"classifier.{part}"] * np.float32(1e6)
    large = replace(model, checkpoint=model.checkpoint.with_weights(weights))
    certificate = exported(large, tmp_path / "m.tflite").certificate
    assert certificate["float_max_error"] < 1e-4 and certificate["final_cosine"] is None


def test_mediapipe_gives_each_label_its_own_score(
    tiny_task_model: Callable[[str], TaskModel], mediapipe_python: str, tmp_path: Path
) -> None:
    settings = ExportSettings(recipe="dynamic-int8", length=32)
    path = export(tiny_task_model("multi-label"), tmp_path / "m.tflite", settings).path
    texts = ["turn on the lights and play music", "set a timer", "x"]
    judged = mediapipe_tasks.classify(mediapipe_python, path, texts)
    for theirs, own in zip(judged, predict(open_predictor(path), texts), strict=True):
        assert theirs == pytest.approx(own["probabilities"], abs=1e-5)
        assert sum(theirs.values()) != pytest.approx(1, abs=1e-3)


def test_commands(
    tiny_task_model: Callable[[str], TaskModel],
    tiny_task_file: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    folder = tiny_task_model("pairs").save(tmp_path / "pairs")
    run = CliRunner()
    shown = run.invoke(cli, ["predict", str(folder), "the movie is good", "a good film"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.rstrip().endswith("\tthe movie is good\ta good film")
    alone = run.invoke(cli, ["predict", str(folder), "the movie is good"])
    assert alone.exit_code == 2 and "Expected two texts" in alone.output
    data = str(tiny_task_file("pairs"))
    many = run.invoke(cli, ["predict", str(folder), "--data", data, "--json"])
    assert many.exit_code == 0 and len(many.output.splitlines()) == 12
    scored = run.invoke(cli, ["evaluate", str(folder), "--data", data, "--json"])
    assert scored.exit_code == 0 and '"f1"' in scored.output
    wrong = run.invoke(cli, ["evaluate", str(folder), "--data", str(tiny_task_file("pos"))])
    assert wrong.exit_code == 1 and "Traceback" not in wrong.output
