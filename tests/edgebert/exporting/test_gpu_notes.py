"""Exports tell what a GPU does not take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert.exporting.artifact import export
from edgebert.exporting.gpu_notes import gpu_notes_of
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings


@pytest.mark.parametrize(
    ("task", "settings", "said"),
    [
        ("classification", ExportSettings(lengths="8,16"), ""),
        ("classification", ExportSettings(lengths="8", recipe="float32"), ""),
        ("classification", ExportSettings(lengths="8", recipe="float16"), "DEQUANTIZE"),
        ("classification", ExportSettings(dynamic_length=True), "its length is free"),
        ("masked-lm", ExportSettings(lengths="16"), "1 CUMSUM"),
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
