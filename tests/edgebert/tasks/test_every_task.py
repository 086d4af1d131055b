"""Every task in the stages after training: export, recipes, profiling, checks, metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert.evaluation.predictors import KerasPredictor, evaluate, predict
from edgebert.exporting.artifact import Artifact, ExportTexts, export
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel
from edgebert.profiling.device_check import DeviceCheck, HostReference
from edgebert.profiling.end_to_end import TextService
from edgebert.profiling.session import sample_texts
from edgebert.quantization.calibration import calibrate
from edgebert.quantization.sensitivity import parts_of
from edgebert.settings import TASKS, DataSettings, ExportSettings
from edgebert.tasks import task_named

Models, Files = Callable[[str], TaskModel], Callable[..., Path]
FACTS = {
    "model": "m.tflite",
    "name": "m",
    "sha256": "00",
    "target": "a board",
    "device": "a board",
    "runtime": "LiteRT",
}

every_task = pytest.mark.parametrize("task", TASKS)


@pytest.fixture(scope="module")
def exported(
    tiny_task_model: Models, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Artifact]:
    """The default file of a task's tiny model."""
    made: dict[str, Artifact] = {}

    def artifact(task: str) -> Artifact:
        if task not in made:
            path = tmp_path_factory.mktemp(task) / "m.tflite"
            made[task] = export(tiny_task_model(task), path, ExportSettings(lengths="16,40"))
        return made[task]

    return artifact


def examples_of(task: str, file: Path) -> Sequence[Any]:
    return task_named(task).read(file, DataSettings(), "none").examples


@every_task
def test_an_exported_file_names_its_task(task: str, exported: Callable[[str], Artifact]) -> None:
    artifact = exported(task)
    assert artifact.manifest.task == task
    assert artifact.title == task_named(task).title
    assert artifact.readers
    assert artifact.certificate["float_max_error"] < 1e-4


@every_task
def test_a_file_answers_every_example(
    task: str,
    exported: Callable[[str], Artifact],
    tiny_task_model: Models,
    tiny_task_file: Files,
) -> None:
    """Single answers equal the answers of a batch."""
    examples = examples_of(task, tiny_task_file(task))
    model = LiteRtModel.open(exported(task).path)
    answers = predict(model, examples)
    assert len(answers) == len(examples)
    assert [model.answer(example) for example in examples] == answers
    assert len(predict(KerasPredictor(tiny_task_model(task)), examples)) == len(examples)


@every_task
def test_sample_texts_are_answered_and_timed(
    task: str, exported: Callable[[str], Artifact]
) -> None:
    texts = sample_texts(task_named(task))[:3]
    service = TextService()
    loaded = service.answer({"op": "load", "model": str(exported(task).path), "texts": texts})
    assert "error" not in loaded
    assert service.answer({"op": "first_call"})["first_call_ms"] > 0
    assert len(service.answer({"op": "predict"})["outputs"]) == 3
    shares = service.answer({"op": "operations", "runs": 2})
    assert shares["tokenizer_ms"] > 0 and shares["whole_ms"] > 0


@every_task
def test_lengths_are_picked_from_the_tasks_own_file(
    task: str, tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    examples = examples_of(task, tiny_task_file(task))
    settings = ExportSettings(lengths="auto", recipe="float32")
    artifact = export(
        tiny_task_model(task),
        tmp_path / "m.tflite",
        settings,
        texts=ExportTexts(examples, examples[:2]),
    )
    assert 1 <= len(artifact.manifest.lengths) <= settings.max_signatures
    assert max(artifact.manifest.lengths) <= 40
    assert artifact.certificate["texts"] >= 2


@every_task
@pytest.mark.parametrize("recipe", ["int4", "static-int8"])
def test_calibrated_recipes_support_every_head(
    task: str, recipe: str, tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    model, examples = tiny_task_model(task), examples_of(task, tiny_task_file(task))
    settings = ExportSettings(recipe=recipe, length=40, max_error=0.05)
    artifact = export(
        model, tmp_path / "m.tflite", settings, texts=ExportTexts(calibration=examples)
    )
    found = artifact.manifest.calibration
    assert 0 <= found["error"] <= 0.05
    stored = {part["stored_as"] for part in found["parts"]}
    assert stored & {"int4", "static-int8"}
    heads = {part.name for part in parts_of(model.checkpoint) if not part.name.startswith("layers")}
    assert heads <= {part["name"] for part in found["parts"]}
    assert len(predict(LiteRtModel.open(artifact.path), examples)) == len(examples)


@every_task
def test_the_calibration_error_is_relative_for_every_output(
    task: str, tiny_task_model: Models, tiny_task_file: Files
) -> None:
    """Outputs scaled by 1.1 have an error of 0.01 for every head."""
    calibration = calibrate(
        tiny_task_model(task), examples_of(task, tiny_task_file(task)), 40, ExportSettings()
    )
    rng = np.random.default_rng(0)
    outputs = [rng.normal(0, 1, (5, 1) if task == "regression" else (5, 4)) for _ in range(3)]
    if calibration.checkpoint.head in ("classifier", "sentence"):
        outputs = [output[0] for output in outputs]
    assert calibration.error(outputs, [1.1 * x for x in outputs]) == pytest.approx(0.01)


@every_task
def test_a_device_is_compared_with_this_machine(
    task: str, exported: Callable[[str], Artifact], tiny_task_file: Files
) -> None:
    data = task_named(task).read(tiny_task_file(task), DataSettings(), "required")
    reference = HostReference(exported(task).path, data)
    raw = [reference.model.run(encoding) for encoding in reference.encodings]
    same = reference.compare(raw, FACTS)
    assert same.passed and same.max_score_error == 0 and same.logit_error == 0
    assert same.metric == task_named(task).metric
    assert same.value == same.host_value
    assert same.label_agreement in (None, 1.0)
    assert DeviceCheck.from_dict(same.to_dict()) == same
    vars(reference)["rounding_error"] = 1e-6
    rng = np.random.default_rng(0)
    other = reference.compare([np.abs(x + rng.normal(0, 0.3, x.shape)) for x in raw], FACTS)
    assert not other.passed


@every_task
def test_input_texts_make_the_same_example(task: str, tiny_task_file: Files) -> None:
    for example in examples_of(task, tiny_task_file(task)):
        typed = task_named(task).input_texts(example)
        assert task_named(task).input_texts(task_named(task).example(*typed)) == typed


@every_task
def test_the_metric_is_among_the_metrics(
    task: str, exported: Callable[[str], Artifact], tiny_task_file: Files
) -> None:
    data = task_named(task).read(tiny_task_file(task), DataSettings(), "required")
    found = evaluate(LiteRtModel.open(exported(task).path), data)
    assert task_named(task).metric in found.metrics
    assert found.task == task
