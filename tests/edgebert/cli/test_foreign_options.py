"""What the user says about a model or its data, on the commands that train."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgebert.cli import cli
from edgebert.cli.options import print_new_labels
from edgebert.errors import UsageError
from edgebert.models.task_model import TaskModel
from edgebert.pipeline.config_file import read_config
from edgebert.pipeline.session import Session
from edgebert.settings import DataSettings
from edgebert.system.progress import silent
from tests.edgebert.tasks.test_foreign import foreign


@pytest.fixture
def classifier(tiny_task_model: Callable[[str], TaskModel], tmp_path: Path) -> Path:
    return foreign(tiny_task_model("classification"), tmp_path / "classifier")


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    rows = [f"the movie is good\tplay music\t{i % 3}" for i in range(12)]
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(["sentence1\tsentence2\tlabel", *rows, "\tno text\t0"]) + "\n")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_pruning_reads_pairs_and_numbers_and_leaves_bad_rows_out(
    classifier: Path, pairs_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pruned"
    asked = ["prune", classifier, "-o", out, "--train", pairs_file, "--dev", pairs_file]
    asked += ["--epochs", 0, "--sparsity", 0.5, "--pairs"]
    refused = run(*asked)
    assert refused.exit_code == 1
    assert "line 14: empty text" in refused.output
    done = run(*asked, "--skip-bad-rows")
    assert done.exit_code == 0, done.output
    assert "1 row with problems left out:\n  line 14: empty text" in done.output
    assert "0 is negative" in done.output
    assert json.loads((out / "edgebert.json").read_text())["task"] == "pairs"
    again = run(*asked[:-1], "--skip-bad-rows", "--pairs", "--seed", 3)
    assert again.exit_code == 2
    assert "settings.seed was 42, now 3" in again.output
    assert "--overwrite" in again.output


@pytest.mark.parametrize("command", ["prune", "distill", "search", "explain"])
def test_a_task_that_does_not_fit_the_head_is_refused(
    classifier: Path, pairs_file: Path, tmp_path: Path, command: str
) -> None:
    asked: list[object] = ["--train", pairs_file] if command != "explain" else ["text"]
    if command == "distill":
        asked += ["--student", "tiny"]
    done = run(command, classifier, "-o", tmp_path / "out", "--task", "qa", *asked)
    assert done.exit_code == 2
    assert "--task: expected a task of the model's head (classification, pairs)" in done.output
    assert not (tmp_path / "out").exists()


def test_a_pipeline_takes_pairs_and_names_of_labels(
    classifier: Path, pairs_file: Path, tmp_path: Path
) -> None:
    test_file = tmp_path / "test.tsv"
    test_file.write_text("sentence1\tsentence2\tlabel\nplay music\tstop\tyes\n")
    config = tmp_path / "run.toml"
    config.write_text(
        f'base = "{classifier}"\nout = "out"\npairs = true\n'
        f'[data]\ntrain = "{pairs_file}"\ntest = "{test_file}"\nskip_bad_rows = true\n'
        'label_map = "yes=positive"\n[export]\nrecipes = ["float32"]\n'
    )
    session = Session(read_config(config), silent)
    session.check()
    assert session.task.name == "pairs"
    assert session.test.labels == ("positive",)
    assert set(session.dev.labels) <= {"negative", "neutral", "positive"}
    assert any("line 14: empty text" in note for note in session.notes)


def test_pairs_of_a_pipeline_are_those_of_a_base_with_a_task(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        'base = "b"\nout = "out"\npairs = 1\nprompt = "query"\n[finetune]\n[export]\n'
        '[data]\nsample = "assistant-intents"\n'
    )
    with pytest.raises(UsageError) as refused:
        read_config(config)
    assert "'pairs' must be true or false. Received: 1" in str(refused.value)
    assert "'pairs' is a setting of a base that is not fine-tuned" in str(refused.value)


def test_finetuning_says_what_numbers_of_labels_mean(
    tiny_task_model: Callable[[str], TaskModel],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base, path = tiny_task_model("classification"), tmp_path / "train.tsv"
    for labels, is_said in ((("0", "2"), True), (("0", "3"), False), (("neutral", "0"), False)):
        path.write_text("text\tlabel\n" + "".join(f"play\t{label}\n" for label in labels))
        print_new_labels(base, base.task, base.task.read(path, DataSettings(), "required"))
        said = '--label-map "0=negative,1=neutral,2=positive"' in capsys.readouterr().err
        assert said == is_said
