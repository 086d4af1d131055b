"""Exports tell what a GPU does not take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.tflite.graph_builder import GraphBuilder
from edgebert.exporting.artifact import export
from edgebert.exporting.gpu_notes import gpu_notes_of
from edgebert.models.gpu_support import gpu_support_of
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings


@pytest.mark.parametrize(
    ("task", "settings", "said"),
    [
        ("classification", ExportSettings(lengths="8,16"), ""),
        ("classification", ExportSettings(lengths="8", recipe="float32"), ""),
        ("classification", ExportSettings(lengths="8", recipe="float16"), ""),
        ("classification", ExportSettings(lengths="8", recipe="weight-int8"), "FULLY_CONNECTED"),
        ("classification", ExportSettings(lengths="8", embedding="int4"), "EMBEDDING_LOOKUP"),
        ("classification", ExportSettings(dynamic_length=True), "its length is free"),
        ("masked-lm", ExportSettings(lengths="16"), ""),
    ],
)
def test_what_a_gpu_does_not_take(
    tiny_task_model: Callable[[str], TaskModel],
    tmp_path: Path,
    task: str,
    settings: ExportSettings,
    said: str,
) -> None:
    made = export(tiny_task_model(task), tmp_path / "m.tflite", settings)
    notes = gpu_notes_of(made.path, made.manifest)
    assert set(notes) <= set(made.notes)
    assert bool(notes) == bool(said) and said in " ".join(notes)


def test_computed_float16_rows_and_integer_sums_stay_on_the_cpu(tmp_path: Path) -> None:
    file = GraphBuilder("operators of older exports")
    graph = file.subgraph("main")
    ids = graph.input("ids", [4])
    table = file.constant("table", np.ones((8, 2), np.float16))
    graph.output("rows", graph.dequantize(graph.gather(ids, table, "gathered"), "rows"))
    graph.output("sums", graph.cumsum(ids, 0, "sums"))
    path = tmp_path / "m.tflite"
    path.write_bytes(file.finish())
    support = gpu_support_of(path)
    assert (support.faults, support.on_cpu) == ({}, {"DEQUANTIZE": 1, "CUMSUM": 1})
