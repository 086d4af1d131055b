"""A narrower residual stream: exact where it can be, every head, refusals, latencies, teachers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.checkpoint import Checkpoint
from converters.compaction import LayerWidth, layer_widths
from converters.heads import SentenceHead
from edgebert.distillation import distill
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning.hidden_basis import choose_channels
from edgebert.pruning.latency_table import (
    LatencyTable,
    measure_latency_table,
    read_latency_table,
)
from edgebert.pruning.structured import prune_structure
from edgebert.settings import DataSettings, DistillSettings, StructureSettings
from edgebert.tasks import task_named
from edgebert.tasks.examples import encodings_of
from edgebert.training.least_squares import Moments, fit_gain
from edgebert.training.stage_run import StageRun
from tests.edgebert.separable import separable
from tests.tiny_tasks import random_task_checkpoint

Models = Callable[[str], TaskModel]
Files = Callable[..., Path]
TEXTS = separable(64, seed=3)
NARROW = StructureSettings(hidden_size=8, shots=1, calibration_rows=64, tokens=8)


def doubled(narrow: Checkpoint) -> Checkpoint:
    """The same function with every channel of the stream twice, and a second head of zeros.

    LayerNorm then has the same mean and variance, and what reads a channel reads half of it twice.
    """
    config = replace(narrow.config, hidden_size=16, num_heads=2)
    weights = {}
    for name, own in narrow.weights.items():
        array = own
        if name.endswith(("query.kernel", "key.kernel", "value.kernel")):
            array = np.pad(np.repeat(own, 2, 1) / 2, [(0, 8), (0, 0)])
        elif name.endswith(("query.bias", "key.bias", "value.bias")):
            array = np.pad(own, (0, 8))
        elif name.endswith("attention.output.kernel"):
            array = np.pad(np.repeat(own, 2, 0), [(0, 0), (0, 8)])
        elif name.endswith("inner.kernel") or name in ("classifier.kernel", "spans.kernel"):
            array = np.repeat(own, 2, 1) / 2
        elif name.endswith("feed_forward.output.kernel"):
            array = np.repeat(own, 2, 0)
        elif name == "pooler.kernel":
            array = np.repeat(np.repeat(own, 2, 1) / 2, 2, 0)
        elif name.startswith("embeddings.") and own.ndim == 2:
            array = np.repeat(own, 2, 1)
        elif own.shape == (8,):
            array = np.repeat(own, 2)
        weights[name] = array.astype(np.float32)
    return replace(narrow, config=config, weights=weights)


def outputs(model: TaskModel, examples: object) -> list[np.ndarray]:
    encodings = encodings_of(model, list(examples)[:12], model.max_length)  # type: ignore[call-overload]
    return [np.asarray(output) for output in KerasPredictor(model).outputs(encodings)]


@pytest.mark.parametrize(("task", "error"), [("classification", 0.1), ("qa", 1e-3)])
def test_a_stream_of_lower_rank_is_narrowed_exactly(
    task: str, error: float, tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    # The pooler's outputs are chosen by their part in the logits: that is not exact.
    model = tiny_task_model(task)
    config = replace(model.checkpoint.config, hidden_size=8, num_heads=1)
    wide = replace(model, checkpoint=doubled(random_task_checkpoint(config, task)))
    data = task_named(task).read(tiny_task_file(task, 8), DataSettings(), "required")
    narrow = prune_structure(wide, data, replace(NARROW, calibration_rows=16)).model
    assert narrow.checkpoint.config.hidden_size == 8
    assert narrow.checkpoint.config.head_size == wide.checkpoint.config.head_size
    reopened = open_model(narrow.save(tmp_path / "narrow"))
    before, after = (outputs(each, data.examples) for each in (wide, reopened))
    spread = np.std(np.concatenate([output.ravel() for output in before]))
    for ours, theirs in zip(after, before, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=error * spread)
    assert narrow.history[-1]["hidden_size"] == {"before": 16, "after": 8}


def test_channels_that_others_repeat_are_left_out() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(size=(200, 4))
    rows = np.concatenate([own, own[:, :2] * 3, np.ones((200, 1))], 1)
    kept = choose_channels(rows.T @ rows / 200, 4)
    assert {2, 3} < set(kept)
    assert len(set(kept) & {0, 4}) == len(set(kept) & {1, 5}) == 1


def test_least_squares_fits_known_layers() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    kernel, bias = rng.normal(size=(2, 3)), np.array([1.0, -2.0])
    y = (x @ kernel.T + bias).astype(np.float32)
    moments = Moments.of(3, 2)
    moments.add(x, y, np.ones(50))
    for fitted, wanted in zip(moments.solve(1e-9), (kernel, bias), strict=True):
        np.testing.assert_allclose(fitted, wanted, atol=1e-4)
    held = moments.solve(1e9, near=(kernel + 1, bias + 1))
    np.testing.assert_allclose(held[0], kernel + 1, atol=1e-4)
    gain, bias = fit_gain([(x, x * 2 + 5, np.ones(50))])
    np.testing.assert_allclose([gain, bias], [[2] * 3, [5] * 3], atol=1e-4)


def test_vectors_keep_their_width_and_are_distilled(
    tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    model = tiny_task_model("embeddings")
    data = task_named("embeddings").read(
        tiny_task_file("embeddings", 4), DataSettings(), "required"
    )
    narrow = prune_structure(model, data, replace(NARROW, calibration_rows=16)).model
    assert (narrow.checkpoint.config.hidden_size, narrow.checkpoint.vector_size) == (8, 16)
    reopened = open_model(narrow.save(tmp_path / "narrow"))
    settings = DistillSettings(epochs=1, batch_size=8, method="hidden-states")
    student = distill(model, reopened, data, data, settings, StageRun(tmp_path / "out")).model
    assert outputs(student, data.examples)[0].shape == outputs(model, data.examples)[0].shape


def test_wrong_sizes_and_poolings_are_refused(
    tiny_task_model: Models, tiny_model: TaskModel, tiny_encoder: TaskModel
) -> None:
    with pytest.raises(UsageError, match=r"hidden_size: expected a model of a task.*bare encoder"):
        prune_structure(tiny_encoder, TEXTS, NARROW)
    with pytest.raises(UsageError, match=r"hidden_size: expected a multiple of 8.* up to 16.*: 12"):
        prune_structure(tiny_model, TEXTS, replace(NARROW, hidden_size=12))
    with pytest.raises(UsageError, match=r"heads: expected from 1 to 1 per layer"):
        prune_structure(tiny_model, TEXTS, replace(NARROW, heads=2))
    model = tiny_task_model("embeddings")
    head = SentenceHead(("mean", "max"))
    pooled = replace(model, checkpoint=replace(model.checkpoint, sentence=head))
    with pytest.raises(UsageError, match=r"hidden_size: expected a pooling out of mean.*max"):
        prune_structure(pooled, TEXTS, NARROW)


def with_latencies(table: LatencyTable, scale: float) -> LatencyTable:
    """A table of the same widths with made-up latencies, so that a busy machine changes nothing."""
    attention = tuple((heads, 0.1 * heads * scale) for heads, _ in table.attention)
    feed_forward = ((0, 0.0), (24, 2.0 * scale))
    return replace(
        table,
        base_ms=0.1 * scale,
        empty_layer_ms=0.0,
        attention=attention,
        feed_forward=feed_forward,
        last_attention=attention,
        last_feed_forward=feed_forward,
    )


def test_latencies_of_the_narrow_shape_set_the_widths(
    tiny_model: TaskModel, tmp_path: Path
) -> None:
    table = measure_latency_table(tiny_model.checkpoint.config, 8, rounds=2, hidden_sizes=[8])
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table.to_dict()))
    assert read_latency_table(path) == table
    narrow = table.of_hidden_size(8)
    assert (table.of_hidden_size(0), table.of_hidden_size(16)) == (table, table)
    assert narrow.attention[-1][0] == 1 and table.attention[-1][0] == 2
    with pytest.raises(UsageError, match=r"hidden size of 4\. Received: one of 16, 8.*Next"):
        table.of_hidden_size(4)
    slow, fast = with_latencies(table, 1.0), with_latencies(narrow, 0.5)
    slow = replace(slow, narrower=(fast,))
    settings = replace(NARROW, target_speedup=2.0)
    result = prune_structure(tiny_model, TEXTS, settings, table=slow)
    assert result.before_ms == pytest.approx(slow.model_ms([LayerWidth(2, 24)] * 2))
    assert result.after_ms == pytest.approx(fast.model_ms(layer_widths(result.model.checkpoint)))
    assert result.before_ms is not None and result.after_ms is not None
    assert result.after_ms <= result.before_ms / 2 + 1e-6
