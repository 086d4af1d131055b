"""Commands on files and folders of every task."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgebert.cli import cli
from edgebert.exporting.artifact import export
from edgebert.models.task_model import TaskModel
from edgebert.settings import TASKS, ExportSettings
from edgebert.tasks import task_named
from tests.edgebert.cli.without_tensorflow import run_without_tensorflow

Models, Files = Callable[[str], TaskModel], Callable[..., Path]


@pytest.fixture(scope="module")
def file_of(
    tiny_task_model: Models, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def path(task: str) -> Path:
        if task not in made:
            out = tmp_path_factory.mktemp("cli") / f"{task}.tflite"
            model = tiny_task_model(task)
            made[task] = export(model, out, ExportSettings(recipe="float32", length=40)).path
        return made[task]

    return path


def ran(*arguments: object, stdin: str = "") -> str:
    result = CliRunner().invoke(cli, [str(a) for a in arguments], input=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("task", TASKS)
def test_predict_evaluate_and_inspect(
    task: str, file_of: Callable[[str], Path], tiny_task_file: Files
) -> None:
    file, data = file_of(task), tiny_task_file(task)
    shown = ran("inspect", file)
    assert task in shown
    answers = [
        json.loads(line) for line in ran("predict", file, "--data", data, "--json").splitlines()
    ]
    assert answers and all("text" in answer for answer in answers)
    assert len(ran("predict", file, "--data", data).splitlines()) >= len(answers)
    (scored,) = json.loads(ran("evaluate", file, "--data", data, "--json"))
    assert task_named(task).metric in scored["metrics"] and scored["task"] == task


STDIN = {
    "pairs": '{"sentence1": "play music", "sentence2": "stop music"}\n',
    "regression": '{"sentence1": "play music", "sentence2": "stop music"}\n',
    "qa": '{"question": "what is on", "context": "The movie is on today."}\n',
    "masked-lm": "the movie is [MASK]\n",
}


@pytest.mark.parametrize("task", TASKS)
def test_predict_reads_the_standard_input(task: str, file_of: Callable[[str], Path]) -> None:
    given = STDIN.get(task, "turn the lights on today\n")
    (line,) = ran("predict", file_of(task), "--json", stdin=given).splitlines()
    assert json.loads(line)["text"]


def test_files_of_two_tasks_read_no_one_file(
    file_of: Callable[[str], Path], tiny_task_file: Files
) -> None:
    files = [file_of("ner"), file_of("qa")]
    result = CliRunner().invoke(
        cli, ["profile", *map(str, files), "--texts", str(tiny_task_file("ner"))]
    )
    assert result.exit_code == 2
    assert "files of one task" in result.output


@pytest.mark.parametrize("task", ["pairs", "qa"])
def test_one_text_is_too_few_for_two(task: str, file_of: Callable[[str], Path]) -> None:
    result = CliRunner().invoke(cli, ["predict", str(file_of(task)), "play music"])
    assert result.exit_code == 2
    assert "Expected two texts, because the model reads pairs. Received: one." in result.output


def test_files_need_neither_tensorflow_nor_keras_nor_matplotlib(
    file_of: Callable[[str], Path], tiny_task_file: Files, tmp_path: Path
) -> None:
    measured, report = tmp_path / "measured.json", tmp_path / "report"
    commands: list[list[object]] = []
    for task in TASKS:
        file, data = file_of(task), tiny_task_file(task)
        commands.append(["predict", file, "--data", data, "--json"])
        commands.append(["evaluate", file, "--data", data, "--json"])
        commands.append(["inspect", file, "--json"])
    quick = ("--min-runs", 2, "--max-seconds", 0.1, "--warmup-runs", 1)
    commands.append(["profile", file_of("classification"), *quick, "-o", measured, "--json"])
    commands.append(["report", measured, "-o", report, "--json"])
    commands.append(["doctor", "--json"])
    for (code, out, error), arguments in zip(
        run_without_tensorflow(commands, tmp_path), commands, strict=True
    ):
        assert code == 0, (arguments, out, error)
        assert all(map(json.loads, out.splitlines() if arguments[0] == "predict" else [out]))
    assert "matplotlib is not installed" in (report / "report.html").read_text(encoding="utf-8")


def test_commands_that_need_keras_say_what_to_install(
    file_of: Callable[[str], Path], tiny_folder: Path, tiny_task_file: Files, tmp_path: Path
) -> None:
    data, out = tiny_task_file("classification"), tmp_path / "out"
    split = ("--train", data, "--dev", data)
    commands = [
        ["predict", tiny_folder, "turn it off"],
        ["explain", tiny_folder, "turn it off", "-o", out],
        ["export", tiny_folder, "-o", out],
        ["quantize", tiny_folder, "-o", out, "--data", data],
        ["finetune", tiny_folder, "-o", out, *split],
        ["prune", tiny_folder, "-o", out, *split],
        ["distill", tiny_folder, "--student", "tiny", "-o", out, *split],
        ["search", tiny_folder, "-o", out, *split, "--confirm-fraction", "0"],
    ]
    for (code, _, error), arguments in zip(
        run_without_tensorflow(commands, tmp_path), commands, strict=True
    ):
        assert code == 1, (arguments, error)
        last = error.splitlines()[-1]
        assert "TensorFlow" in last and last.endswith("Next: pip install edgebert"), arguments
