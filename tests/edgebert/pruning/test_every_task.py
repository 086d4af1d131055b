"""Pruning of every task: weights, heads and neurons, layers, tokens; or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.compaction import layer_widths
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning import prune
from edgebert.pruning.masks import sparsity_of
from edgebert.pruning.recovery import StructuredPruning, prune_with_recovery
from edgebert.pruning.vocabulary import trim_vocabulary
from edgebert.settings import TASKS, DataSettings, PruneSettings, StructureSettings
from edgebert.tasks import bare_encoder, task_named
from edgebert.tasks.examples import all_input_texts, encodings_of
from edgebert.training import fitting
from edgebert.training.heads import Head, kind_of, sampled_loss
from edgebert.training.packed_encoder import Taps
from edgebert.training.stage_run import StageRun

Models, Files = Callable[[str], TaskModel], Callable[..., Path]
PRICED = tuple(task for task in TASKS if task != "masked-lm")
FEWER = StructureSettings(
    heads=1, neurons=8, layers=1, hidden_size=8, shots=1, calibration_rows=16, tokens=8
)


@pytest.mark.parametrize("task", PRICED)
def test_a_separate_head_gives_the_outputs_of_the_model(
    task: str, tiny_task_model: Models, tiny_task_file: Files
) -> None:
    model = tiny_task_model(task)
    data = task_named(task).read(tiny_task_file(task), DataSettings(), "required")
    encodings = list(encodings_of(model, data.examples, model.max_length))[:4]
    net = fitting.build_frozen(model)
    length = max(map(len, encodings))
    inputs = {
        "token_ids": np.zeros((len(encodings), length), np.int32),
        "padding_mask": np.zeros((len(encodings), length), np.int32),
        "segment_ids": np.zeros((len(encodings), length), np.int32),
    }
    for row, encoding in enumerate(encodings):
        inputs["token_ids"][row, : len(encoding)] = encoding.token_ids
        inputs["padding_mask"][row, : len(encoding)] = 1
        inputs["segment_ids"][row, : len(encoding)] = encoding.segment_ids
    encoded = net.get_layer("packed_encoder").encode(inputs, False, Taps())
    outputs = Head(net)(encoded, inputs["padding_mask"])
    apart = task_named(task).split_outputs(np.asarray(outputs), encodings)
    for ours, theirs in zip(apart, KerasPredictor(model).outputs(encodings), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    kind = kind_of(model.checkpoint)
    losses = [float(sampled_loss(kind, outputs, inputs["padding_mask"], [0, n])) for n in range(2)]
    assert np.isfinite(losses).all() and losses[0] != losses[1]


@pytest.mark.parametrize("task", ["multi-label", "regression", "ner", "qa", "embeddings"])
def test_structured_pruning_and_recovery_of_every_task(
    task: str, tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    model = tiny_task_model(task)
    data = task_named(task).read(tiny_task_file(task, 4), DataSettings(), "required")
    result = prune_with_recovery(
        model,
        data,
        data,
        StructuredPruning(structure=FEWER, recovery=PruneSettings(epochs=1, batch_size=8)),
        StageRun(tmp_path / "out"),
    )
    widths = layer_widths(result.model.checkpoint)
    assert [(width.heads, width.neurons) for width in widths] == [(1, 8)]
    assert result.model.task.name == task
    assert task_named(task).metric in result.metrics
    reopened = open_model(tmp_path / "out")
    assert (reopened.task.name, dict(reopened.decoding)) == (task, dict(result.model.decoding))


def test_a_base_is_pruned_without_training(
    tiny_encoder: TaskModel, tiny_task_file: Files, tmp_path: Path
) -> None:
    data = bare_encoder().read(tiny_task_file("masked-lm", 8), DataSettings(), "none")
    fewer = replace(FEWER, hidden_size=0)
    pruning = StructuredPruning(structure=fewer, recovery=PruneSettings(epochs=0))
    run = StageRun(tmp_path / "out")
    result = prune_with_recovery(tiny_encoder, data, data, pruning, run)
    assert (result.metrics, open_model(run.out).task.name) == ({}, "encoder")
    with pytest.raises(UsageError, match="epochs: expected 0 or a teacher for a bare encoder"):
        prune_with_recovery(tiny_encoder, data, data, StructuredPruning(structure=fewer), run)


@pytest.mark.parametrize("task", ["ner", "qa"])
def test_magnitude_pruning_of_every_task(
    task: str, tiny_task_model: Models, tiny_task_file: Files, tmp_path: Path
) -> None:
    data = task_named(task).read(tiny_task_file(task, 2), DataSettings(), "required")
    settings = PruneSettings(epochs=1, batch_size=8, frequency=1)
    result = prune(tiny_task_model(task), data, data, settings, StageRun(tmp_path / "out"))
    kernels = [a for n, a in result.model.checkpoint.weights.items() if n.endswith("inner.kernel")]
    assert sparsity_of(kernels) == pytest.approx(0.5, abs=0.02)
    assert task_named(task).metric in result.metrics


@pytest.mark.parametrize("task", TASKS)
def test_trimming_keeps_the_tokens_of_all_input_texts(
    task: str, tiny_task_model: Models, tiny_task_file: Files
) -> None:
    model = tiny_task_model(task)
    data = task_named(task).read(tiny_task_file(task), DataSettings(), "required")
    trimmed = trim_vocabulary(model, all_input_texts(model, data)).model
    assert trimmed.tokenizer.vocabulary.size < model.tokenizer.vocabulary.size
    assert trimmed.task.name == task
    longest = replace(model, checkpoint=trimmed.checkpoint, tokenizer=trimmed.tokenizer)
    for before, after in zip(
        *(encodings_of(each, data.examples, 40) for each in (model, longest)), strict=True
    ):
        assert len(before) == len(after)
