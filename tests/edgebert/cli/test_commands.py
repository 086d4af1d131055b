"""Commands as a person or a script calls them: stdout, stderr and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgebert.cli import COMMANDS, cli

ROWS = "text\tlabel\nthe movie is great\tpositive\nawful\tnegative\nit is on\tneutral\n"


def call(*arguments: object, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], input=text)


@pytest.fixture(scope="module")
def exported(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "m.tflite"
    result = call("export", tiny_folder, "-o", path)
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.tsv"
    path.write_text(ROWS)
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output
    assert "\\b" not in result.output


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom edgebert.cli import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(' '.join({'tensorflow', 'keras', 'numpy', 'rich'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_export_says_what_it_made(tiny_folder: Path, tmp_path: Path) -> None:
    result = call("export", tiny_folder, "-o", tmp_path / "m.tflite", "--length", 16)
    assert result.exit_code == 0, result.output
    assert "float graph against Keras" in result.stdout
    assert "MediaPipe" in result.stderr
    result = call("export", tiny_folder, "-o", tmp_path / "m.tflite", "--json")
    content = json.loads(result.stdout)
    assert content["size_bytes"] == (tmp_path / "m.tflite").stat().st_size
    assert content["manifest"]["lengths"] == [16, 32, 40]


def test_export_picks_lengths_from_a_file(tiny_folder: Path, tmp_path: Path, rows: Path) -> None:
    result = call(
        "export",
        tiny_folder,
        "-o",
        tmp_path / "m.tflite",
        "--lengths",
        "auto",
        "--lengths-from",
        rows,
        "--json",
    )
    assert json.loads(result.stdout)["manifest"]["lengths"] == [8]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--length", "99"], 2, "from 2 to 40 tokens, the size of the model's position table"),
        (["--length", "8", "--dynamic-length"], 2, "Expected one of"),
        (["--lengths", "auto"], 2, "--lengths-from FILE"),
        (["--recipe", "int3"], 2, "int3"),
        (["--data", "rows.tsv", "--max-drop", "-101"], 3, "Nothing was written"),
    ],
)
def test_export_fails_clearly(
    arguments: list[str], exit_code: int, message: str, tiny_folder: Path, rows: Path
) -> None:
    out = rows.parent / "m.tflite"
    arguments = [str(rows) if a == "rows.tsv" else a for a in arguments]
    result = call("export", tiny_folder, "-o", out, *arguments)
    assert result.exit_code == exit_code, result.output
    assert message in result.output
    assert not out.exists()


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    result = call("export", tmp_path, "-o", tmp_path / "m.tflite")
    assert result.exit_code == 1
    assert "has no config.json" in result.stderr
    assert result.stdout == ""


def test_evaluate_takes_folders_and_files(tiny_folder: Path, exported: Path, rows: Path) -> None:
    result = call("evaluate", tiny_folder, exported, "--data", rows, "--json")
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert [score["rows"] for score in scores] == [3, 3]
    assert scores[0]["metrics"] == pytest.approx(scores[1]["metrics"], abs=0.34)
    assert "accuracy" in call("evaluate", exported, "--data", rows).stdout


def test_evaluate_holds_a_gate(exported: Path, rows: Path) -> None:
    result = call("evaluate", exported, "--data", rows, "--min-accuracy", 1.01)
    assert result.exit_code == 3
    assert "The accuracy must be at least 1.01" in result.stderr


def test_evaluate_reads_stdin(exported: Path) -> None:
    lines = '{"text": "great", "label": "positive"}\n{"text": "awful", "label": "negative"}\n'
    result = call("evaluate", exported, "--data", "-", "--json", text=lines)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["rows"] == 2


def test_evaluate_names_an_unknown_label(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text(ROWS + "it is\tcheerful\n")
    result = call("evaluate", exported, "--data", path)
    assert result.exit_code == 1
    assert "cheerful" in result.stderr


def test_predict_labels_arguments_files_and_stdin(
    tiny_folder: Path, exported: Path, rows: Path
) -> None:
    given = call("predict", exported, "the movie is great", "awful", "--json")
    from_stdin = call("predict", exported, "--json", text="the movie is great\nawful\n")
    assert given.exit_code == 0, given.output
    assert given.stdout == from_stdin.stdout
    answers = [json.loads(line) for line in given.stdout.splitlines()]
    assert [answer["text"] for answer in answers] == ["the movie is great", "awful"]
    assert all(0 < answer["probability"] <= 1 for answer in answers)
    from_keras = call("predict", tiny_folder, "--data", rows, "--top", 3)
    assert len(from_keras.stdout.splitlines()) == 3
    assert all(line.count("\t") == 3 for line in from_keras.stdout.splitlines())


def test_quantize_compares_recipes(tiny_folder: Path, rows: Path, tmp_path: Path) -> None:
    result = call(
        "quantize",
        tiny_folder,
        "-o",
        tmp_path / "out",
        "--data",
        rows,
        "--recipes",
        "float32,dynamic-int8",
        "--json",
    )
    assert result.exit_code == 0, result.output
    assert [trial["recipe"] for trial in json.loads(result.stdout)] == ["float32", "dynamic-int8"]
    assert sorted(p.name for p in (tmp_path / "out").glob("*.tflite")) == [
        "dynamic-int8.tflite",
        "float32.tflite",
    ]
    result = call(
        "quantize", tiny_folder, "-o", tmp_path / "out", "--data", rows, "--max-drop", -101
    )
    assert result.exit_code == 3


def test_quantize_shows_the_error_of_every_part(
    tiny_folder: Path, rows: Path, tmp_path: Path
) -> None:
    arguments = ("quantize", tiny_folder, "-o", tmp_path, "--data", rows, "--recipes", "int4")
    missing = call(*arguments)
    assert missing.exit_code == 1
    assert "Next: add --calibration FILE" in missing.stderr
    told = ("--calibration", rows, "--length", 16)
    shown = call(*arguments, *told, "--verbose")
    assert shown.exit_code == 0, shown.output
    for part in ("error alone", "layers.1.attention.output", "classifier"):
        assert part in shown.stdout
    (trial,) = json.loads(call(*arguments, *told, "--json").stdout)
    assert {part["stored_as"] for part in trial["calibration"]["parts"]} <= {
        "int4",
        "dynamic-int8",
    }
    assert trial["calibration"]["error"] > 0


def test_recipes_that_measure_are_exported_by_name(
    tiny_folder: Path, rows: Path, tmp_path: Path
) -> None:
    for recipe in ("int4", "static-int8", "static-int16x8"):
        path = tmp_path / f"{recipe}.tflite"
        result = call(
            "export",
            tiny_folder,
            "-o",
            path,
            *("--recipe", recipe, "--calibration", rows, "--length", 16, "--json"),
        )
        assert result.exit_code == 0, result.output
        content = json.loads(result.stdout)
        assert content["manifest"]["precision"]["kernels"] == recipe
        assert content["size_bytes"] == path.stat().st_size


def test_inspect_prints_and_gates(exported: Path) -> None:
    result = call("inspect", exported, "--tensors", "--require-full-delegation")
    assert result.exit_code == 0, result.output
    for part in ("dynamic-int8", "tokens_16", "EMBEDDING_LOOKUP", "negative"):
        assert part in result.stdout
    content = json.loads(call("inspect", exported, "--json").stdout)
    assert content["delegation"][0]["full"] is True


def test_a_missing_file_is_said_in_a_line(tmp_path: Path) -> None:
    for command in ("inspect", "predict"):
        result = call(command, tmp_path / "nothing.tflite", *(["x"] * (command == "predict")))
        assert result.exit_code == 1
        assert "nothing.tflite" in result.stderr
