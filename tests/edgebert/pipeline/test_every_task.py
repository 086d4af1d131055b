"""The pipeline on tasks other than one label a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert import pipeline
from edgebert.errors import DataError, UsageError
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pipeline.config_file import read_config
from edgebert.pipeline.session import Session
from edgebert.reporting.report import Report
from edgebert.reporting.tables import summary_table
from edgebert.system.progress import silent
from edgebert.tasks import task_named
from tests.tiny_tasks import WRITERS, write_task_file

Files = Callable[..., Path]
CONFIG = """
name = "tiny run"
base = "tiny"
out = "results"
task = "{task}"
[data]
train = "train{ending}"
dev = "dev{ending}"
test = "test{ending}"
unlabelled = "train{ending}"
[finetune]
epochs = 1
batch_size = 8
max_length = 24
{sections}
[[export]]
model = "finetuned"
recipe = "float32"
length = 24
[[export]]
lengths = "8,24"
[profile]
lengths = [24]
warmup_runs = 1
min_runs = 4
max_seconds = 0.1
"""
NARROW = """
[structure]
heads = 1
shots = 1
calibration_rows = 16
[vocabulary]
keep_tokens = 104
[distill]
epochs = 1
batch_size = 8
"""


def prepared(folder: Path, base: TaskModel, task: str, sections: str = "") -> Path:
    """A folder with a bare encoder, three splits of a task and a config."""
    base.save(folder / "tiny")
    for part, repeats in (("train", 4), ("dev", 1), ("test", 2)):
        write_task_file(folder, task, repeats, part)
    path = folder / "run.toml"
    ending = WRITERS[task][0]
    path.write_text(CONFIG.format(task=task, ending=ending, sections=sections))
    return path


def assert_whole(report: Report, task: str) -> None:
    """Every model has the task's metric, every file its time from text to answer."""
    metric = task_named(task).metric
    assert report.metric == metric
    assert all(metric in row.metrics for row in report.rows)
    files = [row for row in report.rows if row.size_bytes is not None]
    assert len(files) == 2 and all(row.end_to_end for row in files)
    assert summary_table(report).rows
    assert any(metric.split("_")[0] in note or "test split" in note for note in report.notes)


@pytest.mark.parametrize(
    "task, sections", [("ner", NARROW), ("qa", ""), ("embeddings", ""), ("multi-label", "")]
)
def test_a_run_of_a_task(task: str, sections: str, tiny_encoder: TaskModel, tmp_path: Path) -> None:
    path = prepared(tmp_path, tiny_encoder, task, sections)
    told: list[str] = []
    report = pipeline.run(path, notice=told.append)
    assert_whole(report, task)
    model = open_model(tmp_path / "results" / "1-finetuned")
    assert model.task.name == task
    assert model.history[-1]["started_from"]["task"]["task"] == task
    if sections:
        taught = open_model(tmp_path / "results" / "3-distilled").history[-1]["data"]["train"]
        assert taught["rows"] == 2 * model.history[-1]["data"]["train"]["rows"]
    again = pipeline.run(path)
    assert all(stage.kept for stage in again.stages)
    for name in ("report.md", "report.html", "report.json"):
        assert (tmp_path / "results" / name).is_file()


def test_what_a_task_has_no_use_for_is_refused_early(
    tiny_encoder: TaskModel, tmp_path: Path
) -> None:
    path = prepared(tmp_path, tiny_encoder, "masked-lm", NARROW)
    with pytest.raises(UsageError, match=r"\[structure\] and \[vocabulary\] and \[distill\]"):
        pipeline.run(path)
    assert not (tmp_path / "results").exists()


def test_data_of_another_task_is_refused_early(tiny_encoder: TaskModel, tmp_path: Path) -> None:
    path = prepared(tmp_path, tiny_encoder, "ner")
    path.write_text(path.read_text().replace('task = "ner"', 'task = "qa"'))
    with pytest.raises((DataError, UsageError)):
        pipeline.run(path)
    assert not (tmp_path / "results").exists()


def test_the_task_is_seen_in_the_data(tiny_encoder: TaskModel, tmp_path: Path) -> None:
    path = prepared(tmp_path, tiny_encoder, "ner")
    path.write_text(path.read_text().replace('task = "ner"', 'task = "auto"'))
    assert Session(read_config(path), silent).task.name == "ner"


def test_without_training_the_task_is_the_bases_own(
    tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    path = prepared(tmp_path, tiny_task_model("ner"), "ner")
    content = path.read_text()
    without = content[: content.index("[finetune]")] + '[export]\nrecipes = ["float32"]\n'
    path.write_text(without)
    assert Session(read_config(path), silent).task.name == "ner"
    path.write_text(without.replace('task = "ner"', 'task = "pos"'))
    assert Session(read_config(path), silent).task.name == "pos"
    path.write_text(without.replace('task = "ner"', 'task = "qa"'))
    with pytest.raises(UsageError, match=r"expected a task of the model's head \(ner, pos\)"):
        Session(read_config(path), silent).check()
