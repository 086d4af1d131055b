"""No exported graph has an operator that LiteRT's GPU delegate computes wrongly.

See docs/upstream/gpu_constant_add.md.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.heads import MASKED_LM, MaskedTokens
from converters.tflite.graph_heads import HIDDEN_STATES, outputs_of
from converters.tflite.inference_graph import DYNAMIC_LENGTH, build_inference_graph
from converters.tflite.tflite_file import read_model
from edgebert.models.task_model import TaskModel
from edgebert.quantization.recipes import RECIPES
from edgebert.settings.task import TASKS

ELEMENTWISE = ("ADD", "MUL", "SUB", "DIV", "SQUARED_DIFFERENCE")
SCRIPT = Path(__file__).parents[3] / "docs" / "upstream" / "gpu_constant_add.py"


def constants_of_several_rows(body: bytes) -> list[str]:
    """Constants of rank 2 with more than one row that an elementwise operator reads."""
    return [
        f"{operator.name} of {tensor.name} {tensor.shape} in {subgraph.signature}"
        for subgraph in read_model(body).subgraphs
        for operator in subgraph.operators
        if operator.name in ELEMENTWISE
        for tensor in (subgraph.tensors[i] for i in operator.inputs)
        if tensor.size_bytes and len(tensor.shape) == 2 and tensor.shape[0] > 1
    ]


def slices_of_constants(body: bytes) -> list[str]:
    """SLICE operators that read a constant: the delegate leaves them on the CPU."""
    return [
        f"SLICE of {tensor.name} in {subgraph.signature}"
        for subgraph in read_model(body).subgraphs
        for operator in subgraph.operators
        if operator.name == "SLICE"
        for tensor in (subgraph.tensors[operator.inputs[0]],)
        if tensor.size_bytes
    ]


@pytest.mark.parametrize("task", TASKS)
def test_no_graph_adds_a_rank_2_constant_of_several_rows(
    task: str, tiny_task_model: Callable[[str], TaskModel]
) -> None:
    checkpoint = tiny_task_model(task).checkpoint
    if checkpoint.head == MASKED_LM:
        checkpoint = replace(checkpoint, masked=MaskedTokens(4, 2))
    limit = checkpoint.config.max_positions
    precisions = {recipe.precision.kernels: recipe.precision for recipe in RECIPES.values()}
    for lengths in ([limit], [8], [8, limit], [DYNAMIC_LENGTH]):
        for output in (*outputs_of(checkpoint), HIDDEN_STATES):
            for precision in precisions.values():
                body = build_inference_graph(checkpoint, lengths, precision, output).finish()
                assert constants_of_several_rows(body) == []
                assert slices_of_constants(body) == []


def test_signatures_share_the_parts_of_the_position_table(
    tiny_task_model: Callable[[str], TaskModel],
) -> None:
    checkpoint = tiny_task_model("classification").checkpoint
    body = build_inference_graph(
        checkpoint, [8, 16, 32], RECIPES["float32"].precision, "logits"
    ).finish()
    parts = {
        subgraph.signature: {
            tensor.name: tensor.buffer
            for tensor in subgraph.tensors
            if tensor.name.startswith("embeddings/position_table")
        }
        for subgraph in read_model(body).subgraphs
    }
    assert [len(found) for found in parts.values()] == [1, 2, 3]
    assert len({buffer for found in parts.values() for buffer in found.values()}) == 3


def test_the_upstream_file_shows_the_operator_and_is_right_on_the_cpu() -> None:
    body = runpy.run_path(str(SCRIPT))["build"]()
    assert constants_of_several_rows(body) == ["ADD of constant_2 (4, 3) in add"]
    run = Interpreter(model_content=body).get_signature_runner("add")
    sums = run(x_2=np.zeros((4, 3), np.float32), x_3=np.zeros((1, 4, 3), np.float32))
    for name in ("sum_2", "sum_3"):
        np.testing.assert_array_equal(sums[name].ravel(), np.arange(12))
