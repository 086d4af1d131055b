"""Fine-tuning learns, keeps the best epoch, and loses nothing when it is stopped."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert.data.datasets import Dataset, Example
from edgebert.errors import DataError, EdgebertError, UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate
from edgebert.finetuning import FinetuneResult, finetune
from edgebert.models.task_model import TaskModel, open_model
from edgebert.settings import FinetuneSettings
from edgebert.training.record import refuse_other_model, timings_path
from edgebert.training.stage_run import StageRun
from tests.edgebert.separable import separable

pytest.importorskip("keras_hub")
pytestmark = pytest.mark.graphs

TRAIN, DEV = separable(640, seed=1, name="train"), separable(120, seed=2, name="dev")
SMALL, SMALL_DEV = separable(90, seed=3, name="small"), separable(40, seed=4, name="small-dev")
SETTINGS = FinetuneSettings(epochs=3, batch_size=16, learning_rate=5e-3, max_length=16, seed=1)
SHORT = replace(SETTINGS, epochs=2, learning_rate=1e-3)


def stop_at(step: int, how: Callable[[], None]) -> Callable[..., None]:
    """A progress that interrupts once `step` steps are done."""

    def progress(stage: str, done: int, total: int, **facts: Any) -> None:
        if done == step:
            how()

    return progress


def raise_interrupt() -> None:
    raise KeyboardInterrupt


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def assert_same_weights(a: TaskModel, b: TaskModel, tolerance: float = 1e-5) -> None:
    assert set(a.checkpoint.weights) == set(b.checkpoint.weights)
    for name, array in a.checkpoint.weights.items():
        np.testing.assert_allclose(
            array, b.checkpoint.weights[name], rtol=0, atol=tolerance, err_msg=name
        )


@pytest.fixture(scope="module")
def learnt(
    one_layer_encoder: TaskModel, tmp_path_factory: pytest.TempPathFactory
) -> FinetuneResult:
    out = tmp_path_factory.mktemp("finetuned") / "model"
    return finetune(one_layer_encoder, TRAIN, DEV, SETTINGS, StageRun(out))


@pytest.fixture(scope="module")
def uninterrupted(
    one_layer_encoder: TaskModel, tmp_path_factory: pytest.TempPathFactory
) -> FinetuneResult:
    out = tmp_path_factory.mktemp("uninterrupted") / "model"
    return finetune(one_layer_encoder, SMALL, SMALL_DEV, SHORT, StageRun(out))


def test_the_loss_falls_and_the_dev_rows_are_learnt(learnt: FinetuneResult) -> None:
    assert learnt.metrics["accuracy"] > 0.95
    assert learnt.model.labels == ("negative", "positive")
    assert learnt.epochs[-1]["loss"] < 0.5 * learnt.epochs[0]["loss"]
    assert learnt.steps == 3 * 40
    assert learnt.sentences_per_second > 0


def test_the_folder_gives_the_same_model(learnt: FinetuneResult) -> None:
    opened = open_model(learnt.out)
    assert_same_weights(opened, learnt.model, 0)
    assert opened.max_length == 16
    assert evaluate(KerasPredictor(opened), DEV).metrics["accuracy"] == learnt.metrics["accuracy"]
    assert not (learnt.out / ".training").exists()
    entry = opened.history[-1]
    assert (entry["stage"], entry["epoch"]) == ("finetune", learnt.best_epoch)
    assert entry["settings"]["learning_rate"] == SETTINGS.learning_rate
    assert entry["data"]["train"] == {"name": "train", "rows": 640, "sha256": TRAIN.sha256}
    assert set(entry["versions"]) == {"keras", "keras-hub", "tensorflow"}


def test_two_runs_with_one_seed_write_the_same_bytes(
    uninterrupted: FinetuneResult, one_layer_encoder: TaskModel, tmp_path: Path
) -> None:
    again = finetune(one_layer_encoder, SMALL, SMALL_DEV, SHORT, StageRun(tmp_path / "model"))
    names = sorted(path.name for path in again.out.iterdir())
    assert names == sorted(path.name for path in uninterrupted.out.iterdir())
    for name in names:
        assert (again.out / name).read_bytes() == (uninterrupted.out / name).read_bytes()
    assert timings_path(again.out).is_file() and again.sentences_per_second > 0
    assert "sentences_per_second" not in json.dumps(again.model.history)


def test_a_finished_run_returns_at_once(
    learnt: FinetuneResult, one_layer_encoder: TaskModel
) -> None:
    before = (learnt.out / "model.safetensors").stat().st_mtime_ns
    again = finetune(one_layer_encoder, TRAIN, DEV, SETTINGS, StageRun(learnt.out, resume=True))
    assert (learnt.out / "model.safetensors").stat().st_mtime_ns == before
    assert (again.metrics, again.epochs) == (learnt.metrics, learnt.epochs)
    with pytest.raises(UsageError, match=r"settings\.seed was 1, now 2"):
        other = replace(SETTINGS, seed=2)
        finetune(one_layer_encoder, TRAIN, DEV, other, StageRun(learnt.out, resume=True))


def test_a_model_of_another_run_is_kept(
    learnt: FinetuneResult, one_layer_encoder: TaskModel, tmp_path: Path
) -> None:
    before = (learnt.out / "model.safetensors").read_bytes()
    other = replace(SETTINGS, seed=2)
    with pytest.raises(UsageError, match=r"settings\.seed was 1, now 2.*--overwrite"):
        finetune(one_layer_encoder, TRAIN, DEV, other, StageRun(learnt.out))
    assert (learnt.out / "model.safetensors").read_bytes() == before
    entry = learnt.model.history[-1]
    same = {"stage": entry["stage"], "settings": entry["settings"], **entry["started_from"]}
    refuse_other_model(StageRun(learnt.out), same)
    refuse_other_model(StageRun(learnt.out, overwrite=True), {**same, "settings": {}})
    with pytest.raises(UsageError, match="stage was 'finetune', now 'prune'"):
        refuse_other_model(StageRun(learnt.out, resume=True), {**same, "stage": "prune"})
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    refuse_other_model(StageRun(foreign), same)
    (foreign / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"Received: a folder with config\.json"):
        refuse_other_model(StageRun(foreign), same)


def test_an_interrupted_run_ends_with_the_same_result(
    uninterrupted: FinetuneResult, one_layer_encoder: TaskModel, tmp_path: Path
) -> None:
    # Inside the first epoch, and after the last step of the second one, before it is scored.
    for step, how in ((2, press_ctrl_c), (12, raise_interrupt)):
        with pytest.raises(KeyboardInterrupt):
            finetune(
                one_layer_encoder,
                SMALL,
                SMALL_DEV,
                SHORT,
                StageRun(tmp_path, resume=True, progress=stop_at(step, how)),
            )
        assert (tmp_path / ".training").is_dir()
        assert not (tmp_path / "config.json").exists()
    other = replace(SHORT, dropout=0.2, batch_size=8)
    with pytest.raises(UsageError) as caught:
        finetune(one_layer_encoder, TRAIN, SMALL_DEV, other, StageRun(tmp_path, resume=True))
    for difference in (
        "settings.dropout was 0.1, now 0.2",
        "settings.batch_size was 16, now 8",
        "train.rows was 90, now 640",
    ):
        assert difference in str(caught.value)
    resumed = finetune(one_layer_encoder, SMALL, SMALL_DEV, SHORT, StageRun(tmp_path, resume=True))
    assert_same_weights(resumed.model, uninterrupted.model)
    assert resumed.best_epoch == uninterrupted.best_epoch
    for mine, whole in zip(resumed.epochs, uninterrupted.epochs, strict=True):
        assert mine == pytest.approx(whole, abs=1e-5)


def test_balanced_weights_help_the_rare_class(one_layer_encoder: TaskModel, tmp_path: Path) -> None:
    rare, dev = separable(480, seed=5, share=0.08), separable(100, seed=6)
    positive = replace(dev, examples=tuple(row for row in dev.examples if row.label == "positive"))
    recalls = {}
    for weights in ("none", "balanced"):
        settings = replace(SETTINGS, epochs=2, class_weights=weights, dropout=0.0, patience=0)
        result = finetune(one_layer_encoder, rare, positive, settings, StageRun(tmp_path / weights))
        recalls[weights] = result.epochs[0]["dev_accuracy"]
    assert recalls["balanced"] > recalls["none"] + 0.2


def test_it_stops_early_and_keeps_the_best_epoch(
    one_layer_encoder: TaskModel, tmp_path: Path
) -> None:
    settings = replace(SHORT, epochs=50, patience=1, learning_rate=1e-6, warmup_ratio=0.0)
    result = finetune(one_layer_encoder, SMALL, SMALL_DEV, settings, StageRun(tmp_path))
    ranks = [(epoch["dev_accuracy"], -epoch["dev_loss"]) for epoch in result.epochs]
    assert ranks[result.best_epoch - 1] == max(ranks)
    assert len(ranks) == min(50, result.best_epoch + 1)
    scores = evaluate(KerasPredictor(result.model), SMALL_DEV).metrics
    assert scores["accuracy"] == result.metrics["accuracy"]


def test_float16_trains_with_a_scaled_loss(one_layer_encoder: TaskModel, tmp_path: Path) -> None:
    settings = replace(SETTINGS, precision="float16")
    result = finetune(one_layer_encoder, TRAIN, DEV, settings, StageRun(tmp_path))
    assert result.metrics["accuracy"] > 0.95
    assert result.model.checkpoint.weights["pooler.kernel"].dtype == np.float32


def test_a_classifier_of_the_same_labels_keeps_its_head(
    learnt: FinetuneResult, tmp_path: Path
) -> None:
    settings = replace(SHORT, epochs=1, learning_rate=1e-7, dev_fraction=0.3)
    again = finetune(learnt.model, TRAIN, None, settings, StageRun(tmp_path))
    assert_same_weights(again.model, learnt.model, 1e-4)
    assert [entry["stage"] for entry in again.model.history] == ["finetune", "finetune"]
    assert again.model.history[-1]["data"]["dev"]["rows"] == 192


def test_other_labels_get_a_new_head(learnt: FinetuneResult, tmp_path: Path) -> None:
    renamed = replace(
        SMALL, examples=tuple(Example(row.text, f"is {row.label}") for row in SMALL.examples)
    )
    settings = replace(SHORT, epochs=1, learning_rate=1e-7, max_rows=32)
    result = finetune(learnt.model, renamed, renamed, settings, StageRun(tmp_path))
    assert result.model.labels == ("is negative", "is positive")
    head = result.model.checkpoint.weights["classifier.kernel"]
    assert np.abs(head - learnt.model.checkpoint.weights["classifier.kernel"]).max() > 0.01
    assert result.steps == 2


def test_a_loss_that_is_not_finite_is_an_error(
    one_layer_encoder: TaskModel, tmp_path: Path
) -> None:
    settings = replace(SHORT, learning_rate=1e30, clip_norm=0.0, warmup_ratio=0.0)
    with pytest.raises(EdgebertError, match="lower the learning rate"):
        finetune(one_layer_encoder, SMALL, SMALL_DEV, settings, StageRun(tmp_path))


def test_a_dev_label_without_training_rows_is_refused(
    one_layer_encoder: TaskModel, tmp_path: Path
) -> None:
    dev = Dataset("dev", (Example("good", "neutral"),), Path("dev.tsv"), "0")
    with pytest.raises(DataError, match="neutral"):
        finetune(one_layer_encoder, SMALL, dev, SHORT, StageRun(tmp_path))
    assert not any(tmp_path.iterdir())


def test_all_bad_settings_are_listed(one_layer_encoder: TaskModel, tmp_path: Path) -> None:
    settings = replace(
        SHORT,
        epochs=0,
        batch_size=0,
        learning_rate=0.0,
        warmup_ratio=2.0,
        dropout=1.0,
        max_length=41,
        dev_fraction=1.0,
        patience=-1,
        max_rows=-1,
        clip_norm=-1.0,
        weight_decay=-1.0,
        seed=-1,
    )
    with pytest.raises(UsageError) as caught:
        finetune(one_layer_encoder, SMALL, None, settings, StageRun(tmp_path))
    for name in (
        "epochs",
        "batch_size",
        "learning_rate",
        "warmup_ratio",
        "dropout",
        "patience",
        "max_rows",
        "clip_norm",
        "weight_decay",
        "seed",
        "dev_fraction",
        "max_length: expected between 3 and 40",
    ):
        assert name in str(caught.value)
