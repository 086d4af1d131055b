"""finetune, prune, profile and run as they are called on a terminal, on tiny models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgebert import finetuning, pipeline
from edgebert.cli import cli
from edgebert.models.task_model import TaskModel, open_model
from edgebert.profiling.measurement import Measurement

WORDS = {"negative": "bad", "neutral": "timer", "positive": "good"}
QUICK = ("--batch-size", "8", "--max-length", "16")
QUICK_PROFILE = ("--warmup-runs", "1", "--min-runs", "4", "--max-seconds", "0.1")


def call(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tiny_encoder: TaskModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare encoder and labelled text."""
    folder = tmp_path_factory.mktemp("commands")
    tiny_encoder.save(folder / "base")
    for part, rows in (("train", 24), ("dev", 9), ("test", 6)):
        lines = [
            f"the movie is {WORDS[label]} {row}\t{label}"
            for row, label in zip(range(rows), [*WORDS] * rows, strict=False)
        ]
        (folder / f"{part}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    (folder / "strange.tsv").write_text("text\tlabel\nthe movie\tunheard\n")
    return folder


@pytest.fixture(scope="module")
def finetuned(folder: Path) -> tuple[Path, Result]:
    out = folder / "finetuned"
    result = call(
        "finetune",
        folder / "base",
        "-o",
        out,
        "--train",
        folder / "train.tsv",
        "--dev",
        folder / "dev.tsv",
        "--test",
        folder / "test.tsv",
        "--epochs",
        2,
        *QUICK,
    )
    assert result.exit_code == 0, result.output
    return out, result


@pytest.fixture(scope="module")
def exported(finetuned: tuple[Path, Result]) -> Path:
    path = finetuned[0].with_suffix(".tflite")
    result = call("export", finetuned[0], "-o", path, "--length", 16)
    assert result.exit_code == 0, result.output
    return path


def test_finetune_shows_epochs_and_the_test(finetuned: tuple[Path, Result]) -> None:
    out, result = finetuned
    assert "dev accuracy" in result.stdout
    assert result.stdout.count("kept") == 1
    assert "test (6 rows): accuracy" in result.stdout
    assert open_model(out).labels == tuple(sorted(WORDS))
    assert not (out / ".training").exists()


def test_finetune_of_a_finished_run_returns_at_once(
    folder: Path, finetuned: tuple[Path, Result]
) -> None:
    result = call(
        "finetune",
        folder / "base",
        "-o",
        finetuned[0],
        "--train",
        folder / "train.tsv",
        "--dev",
        folder / "dev.tsv",
        "--epochs",
        2,
        *QUICK,
        "--resume",
        "--json",
    )
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert [epoch["epoch"] for epoch in content["epochs"]] == [1, 2]
    assert content["test"] is None


def test_unknown_test_labels_are_refused_before_training(folder: Path, tmp_path: Path) -> None:
    result = call(
        "finetune",
        folder / "base",
        "-o",
        tmp_path / "o",
        "--train",
        folder / "train.tsv",
        "--test",
        folder / "strange.tsv",
    )
    assert result.exit_code == 1
    assert "'unheard'" in result.output
    assert not (tmp_path / "o").exists()


def test_ctrl_c_says_how_to_go_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        (tmp_path / "o" / ".training").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(finetuning, "finetune", interrupted)
    result = call(
        "finetune", folder / "base", "-o", tmp_path / "o", "--train", folder / "train.tsv"
    )
    assert "the same command with --resume" in result.stderr
    assert result.exit_code != 0


def test_prune_shows_zeros_by_layer(folder: Path, finetuned: tuple[Path, Result]) -> None:
    arguments = (
        "prune",
        finetuned[0],
        "-o",
        folder / "pruned",
        "--train",
        folder / "train.tsv",
        "--dev",
        folder / "dev.tsv",
        "--test",
        folder / "test.tsv",
        "--epochs",
        1,
        "--batch-size",
        8,
        "--frequency",
        1,
    )
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert "layers.0.attention.query.kernel" in result.stdout
    assert "all of these" in result.stdout
    assert "50.0%" in result.stdout
    assert "gzip'd: " in result.stdout
    assert "before: test (6 rows)" in result.stdout and "after: test (6 rows)" in result.stdout
    content = json.loads(call(*arguments, "--resume", "--json").stdout)
    assert content["sparsity"] == pytest.approx(0.5, abs=0.01)
    sizes = content["kernel_gzip_bytes"]
    assert sizes["after"] < sizes["before"]
    assert len(content["layers"]) == 12


def test_prune_without_training(folder: Path, finetuned: tuple[Path, Result]) -> None:
    result = call(
        "prune",
        finetuned[0],
        "-o",
        folder / "masked",
        "--train",
        folder / "train.tsv",
        "--epochs",
        0,
        "--method",
        "n-m",
        "--json",
    )
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert (content["epochs"], content["test"]) == ([], None)


def test_prune_refuses_a_bare_encoder(folder: Path, tmp_path: Path) -> None:
    result = call("prune", folder / "base", "-o", tmp_path / "o", "--train", folder / "train.tsv")
    assert result.exit_code == 2
    assert "bare encoder" in result.output


def test_profile_shows_files_and_latencies(folder: Path, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "measured.json"
    result = call(
        "profile",
        exported,
        "--texts",
        folder / "test.tsv",
        "--max-texts",
        4,
        "-o",
        out,
        *QUICK_PROFILE,
    )
    assert result.exit_code == 0, result.output
    for text in ("16 tokens", "text to answer", "peak memory", "gzip'd", "1.00x", "ai-edge-litert"):
        assert text in result.stdout
    assert "warning: " in result.stderr
    assert "warning: " not in result.stdout
    measurements = [Measurement.from_dict(table) for table in json.loads(out.read_text())]
    assert [(m.kind, m.texts) for m in measurements] == [("model", 0), ("end_to_end", 4)]


def test_profile_as_json(exported: Path) -> None:
    result = call("profile", exported, "--no-end-to-end", "--json", *QUICK_PROFILE)
    (table,) = json.loads(result.stdout)
    assert table["length"] == 16


def test_profile_refuses_what_is_no_model(folder: Path, tmp_path: Path) -> None:
    result = call("profile", folder / "base", tmp_path / "none.tflite")
    assert result.exit_code == 1
    assert "is a folder" in result.output and "none.tflite" in result.output


def test_run_shows_the_comparison_and_keeps_it(
    folder: Path, finetuned: tuple[Path, Result], tmp_path: Path
) -> None:
    config = folder / "run.toml"
    config.write_text(
        'base = "finetuned"\nout = "run"\n[data]\ntrain = "train.tsv"\ndev = "dev.tsv"\n'
        'test = "test.tsv"\n[export]\nrecipes = ["float32", "dynamic-int8"]\nlength = 16\n'
    )
    result = call("run", config, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "base" in result.stdout and "dynamic-int8" in result.stdout
    assert "interval of an accuracy" in result.stdout
    assert "export: done in" in result.stderr
    assert (tmp_path / "out" / "report.html").is_file()
    result = call("run", config, "-o", tmp_path / "out", "--json")
    assert "export: kept" in result.stderr
    assert len(json.loads(result.stdout)["rows"]) == 3


def test_run_says_all_that_is_wrong(tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text("base = 1\n[finetune]\nepoch = 3\n")
    result = call("run", config)
    assert result.exit_code == 2
    for text in ("'base'", "'out'", "'train'", "'epoch'"):
        assert text in result.output


def test_run_says_that_it_goes_on_after_ctrl_c(
    folder: Path, finetuned: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    config = folder / "stopped.toml"
    config.write_text(
        'base = "finetuned"\nout = "stopped"\n[data]\ntrain = "train.tsv"\ntest = "test.tsv"\n'
    )
    monkeypatch.setattr(pipeline, "run", interrupted)
    result = call("run", config)
    assert "run the same command to resume" in result.stderr
    assert result.exit_code != 0
