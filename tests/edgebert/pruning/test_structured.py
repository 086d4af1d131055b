"""Structured pruning: loss increases, budgets, layers, and the pruned models."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from converters.compaction import LayerWidth, layer_widths
from converters.layer_choice import drop_layers
from edgebert.data.datasets import read_dataset
from edgebert.encoding.encoded_rows import encode_rows
from edgebert.errors import ModelError, QualityGateError, UsageError
from edgebert.evaluation.predictors import KerasPredictor, evaluate
from edgebert.finetuning import finetune
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning import shots
from edgebert.pruning.budget import Group, choose_widths
from edgebert.pruning.latency_table import (
    LatencyTable,
    measure_latency_table,
    read_latency_table,
)
from edgebert.pruning.layers import choose_layers
from edgebert.pruning.recovery import StructuredPruning, prune_with_recovery
from edgebert.pruning.shots import SharedCurvature
from edgebert.pruning.structured import prune_structure
from edgebert.pruning.surgeon import DAMPING, Curvature, order_removal, refit
from edgebert.settings import FinetuneSettings, PruneSettings, StructureSettings
from edgebert.system.progress import silent
from edgebert.tasks import task_of_checkpoint
from tests.edgebert.conftest import functions_run
from tests.edgebert.separable import separable

pytest.importorskip("tensorflow")
from edgebert.pruning.curvature import measure_curvature
from edgebert.training.stage_run import StageRun

CALIBRATION = separable(48, seed=3)
TABLE = LatencyTable(
    "made up", "dynamic-int8", 12, 0.1, 0.0,
    ((0, 0.0), (2, 1.0)), ((0, 0.0), (24, 2.0)), ((0, 0.0), (2, 0.5)), ((0, 0.0), (24, 0.2)),
)  # fmt: skip


def random_curvature(width: int, hidden: int, seed: int) -> Curvature:
    rng = np.random.default_rng(seed)
    reads = np.concatenate([rng.normal(size=(200, width)) @ rng.normal(size=(width, width)),
                            np.ones((200, 1))], 1)  # fmt: skip
    gradients = rng.normal(size=(100, hidden))
    return Curvature(reads.T @ reads / 200, gradients.T @ gradients / 100)


def quadratic(kernel: np.ndarray, before: np.ndarray, curvature: Curvature) -> float:
    change = kernel - before
    moment = curvature.inputs
    moment = moment + np.eye(len(moment)) * DAMPING * np.trace(moment) / len(moment)
    return float(0.5 * np.trace(change.T @ curvature.gradients @ change @ moment))


@pytest.mark.parametrize("size", [1, 2])
def test_the_loss_increase_is_that_of_the_quadratic_loss(size: int) -> None:
    """The surgeon's running sum equals the loss of the refitted kernel, at every count."""
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(5, 8)).astype(np.float32), np.ones(5, np.float32)
    curvature = random_curvature(8, 5, 1)
    gone = order_removal(kernel, bias, curvature, size=size, at_once=1)
    whole = np.concatenate([kernel, bias[:, None]], 1).astype(np.float64)
    assert sorted(gone.order) == list(range(8 // size))
    for count in range(1, 8 // size + 1):
        groups = np.ones(8 // size, bool)
        groups[gone.order[:count]] = False
        new, new_bias = refit(kernel, bias, curvature, np.repeat(groups, size))
        assert not new[:, ~np.repeat(groups, size)].any()
        after = np.concatenate([new, new_bias[:, None]], 1).astype(np.float64)
        np.testing.assert_allclose(
            quadratic(after, whole, curvature), gone.loss_increase[count], rtol=1e-3
        )
    assert np.all(np.diff(gone.loss_increase) >= 0)


def test_the_example_of_the_docstring() -> None:
    """Two correlated inputs: the remaining column takes over a part of the removed one."""
    moment = np.zeros((3, 3))
    moment[:2, :2], moment[2, 2] = [[1.0, 0.5], [0.5, 1.0]], 1.0
    moment -= np.eye(3) * DAMPING / (1 + DAMPING)  # what the damping adds again
    curvature = Curvature(moment, np.ones((1, 1)))
    kernel, bias = np.array([[2.0, 1.0]], np.float32), np.zeros(1, np.float32)
    found = order_removal(kernel, bias, curvature, size=1, at_once=1)
    assert list(found.order) == [1, 0]
    np.testing.assert_allclose(found.loss_increase[:2], [0, 0.375], rtol=1e-6)
    new, _ = refit(kernel, bias, curvature, np.array([True, False]))
    np.testing.assert_allclose(new, [[2.5, 0.0]], rtol=1e-6)


def test_a_duplicate_column_is_removed_first() -> None:
    rng = np.random.default_rng(0)
    reads = rng.normal(size=(300, 4))
    reads = np.concatenate([reads, reads[:, :1], np.ones((300, 1))], 1)
    curvature = Curvature(reads.T @ reads / 300, np.eye(3))
    kernel = rng.normal(size=(3, 5)).astype(np.float32)
    gone = order_removal(kernel, np.zeros(3, np.float32), curvature, size=1, at_once=1)
    assert gone.order[0] in (0, 4)
    assert gone.loss_increase[1] < 0.2 * gone.loss_increase[2]


groups_of = st.lists(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(groups_of, st.floats(0, 1))
def test_the_budget_holds_and_the_choice_is_optimal_up_to_rounding(
    choices: list[list[tuple[float, float]]], share: float
) -> None:
    groups = [
        Group(np.arange(len(c)), np.array([p for p, _ in c]), np.array([k for _, k in c]))
        for c in choices
    ]
    least = sum(group.costs.min() for group in groups)
    most = sum(group.costs.max() for group in groups)
    budget = least + share * (most - least) + 1e-6
    picked = choose_widths(groups, budget)

    def total(places: tuple[int, ...] | list[int], what: str) -> float:
        return float(sum(getattr(g, what)[i] for g, i in zip(groups, places, strict=True)))

    assert total(picked, "costs") <= budget * (1 + 1e-6) + 1e-9
    tight = budget - (budget - least) * 4 / 4000 - 1e-9
    rivals = [
        total(places, "loss_increases")
        for places in itertools.product(*(range(len(g.costs)) for g in groups))
        if total(places, "costs") <= tight
    ]
    assert not rivals or total(picked, "loss_increases") <= min(rivals) + 1e-9


def test_a_budget_below_the_smallest_costs_is_an_error() -> None:
    with pytest.raises(UsageError, match="budget of at least 2"):
        choose_widths([Group(np.arange(1), np.zeros(1), np.full(1, 2.0))], 1.0)


@pytest.fixture(scope="module")
def trained(tiny_model: TaskModel, tmp_path_factory: pytest.TempPathFactory) -> TaskModel:
    settings = FinetuneSettings(epochs=6, batch_size=8, learning_rate=5e-3, max_length=16)
    out = tmp_path_factory.mktemp("structured") / "trained"
    train, dev = separable(160, 1), separable(40, 2)
    with functions_run(eagerly=False):  # 120 steps
        return finetune(tiny_model, train, dev, settings, StageRun(out)).model


def test_counts_are_met_and_pruned_weights_are_zero(trained: TaskModel) -> None:
    result = prune_structure(trained, CALIBRATION, StructureSettings(heads=1, neurons=12))
    assert sum(width.heads for width in result.widths) == 2
    assert sum(width.neurons for width in result.widths) <= 24
    assert layer_widths(result.model.checkpoint) == result.widths
    assert 0.3 < result.operations_left < 0.6
    entry = result.model.history[-1]
    assert entry["widths"] == [vars(width) for width in result.widths]
    assert json.loads(json.dumps(entry)) == entry


def test_refitted_weights_keep_the_accuracy(trained: TaskModel) -> None:
    dev = separable(60, seed=5)
    before = evaluate(KerasPredictor(trained), dev).metrics["accuracy"]
    pruned = prune_structure(trained, CALIBRATION, StructureSettings(neurons=16)).model
    assert before > 0.9
    assert evaluate(KerasPredictor(pruned), dev).metrics["accuracy"] > before - 0.1


def test_a_latency_budget_is_met(trained: TaskModel) -> None:
    settings = StructureSettings(target_speedup=2.0, shots=2)
    result = prune_structure(trained, CALIBRATION, settings, table=TABLE)
    assert result.before_ms == pytest.approx(TABLE.model_ms([LayerWidth(2, 24)] * 2))
    assert result.after_ms is not None
    assert result.after_ms <= result.before_ms / 2 + 1e-6
    assert all(width.heads >= 1 for width in result.widths)


def test_prunings_of_one_model_share_the_curvature_of_the_first_shot(
    trained: TaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six shots of two targets measure five times; a curvature that is too large is not kept."""
    measured = []

    def measure(*arguments: Any, seed: int) -> dict[str, Curvature]:
        measured.append(seed)
        return measure_curvature(*arguments, seed=seed)

    def pruned(speedup: float, shared: SharedCurvature) -> str:
        settings = StructureSettings(target_speedup=speedup, shots=3)
        result = prune_structure(trained, CALIBRATION, settings, silent, TABLE, shared)
        return result.model.checkpoint.weights_sha256()

    monkeypatch.setattr("edgebert.pruning.curvature.measure_curvature", measure)
    shared = SharedCurvature()
    alone = [pruned(speedup, SharedCurvature()) for speedup in (1.5, 2.0)]
    measured.clear()
    assert [pruned(speedup, shared) for speedup in (1.5, 2.0)] == alone
    assert len(measured) == 5
    monkeypatch.setattr(shots, "SHARED_BYTES", 0)
    shared = SharedCurvature()
    assert pruned(2.0, shared) == alone[1]
    assert shared.order is None


def test_an_unreachable_latency_names_the_closest_model(trained: TaskModel) -> None:
    with pytest.raises(QualityGateError, match=r"times faster.*Next"):
        prune_structure(trained, CALIBRATION, StructureSettings(target_speedup=50.0), table=TABLE)


def test_all_problems_of_the_settings_are_named(tiny_model: TaskModel) -> None:
    wrong = StructureSettings(target_speedup=0.5, heads=3, neurons=99, layers=9, shots=0)
    with pytest.raises(UsageError) as raised:
        prune_structure(tiny_model, CALIBRATION, wrong)
    for name in ("target_speedup", "heads", "neurons", "layers", "shots"):
        assert name in str(raised.value)


def test_too_little_calibration_text(tiny_model: TaskModel) -> None:
    with pytest.raises(UsageError, match="at least 16 calibration texts"):
        prune_structure(tiny_model, separable(1, 0), StructureSettings(heads=1))


def test_dropped_layers_are_renumbered(tiny_model: TaskModel) -> None:
    dropped = drop_layers(tiny_model.checkpoint, (1,))
    assert dropped.config.num_layers == 1
    name = "attention.query.kernel"
    assert dropped.weights[f"layers.0.{name}"] is tiny_model.checkpoint.weights[f"layers.1.{name}"]
    assert not any(key.startswith("layers.1.") for key in dropped.weights)


@pytest.mark.parametrize(("choice", "kept"), [("first", (0,)), ("last", (1,)), ("alternate", (1,))])
def test_layer_choices(tiny_model: TaskModel, choice: str, kept: tuple[int, ...]) -> None:
    rows = encode_rows(tiny_model.tokenizer, CALIBRATION.texts, 16)
    assert choose_layers(tiny_model, 1, choice, rows) == kept


def test_a_layer_without_effect_is_dropped_first(tiny_model: TaskModel) -> None:
    weights = dict(tiny_model.checkpoint.weights)
    for part in ("attention", "feed_forward"):
        for ending in ("output.kernel", "output.bias"):
            name = f"layers.0.{part}.{ending}"
            weights[name] = np.zeros_like(weights[name])
        for ending, value in (("scale", 1.0), ("bias", 0.0)):
            name = f"layers.0.{part}.norm.{ending}"
            weights[name] = np.full_like(weights[name], value)
    idle = replace(tiny_model, checkpoint=tiny_model.checkpoint.with_weights(weights))
    rows = encode_rows(idle.tokenizer, CALIBRATION.texts, 16)
    assert choose_layers(idle, 1, "importance", rows) == (1,)


def test_a_latency_table_is_measured_written_and_read(
    tiny_model: TaskModel, tmp_path: Path
) -> None:
    table = measure_latency_table(tiny_model.checkpoint.config, 8, rounds=2)
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table.to_dict()))
    assert read_latency_table(path) == table
    assert table.model_ms([LayerWidth(2, 24)] * 2) >= table.model_ms([LayerWidth(1, 0)] * 2) > 0
    path.write_text("{}")
    with pytest.raises(ModelError, match="expected a latency table"):
        read_latency_table(path)


def test_curvature_uses_every_token_and_no_padding(trained: TaskModel) -> None:
    """The same texts in batches of one, with no padding, give the same input moments."""
    rows = encode_rows(trained.tokenizer, CALIBRATION.texts[:8], 16)
    together = measure_curvature(trained, rows, lambda *a, **k: None, batch_size=8)
    alone = measure_curvature(trained, rows, lambda *a, **k: None, batch_size=1)
    for name, curvature in together.items():
        np.testing.assert_allclose(curvature.inputs, alone[name].inputs, rtol=1e-3, atol=1e-4)


def test_recovery_is_written_and_resumes(trained: TaskModel, tmp_path: Path) -> None:
    train, dev = separable(96, 1), separable(40, 2)
    recovery = PruneSettings(epochs=1, batch_size=16, learning_rate=1e-3)
    structure = StructureSettings(heads=1, neurons=12)

    def stop(stage: str, done: int, total: int, **facts: object) -> None:
        if stage == "distill" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_with_recovery(
            trained,
            train,
            dev,
            StructuredPruning(structure=structure, recovery=recovery, teacher=trained),
            StageRun(tmp_path / "out", progress=stop),
        )
    result = prune_with_recovery(
        trained,
        train,
        dev,
        StructuredPruning(structure=structure, recovery=recovery, teacher=trained),
        StageRun(tmp_path / "out", resume=True),
    )
    assert result.metrics["accuracy"] > 0.8
    opened = open_model(tmp_path / "out")
    assert sum(w.heads for w in layer_widths(opened.checkpoint)) == 2
    assert [entry["stage"] for entry in opened.history[-2:]] == ["prune-structure", "distill"]
    assert not list((tmp_path / "out").glob(".untrained"))


def test_a_finished_run_resumes_at_once_and_another_is_refused(
    trained: TaskModel, tmp_path: Path
) -> None:
    train, dev, out = separable(48, 1), separable(20, 2), tmp_path / "out"
    structure, recovery = StructureSettings(heads=1), PruneSettings(epochs=1, batch_size=16)
    first = prune_with_recovery(
        trained,
        train,
        dev,
        StructuredPruning(structure=structure, recovery=recovery),
        StageRun(out),
    )

    def refuse(*told: object, **facts: object) -> None:
        raise AssertionError("a finished run has nothing to do")

    again = prune_with_recovery(
        trained,
        train,
        dev,
        StructuredPruning(structure=structure, recovery=recovery),
        StageRun(out, resume=True, progress=refuse),
    )
    assert again.metrics == first.metrics
    assert again.structure == first.structure
    with pytest.raises(UsageError, match=r"structure\.heads was 1, now 2"):
        prune_with_recovery(
            trained,
            train,
            dev,
            StructuredPruning(structure=StructureSettings(heads=2), recovery=recovery),
            StageRun(out, resume=True),
        )


@pytest.mark.parametrize(
    "module", ["edgebert.pruning.recovery", "edgebert.distillation", "edgebert.searching"]
)
def test_stages_load_no_tensorflow_before_they_train(module: str) -> None:
    """So wrong flags are refused at once, and the noise of its loading is hidden."""
    code = f"import sys, {module}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_real_minilm_loses_little_without_training(minilm_dir: Path, data_dir: Path) -> None:
    """The real weights: a third of the heads go, and the head still says the same."""
    model = open_model(minilm_dir)
    rng = np.random.default_rng(0)
    hidden = model.checkpoint.config.hidden_size
    head = {"classifier.kernel": rng.normal(0, 0.02, (2, hidden)).astype(np.float32),
            "classifier.bias": np.zeros(2, np.float32)}  # fmt: skip
    checkpoint = replace(
        model.checkpoint,
        weights={**model.checkpoint.weights, **head},
        labels=("0", "1"),
        sentence=None,
    )
    model = replace(
        model, checkpoint=checkpoint, max_length=32, task=task_of_checkpoint(checkpoint)
    )
    texts = read_dataset(data_dir / "clinc150" / "dev.tsv")
    settings = StructureSettings(heads=8, calibration_rows=128, shots=1)
    pruned = prune_structure(model, texts, settings).model
    encodings = model.tokenizer.encode_batch(texts.texts[:64], 32)
    a, b = (np.stack(KerasPredictor(m).outputs(encodings)) for m in (model, pruned))
    spread = np.std(a, axis=0)
    assert np.mean(np.abs(a - b)) < 0.5 * np.mean(spread)
