"""The whole pipeline on a tiny model: what it writes, what it keeps, what it does again."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from converters.compaction import layer_widths
from edgebert import pipeline
from edgebert.errors import DataError, UsageError
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pipeline.records import (
    RECORD,
    STARTED,
    Record,
    files_in,
    read_record,
    why_not_done,
    write_record,
)
from edgebert.pipeline.results import half_width
from edgebert.reporting.report import Report

WORDS = {
    "negative": "bad awful sad boring",
    "neutral": "timer weather alarm lights",
    "positive": "good great happy nice",
}
STAGES = ("finetune", "prune", "export", "evaluate", "profile")
CONFIG = """
name = "tiny run"
base = "tiny"
out = "results"
[data]
train = "train.tsv"
dev = "dev.tsv"
test = "test.tsv"
[finetune]
epochs = 2
batch_size = 8
learning_rate = 1e-3
max_length = 24
[prune]
sparsity = 0.5
epochs = 1
batch_size = 8
frequency = 2
[[export]]
model = "finetuned"
recipe = "float32"
length = 24
[[export]]
model = "pruned"
lengths = "8,24"
[profile]
lengths = [24]
warmup_runs = 1
min_runs = 4
max_seconds = 0.1
"""


def write_rows(path: Path, rows: int, seed: int) -> None:
    rng = random.Random(seed)
    lines = ["text\tlabel"]
    for row in range(rows):
        label = list(WORDS)[row % len(WORDS)]
        word = rng.choice(WORDS[label].split())
        lines.append(f"the movie is {word} {path.stem} {row}\t{label}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def prepared(tiny_encoder: TaskModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bare encoder, three splits and a config."""
    folder = tmp_path_factory.mktemp("run")
    tiny_encoder.save(folder / "tiny")
    for seed, (part, rows) in enumerate((("train", 48), ("dev", 12), ("test", 15))):
        write_rows(folder / f"{part}.tsv", rows, seed)
    (folder / "strange.tsv").write_text("text\tlabel\nthe movie\tunheard\n")
    (folder / "run.toml").write_text(CONFIG)
    return folder


def kept(report: Report) -> tuple[str, ...]:
    return tuple(stage.name for stage in report.stages if stage.kept)


def rewritten(folder: Path, *changes: tuple[str, str]) -> Path:
    """The folder's config with texts replaced."""
    path = folder / "run.toml"
    content = path.read_text()
    for old, new in changes:
        assert old in content
        content = content.replace(old, new)
    path.write_text(content)
    return path


@pytest.fixture(scope="module")
def done(prepared: Path) -> tuple[Path, Report, list[str]]:
    """The run, done once: its results, its report, and what it told. Not to be changed."""
    told: list[str] = []
    report = pipeline.run(prepared / "run.toml", notice=told.append)
    return prepared / "results", report, told


@pytest.fixture
def again(done: tuple[Path, Report, list[str]], tmp_path: Path) -> Path:
    """A copy of the folder in which the run was done, to be changed."""
    return Path(shutil.copytree(done[0].parent, tmp_path / "again"))


def test_all_stages_leave_their_results(done: tuple[Path, Report, list[str]]) -> None:
    out, report, told = done
    assert tuple(stage.name for stage in report.stages) == STAGES
    assert kept(report) == ()
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {
        "1-finetuned/model.safetensors",
        "2-pruned/model.safetensors",
        "4-exported/finetuned-float32.tflite",
        "4-exported/pruned-dynamic-int8.tflite",
        "5-evaluated/finetuned+keras.json",
        "5-evaluated/pruned-dynamic-int8.json",
        "6-profiled/finetuned-float32.json",
        "report.md",
        "report.json",
        "report.html",
        *(f"{stage.folder}/stage.json" for stage in pipeline.STAGES if stage.name in STAGES),
    } <= names
    assert not [name for name in names if name.endswith((".part", STARTED))]
    assert len([text for text in told if " done in " in text]) == len(STAGES)


def test_the_report_compares_before_and_after(done: tuple[Path, Report, list[str]]) -> None:
    out, report, _ = done
    assert [(row.model, row.recipe) for row in report.rows] == [
        ("finetuned", "Keras"),
        ("pruned", "Keras"),
        ("finetuned", "float32"),
        ("pruned", "dynamic-int8"),
    ]
    assert report.baseline is report.rows[2]
    assert report.rows[0].metrics == pytest.approx(report.rows[2].metrics)
    assert report.rows[3].sparsity == pytest.approx(0.5, abs=0.02)
    assert report.rows[0].sparsity is None
    assert {m.kind for m in report.rows[3].measurements} == {"model", "end_to_end"}
    content = json.loads((out / "report.json").read_text())
    assert [row["name"] for row in content["rows"]] == [row.name for row in report.rows]
    assert str(out.parent) not in json.dumps(content), "paths of the machine are in the report"
    page = (out / "report.html").read_text()
    assert "tiny run" in page and str(out.parent) not in page


def test_a_second_run_keeps_all(done: tuple[Path, Report, list[str]], again: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {
            name: s
            for stage in pipeline.STAGES
            for name, s in files_in(again / "results" / stage.folder).items()
        }

    before = state()
    report = pipeline.run(again / "run.toml")
    assert kept(report) == STAGES
    assert report.rows == done[1].rows
    assert state() == before


def test_a_change_redoes_exactly_the_later_stages(again: Path) -> None:
    write_rows(again / "other.tsv", 12, 9)
    for old, new, redone in (
        ("max_seconds = 0.1", "max_seconds = 0.2", STAGES[4:]),
        ('test = "test.tsv"', 'test = "other.tsv"', STAGES[3:]),
        ('lengths = "8,24"', 'lengths = "16,24"', STAGES[2:]),
        ("sparsity = 0.5", "sparsity = 0.25", STAGES[1:]),
    ):
        told: list[str] = []
        path = rewritten(again, (old, new))
        report = pipeline.run(path, notice=told.append)
        assert kept(report) == STAGES[: len(STAGES) - len(redone)]
        key = old.split(" = ")[0]
        assert any(f"{redone[0]}: changed: " in text and key in text for text in told), told
    assert kept(pipeline.run(path)) == STAGES


def test_damaged_results_are_made_again(again: Path) -> None:
    out, told = again / "results", []
    (out / "4-exported" / "finetuned-float32.tflite").write_bytes(b"damaged")
    (out / "6-profiled" / "finetuned-float32.json").unlink()
    report = pipeline.run(again / "run.toml", notice=told.append)
    assert kept(report)[:2] == STAGES[:2]
    assert {"export", "profile"}.isdisjoint(kept(report))
    assert "export: finetuned-float32.tflite was changed" in told
    assert "profile: finetuned-float32.json is missing" in told


def test_a_stage_that_was_killed_is_done_again(
    again: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(session: object, folder: Path, resume: bool) -> dict[str, object]:
        (folder / "half.json").write_text("{")
        raise KeyboardInterrupt

    path = rewritten(again, ("max_seconds = 0.1", "max_seconds = 0.2"))
    *before, last = pipeline.STAGES
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(pipeline, "STAGES", (*before, dataclasses.replace(last, work=die)))
        pipeline.run(path)
    folder = again / "results" / last.folder
    assert kept(pipeline.run(path)) == STAGES[:4]
    record = read_record(folder)
    assert record is not None and "half.json" not in record.outputs


def test_a_change_that_is_taken_back_costs_nothing(
    again: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(session: object, folder: Path, resume: bool) -> dict[str, object]:
        raise KeyboardInterrupt

    path = rewritten(again, ("epochs = 2", "epochs = 3"))
    first, *others = pipeline.STAGES
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(pipeline, "STAGES", (dataclasses.replace(first, work=die), *others))
        pipeline.run(path)
    report = pipeline.run(rewritten(again, ("epochs = 3", "epochs = 2")))
    assert kept(report) == STAGES


def test_ctrl_c_in_training_loses_nothing(prepared: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(prepared, tmp_path / "again", ignore=lambda *_: {"results"}))
    start, end = CONFIG.index("[prune]"), CONFIG.index("[[export]]")
    second = CONFIG.rindex("[[export]]")
    path = rewritten(again, (CONFIG[start:end], ""), (CONFIG[second:], ""))

    def interrupt(stage: str, steps: int, total: int, **facts: object) -> None:
        if steps == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(path, progress=interrupt)
    assert (again / "results" / "1-finetuned" / ".training").is_dir()
    told: list[str] = []
    steps: list[int] = []

    def count(stage: str, done: int, total: int, **facts: object) -> None:
        if stage == "fine-tune":
            steps.append(done)

    report = pipeline.run(path, progress=count, notice=told.append)
    assert "finetune: resumes" in told
    assert min(steps) > 7
    assert len(report.rows) == 2


def test_a_dropped_stage_is_left_out(again: Path) -> None:
    start, end = CONFIG.index("[prune]"), CONFIG.index("[[export]]")
    tail = CONFIG.index("[profile]")
    path = rewritten(
        again,
        (CONFIG[start:end], ""),
        (CONFIG[tail:], ""),
        ('lengths = "8,24"', 'model = "finetuned"\nlength = 8'),
        ('model = "pruned"\n', ""),
    )
    report = pipeline.run(path)
    assert tuple(stage.name for stage in report.stages) == ("finetune", "export", "evaluate")
    assert kept(report) == ("finetune",)
    assert report.measurements == ()
    assert not (again / "results" / "4-exported" / "pruned-dynamic-int8.tflite").exists()
    assert (again / "results" / "2-pruned" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('test = "test.tsv"', 'test = "dev.tsv"', UsageError, "the same file as dev"),
        ("\nlength = 24", "\nlength = 41", UsageError, "finetuned-float32: Lengths must be"),
        ('test = "test.tsv"', 'test = "strange.tsv"', DataError, "'unheard'"),
        ("max_length = 24", "max_length = 99", UsageError, r"\[finetune\]: max_length"),
        ("sparsity = 0.5", "sparsity = 5.0", UsageError, r"\[prune\]: sparsity"),
        (
            "[finetune]\nepochs = 2\nbatch_size = 8\nlearning_rate = 1e-3\nmax_length = 24\n",
            "",
            UsageError,
            "expected a model of this run: base, pruned",
        ),
    ],
)
def test_what_must_fail_fails_before_any_work(
    prepared: Path, tmp_path: Path, old: str, new: str, error: type[Exception], message: str
) -> None:
    bad = Path(shutil.copytree(prepared, tmp_path / "bad", ignore=lambda *_: {"results"}))
    with pytest.raises(error, match=message):
        pipeline.run(rewritten(bad, (old, new)))
    assert not (bad / "results").exists()


def test_a_narrower_model_is_taught_and_exported(prepared: Path, tmp_path: Path) -> None:
    """[structure], [vocabulary] and [distill]: smaller files, one more model, all in the report."""
    folder = Path(shutil.copytree(prepared, tmp_path / "narrow"))
    content = (folder / "run.toml").read_text()
    start = content.index("[prune]")
    sections = (
        "[structure]\nheads = 1\nneurons = 8\ncalibration_rows = 16\n"
        "[vocabulary]\ncommon_pieces = 4\n"
        "[distill]\nepochs = 1\naugment = 1\nmax_length = 16\n"
    )
    exports = '[export]\nmodels = ["finetuned", "distilled"]\nlengths = "16"\n'
    (folder / "run.toml").write_text(content[:start] + sections + exports)
    report = pipeline.run(folder / "run.toml")
    assert [stage.name for stage in report.stages] == [
        *("finetune", "prune", "distill", "export", "evaluate"),
    ]
    facts = {stage.name: stage.facts for stage in report.stages}
    assert {"operations left", "tokens", "dev accuracy"} == set(facts["prune"])
    before, after = (row for row in report.rows if row.size_bytes)
    assert (before.model, after.model) == ("finetuned", "distilled")
    distilled = open_model(folder / "results" / "3-distilled")
    assert (
        distilled.tokenizer.vocabulary.size < open_model(folder / "tiny").tokenizer.vocabulary.size
    )
    assert [entry["stage"] for entry in distilled.history][-1] == "distill"
    widths = layer_widths(distilled.checkpoint)
    assert sum(width.neurons for width in widths) == 8 * len(widths)
    assert kept(pipeline.run(folder / "run.toml")) == tuple(facts)


def test_a_classifier_is_exported_without_training(
    prepared: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "export.toml"
    data = "".join(f'{part} = "{prepared / part}.tsv"\n' for part in ("train", "test"))
    path.write_text(f'base = "{tiny_folder}"\nout = "o"\n[data]\n{data}')
    report = pipeline.run(path)
    assert [row.name for row in report.rows] == ["base+keras", "base-dynamic-int8"]
    assert (tmp_path / "o" / "report.html").is_file()
    assert kept(pipeline.run(path)) == ("export", "evaluate")
    assert kept(pipeline.run(path, force=True)) == ()


def test_stages_run_in_their_order(prepared: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """A student, its pruning and its vocabulary, without fine-tuning and without a test file."""
    path = tmp_path / "stages.toml"
    data = "".join(f'{part} = "{prepared / part}.tsv"\n' for part in ("train", "dev"))
    stages = (
        '[[stages]]\nkind = "distill"\nstudent = "half-depth"\nepochs = 1\nmax_length = 16\n'
        '[[stages]]\nkind = "prune"\nepochs = 0\n'
        '[[stages]]\nkind = "vocabulary"\ncommon_pieces = 4\nname = "last"\n'
    )
    export = f'[[export]]\nname = "file"\nlengths = "16"\nsha256 = "{"0" * 64}"\n'
    start = f'base = "{tiny_folder}"\nout = "o"\n[data]\n{data}confirm_fraction = 0.0\n'
    path.write_text(start + stages + export)
    report = pipeline.run(path)
    names = ("distill-1", "prune-2", "last", "export", "evaluate")
    assert tuple(stage.name for stage in report.stages) == names
    model = open_model(tmp_path / "o" / "2-stages" / "last")
    assert [entry["stage"] for entry in model.history][-3:] == ["distill", "prune", "trim"]
    assert [row.name for row in report.rows] == ["last+keras", "file"]
    assert report.rows[-1].as_expected is False
    assert any("other bytes than expected" in note for note in report.notes)
    assert any("which chose the best epochs" in note for note in report.notes)
    assert kept(pipeline.run(path)) == names


def test_a_record_of_another_form_is_no_record(tmp_path: Path) -> None:
    for content in (
        "",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 9, "hash": "", "inputs": {}}',
        '{"format": 1, "hash": "wrong", "inputs": {}}',
    ):
        (tmp_path / "stage.json").write_text(content)
        assert read_record(tmp_path) is None
    assert why_not_done(None, {}, tmp_path) == "not done yet"


@pytest.mark.parametrize("form", ["../../victim.txt", "absolute", "link/victim.txt"])
def test_a_record_deletes_nothing_outside_its_folder(tmp_path: Path, form: str) -> None:
    victim, folder = tmp_path / "victim.txt", tmp_path / "run" / "4-exported"
    victim.write_text("mine")
    folder.mkdir(parents=True)
    (folder / "old.tflite").write_text("")
    (folder / "link").symlink_to(tmp_path)
    write_record(folder, Record("export", {}, {"old.tflite": ""}))
    content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    content["outputs"][str(victim) if form == "absolute" else form] = "00"
    (folder / RECORD).write_text(json.dumps(content), encoding="utf-8")
    assert read_record(folder) is None
    write_record(folder, Record("export", {}, {}))
    assert victim.read_text() == "mine"


def test_a_record_removes_the_old_result(tmp_path: Path) -> None:
    (tmp_path / "old.tflite").write_text("")
    write_record(tmp_path, Record("export", {}, {"old.tflite": ""}))
    write_record(tmp_path, Record("export", {}, {}))
    assert not (tmp_path / "old.tflite").exists()


def test_the_interval_of_an_accuracy() -> None:
    assert 100 * half_width(0.94, 384) == pytest.approx(2.4, abs=0.1)
    assert half_width(1.0, 10) > 0.1
