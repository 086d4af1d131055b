"""Exports on LiteRT's GPU delegate (WebGPU, software adapter) give this machine's answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgebert.exporting.artifact import export
from edgebert.models.task_model import TaskModel
from edgebert.profiling.browser import BrowserTarget
from edgebert.profiling.browser.server import PageServer
from edgebert.profiling.target import Job, Outcome
from edgebert.settings import ExportSettings, ProfileSettings, TargetSettings
from tests.judges.chromium import SOFTWARE_GPU, Chromium, find_chromium

CASES = (
    ("classification", "float32", "8,16"),
    ("qa", "float32", "32"),
    ("ner", "float32", "16"),
    ("masked-lm", "float32", "16"),
    ("embeddings", "dynamic-int8", "8,16"),
)
GPU_IN_PART = "WebGPU does not support all operations"


@pytest.fixture(scope="module")
def gpu_browser(chromium: Chromium) -> Iterator[Chromium]:
    program = find_chromium()
    assert program is not None  # `chromium` has started it
    with Chromium(program, *SOFTWARE_GPU) as browser:
        yield browser


def test_exports_run_on_the_gpu_whole_and_right(
    tiny_task_model: Callable[[str], TaskModel],
    gpu_browser: Chromium,
    quick: ProfileSettings,
    tmp_path: Path,
) -> None:
    """The session refuses to time a wrong answer, so a measurement is a right one."""
    files = []
    for task, recipe, lengths in CASES:
        path = tmp_path / f"{task}.tflite"
        export(tiny_task_model(task), path, ExportSettings(recipe=recipe, lengths=lengths))
        files.append(path)
    outcome: list[Outcome | BaseException] = []
    servers: list[PageServer] = []
    ready = threading.Event()

    def announce(server: PageServer, settings: TargetSettings) -> None:
        servers.append(server)
        ready.set()

    def run() -> None:
        settings = replace(quick, max_seconds=0.1, min_runs=1, warmup_runs=0)
        target = BrowserTarget(TargetSettings(accelerator="webgpu", wait_seconds=120.0), announce)
        try:
            outcome.append(target.profile(Job(tuple(files), settings)))
        except BaseException as error:
            outcome.append(error)
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(60) and servers, outcome
    page = gpu_browser.open(servers[0].url)
    thread.join(180)
    page.close()
    (found,) = outcome
    assert isinstance(found, Outcome), found
    assert len(found.measurements) == sum(lengths.count(",") + 1 for _, _, lengths in CASES)
    assert {m.runtime for m in found.measurements} == {"LiteRT.js 2.5.3, WebGPU"}
    for m in found.measurements:
        # The choice of the [MASK] rows has a running sum, which the delegate does not take.
        assert any(GPU_IN_PART in each for each in m.warnings) == (m.name == "masked-lm"), m.name
        if m.name != "embeddings":  # float32
            assert not any("differ from this machine" in warning for warning in m.warnings), m.name
