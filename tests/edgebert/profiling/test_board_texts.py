"""Texts in, answers out on a board, for all tasks, with a real sshd on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert.exporting import artifact
from edgebert.exporting.graph import build_quantized_graph
from edgebert.exporting.signatures import choose_signatures
from edgebert.models.task_model import TaskModel
from edgebert.profiling.device_check import HostReference
from edgebert.profiling.plan import ModelFile, read_model_files
from edgebert.profiling.session import facts_of_check, sample_texts
from edgebert.profiling.ssh.text_check import check_built_in_texts, check_texts
from edgebert.settings import TASKS, DataSettings, ExportSettings
from edgebert.system.progress import silent
from tests.edgebert.profiling.loopback_board import LoopbackBoard

NO_TOKENIZERS = "import sys; sys.modules['tokenizers'] = None\n"
OLD_RUNTIME = "import sys; sys.modules['ai_edge_litert.compiled_model'] = None\n"


def start_python_with(board: LoopbackBoard, folder: Path, start: str) -> None:
    """Lets the board's Python run a line when it starts, such as one that hides a package."""
    (folder / "sitecustomize.py").write_text(start)
    board.program("python3", f'PYTHONPATH="{folder}" exec "{sys.executable}" "$@"')


def write_file(model: TaskModel, path: Path) -> None:
    """Exports a model without the comparison with Keras, which takes seconds."""
    settings = ExportSettings(lengths="16,40", recipe="float32")
    model = artifact._with_masks(model, settings)
    signatures = choose_signatures(model, settings, ())
    graph = build_quantized_graph(model, signatures, settings)
    manifest = artifact._manifest(model, settings, signatures, graph)
    path.write_bytes(artifact._packed(graph.body, manifest, model))


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
    board: LoopbackBoard, files: dict[str, ModelFile], data: Callable[[str], Path]
) -> None:
    with board.machine() as machine, machine.start_end_to_end("texts") as process:
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
    check_every_task(board, task_files, tiny_task_file)


def test_every_task_answers_without_tokenizers_and_with_an_old_runtime(
    board: LoopbackBoard,
    task_files: dict[str, ModelFile],
    tiny_task_file: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    start_python_with(board, tmp_path, NO_TOKENIZERS + OLD_RUNTIME)
    check_every_task(board, task_files, tiny_task_file)
