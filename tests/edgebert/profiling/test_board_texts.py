"""Texts in, answers out on a board, for all tasks, with a real sshd on loopback."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgebert.cli import cli
from edgebert.data.datasets import Example
from edgebert.encoding.tokenizer import tokenizers_version
from edgebert.errors import EdgebertError
from edgebert.exporting import artifact
from edgebert.exporting.graph import build_quantized_graph
from edgebert.exporting.packaging import pack
from edgebert.exporting.signatures import choose_signatures
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel
from edgebert.profiling import text_program
from edgebert.profiling.device_check import HostReference
from edgebert.profiling.end_to_end import TextService
from edgebert.profiling.machine import TextSupport
from edgebert.profiling.plan import ModelFile, read_model_files
from edgebert.profiling.session import facts_of_check, sample_texts
from edgebert.profiling.ssh.board import Board
from edgebert.profiling.ssh.text_check import check_built_in_texts, check_texts, first_difference
from edgebert.profiling.target import Job
from edgebert.settings import TASKS, DataSettings, ExportSettings, ProfileSettings
from edgebert.system.progress import silent
from tests.edgebert.profiling.loopback_board import LoopbackBoard, WhenBusy, tool_here

NO_TOKENIZERS = "import sys; sys.modules['tokenizers'] = None\n"
OLD_RUNTIME = "import sys; sys.modules['ai_edge_litert.compiled_model'] = None\n"


def start_python_with(board: LoopbackBoard, folder: Path, start: str) -> None:
    """Lets the board's Python run a line when it starts, such as one that hides a package."""
    (folder / "sitecustomize.py").write_text(start)
    board.program("env", f'PYTHONPATH="{folder}" exec {tool_here("env")} "$@"')


def write_file(model: TaskModel, path: Path) -> None:
    """Exports a model without the comparison with Keras, which takes seconds."""
    settings = ExportSettings(lengths="40", recipe="float32")
    model = artifact._with_masks(model, settings)
    signatures = choose_signatures(model, settings, ())
    graph = build_quantized_graph(model, signatures, settings)
    manifest = artifact._manifest(model, settings, signatures, graph)
    parts = pack(graph.body, manifest, model.tokenizer.vocabulary, model.checkpoint.head)
    path.write_bytes(b"".join(parts))


@pytest.fixture(scope="module")
def task_files(
    tiny_task_model: Callable[[str], TaskModel], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, ModelFile]:
    """A file of every task, by the task's name."""
    folder = tmp_path_factory.mktemp("tasks")
    for task in TASKS:
        write_file(tiny_task_model(task), folder / f"{task}.tflite")
    files = read_model_files([folder / f"{task}.tflite" for task in TASKS])
    return dict(zip(TASKS, files, strict=True))


def check_every_task(
    machine: Board, files: dict[str, ModelFile], data: Callable[[str], Path]
) -> None:
    with machine.start_end_to_end("texts") as process:
        with machine.start_runner("facts") as other:
            facts = other.request("hello")
        for task, file in files.items():
            texts = sample_texts(file.task)[:2]
            process.request("load", model=machine.place(file), texts=texts)
            assert process.request("first_call")["first_call_ms"] > 0
            check_built_in_texts(machine.target, file, process)
            labelled = file.task.read(data(task), DataSettings(), "required")
            reference = HostReference(file.path, labelled)
            named = facts_of_check(machine, file, facts)
            check = check_texts(file, reference, process, named, silent)
            assert check.passed and check.same_scores, task
            assert check.token_ids_equal is (None if task == "masked-lm" else True)
            assert (check.target, check.rows) == ("ssh:board", len(labelled))
            assert check.value == pytest.approx(check.host_value)


def test_every_task_answers_on_the_board(
    board: LoopbackBoard,
    task_files: dict[str, ModelFile],
    tiny_task_file: Callable[[str], Path],
) -> None:
    assert len(task_files) == 9
    with board.machine() as machine:
        assert machine.text_support(task_files["ner"]) == TextSupport()
        check_every_task(machine, task_files, tiny_task_file)


def test_every_task_answers_without_tokenizers_and_with_an_old_runtime(
    board: LoopbackBoard,
    task_files: dict[str, ModelFile],
    tiny_task_file: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    start_python_with(board, tmp_path, NO_TOKENIZERS + OLD_RUNTIME)
    with board.machine() as machine:
        support = machine.text_support(task_files["pos"])
        check_every_task(machine, task_files, tiny_task_file)
        check_long_text(machine, task_files["classification"])
    assert not support.obstacle
    assert "ssh:board has no `tokenizers`" in support.warning
    assert f"run `{sys.executable} -m pip install tokenizers` there" in support.warning


def test_predict_answers_on_the_board(
    board: LoopbackBoard, task_files: dict[str, ModelFile], tiny_task_file: Callable[[str], Path]
) -> None:
    """The same lines as on this machine, with the ids of the questions."""
    command = ["predict", str(task_files["qa"].path), "--data", str(tiny_task_file("qa")), "--json"]
    there = ["--target", "ssh:board", "--ssh-config", str(board.sshd.config)]
    here, answered = (CliRunner().invoke(cli, [*command, *more]) for more in ([], there))
    assert answered.exit_code == 0, answered.output
    assert answered.stdout == here.stdout
    assert len(answered.stdout.splitlines()) > 3 and '"id": ""' not in answered.stdout


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--target", "cpu"], "--target of predict expects ssh:HOST. Received: 'cpu'"),
        (["--target", "ssh:pi", "--candidates", "a,b"], "leave one of them out"),
        (["--cpu-mask", "f0"], "no --target. Next: add --target ssh:HOST"),
        (["--target", "ssh:-x"], "--target ssh expects ssh:user@host"),
    ],
)
def test_bad_targets_of_predict(
    task_files: dict[str, ModelFile], more: list[str], message: str
) -> None:
    done = CliRunner().invoke(cli, ["predict", str(task_files["pos"].path), "a text", *more])
    assert done.exit_code == 2 and message in done.output


def check_long_text(machine: Board, file: ModelFile) -> None:
    """A text of 1 MB."""
    text = "turn the lights on today, ünïcödé 你好 " * 23_500
    assert len(text.encode()) > 1_000_000
    with machine.start_end_to_end("texts") as process:
        process.request("load", model=machine.place(file), texts=[])
        (row,) = process.request("answer", inputs=[{"texts": [text]}])["rows"]
    assert len(row["calls"][0]["token_ids"]) == 40
    here = LiteRtModel.open(file.path).answer(Example(text))
    assert first_difference(here, row["answer"]) == ""


def support_of(board: LoopbackBoard, file: ModelFile) -> TextSupport:
    with board.machine() as machine:
        return machine.text_support(file)


def test_a_board_with_an_old_python_times_the_model_alone(
    board: LoopbackBoard,
    task_files: dict[str, ModelFile],
    quick: ProfileSettings,
    tiny_task_file: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The board's Python is this one, so the needed version is raised."""
    monkeypatch.setattr(text_program, "OLDEST_PYTHON", (9, 1))
    file = task_files["ner"]
    data = file.task.read(tiny_task_file("ner"), DataSettings(), "required")
    settings = replace(quick, lengths=(40,), max_seconds=0.1, end_to_end=True)
    outcome = board.profile(Job((file.path,), settings, check=data))
    (measured,), (check,) = outcome.measurements, outcome.checks
    assert measured.kind == "model"
    (warning,) = [w for w in measured.warnings if "not timed" in w]
    found = ".".join(map(str, sys.version_info[:2]))
    expected = f"expected Python 9.1 or newer on ssh:board. Received: {found}. Next: install a"
    assert expected in warning and "--remote-python" in warning
    assert check.passed and check.token_ids_equal is None
    assert expected in check.notes[-1]


def test_a_board_whose_python_lacks_a_part(
    board: LoopbackBoard, task_files: dict[str, ModelFile], tmp_path: Path
) -> None:
    start_python_with(board, tmp_path, "import sys; sys.modules['unicodedata'] = None\n")
    obstacle = support_of(board, task_files["pos"]).obstacle
    assert "loads edgebert's program for texts. Received: import of unicodedata halted" in obstacle
    assert "Next: update the packages there, or give --no-end-to-end." in obstacle
    start_python_with(board, tmp_path, "import sys; sys.modules['zipfile'] = None\n")
    with pytest.raises(EdgebertError, match=r"expected to unpack .*zipfile.* Next: check that"):
        support_of(board, task_files["pos"])


def test_no_room_for_the_program(board: LoopbackBoard, task_files: dict[str, ModelFile]) -> None:
    """A limit on the file size between that of the runner and that of the archive."""
    board.program("cat", f'trap "" XFSZ; ulimit -f 100; exec {tool_here("cat")} "$@"')
    with pytest.raises(EdgebertError, match=r"to hold edgebert.zip.*[Ff]ile too large"):
        support_of(board, task_files["pos"])


def test_a_connection_that_is_lost_while_texts_are_answered(
    board: LoopbackBoard, task_files: dict[str, ModelFile]
) -> None:
    texts = ["turn the lights on today"] * 4
    settings = ProfileSettings(warmup_runs=10**9, min_runs=10**9, max_seconds=5000.0)
    with board.machine() as machine, machine.start_end_to_end("texts") as process:
        process.request("load", model=machine.place(task_files["pos"]), texts=texts)
        WhenBusy(board, board.sshd.cut_connections)
        with pytest.raises(EdgebertError, match=r"during 'run'"):
            process.request("run", runs=settings.min_runs)
        lost = machine._connection.lost()
        assert lost is not None and "The connection to board was lost" in str(lost)
    board.wait_until_clean()


# What a check finds


class FalseProcess:
    """The program for texts, whose rows are changed."""

    def __init__(self, file: ModelFile, change: Callable[[dict[str, Any]], None]) -> None:
        self._service, self._change = TextService(), change
        self._service.answer({"op": "load", "model": str(file.path), "texts": []})

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        response = json.loads(json.dumps(self._service.answer({"op": op, **fields})))
        for row in response["rows"]:
            self._change(row)
        return response


def other_token(row: dict[str, Any]) -> None:
    row["calls"][0]["token_ids"][1] += 1


def other_answer(row: dict[str, Any]) -> None:
    row["answer"]["words"][0]["tag"] = "FOG"


def no_calls(row: dict[str, Any]) -> None:
    row["calls"] = []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_token, r"token ids are wrong for \{'texts.*as token_ids\[1\]: \d+.*Next: "),
        (other_answer, r"contradicts its own.*as answer\.words\[0\]\.tag: .*Received: 'FOG'"),
        (no_calls, r"expected 1 calls of the runtime for input 1. Received: 0"),
    ],
)
def test_wrong_answers_are_errors(
    task_files: dict[str, ModelFile], change: Callable[[dict[str, Any]], None], message: str
) -> None:
    file = task_files["pos"]
    check_built_in_texts("ssh:board", file, FalseProcess(file, lambda row: None))  # type: ignore[arg-type]
    with pytest.raises(EdgebertError, match=message):
        check_built_in_texts("ssh:board", file, FalseProcess(file, change))  # type: ignore[arg-type]


# What is sent


def test_the_sent_files_are_those_that_answering_needs(tmp_path: Path) -> None:
    """The modules that a fresh process imports for all tasks, and none that need TensorFlow."""
    text_program.write_archive(tmp_path / "edgebert.zip")
    program = "; ".join(
        [
            "import sys, json; sys.path.insert(0, sys.argv[1])",
            "import edgebert.encoding.python_tokenizer",
            "from edgebert.profiling.end_to_end import TextService",
            "ready = TextService().answer({'op': 'ready'})",
            "files = {n: getattr(m, '__file__', '') for n, m in sys.modules.items()}",
            "print(json.dumps([ready, files]))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path / "edgebert.zip")],
        capture_output=True,
        check=True,
    )
    ready, modules = json.loads(done.stdout)
    assert ready == {"tokenizers": tokenizers_version()}
    files = {
        str(file).partition("edgebert.zip/")[2]
        for name, file in modules.items()
        if name.split(".")[0] in ("edgebert", "converters")
    }
    sent = set(text_program.source_files())
    assert files <= sent
    others = {file.split("/")[1] for file in sent if file.startswith("edgebert/")}
    assert not others & {"cli", "exporting", "pipeline", "pruning", "quantization", "training"}
    roots = {name.split(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert not roots & {"tensorflow", "keras", "click", "rich", "ai_edge_litert", "flatbuffers"}


def test_the_archive_is_small_and_always_the_same(tmp_path: Path) -> None:
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    text_program.write_archive(one)
    text_program.write_archive(other)
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size < 400_000
    with zipfile.ZipFile(one) as archive:
        assert archive.namelist() == ["__main__.py", *text_program.source_files()]
        for name in archive.namelist():
            tree = ast.parse(archive.read(name), feature_version=text_program.OLDEST_PYTHON)
            assert not imported_names(tree) & SINCE_PYTHON_3_11, name


SINCE_PYTHON_3_11 = {
    *(
        "datetime.UTC",
        "enum.StrEnum",
        "enum.verify",
        "hashlib.file_digest",
        "tomllib",
        "typing.Self",
    ),
    *("typing.Never", "typing.LiteralString", "typing.assert_never", "typing.assert_type"),
    *("typing.NotRequired", "typing.Required", "typing.Unpack", "typing.override"),
}


def imported_names(tree: ast.Module) -> set[str]:
    """Modules, and names of modules, that a source imports when it is loaded."""
    names = set()
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            names |= {f"{statement.module}.{alias.name}" for alias in statement.names}
    return names
